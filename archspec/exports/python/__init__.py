"""A network as one readable file of Python that imports torch alone, made of its plan."""

from archspec.exports.python.write import write

__all__ = ["write"]

"""The types of a primitive's arguments, as plugins import them; `archspec.primitive` has them too."""

from archspec.foundation.arguments import Argument, Schema, boolean, choice, either, integer, number, pair, titled

__all__ = ["Argument", "Schema", "boolean", "choice", "either", "integer", "number", "pair", "titled"]

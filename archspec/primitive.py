"""What a primitive is made of, for those who write one: the contract, the types of arguments, and the error to raise."""

from archspec.errors import Fault
from archspec.layers.primitive import Arguments, Primitive, traced
from archspec.layers.shapes import Shape, window_count
from archspec.values.arguments import (
    Argument,
    boolean,
    choice,
    either,
    integer,
    number,
    pair,
)

__all__ = [
    "Argument",
    "Arguments",
    "Fault",
    "Primitive",
    "Shape",
    "boolean",
    "choice",
    "either",
    "integer",
    "number",
    "pair",
    "traced",
    "window_count",
]

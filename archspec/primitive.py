"""What a primitive is made of, for those who write one: the contract, the types of arguments, the error to raise."""

from archspec.foundation.arguments import (
    Argument,
    boolean,
    choice,
    either,
    integer,
    number,
    pair,
)
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, window_count
from archspec.layers.primitive import Arguments, Primitive, traced

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

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
from archspec.layers.calls import traced
from archspec.layers.kept import Kept
from archspec.layers.primitive import Arguments, Primitive
from archspec.layers.reach import LOCAL, WHOLE, Reach, windows

__all__ = [
    "LOCAL",
    "WHOLE",
    "Argument",
    "Arguments",
    "Fault",
    "Kept",
    "Primitive",
    "Reach",
    "Shape",
    "boolean",
    "choice",
    "either",
    "integer",
    "number",
    "pair",
    "traced",
    "window_count",
    "windows",
]

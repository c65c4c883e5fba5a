"""What a class of a plugin has to be, to be taken as a primitive: everything that it states is of the right kind."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Sequence
from typing import Any

from archspec.foundation.arguments import Argument, fault_in
from archspec.foundation.errors import Fault, join_words
from archspec.foundation.schemas import compiled
from archspec.layers.foreign import line_of, show_value
from archspec.layers.primitive import Primitive


def check_class(kind: type[Primitive], others: Sequence[type[Primitive]]) -> None:
    """Raises `Fault` where a class lacks a part, or has the name of another one of its plugin."""
    name = getattr(kind, "name", None)
    if not isinstance(name, (str, property)):
        raise _fault(kind, f"its class `{kind.__name__}` needs a `name`, a text", "name-reserved")
    if lacking := sorted(kind.__abstractmethods__):
        raise _fault(kind, f"its class `{kind.__name__}` lacks {join_words(lacking)}", "key-missing")
    if isinstance(name, str) and any(getattr(one, "name", None) == name for one in others):
        what = f"two of its classes are called `{name}`"
        raise _fault(kind, what, "name-reserved", "a class for others begins with `_`; each has a `name` of its own")


def check_instance(primitive: Primitive) -> None:
    """Raises `Fault` where what a primitive states is of a wrong kind, and whatever its properties raise."""
    kind, name = type(primitive), primitive.name
    if not isinstance(getattr(primitive, "doc", None), str) or not primitive.doc.strip():
        raise _fault(kind, f"`{name}` needs a `doc`: what it does, in a line")
    for part in ("source", "rule"):
        if not isinstance(given := getattr(primitive, part), str):
            raise _fault(kind, f"the `{part}` of `{name}` is {show_value(given)}, not a text")
    for part in ("weights", "examples"):
        if not _are(getattr(primitive, part), lambda one: isinstance(one, str)):
            raise _fault(kind, f"the `{part}` of `{name}` are not all texts", help="write a tuple: `('weight',)`")
    for part in ("pointwise", "training_only", "reads_values", "fixed_size", "channels_last", "widens"):
        if not isinstance(given := getattr(primitive, part), bool):
            raise _fault(kind, f"`{part}` of `{name}` is {show_value(given)}, not True or False")
    if not primitive.example_input or not _are(primitive.example_input, lambda one: type(one) is int and one > 0):
        raise _fault(kind, f"the `example_input` of `{name}` is no tuple of integers from 1")
    if not _are(primitive.arguments, lambda one: isinstance(one, Argument)):
        raise _fault(
            kind, f"the `arguments` of `{name}` are not all `Argument`s", help="write a tuple: `(Argument(…),)`"
        )
    for number, argument in enumerate(primitive.arguments):
        _check_argument(kind, name, argument, [one.name for one in primitive.arguments[:number]])


def _check_argument(kind: type[Primitive], name: str, argument: Argument, before: Sequence[str]) -> None:
    if not isinstance(argument.name, str) or not argument.name.isidentifier() or keyword.iskeyword(argument.name):
        raise _fault(kind, f"an argument of `{name}` is called {show_value(argument.name)}, which is no name")
    what = f"the argument `{argument.name}` of `{name}`"
    if argument.name in before:
        raise _fault(kind, f"{what} stands twice")
    if not isinstance(argument.doc, str):
        raise _fault(kind, f"{what} is described by {show_value(argument.doc)}, not a text")
    try:
        fault = None
        if not isinstance(argument.schema, dict):
            raise TypeError
        compiled(argument.schema)
        if not argument.required:
            fault = fault_in(argument.default, argument.schema, f"`{argument.name}`")
    except Exception:
        help = "its types are made by the functions of `archspec.arguments`: `integer(1)`, `boolean()`"
        raise _fault(kind, f"{what} has a type or a default that is none", help=help) from None
    if fault is not None:
        raise _fault(kind, f"the default of `{argument.name}` of `{name}`: {fault.message}", fault.code)


def _are(values: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(values, (tuple, list)) and all(map(fits, values))


def _fault(kind: type[Primitive], what: str, code: str = "type-mismatch", help: str | None = None) -> Fault:
    return Fault(code, f"{what}{line_of(kind)}", help=help)

"""Typed arguments of primitives and blocks: their JSON Schema, and what is wrong with a value that it refuses.

A type is a JSON Schema; the functions `integer`, `number`, … build the few forms that the language uses. Values are
checked against them by `schemas`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from archspec.foundation.errors import Fault, join_words
from archspec.foundation.schemas import Schema as Schema, compiled, fits
from archspec.foundation.spelling import did_you_mean
from archspec.foundation.values import describe


class _Required:
    """The default of an argument that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()


LARGEST = 2**31 - 1
"""No integer argument is larger: torch counts in 64 bits, and sizes are products."""


def integer(minimum: int | None = None, maximum: int = LARGEST) -> Schema:
    """The type of an integer within bounds. `4.0` is no integer.

    Args:
        minimum: The least value; without it, there is none.
        maximum: The largest value.

    Example:
        ```python
        Argument("groups", integer(minimum=1), 1, "independent groups of channels")
        ```
    """
    return {"type": "integer"} | _bounds(minimum=minimum, maximum=maximum)


def number(
    minimum: float | None = None,
    maximum: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
) -> Schema:
    """The type of a number within bounds, or of any number.

    Args:
        minimum: The least value.
        maximum: The largest value.
        above: A bound that the value must exceed.
        below: A bound that the value must not reach.

    Example:
        ```python
        Argument("p", number(0, below=1), 0.5, "the probability of zero")
        ```
    """
    bounds = _bounds(minimum=minimum, maximum=maximum, exclusiveMinimum=above, exclusiveMaximum=below)
    return {"type": "number"} | bounds


def boolean() -> Schema:
    """The type of `true` and `false`."""
    return {"type": "boolean"}


def choice(*words: str) -> Schema:
    """The type of one of some words.

    Args:
        words: The words that a spec may give.

    Example:
        ```python
        Argument("mode", choice("nearest", "bilinear"), "nearest", "how values are found between pixels")
        ```
    """
    return {"enum": list(words)}


def either(*schemas: Schema) -> Schema:
    """The type of a value that fits any of some types.

    Args:
        schemas: The types.

    Example:
        ```python
        Argument("padding", either(integer(0), choice("same")), 0, "zeros around the input")
        ```
    """
    return {"anyOf": list(schemas)}


def pair(minimum: int, maximum: int = LARGEST) -> Schema:
    """The type of an integer for both axes, or of a list `[height, width]` of two.

    Args:
        minimum: The least value of each.
        maximum: The largest value of each.
    """
    one = integer(minimum, maximum)
    return either(one, {"type": "array", "items": one, "minItems": 2, "maxItems": 2})


def padding(axes: int = 2) -> Schema:
    """The type of padding: equal for all sides, for each axis, or of an axis `[before, after]`; or the word `same`.

    Args:
        axes: How many axes are padded. For one, an integer or `[before, after]`.
    """
    one = integer(0)
    both = {"type": "array", "items": one, "minItems": 2, "maxItems": 2}
    if axes == 1:
        return titled("an integer ≥ 0, a list [before, after] of such, or `same`", one, both, choice("same"))
    names = {2: "[height, width]", 3: "[depth, height, width]"}[axes]
    each = {"type": "array", "items": either(one, both), "minItems": axes, "maxItems": axes}
    words = f"an integer ≥ 0, a list {names} of such or of lists [before, after], or `same`"
    return titled(words, one, each, choice("same"))


NODE = "a layer's name, or `{name: arguments}`"


def node() -> Schema:
    """A layer to be used: its name, or `{name: arguments}`; `none` for no layer."""
    return titled(
        NODE, {"type": "string"}, {"type": "object", "minProperties": 1, "maxProperties": 1}, {"type": "null"}
    )


def is_node(schema: Schema) -> bool:
    return schema.get("title") == NODE


def titled(words: str, *schemas: Schema) -> Schema:
    """A value of any of some types, which messages call by these words."""
    return {"title": words, **either(*schemas)}


def _bounds(**bounds: float | None) -> Schema:
    return {key: value for key, value in bounds.items() if value is not None}


@dataclass(frozen=True)
class Argument:
    """One argument of a primitive or block.

    Example:
        ```python
        Argument("power", number(1), 3, "the exponent")
        ```
    """

    name: str
    """Its name in specs."""
    schema: Schema
    """Its type: what `integer`, `number`, `boolean`, `choice`, `pair` or `either` returns, or another JSON Schema."""
    default: Any = REQUIRED
    """Its value where a spec gives none. Without it, a spec has to give one."""
    doc: str = ""
    """What it means, in a line."""
    cure: str = ""
    """What to say to those who give it alone, as the first argument, a value that it cannot have."""

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is REQUIRED

    @cached_property
    def is_node(self) -> bool:
        """Whether its value is a layer."""
        return is_node(self.schema)

    @cached_property
    def fits(self) -> Callable[[Any], bool]:
        """Whether a value has its type."""
        return compiled(self.schema)


@dataclass(frozen=True)
class Signature:
    """The arguments of one primitive or block. The first is its *main* argument, which may be given alone."""

    owner: str
    arguments: tuple[Argument, ...]
    inputs: tuple[str, ...] = ()
    """Of a block that takes tensors by name: their names."""
    outputs: tuple[str, ...] = ()
    """Of a block that gives tensors by name: their names."""
    by_name: Mapping[str, Argument] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {a.name: a for a in self.arguments})

    @property
    def main(self) -> Argument | None:
        return self.arguments[0] if self.arguments else None

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The names of the arguments without a default."""
        return tuple(a.name for a in self.arguments if a.required)

    @cached_property
    def bounded(self) -> frozenset[str]:
        """The names of the arguments that are integers and have a least value."""
        schemas = {a.name: a.schema for a in self.arguments}
        return frozenset(name for name, one in schemas.items() if one.get("type") == "integer" and "minimum" in one)

    @cached_property
    def schema(self) -> Schema:
        """The JSON Schema of a complete set of argument values."""
        return {
            "type": "object",
            "properties": {a.name: a.schema for a in self.arguments},
            "required": list(self.required),
            "additionalProperties": False,
        }

    def problem(self, values: Mapping[str, Any]) -> tuple[str, Fault] | None:
        """The first argument whose value has the wrong type or range, with the fault; `None` if all are valid."""
        for argument in self.arguments:
            if argument.name in values and not argument.fits(values[argument.name]):
                fault = fault_in(values[argument.name], argument.schema, f"`{argument.name}` of `{self.owner}`")
                if fault:
                    fault.help = fault.help or argument.cure or None
                    return argument.name, fault
        return None

    def check_names(self, names: Sequence[str]) -> dict[str, Fault]:
        """The faults in the names of given arguments, by name."""
        faults = {}
        for name in names:
            if name not in self.by_name:
                known = join_words(a.name for a in self.arguments)
                hint = did_you_mean(name, self.by_name)
                written, equals, value = name.partition("=")
                if equals and written.strip() in self.by_name:
                    hint = f"write `{written.strip()}: {value.strip()}`"
                if ":" in name:
                    hint = f"put a space after the colon: `{name.replace(':', ': ', 1)}`"
                faults[name] = Fault(
                    "argument-unknown",
                    f"`{self.owner}` has no argument `{name}`",
                    help=hint or (f"its arguments are {known}" if known else "it takes no arguments"),
                )
        return faults


def fault_in(value: Any, schema: Schema, what: str) -> Fault | None:
    """What is wrong with a value that should fit a schema; `None` if nothing is. `what` names the value."""
    if fits(value, schema):
        return None
    if isinstance(value, int) and value > LARGEST:
        return Fault("out-of-range", f"{what} is too large: {value}")
    code = "out-of-range" if _right_kind(value, schema) else "type-mismatch"
    options = [word for one in _alternatives(schema) for word in one.get("enum", ()) if isinstance(word, str)]
    hint = did_you_mean(value, options) if isinstance(value, str) else None
    return Fault(code, f"{what} must be {describe_schema(schema)}, not {describe(value)}", help=hint)


def _alternatives(schema: Schema) -> list[Schema]:
    return [inner for one in schema["anyOf"] for inner in _alternatives(one)] if "anyOf" in schema else [schema]


def _right_kind(value: Any, schema: Schema) -> bool:
    """Whether the value has a type that the schema admits, and only its size or wording is wrong."""
    for one in _alternatives(schema):
        if "enum" in one and isinstance(value, str) and any(isinstance(word, str) for word in one["enum"]):
            return True
        kind = one.get("type")
        if kind and fits(value, {"type": kind}):
            items = one.get("items")
            if not (kind == "array" and items and any(not _right_kind(item, items) for item in value)):
                return True
    return False


def describe_schema(schema: Schema) -> str:
    """A schema in words: `an integer ≥ 1, or a list of 2 of these`."""
    if "title" in schema:
        return str(schema["title"])
    if "anyOf" in schema:
        alternatives: list[Schema] = schema["anyOf"]
        words = [describe_schema(one) for one in alternatives]
        for i, one in enumerate(alternatives):
            if one.get("items") in alternatives[:i]:
                words[i] = f"a list of {one['minItems']} such"
        return ", or ".join(words) if any("," in w for w in words) else " or ".join(words)
    if "enum" in schema:
        words = [f"`{word}`" for word in schema["enum"]]
        return words[0] if len(words) == 1 else "one of " + ", ".join(words)
    kind = schema.get("type")
    if kind == "array":
        return _array_phrase(schema)
    names = {
        "integer": "an integer",
        "number": "a number",
        "boolean": "true or false",
        "string": "a text",
        "object": "a mapping",
        "array": "a list",
        "null": "none",
    }
    if isinstance(kind, list):
        return " or ".join(names[k] for k in kind)
    if kind is None:
        return "a value"
    low, above, high = schema.get("minimum"), schema.get("exclusiveMinimum"), schema.get("maximum")
    high = None if high == LARGEST else high
    bounds = [f"≥ {low}" if low is not None else "", f"> {above}" if above is not None else ""]
    bounds.append(f"≤ {high}" if high is not None else "")
    if above is not None and "exclusiveMaximum" in schema:
        return f"{names[kind]} between {above} and {schema['exclusiveMaximum']}, both excluded"
    if "exclusiveMaximum" in schema:
        bounds.append(f"{'and ' if any(bounds) else ''}< {schema['exclusiveMaximum']}")
    if low is not None and high is not None:
        bounds = [f"from {low} to {high}"]
    return " ".join([names[kind], *filter(None, bounds)])


def _array_phrase(schema: Schema) -> str:
    least, most = schema.get("minItems"), schema.get("maxItems")
    count = f"{least} " if least is not None and least == most else ""
    if not count and least is not None:
        count = f"{least} to {most} " if most is not None else f"at least {least} "
    items = schema.get("items")
    return f"a list of {count}values" + (f", each {describe_schema(items)}" if items else "")

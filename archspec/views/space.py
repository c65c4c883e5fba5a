"""A space of architectures: the values that a spec's variables are drawn from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping as ABCMapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from archspec.foundation.arguments import Schema, boolean, integer, number, titled
from archspec.foundation.errors import Fault, join_words
from archspec.foundation.source import Mapping, Value, locate, plain
from archspec.foundation.spelling import did_you_mean
from archspec.foundation.validate import faults

_RANGE: Schema = {
    "type": "object",
    "properties": {"from": number(), "to": number(), "step": number(above=0), "log": boolean()},
    "required": ["from", "to"],
    "additionalProperties": False,
}
_CHOICES: Schema = {"type": "array", "minItems": 1}
_LIST: Schema = {
    "type": "object",
    "properties": {
        "each": titled("a list of values, or `{from: …, to: …}`", _CHOICES, _RANGE),
        "length": integer(1, 1000),
    },
    "required": ["each", "length"],
    "additionalProperties": False,
}
SPACE: Schema = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": titled(
        "a list of values, `{from: …, to: …}`, or `{each: …, length: …}`", _CHOICES, {"type": "object"}
    ),
}
"""The JSON Schema of a space. Of each mapping, `each` says which of the two forms it has."""


@dataclass(frozen=True, slots=True)
class Choices:
    """One of some values, each as likely as the others."""

    values: tuple[Any, ...]

    def draw(self, random: Random) -> Any:
        return random.choice(self.values)

    @property
    def size(self) -> float:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Range:
    """A number between two others, both included: with `step`, `low`, `low + step` and so on."""

    low: Decimal
    high: Decimal
    step: Decimal | None
    log: bool
    """Whether each doubling is as likely as any other."""

    def draw(self, random: Random) -> int | float:
        low, high = float(self.low), float(self.high)
        drawn = math.exp(random.uniform(math.log(low), math.log(high))) if self.log else random.uniform(low, high)
        if self.step is None:
            return min(max(drawn, low), high)
        steps = int((self.high - self.low) / self.step)
        index = min(steps, round((drawn - low) / float(self.step))) if self.log else random.randint(0, steps)
        value = self.low + index * self.step
        return int(value) if value == int(value) and self.whole else float(value)

    @property
    def whole(self) -> bool:
        """Whether all its values are integers."""
        return self.step is not None and all(one == int(one) for one in (self.low, self.step))

    @property
    def size(self) -> float:
        return math.inf if self.step is None else int((self.high - self.low) / self.step) + 1


@dataclass(frozen=True, slots=True)
class Lists:
    """A list of so many values, each drawn by itself."""

    each: Choices | Range
    length: int

    def draw(self, random: Random) -> list[Any]:
        return [self.each.draw(random) for _ in range(self.length)]

    @property
    def size(self) -> float:
        return math.inf if self.length * math.log(self.each.size or 1) > 50 else self.each.size**self.length


@dataclass(frozen=True)
class Space:
    """Where architectures are drawn from: a spec's variables, each with its values."""

    variables: ABCMapping[str, Choices | Range | Lists]

    def draw(self, random: Random) -> dict[str, Any]:
        return {name: values.draw(random) for name, values in self.variables.items()}

    @property
    def size(self) -> float:
        """How many architectures there are at most."""
        return math.prod(values.size for values in self.variables.values())


def read_space(content: Value, known: ABCMapping[str, Any]) -> Space | list[Fault]:
    """A space of a file's content, for a spec whose variables are `known`; or what is wrong with it."""
    found = sorted(_faults(content, known), key=lambda one: (one.mark.line, one.mark.column) if one.mark else (0, 0))
    if found:
        return found
    assert isinstance(content, Mapping)
    return Space({name: _values(plain(value)) for name, (_, value) in content.entries.items()})


def _faults(content: Value, known: ABCMapping[str, Any]) -> Iterator[Fault]:
    yield from faults(content, SPACE, "space")
    for name, (mark, value) in content.entries.items() if isinstance(content, Mapping) else ():
        if name not in known:
            hint = did_you_mean(name, known) or (f"its variables are {join_words(known)}" if known else "it has none")
            yield Fault("variable-unknown", f"the spec has no variable `{name}`", mark, help=hint)
        if not isinstance(value, Mapping):
            continue
        form = _LIST if "each" in value.entries else _RANGE
        inner = list(faults(value, form, name, plain(value)))
        yield from inner
        if not inner:
            yield from _faults_of_range(value if form is _RANGE else locate(value, ["each"]))


def _faults_of_range(value: Value) -> Iterator[Fault]:
    data = plain(value)
    if not isinstance(data, dict):
        return
    if data["to"] < data["from"]:
        yield Fault("out-of-range", f"`to` ({data['to']}) is less than `from` ({data['from']})", value.mark)
    elif data.get("log") and data["from"] <= 0:
        yield Fault("out-of-range", f"with `log`, `from` is more than 0, not {data['from']}", value.mark)


def _values(data: Any) -> Choices | Range | Lists:
    if isinstance(data, list):
        return Choices(tuple(data))
    if "each" in data:
        each = _values(data["each"])
        assert not isinstance(each, Lists)
        return Lists(each, data["length"])
    low, high = Decimal(str(data["from"])), Decimal(str(data["to"]))
    whole = isinstance(data["from"], int) and isinstance(data["to"], int)
    step = Decimal(str(data["step"])) if "step" in data else Decimal(1) if whole else None
    return Range(low, high, step, bool(data.get("log")))

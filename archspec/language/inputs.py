"""The inputs of a network: one tensor, or several that have names."""

from __future__ import annotations

import keyword
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from archspec.foundation.arguments import Schema, integer, titled
from archspec.foundation.errors import Fault, Mark
from archspec.foundation.report import Report
from archspec.foundation.shapes import Shape, show
from archspec.foundation.source import Mapping, Value
from archspec.language.names import check_tensor

SHAPE: Schema = {"type": "array", "items": integer(1), "minItems": 1, "maxItems": 4}
"""The JSON Schema of the shape of one sample."""

INPUT_SCHEMA: Schema = titled(
    "a list of 1 to 4 values, each an integer ≥ 1, or a mapping of names to such lists",
    SHAPE,
    {"type": "object", "additionalProperties": SHAPE},
)
"""The JSON Schema of `input`."""

UNNAMED = "input"
"""What the one input of a network is called where its file gives it no name."""


@dataclass(frozen=True, slots=True)
class Input:
    """A tensor that a network takes."""

    name: str
    """Empty where the file gives none."""
    shape: Shape
    """The shape of one sample."""
    mark: Mark = field(repr=False, compare=False)


def show_inputs(inputs: Iterable[Input]) -> str:
    """The shapes of inputs, with the names of those that have one."""
    return ", ".join(f"{one.name} {show(one.shape)}".strip() for one in inputs)


def read_inputs(section: Value | None, data: Any, report: Report) -> tuple[Input, ...]:
    """The inputs of a file, of which its schema is satisfied; empty where it is wrong, as is reported."""
    if not data:
        if data == {} and section is not None:
            help = "write `input: [3, 32, 32]`, or `input: {image: [3, 32, 32], depth: [1, 32, 32]}`"
            report.add(Fault("out-of-range", "`input` names no tensor", section.mark, help=help))
        return ()
    assert section is not None
    if not isinstance(data, dict):
        if len(data) == 3 and min(data[:2]) > 8 and (data[2] in (3, 4) or (data[2] == 1 and data[0] == data[1])):
            moved = [data[2], *data[:2]]
            report.note(f"the input has {data[0]} channels: channels come first, as in {moved}", section.mark)
        if len(data) == 4 and data[1] in (1, 3) and min(data[2:]) > 8:
            meant = f"a volume has its channels first, and of images no batch is written, as in {data[1:]}"
            report.note(f"the input has {data[0]} channels of {show(tuple(data[1:]))}: {meant}", section.mark)
        return (Input("", tuple(data), section.mark),)
    marks = {name: mark for name, (mark, _) in section.entries.items()} if isinstance(section, Mapping) else {}
    before = report.count
    for name, mark in marks.items():
        try:
            check_input(name, mark)
        except Fault as fault:
            report.add(fault)
    if report.count > before:
        return ()
    return tuple(Input(name, tuple(shape), marks[name]) for name, shape in data.items())


def check_input(name: str, mark: Mark) -> None:
    """Refuse a name that an argument of `forward` cannot have. Raises `Fault`."""
    check_tensor(name, mark, "an input's name")
    if keyword.iskeyword(name) or name == "self":
        message = f"`{name}` cannot name an input: it is a word of Python, and `forward` takes inputs by their names"
        raise Fault("name-reserved", message, mark, help=f"try `{name}_`")

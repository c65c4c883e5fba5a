"""What a recipe says of the columns of a table, where its data are one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from archspec.foundation.arguments import Schema
from archspec.foundation.errors import Fault, join_words
from archspec.foundation.shapes import Shape, show
from archspec.foundation.source import Value
from archspec.foundation.spelling import did_you_mean
from archspec.recipe.options import section
from archspec.recipe.places import place

_NAME: Schema = {"title": "the name of a column", "type": "string", "pattern": "."}
_NAMES: Schema = {"type": "array", "items": _NAME, "minItems": 1}
_NAME_OR_NAMES: Schema = {
    "if": {"type": "string"},
    "then": _NAME,
    "else": _NAMES | {"title": "a column's name, or a list of them"},
}

_DATA_SET: Schema = {"title": "the name or path of a data set", "type": "string", "pattern": "."}
DATA: Schema = {
    "if": {"type": "string"},
    "then": _DATA_SET,
    "else": section(
        name=_DATA_SET,
        target=_NAME_OR_NAMES,
        ignore=_NAMES,
        one_hot=_NAMES,
        inputs={"type": "object", "minProperties": 1, "additionalProperties": _NAME_OR_NAMES},
    )
    | {
        "title": "a text, or `{name: …, target: COLUMN, ignore: [COLUMN, …], one_hot: [COLUMN, …], "
        "inputs: {INPUT: [COLUMN, …]}}` of a table"
    },
}


FILE = "file"
"""The column of the paths of images, where none is named."""


def image_among(inputs: Mapping[str, Shape]) -> str:
    """The one of several named inputs that takes images, channels, height and width; empty where not one alone does."""
    found = [name for name, shape in inputs.items() if len(shape) == 3]
    return found[0] if len(inputs) > 1 and len(found) == 1 else ""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are targets, are left out, or become a feature for each of their values."""

    target: tuple[str, ...] = ()
    """Empty where the data say it."""
    ignore: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The columns that each input of the network takes, by its name; in them, `*` stands for any text."""
    image: str = ""
    """The input that takes images, whose one column has the paths of their files; empty where all take rows."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Columns:
        target = data.get("target", ())
        return cls(
            (target,) if isinstance(target, str) else tuple(target),
            tuple(data.get("ignore", ())),
            tuple(data.get("one_hot", ())),
            {
                name: (columns,) if isinstance(columns, str) else tuple(columns)
                for name, columns in data.get("inputs", {}).items()
            },
        )

    def fitted(self, inputs: Mapping[str, Shape]) -> Columns:
        """The same for a network of these inputs, in their order.

        Of an image and a row, the image has the column `file` and the row all others, where nothing else is said.
        """
        image = image_among(inputs)
        given = self.inputs
        if not given and image and len(inputs) == 2:
            given = {name: (FILE,) if name == image else ("*",) for name in inputs}
        if not given.keys() <= inputs.keys():
            return self
        given = {name: given[name] for name in inputs if name in given}
        return replace(self, inputs=given, image=image if image in given else "")

    def to_dict(self) -> dict[str, Any]:
        """What is said; a single target by its name alone."""
        target = self.target[0] if len(self.target) == 1 else list(self.target)
        inputs = {name: list(columns) for name, columns in self.inputs.items()}
        made = {"target": target, "ignore": list(self.ignore), "one_hot": list(self.one_hot), "inputs": inputs}
        return {key: value for key, value in made.items() if value}


def faults_in(train: Value | None, columns: Columns, inputs: Mapping[str, Shape]) -> Iterator[Fault]:
    """What is wrong with the inputs that a recipe, whose section is `train`, gives columns, for those of a network.

    `inputs` are these by name; the name of one that has none is empty.
    """
    if not columns.inputs:
        return
    names = [name for name in inputs if name]
    if not names:
        message = "`train.data` gives inputs columns by their names, and the network's one input has no name"
        yield Fault(
            "name-unknown",
            message,
            place(train, "data", "inputs"),
            help="leave `inputs` out; or write `input: {NAME: [4]}`",
        )
        return
    for name in columns.inputs:
        if name not in names:
            message = f"`train.data` gives columns to the input `{name}`, which the network does not have"
            hint = did_you_mean(name, names) or f"its inputs are {join_words(names)}"
            yield Fault("name-unknown", message, place(train, "data", "inputs", named=name), help=hint)
    for name, shape in inputs.items():
        if name not in columns.inputs:
            message = f"`train.data` gives no columns to the input `{name}`"
            yield Fault(
                "key-missing",
                message,
                place(train, "data", "inputs"),
                help=f"add them: `inputs: {{{name}: [COLUMN, …]}}`",
            )
        elif name == image_among(inputs):
            if len(columns.inputs[name]) != 1 or "*" in columns.inputs[name][0]:
                message = f"`train.data` gives the input `{name}`, images of {show(shape)}, other than one column"
                help = f"name the column of their files' paths: `inputs: {{{name}: {FILE}, …}}`"
                yield Fault("out-of-range", message, place(train, "data", "inputs", named=name), help=help)
        elif len(shape) != 1:
            message = f"`train.data` gives columns to the input `{name}`, which is {show(shape)}, no row"
            help = "columns are for inputs of one axis, `[features]`, and for one input of images beside them"
            yield Fault("out-of-range", message, place(train, "data", "inputs", named=name), help=help)

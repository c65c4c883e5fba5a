"""What a recipe says of the columns of a table, where its data are one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from archspec.foundation.arguments import Schema
from archspec.foundation.errors import Fault, Mark, did_you_mean, join_words
from archspec.foundation.shapes import Shape, show
from archspec.foundation.source import Mapping as Tree, Value
from archspec.recipe.options import section

_NAME: Schema = {"title": "the name of a column", "type": "string", "pattern": "."}
_NAMES: Schema = {"type": "array", "items": _NAME, "minItems": 1}
_NAME_OR_NAMES: Schema = {
    "if": {"type": "string"},
    "then": _NAME,
    "else": _NAMES | {"title": "a column's name, or a list of them"},
}

DATA: Schema = {
    "if": {"type": "string"},
    "then": {"type": "string"},
    "else": section(
        name={"type": "string"},
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


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are targets, are left out, or become a feature for each of their values."""

    target: tuple[str, ...] = ()
    """Empty where the data say it."""
    ignore: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The columns that each input of the network takes, by its name; in them, `*` stands for any text."""

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

    def in_order(self, names: Sequence[str]) -> Columns:
        """The same, with the inputs in the order of a network's."""
        if not self.inputs.keys() <= set(names):
            return self
        return replace(self, inputs={name: self.inputs[name] for name in names if name in self.inputs})

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
        yield Fault("name-unknown", message, _mark(train), help="leave `inputs` out; or write `input: {NAME: [4]}`")
        return
    for name in columns.inputs:
        if name not in names:
            message = f"`train.data` gives columns to the input `{name}`, which the network does not have"
            hint = did_you_mean(name, names) or f"its inputs are {join_words(names)}"
            yield Fault("name-unknown", message, _mark(train, name), help=hint)
    for name, shape in inputs.items():
        if name not in columns.inputs:
            message = f"`train.data` gives no columns to the input `{name}`"
            yield Fault("key-missing", message, _mark(train), help=f"add them: `inputs: {{{name}: [COLUMN, …]}}`")
        elif len(shape) != 1:
            message = f"`train.data` gives columns to the input `{name}`, which is {show(shape)}, no row"
            help = "columns are for inputs of one axis, `[features]`"
            yield Fault("out-of-range", message, _mark(train, name), help=help)


def _mark(train: Value | None, name: str | None = None) -> Mark | None:
    """Where an input is named: its key, or that of all."""
    data = train.get("data") if isinstance(train, Tree) else None
    value = data.get("inputs") if isinstance(data, Tree) else None
    if name is not None and isinstance(value, Tree) and name in value.entries:
        return value.entries[name][0]
    return value.mark if value is not None else train.mark if train is not None else None

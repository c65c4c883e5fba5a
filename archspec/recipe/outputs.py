"""Which of a network's outputs a recipe trains beside the main one, and the weight of each in the loss."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from archspec.foundation.arguments import Schema, choice, number
from archspec.foundation.errors import Fault, join_words
from archspec.foundation.source import Value
from archspec.foundation.spelling import did_you_mean
from archspec.recipe.options import section
from archspec.recipe.places import place

MAIN = "main"
"""What the recipe calls the output that has no name."""
_COLUMN: Schema = {"title": "the name of a column", "type": "string", "pattern": "."}
_HEAD: Schema = section(
    ["target"],
    target={"title": "a column's name, or a list of them", "anyOf": [_COLUMN, {"type": "array", "items": _COLUMN}]},
    task=choice("classification", "regression"),
    weight=number(above=0),
)
OUTPUTS: Schema = {
    "title": "`{NAME: weight}`, or `{NAME: {target: COLUMN, …}}`, or none",
    "anyOf": [
        {"type": "object", "minProperties": 1, "additionalProperties": number(above=0)},
        {"type": "object", "minProperties": 1, "additionalProperties": _HEAD},
        {"type": "null"},
    ],
}


@dataclass(frozen=True)
class HeadTargets:
    """The columns of a table that an output learns, and by which task where they do not say it."""

    target: tuple[str, ...]
    task: str | None


@dataclass(frozen=True)
class Outputs:
    """The weights of outputs that learn the same targets (deep supervision), or the targets of each (several tasks)."""

    given: Mapping[str, Any]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Outputs:
        return cls(data)

    def to_dict(self) -> dict[str, Any]:
        """As it was written."""
        return {name: dict(one) if isinstance(one, Mapping) else one for name, one in self.given.items()}

    @property
    def main(self) -> float:
        """The weight of the main output's loss, where all learn the same targets."""
        return 1.0 if self.heads else float(self.given.get(MAIN, 1.0))

    @property
    def named(self) -> dict[str, float]:
        """The weights of the other outputs that learn the same targets, by their names."""
        return {} if self.heads else {name: float(one) for name, one in self.given.items() if name != MAIN}

    @property
    def heads(self) -> dict[str, HeadTargets]:
        """The targets of each output, where each has its own; else empty."""
        found = {name: one for name, one in self.given.items() if isinstance(one, Mapping)}
        columns = {name: one["target"] for name, one in found.items()}
        return {
            name: HeadTargets((one,) if isinstance(one, str) else tuple(one), found[name].get("task"))
            for name, one in columns.items()
        }

    @property
    def head_weights(self) -> dict[str, float]:
        """The weight of each output's loss, where each has targets of its own."""
        return {name: float(self.given[name].get("weight", 1.0)) for name in self.heads}


def faults_in(
    train: Value | None, outputs: Outputs | None, known: Collection[str], aux: Collection[str]
) -> Iterator[Fault]:
    """What is wrong with the outputs of a recipe, whose section is `train`, for those that a network has."""
    if outputs is None:
        return
    if MAIN in known:
        message = f"`train.outputs` calls the network's last output `{MAIN}`, and an `output` has that name too"
        yield Fault(
            "name-unknown", message, place(train, "outputs", named=MAIN), help="give that `output` another name"
        )
        return
    named = [name for name in outputs.given if name != MAIN]
    for name in named:
        if name in aux:
            message = f"`train.outputs` names `{name}`, an auxiliary classifier, whose weight stands at its `aux`"
            yield Fault(
                "name-unknown",
                message,
                place(train, "outputs", named=name),
                help="set it there: `aux: {…, weight: 0.3}`",
            )
        elif name not in known:
            listed = f"its outputs are {join_words([MAIN, *known])}" if known else "it has no `output`, but its last"
            hint = did_you_mean(name, [MAIN, *known]) or listed
            message = f"`train.outputs` names `{name}`, but the network has no such output"
            yield Fault("name-unknown", message, place(train, "outputs", named=name), help=hint)
    if not named:
        message = f"`train.outputs` names no output but `{MAIN}`, which is trained anyway"
        yield Fault("out-of-range", message, place(train, "outputs"), help="leave it out")

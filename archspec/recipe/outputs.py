"""Which of a network's outputs a recipe trains beside the main one, and the weight of each in the loss."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from archspec.foundation.arguments import Schema, number
from archspec.foundation.errors import Fault, Mark, did_you_mean, join_words
from archspec.foundation.source import Mapping as Tree, Value

MAIN = "main"
"""What the recipe calls the output that has no name."""
OUTPUTS: Schema = {
    "title": "`{NAME: weight}`, or none",
    "anyOf": [
        {"type": "object", "minProperties": 1, "additionalProperties": number(above=0)},
        {"type": "null"},
    ],
}


@dataclass(frozen=True)
class Outputs:
    """The weights of named outputs that learn the same targets as the main one (deep supervision)."""

    given: Mapping[str, float]

    @classmethod
    def from_dict(cls, data: Mapping[str, float]) -> Outputs:
        return cls(data)

    def to_dict(self) -> dict[str, Any]:
        """As it was written."""
        return dict(self.given)

    @property
    def main(self) -> float:
        """The weight of the main output's loss."""
        return float(self.given.get(MAIN, 1.0))

    @property
    def named(self) -> dict[str, float]:
        """The weights of the others, by their names."""
        return {name: float(weight) for name, weight in self.given.items() if name != MAIN}


def faults_in(
    train: Value | None, outputs: Outputs | None, known: Collection[str], aux: Collection[str]
) -> Iterator[Fault]:
    """What is wrong with the outputs of a recipe, whose section is `train`, for those that a network has."""
    if outputs is None:
        return
    if MAIN in known:
        message = f"`train.outputs` calls the network's last output `{MAIN}`, and an `output` has that name too"
        yield Fault("name-unknown", message, _mark(train, MAIN), help="give that `output` another name")
        return
    for name in outputs.named:
        if name in aux:
            message = f"`train.outputs` names `{name}`, an auxiliary classifier, whose weight stands at its `aux`"
            yield Fault("name-unknown", message, _mark(train, name), help="set it there: `aux: {…, weight: 0.3}`")
        elif name not in known:
            listed = f"its outputs are {join_words([MAIN, *known])}" if known else "it has no `output`, but its last"
            hint = did_you_mean(name, [MAIN, *known]) or listed
            message = f"`train.outputs` names `{name}`, but the network has no such output"
            yield Fault("name-unknown", message, _mark(train, name), help=hint)
    if not outputs.named:
        message = f"`train.outputs` names no output but `{MAIN}`, which is trained anyway"
        yield Fault("out-of-range", message, _mark(train), help="leave it out")


def _mark(train: Value | None, name: str | None = None) -> Mark | None:
    """Where an output is named: its key, or that of all."""
    value = train.get("outputs") if isinstance(train, Tree) else None
    if name is not None and isinstance(value, Tree) and name in value.entries:
        return value.entries[name][0]
    return value.mark if value is not None else train.mark if train is not None else None

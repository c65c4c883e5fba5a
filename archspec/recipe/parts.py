"""Parts of a network by their paths: which of them a recipe freezes, and the rates at which they learn.

A path is a part's place in the spec's tree, `stem` or `stages.0`; it stands for all parameters below it. All here
works on the names of parameters, so a plan is checked and a module is trained by the same functions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from archspec.foundation.arguments import Schema, integer, number
from archspec.foundation.errors import Fault, Mark, join_words
from archspec.foundation.source import List, Mapping as Tree, Value
from archspec.foundation.spelling import did_you_mean
from archspec.recipe.options import section
from archspec.recipe.places import place

FREEZE: Schema = {
    "title": "a list of paths, or `{path: epochs}`, or none",
    "anyOf": [
        {
            "type": "array",
            "items": {"title": "the path of a part of the network", "type": ["string", "integer"]},
            "minItems": 1,
        },
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "title": "a number of epochs ≥ 1, or null for all of them",
                "anyOf": [integer(1), {"type": "null"}],
            },
        },
        {"type": "null"},
    ],
}
LR_SCALE: Schema = {
    "title": "`{path: factor}`, or `{path: {decay: factor}}`, or none",
    "anyOf": [
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "title": "a number > 0, or `{decay: N}`",
                "anyOf": [number(above=0), section(["decay"], decay=number(above=0, maximum=1))],
            },
        },
        {"type": "null"},
    ],
}


@dataclass(frozen=True)
class Freeze:
    """The parts that keep their weights, each for some epochs from the first on or for the whole training."""

    given: Sequence[str | int] | Mapping[str, int | None]
    """As it is written: a list of paths, or `{path: epochs}`."""

    @classmethod
    def from_dict(cls, data: Sequence[str | int] | Mapping[str, int | None]) -> Freeze:
        return cls(data)

    def to_dict(self) -> Any:
        """As it was written."""
        return dict(self.given) if isinstance(self.given, Mapping) else list(self.given)

    @cached_property
    def parts(self) -> dict[str, int | None]:
        """For how many epochs each path is frozen; `None` for the whole training."""
        pairs = self.given.items() if isinstance(self.given, Mapping) else ((path, None) for path in self.given)
        return {str(path): epochs for path, epochs in pairs}

    @property
    def thaws(self) -> bool:
        """Whether some part is trained later."""
        return any(epochs is not None for epochs in self.parts.values())

    def holds(self, name: str, epoch: int | None = None) -> bool:
        """Whether a parameter or module of this name is frozen in an epoch, counted from 0; without one, for good."""
        lengths = [self.parts[path] for path in prefixes(name) if path in self.parts]
        return any(epochs is None or (epoch is not None and epoch < epochs) for epochs in lengths)


@dataclass(frozen=True)
class LrScale:
    """By what the learning rate of a part is multiplied."""

    given: Mapping[str, float | Mapping[str, float]]

    @classmethod
    def from_dict(cls, data: Mapping[str, float | Mapping[str, float]]) -> LrScale:
        return cls(data)

    def to_dict(self) -> dict[str, Any]:
        """As it was written."""
        return {path: dict(one) if isinstance(one, Mapping) else one for path, one in self.given.items()}

    def factors(self, names: Sequence[str]) -> dict[str, float]:
        """The factor of each parameter: that of the longest path that it lies in, 1 where there is none.

        With `decay`, the parts directly below a path that have parameters get one factor each: 1 for the last of them,
        and for each before it that of the next one times `decay`.
        """
        below: dict[str, dict[str, int]] = {path: {} for path in self.given}
        for name in names:
            for path in prefixes(name):
                if path in below:
                    below[path].setdefault(_part(path, name), len(below[path]))
        return {name: self._factor(name, below) for name in names}

    def _factor(self, name: str, below: Mapping[str, Mapping[str, int]]) -> float:
        path = next((path for path in reversed(prefixes(name)) if path in self.given), None)
        if path is None:
            return 1.0
        one = self.given[path]
        if not isinstance(one, Mapping):
            return float(one)
        return float(one["decay"]) ** (len(below[path]) - 1 - below[path][_part(path, name)])


def prefixes(name: str) -> list[str]:
    """The paths that a name lies in, the shortest first: `a`, `a.b` and `a.b.c` of `a.b.c`."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def lies_in(name: str, path: str) -> bool:
    """Whether a name is a path or lies below it."""
    return name == path or name.startswith(f"{path}.")


def parts_below(path: str, names: Iterable[str]) -> list[str]:
    """The paths of the parts directly below a path that names lie in, in their order."""
    return list(dict.fromkeys(f"{path}.{_part(path, name)}" for name in names if lies_in(name, path)))


def _part(path: str, name: str) -> str:
    """The part directly below a path that a name lies in."""
    return name[len(path) + 1 :].partition(".")[0]


# --- against a plan ---------------------------------------------------------------------------------------------------


class Outline:
    """What must be known of a network to hold paths to it.

    Args:
        layers: The path of each layer, the names of its parameters, and whether it has buffers, in the order of
            execution.
        merges: The paths of merges, whose parts do not follow one another.
    """

    def __init__(self, layers: Iterable[tuple[str, Iterable[str], bool]], merges: Collection[str]) -> None:
        self.merges = merges
        self.parameters: list[str] = []
        self.below: dict[str, dict[str, bool]] = {"": {}}
        """The parts directly below each path, and whether there are weights in each."""
        self.weights: dict[str, bool] = {}
        """Whether what each path stands for has parameters; false where it has no more than buffers."""
        for path, names, buffers in layers:
            own = [f"{path}.{name}" for name in names]
            self.parameters += own
            for one in prefixes(path):
                above, _, part = one.rpartition(".")
                inside = self.below.setdefault(above, {})
                inside[part] = inside.get(part, False) or bool(own)
                if own or buffers:
                    self.weights[one] = self.weights.get(one, False) or bool(own)


def faults_in(train: Value | None, freeze: Freeze | None, scale: LrScale | None, network: Outline) -> Iterator[Fault]:
    """What is wrong with the paths of a recipe, whose section is `train`, for a network."""
    given: list[tuple[str, Mapping[str, Any]]] = [("freeze", freeze.parts if freeze else {})]
    given.append(("lr_scale", scale.given if scale else {}))
    for key, paths in given:
        for at, (path, value) in enumerate(paths.items()):
            fault = _unknown(key, path, network) or _idle(key, path, network)
            if fault is None and isinstance(value, Mapping):
                fault = _no_sequence(path, network)
            if fault is not None:
                fault.mark = _mark(train, key, at, path)
                yield fault
    if freeze is not None and network.parameters and all(freeze.holds(name, 0) for name in network.parameters):
        message = "`train.freeze` freezes every part of the network: nothing is left to train"
        yield Fault("out-of-range", message, place(train, "freeze"))


def _unknown(key: str, path: str, network: Outline) -> Fault | None:
    """The fault of a path that no part of the network has."""
    above = ""
    for one in prefixes(path):
        wrong = one.rpartition(".")[2]
        known = network.below.get(above, {})
        if wrong not in known:
            break
        above = one
    else:
        return None
    places = bool(known) and all(part.isdecimal() for part in known)
    hint = None if places else did_you_mean(f"{above}.{wrong}" if above else wrong, _under(above, known))
    where = f"the part `{above}` of the network" if above else "the network"
    if hint is None and known:
        hint = f"its parts are {_shown(list(known), places=places)}"
    return Fault("name-unknown", f"`train.{key}` names `{path}`, but {where} has no part `{wrong}`", help=hint)


def _under(above: str, parts: Iterable[str]) -> list[str]:
    return [f"{above}.{part}" if above else part for part in parts]


_SHOWN = 12
"""How many parts an error names."""


def _shown(parts: list[str], *, places: bool) -> str:
    if places and len(parts) > 2:
        return f"`{parts[0]}` to `{parts[-1]}`"
    return join_words(parts[:_SHOWN]) + (f", and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else "")


def _idle(key: str, path: str, network: Outline) -> Fault | None:
    """The fault of a path with nothing to freeze or to learn."""
    if network.weights.get(path) or (key == "freeze" and path in network.weights):
        return None
    return Fault("out-of-range", f"`train.{key}` names `{path}`, which has no weights", help="leave it out")


def _no_sequence(path: str, network: Outline) -> Fault | None:
    """The fault of a path that `decay` has no meaning for: its parts do not follow one another, or there is one."""
    parts = [part for part, weights in network.below.get(path, {}).items() if weights]
    if path in network.merges:
        why = "whose branches stand beside one another"
    elif len(parts) < 2:
        why = "which has one part with weights" if parts else "which is one layer"
    else:
        return None
    return Fault(
        "out-of-range",
        f"`decay` lowers the rate from part to part, but `train.lr_scale` gives it to `{path}`, {why}",
        help=f"give a factor instead: `{path}: 0.5`",
    )


def _mark(train: Value | None, key: str, at: int, path: str) -> Mark | None:
    """Where a path is written: itself, the formula that gives it, or the key."""
    value = train.get(key) if isinstance(train, Tree) else None
    if isinstance(value, List) and at < len(value.items):
        return value.items[at].mark
    return place(train, key, named=path)

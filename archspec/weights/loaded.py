"""What was loaded into a network and what was not, as people and programs read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from archspec.foundation.errors import cut, escape_line

SHOWN = 10
"""How many tensors an error names before it only counts the rest."""
MAX_NAME = 200
"""How many characters of a tensor's name a message shows."""
MAX_LAYERS = 200
"""How many layers a text names of which something was left out; data has all."""


@dataclass(frozen=True)
class Skipped:
    """A tensor that was not loaded: its name, and the reason, with the shapes or types that say why."""

    name: str
    """Its name in the network's `state_dict`, or in the source where the network does not have it."""
    reason: str
    """`missing` (the source does not have it), `unknown` (the network does not have it), `shape`, `dtype`, or `layer`:
    another tensor of the same layer does not fit."""
    detail: str
    """The shapes or types that differ, for people."""

    def to_dict(self) -> dict[str, str]:
        """The same as data (JSON types)."""
        return {"name": self.name, "reason": self.reason, "detail": self.detail}


@dataclass(frozen=True)
class Loaded:
    """What was loaded into a network, by the names of its `state_dict`, and what was not."""

    source: str
    """What the weights are called: a file, a torchvision model, or a network's class."""
    names: tuple[str, ...]
    """The tensors that were loaded."""
    skipped: tuple[Skipped, ...] = ()
    """The tensors that were not loaded, each with the reason."""
    proven: bool = False
    """Whether results were compared with the source's: a transplant's were; of a file there is nothing to run."""
    rounding: float = 0.0
    """How far results differ at most, in double precision: 0 where they are equal bit for bit."""
    notes: tuple[str, ...] = ()
    """What else a person should know of it: a prefix that was taken off names, values that are not finite."""

    def render(self) -> str:
        """What happened as people read it: a line, and a line for each layer of which something was left out."""
        missing = sum(one.reason != "unknown" for one in self.skipped)
        count = f"{len(self.names)} of {len(self.names) + missing} tensors" if missing else f"{len(self.names)} tensors"
        proof = "; on a random input their layers give the source's results" if self.proven else ""
        proof += f", within {self.rounding:.0e} in double precision" if self.rounding else ""
        lines = [f"weights loaded from {escape_line(self.source)}: {count}{proof}"]
        layers: dict[str, list[str]] = {}
        for one in self.skipped:
            layer, dot, tensor = one.name.rpartition(".")
            layers.setdefault(f"{layer}{dot}", []).append(f"{tensor} ({one.detail})")
        lines += [f"  note: {note}" for note in self.notes]
        lines += [
            f"  not loaded: {show_name(layer)}{', '.join(map(show_name, tensors[:MAX_LAYERS]))}"
            f"{f', and {len(tensors) - MAX_LAYERS} more' if len(tensors) > MAX_LAYERS else ''}"
            for layer, tensors in list(layers.items())[:MAX_LAYERS]
        ]
        if len(layers) > MAX_LAYERS:
            lines.append(f"  not loaded: {len(layers) - MAX_LAYERS:,} more layers")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The same as data (JSON types)."""
        return {
            "source": self.source,
            "loaded": list(self.names),
            "not_loaded": [one.to_dict() for one in self.skipped],
            "proven": self.proven,
            "rounding": self.rounding,
            "notes": list(self.notes),
        }


def unsound(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Notes on tensors that hold NaN or infinity, and on variances below zero, of which normalising makes NaN."""
    infinite = [name for name, one in tensors.items() if one.is_floating_point() and not one.isfinite().all()]
    below = [name for name, one in tensors.items() if name.endswith("running_var") and (one < 0).any()]
    said = ((infinite, "values that are not finite"), (below, "variances below zero"))
    return tuple(_named(names, what) for names, what in said if names)


def _named(names: Sequence[str], what: str) -> str:
    shown = ", ".join(map(show_name, names[:SHOWN])) + ", …" * (len(names) > SHOWN)
    return f"{'1 tensor holds' if len(names) == 1 else f'{len(names)} tensors hold'} {what}: {shown}"


def show_name(text: str) -> str:
    """A tensor's name, which a file may have given, as errors show it: in one line, and cut."""
    return escape_line(cut(text, MAX_NAME))

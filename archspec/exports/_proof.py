"""What a proof of an export says: which runs of the written file were compared, and how far they differed at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archspec.foundation.shapes import Shape, show


@dataclass(frozen=True)
class Proof:
    """The comparisons of a file that was read back with the module that it was made of."""

    runner: str
    """What ran the file: `onnxruntime 1.32.0`."""
    difference: float
    """The largest difference of any output, as a share of the largest absolute value of that output."""
    tolerance: float
    """What it was held to."""
    inputs: tuple[tuple[int, tuple[Shape, ...]], ...]
    """The batches that were compared: how many samples, of which shapes, one for each input."""
    weights: tuple[str, ...]
    """The weights with which they were."""

    @property
    def text(self) -> str:
        """The proof in words."""
        tried = ", ".join(" with ".join(f"{count}×{show(one)}" for one in shapes) for count, shapes in self.inputs)
        how = f"differs by {self.difference:.1e} of an output's largest value, at most; {self.tolerance:.0e} is allowed"
        if self.difference == 0:
            how = "equal bit for bit"
        return f"proven by {self.runner}: {how}, with {' and '.join(self.weights)}, of inputs {tried}"

    def to_dict(self) -> dict[str, Any]:
        """The proof as JSON types."""
        return {
            "runner": self.runner,
            "difference": self.difference,
            "tolerance": self.tolerance,
            "inputs": [
                [count, *shapes[0]] if len(shapes) == 1 else [[count, *one] for one in shapes]
                for count, shapes in self.inputs
            ],
            "weights": list(self.weights),
        }

"""Specs of the examples that primitives give of themselves."""

from __future__ import annotations

from pathlib import Path

from archspec.layers.primitive import Primitive
from archspec.spec import Spec, load

HEADS = {1: "linear: 6", 2: "linear: 8", 3: "conv: {out: 8, kernel: 1}", 4: "conv_3d: {out: 4, kernel: 1}"}


def spec_of(primitive: Primitive, example: str, folder: Path, *, learns: bool = False) -> Spec:
    """A network of an example alone, or (`learns`) behind a layer with weights, so that its input has a gradient."""
    shape = primitive.example_input
    head = "conv_1d: {out: 8, kernel: 1}" if primitive.name.endswith("_1d") else HEADS[len(shape)]
    lines = [
        "archspec: 1",
        "name: One",
        f"input: {list(shape)}",
        "network:",
        *[f"  - {head}"] * learns,
        f"  - {example}",
    ]
    file = folder / "one.yaml"
    file.write_text("\n".join([*lines, ""]))
    return load(str(file))

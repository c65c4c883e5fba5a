"""What the pictures have in common: colours, and words about a part."""

from __future__ import annotations

from archspec.foundation.shapes import show
from archspec.views.drawing.part import Part

COLOURS = {
    "convolution": ("#cfe3f3", "#3b75af"),
    "linear": ("#d9d2ee", "#6a51a3"),
    "attention": ("#f6d3e2", "#b5377f"),
    "normalization": ("#eef0c8", "#85872b"),
    "activation": ("#fde6bd", "#b7791f"),
    "pooling": ("#fbd0c4", "#c0492b"),
    "resampling": ("#cdeee4", "#1f8a70"),
    "structure": ("#eeeeee", "#777777"),
    "tokens": ("#eeeeee", "#777777"),
    "plugin": ("#ffffff", "#333333"),
    "block": ("#ffffff", "#44546a"),
    "merge": ("#ffffff", "#333333"),
    "wire": ("#ffffff", "#333333"),
    "end": ("#444b57", "#444b57"),
}
"""Fill and border of each family. Who cannot tell the hues apart still has the words in the boxes."""

SHADES = ("#fbfcfd", "#f2f5f8", "#e9eef3", "#dfe6ee", "#d5dee8", "#cbd6e2")
"""Fills of blocks, from the finest resolution to coarser ones, each half as fine."""


def describe(part: Part) -> str:
    """A part in a few words, for who points at it or cannot see it."""
    if part.kind in ("input", "given", "end"):
        name = part.title or "output"
        return f"{name} · {show(part.output)}"
    words = [part.path or part.title, f"{show(part.input)} → {show(part.output)}"]
    if part.params:
        words.append(f"{part.params:,} parameters")
    if part.macs:
        words.append(f"{part.macs:,} MACs")
    return " · ".join(word for word in words if word)

"""What a layer takes is what the one before it gives: sizes that are written alike where one follows from another."""

from __future__ import annotations

from collections.abc import Mapping

from archspec.exports.python.rows import matches
from archspec.exports.python.template import ANY, Row, Template

Texts = Mapping[tuple[int, str], str]
"""The text of each value, by its template and slot."""
Size = tuple[str, Row]
"""A number of channels or features as it is written, and its values."""

_GIVEN = ("out_channels", "out_features")
_TAKEN = ("in_channels", "in_features", "num_features", "num_channels", "normalized_shape")
_KEEPING = (
    *(f"nn.{kind}" for kind in ("BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm", "LocalResponseNorm")),
    *(f"nn.{kind}" for kind in ("MaxPool", "AvgPool", "AdaptiveAvgPool", "AdaptiveMaxPool", "Dropout", "Identity")),
    *(f"nn.{kind}" for kind in ("ReLU", "LeakyReLU", "PReLU", "ELU", "GELU", "SiLU", "Hardswish", "Sigmoid", "Tanh")),
    "LayerNorm2d",
    "LayerScale",
    "StochasticDepth",
)
"""Layers whose outputs have as many channels as their inputs."""


def size_before(parent: Template, place: int, texts: Texts, before: Size | None) -> Size | None:
    """What reaches a part of a sequence, if it is written; `before` is what reaches the sequence."""
    if parent.kind != "sequence":
        return before
    for earlier in range(place - 1, -1, -1):
        child = parent.children[earlier][1]
        if not _keeps(child):
            return _given(child, texts)
    return before


def size_taken(slot: str, row: Row, before: Size | None) -> str | None:
    """The text of what a layer takes, if that is what the part before it gives."""
    if before is None or slot not in _TAKEN or not all(type(one) is int or one is ANY for one in row):
        return None
    text, values = before
    return text if matches(row, values) else None


def _keeps(template: Template) -> bool:
    if template.kind == "call":
        return template.functions is not None or template.name.startswith(_KEEPING)
    return template.kind in ("sequence", "save", "output") and all(_keeps(child) for _, child in template.children)


def _given(template: Template, texts: Texts) -> Size | None:
    if template.kind == "sequence":
        return size_before(template, len(template.children), texts, None)
    if template.kind != "call":
        return None
    slots = dict(template.slots)
    slot = next((one for one in _GIVEN if one in slots and (id(template), one) in texts), None)
    return None if slot is None else (texts[id(template), slot], slots[slot])

"""The recipe: how a spec says that it is trained. Its form, checked without torch; `trainer` carries it out."""

from __future__ import annotations

from typing import Any

from archspec import augmentations
from archspec.arguments import Schema, boolean, either, integer, number


def _one_of(**options: Schema) -> Schema:
    """A mapping of one key, which chooses among options."""
    return {
        "type": "object",
        "properties": options,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def _section(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_RATE = number(above=0)

SCHEMA: Schema = _section(
    data={"type": "string"},
    epochs=integer(1),
    batch_size=integer(1),
    seed=integer(0),
    validation=either(integer(1), number(above=0, below=1)),
    normalize=boolean(),
    augment={"type": "array", "items": augmentations.SCHEMA},
    optimizer=_one_of(
        adamw=_section(lr=_RATE, weight_decay=number(0)),
        sgd=_section(("lr",), lr=_RATE, momentum=number(0, 1), weight_decay=number(0), nesterov=boolean())
        | {
            # Nesterov's momentum is a form of momentum: torch refuses it without
            "if": {"properties": {"nesterov": {"const": True}}, "required": ["nesterov"]},
            "then": {"required": ["momentum"], "properties": {"momentum": number(above=0)}},
        },
    ),
    schedule=either(
        _one_of(
            multi_step=_section(
                ("milestones",),
                milestones={"type": "array", "items": integer(1), "minItems": 1},
                gamma=_RATE,
            ),
        ),
        {"type": "null"},
    ),
)
"""`validation` is a share of the training set below 1, or a number of samples."""

DEFAULTS: dict[str, Any] = {
    "data": "digits",
    "epochs": 10,
    "batch_size": 64,
    "seed": 42,
    "validation": 0.1,
    "normalize": True,
    "augment": [],
    "optimizer": {"adamw": {"lr": 1e-3, "weight_decay": 1e-4}},
    "schedule": None,
}
"""What a recipe that does not say otherwise does."""


def complete(written: dict[str, Any] | None) -> dict[str, Any]:
    """A recipe with every key: those written, and the defaults."""
    return DEFAULTS | (written or {})

"""The JSON Schema of a whole recipe: its keys, and what they say of one another."""

from __future__ import annotations

from archspec.foundation.arguments import Schema
from archspec.recipe.choices import OPTIONS
from archspec.recipe.forms import either_epochs_or_steps, exclude
from archspec.recipe.options import refuse, section
from archspec.recipe.recipe import Recipe
from archspec.recipe.sections import keys

_NAMED_WEIGHTS: Schema = {
    "anyOf": [
        {"const": "weights"},
        {"type": "object", "required": ["name"], "properties": {"name": {"const": "weights"}}},
    ]
}
_KEYS = {name: one.schema for name, one in keys(Recipe).items()}

SCHEMA: Schema = (
    section(**_KEYS)
    | either_epochs_or_steps("a training")
    | {
        "allOf": [
            {
                "if": {"properties": {"validation": {"not": {"const": 0}}}},
                "else": {
                    "properties": {
                        "early_stopping": exclude("has no meaning without validation images"),
                        "monitor": refuse(
                            {"type": "string"}, "key-unknown", "has no meaning without validation images"
                        ),
                    }
                },
            },
            {
                "if": {"required": ["weights"], "properties": {"weights": {"type": "string"}}},
                "else": {
                    "properties": {
                        key: refuse({"const": value}, "key-unknown", "has no meaning without `weights`")
                        for key, value in (("partial", True), ("adapt", True), ("normalize", "weights"))
                    }
                    | {"resize": refuse(_NAMED_WEIGHTS, "key-unknown", "has no meaning without `weights`")}
                },
            },
            {
                "if": {"required": ["exact"], "properties": {"exact": {"const": True}}},
                "then": {
                    "properties": {
                        key: refuse(
                            {"const": True},
                            "key-unknown",
                            "rounds otherwise, which `exact` excludes: leave one of them out",
                        )
                        for key in ("compile", "channels_last")
                    }
                },
            },
        ]
    }
)
"""`validation` is a share of the training set below 1, or a number of samples; 0 for none."""

_PARTIAL_LOSS: Schema = {"type": ["string", "object", "array"]}
PARTIAL: Schema = section(
    **_KEYS
    | {key: _PARTIAL_LOSS if key == "loss" else {"type": ["string", "object", "null"]} for key in OPTIONS}
    | {key: {"type": ["object", "null"]} for key in ("warmup", "early_stopping")}
)
"""A recipe that is to be laid over another one, whose choices may leave out what the other one says."""

"""The forms of keys that their types do not say: what stands at `warmup`, `normalize` and `loss`, as JSON Schemas."""

from __future__ import annotations

from archspec.foundation.arguments import Schema, boolean, choice, either, number
from archspec.recipe.choices import LOSSES, OPTIONS, LossOption
from archspec.recipe.options import add_option, choose, refuse, section
from archspec.recipe.sections import Warmup, section_schema


def exclude(words: str) -> Schema:
    """A key that another one excludes."""
    return refuse({"type": ["object", "number"]}, "key-unknown", words)


def or_none(words: str, one: Schema) -> Schema:
    """A mapping, which messages describe by these words, or none."""
    return either(one | {"title": words}, {"type": "null"})


def either_epochs_or_steps(what: str) -> Schema:
    both = exclude(f"has no meaning beside `epochs`: {what} lasts a number of epochs or of steps")
    return {"if": {"required": ["epochs"]}, "then": {"properties": {"steps": both}}}


_EPOCHS: Schema = {"required": ["epochs"], "description": "or `steps`: a warm-up lasts a number of either"}
WARMUP = (
    section_schema(Warmup)
    | either_epochs_or_steps("a warm-up")
    | {"allOf": [{"if": {"not": {"required": ["steps"]}}, "then": _EPOCHS}]}
)
NORMALIZE: Schema = {
    "title": "true, false, or one of `data`, `weights`, `imagenet`, or `{mean: […], std: […]}`",
    "anyOf": [
        boolean(),
        choice("data", "weights", "imagenet"),
        section(
            ["mean", "std"],
            mean={"type": "array", "items": number(0, 1), "minItems": 1},
            std={"type": "array", "items": number(above=0), "minItems": 1},
        ),
    ],
}
DEFAULT_LOSS = "cross_entropy"
"""What is meant where no name is written."""
_FACTOR = {"factor": number(above=0)}
_TERM = choose(None, {name: one | {"properties": one["properties"] | _FACTOR} for name, one in OPTIONS["loss"].items()})
LOSS: Schema = {
    "if": {"type": "array"},
    "then": {"title": "a list of one or more losses", "type": "array", "items": _TERM, "minItems": 1},
    "else": choose(DEFAULT_LOSS, OPTIONS["loss"])
    | {"title": "a name, `{name: NAME, …}` with arguments, or a list of these"},
}


def add_loss(name: str, one: LossOption) -> None:
    """Let recipes name a loss of a package."""
    LOSSES[name] = one
    OPTIONS["loss"][name] = one.schema
    add_option(LOSS["else"], name, one.schema)
    add_option(_TERM, name, one.schema | {"properties": one.schema["properties"] | _FACTOR})

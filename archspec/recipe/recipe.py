"""The recipe: how a spec says that it is trained. Its form, checked without torch; `trainer` carries it out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from archspec.foundation.arguments import Schema, boolean, choice, either, integer, number
from archspec.recipe import augmentations
from archspec.recipe.optimizers import OPTIMIZERS, REQUIRED


def _section(required: Iterable[str] = (), **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _chosen(default: str | None, options: dict[str, Schema], *, null: bool = False) -> Schema:
    """`{name: NAME, …}` with the arguments of what the name chooses, or the name alone.

    Without a name, the default is meant. Where the name is a formula, its arguments are checked once it is computed;
    so the conditions are those under which an option is *not* chosen, which a formula always fulfils.
    """
    unnamed = {"required": ["name"]}
    alone = [
        _refused({"const": name}, "key-missing", f"needs arguments: `{_written(name, one['required'])}`")
        for name, one in options.items()
        if one["required"]
    ]
    written: Schema = {
        "title": "a name, or `{name: NAME, …}` with arguments" + (", or none" if null else ""),
        "type": ["object", "null"] if null else "object",
        "properties": {"name": choice(*options)},
        "allOf": [
            {
                "if": {"properties": {"name": {"not": {"const": name}}}} | (unnamed if name == default else {}),
                "else": one | {"properties": {"name": choice(*options)} | one["properties"]},
            }
            for name, one in options.items()
        ],
    }
    if default is None:
        written["if"], written["then"] = {"type": "object"}, unnamed
    bare = choice(*options) | ({"allOf": alone} if alone else {})
    return {"if": {"type": "string"}, "then": bare, "else": written}


def _written(name: str, arguments: Iterable[str]) -> str:
    return "{" + ", ".join([f"name: {name}", *(f"{one}: …" for one in arguments)]) + "}"


def _refused(what: Schema, code: str, words: str) -> Schema:
    """What fits a schema is refused here, with an error code and words of its own."""
    return {"not": what, "$comment": code, "description": words}


def _excluded(words: str) -> Schema:
    """A key that another one excludes."""
    return _refused({"type": ["object", "number"]}, "key-unknown", words)


_GAMMA = number(above=0)

OPTIONS: dict[str, dict[str, Schema]] = {
    "optimizer": {
        name: _section(REQUIRED.get(name, ()), **arguments)
        | (
            {
                # torch refuses it without momentum, and with dampening
                "if": {"properties": {"nesterov": {"not": {"const": True}}}},
                "else": {
                    "description": "Nesterov's momentum is a form of momentum",
                    "required": ["momentum"],
                    "properties": {
                        "momentum": number(above=0),
                        "dampening": _refused(
                            {"not": {"const": 0}}, "out-of-range", "must be 0 beside `nesterov: true`"
                        ),
                    },
                },
            }
            if "nesterov" in arguments
            else {}
        )
        for name, arguments in OPTIMIZERS.items()
    },
    "schedule": {
        "multi_step": _section(
            ("milestones",), milestones={"type": "array", "items": integer(1), "minItems": 1}, gamma=_GAMMA
        ),
        "step": _section(("step_size",), step_size=integer(1), gamma=_GAMMA),
        "exponential": _section(("gamma",), gamma=_GAMMA),
        "cosine": _section(eta_min=number(0)),
        "one_cycle": _section(
            pct_start=number(0, 1),
            anneal_strategy=choice("cos", "linear"),
            cycle_momentum=boolean(),
            base_momentum=number(0, below=1),
            max_momentum=number(0, below=1),
            div_factor=number(above=0),
            final_div_factor=number(above=0),
        ),
    },
    "loss": {
        "cross_entropy": _section(label_smoothing=number(0, 1)),
        "binary_cross_entropy": _section(label_smoothing=number(0, 1)),
    },
}
"""What `name` chooses among in the sections that choose: the arguments of each."""

EXCLUSIVE = {
    ("train",): ("epochs", "steps"),
    ("train", "warmup"): ("epochs", "steps"),
    ("train", "clip"): ("norm", "value"),
}
"""Keys of which one stands at most: where recipes are laid over one another, the one that is written last."""


def _or_none(words: str, one: Schema) -> Schema:
    """A mapping, which messages describe by these words, or none."""
    return either(one | {"title": words}, {"type": "null"})


def _one_of(**options: Schema) -> Schema:
    """A mapping of one key, which chooses among options."""
    return _section(**options) | {"minProperties": 1, "maxProperties": 1}


def _either_epochs_or_steps(what: str) -> Schema:
    both = _excluded(f"has no meaning beside `epochs`: {what} lasts a number of epochs or of steps")
    return {"if": {"required": ["epochs"]}, "then": {"properties": {"steps": both}}}


_EPOCHS: Schema = {"required": ["epochs"], "description": "or `steps`: a warm-up lasts a number of either"}
_SECTIONS: dict[str, Schema] = {
    "data": {"type": "string"},
    "epochs": integer(1),
    "steps": integer(1),
    "batch_size": integer(1),
    "accumulate": integer(1),
    "seed": integer(0),
    "validation": either(integer(0), number(above=0, below=1)),
    "normalize": boolean(),
    "augment": {"type": "array", "items": augmentations.SCHEMA},
    "loss": _chosen("cross_entropy", OPTIONS["loss"]),
    "optimizer": _chosen("adamw", OPTIONS["optimizer"]),
    "decay": choice("all", "weights"),
    "clip": _or_none("`{norm: N}` or `{value: N}`", _one_of(norm=number(above=0), value=number(above=0))),
    "schedule": _chosen(None, OPTIONS["schedule"], null=True),
    "warmup": _or_none(
        "`{epochs: N}` or `{steps: N}`",
        _section(epochs=number(above=0), steps=integer(1), start=number(above=0, maximum=1))
        | _either_epochs_or_steps("a warm-up")
        | {"allOf": [{"if": {"not": {"required": ["steps"]}}, "then": _EPOCHS}]},
    ),
    "ema": _or_none("`{decay: N}`", _section(decay=number(0, below=1), every=integer(1))),
    "early_stopping": _or_none(
        "`{patience: N}`",
        _section(
            ("patience",),
            patience=integer(1),
            monitor=choice("val_accuracy", "val_loss"),
            min_delta=number(0),
        ),
    ),
    "precision": choice("32-true", "bf16-mixed", "16-mixed"),
    "compile": boolean(),
    "channels_last": boolean(),
}

SCHEMA: Schema = (
    _section(**_SECTIONS)
    | _either_epochs_or_steps("a training")
    | {
        "allOf": [
            {
                "if": {"properties": {"validation": {"not": {"const": 0}}}},
                "else": {"properties": {"early_stopping": _excluded("has no meaning without validation images")}},
            }
        ]
    }
)
"""`validation` is a share of the training set below 1, or a number of samples; 0 for none."""

PARTIAL: Schema = _section(
    **_SECTIONS
    | {key: {"type": ["string", "object", "null"]} for key in OPTIONS}
    | {key: {"type": ["object", "null"]} for key in ("warmup", "early_stopping")}
)
"""A recipe that is to be laid over another one, whose choices may leave out what the other one says."""

DEFAULTS: dict[str, Any] = {
    "data": "digits",
    "epochs": 10,
    "batch_size": 64,
    "accumulate": 1,
    "seed": 42,
    "validation": 0.1,
    "normalize": True,
    "augment": [],
    "loss": {"name": "cross_entropy"},
    "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 1e-4},
    "decay": "all",
    "clip": None,
    "schedule": None,
    "warmup": None,
    "ema": None,
    "early_stopping": None,
    "precision": "32-true",
    "compile": False,
    "channels_last": False,
}
"""What a recipe that does not say otherwise does."""


def complete(written: dict[str, Any] | None) -> dict[str, Any]:
    """A recipe with every key: those written, and the defaults. Names that stand alone become mappings."""
    made = DEFAULTS | (written or {})
    if "steps" in made and "epochs" not in (written or {}):
        del made["epochs"]
    for key in OPTIONS:
        value = {"name": made[key]} if isinstance(made[key], str) else made[key]
        made[key] = DEFAULTS[key] | value if value is not None and "name" not in value else value
    made["augment"] = [{one: {}} if isinstance(one, str) else one for one in made["augment"]]
    return made

"""The recipe as data and as an object: every key with its default, and the mapping that runs are found by."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings, strategies as st

from archspec.foundation.arguments import REQUIRED, Schema
from archspec.foundation.schemas import validator
from archspec.recipe import (
    AUGMENTATIONS,
    DEFAULTS,
    LOSSES,
    OPTIMIZERS,
    OPTIONS,
    SCHEDULES,
    SCHEMA,
    AppliedAugmentation,
    Clip,
    EarlyStopping,
    Ema,
    Loss,
    Optimizer,
    Recipe,
    Schedule,
    Warmup,
    keys,
)
from archspec.spec import from_dict
from trainer.runs.folders import fingerprint_of
from trainer.steps.layout import choose_layout

PLAIN = {
    "data": "digits",
    "epochs": 10,
    "batch_size": 64,
    "accumulate": 1,
    "seed": 42,
    "validation": 0.1,
    "normalize": True,
    "augment": [],
    "loss": {"name": "cross_entropy"},
    "optimizer": {"name": "adamw", "lr": 0.001, "weight_decay": 0.0001},
    "decay": "all",
    "clip": None,
    "schedule": None,
    "warmup": None,
    "ema": None,
    "early_stopping": None,
    "precision": "32-true",
    "compile": False,
    "channels_last": "auto",
}
"""What is written of a recipe that says nothing, in this order; recipe.yaml holds `channels_last` as true or false."""

LATER = {
    "task": None,
    "sampler": None,
    "monitor": None,
    "weights": None,
    "partial": False,
    "adapt": False,
    "freeze": None,
    "lr_scale": None,
    "resize": {"name": "stretch"},
    "outputs": None,
    "exact": False,
}
"""Keys that came later: recipe.yaml holds them where they differ from this, so that older runs are still found."""

WITHOUT_EPOCHS = {key: value for key, value in PLAIN.items() if key != "epochs"}

# --- what is written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "complete"),
    [
        ({}, PLAIN),
        ({"epochs": 3}, PLAIN | {"epochs": 3}),
        ({"steps": 9}, WITHOUT_EPOCHS | {"steps": 9}),
        ({"optimizer": "adam"}, PLAIN | {"optimizer": {"name": "adam"}}),
        ({"optimizer": {"lr": 1}}, PLAIN | {"optimizer": {"name": "adamw", "lr": 1, "weight_decay": 0.0001}}),
        ({"loss": {"label_smoothing": 0.1}}, PLAIN | {"loss": {"name": "cross_entropy", "label_smoothing": 0.1}}),
        ({"loss": "binary_cross_entropy"}, PLAIN | {"loss": {"name": "binary_cross_entropy"}}),
        (
            {"loss": ["cross_entropy", {"name": "dice", "factor": 2, "smooth": 1}]},
            PLAIN | {"loss": [{"name": "cross_entropy"}, {"name": "dice", "factor": 2, "smooth": 1}]},
        ),
        ({"schedule": "cosine"}, PLAIN | {"schedule": {"name": "cosine"}}),
        ({"augment": ["rotation", {"mixup": {"p": 1}}]}, PLAIN | {"augment": [{"rotation": {}}, {"mixup": {"p": 1}}]}),
        ({"clip": {"value": 1}}, PLAIN | {"clip": {"value": 1}}),
        ({"warmup": {"steps": 2}}, PLAIN | {"warmup": {"steps": 2}}),
        ({"ema": {}}, PLAIN | {"ema": {}}),
        ({"early_stopping": {"patience": 2}}, PLAIN | {"early_stopping": {"patience": 2}}),
        (
            {"weights": "w.pt", "partial": True, "freeze": ["stem"], "lr_scale": {"stages": {"decay": 0.8}}},
            PLAIN | {"weights": "w.pt", "partial": True, "freeze": ["stem"], "lr_scale": {"stages": {"decay": 0.8}}},
        ),
        ({"freeze": {"stem": 2, "stages": None}}, PLAIN | {"freeze": {"stem": 2, "stages": None}}),
        ({"resize": "crop"}, PLAIN | {"resize": {"name": "crop"}}),
        ({"normalize": {"mean": [0.5], "std": [0.2]}}, PLAIN | {"normalize": {"mean": [0.5], "std": [0.2]}}),
        (LATER, PLAIN),
        # a default that was written is written again, or the run would no longer be found
        ({"loss": {"label_smoothing": 0}}, PLAIN | {"loss": {"name": "cross_entropy", "label_smoothing": 0}}),
        ({"warmup": {"start": 0.01, "epochs": 2}}, PLAIN | {"warmup": {"start": 0.01, "epochs": 2}}),
        ({"ema": {"every": 1}}, PLAIN | {"ema": {"every": 1}}),
        (
            {"early_stopping": {"patience": 2, "monitor": "val_accuracy", "min_delta": 0}},
            PLAIN | {"early_stopping": {"patience": 2, "monitor": "val_accuracy", "min_delta": 0}},
        ),
    ],
)
def test_the_mapping_has_every_key_and_what_was_written(written: dict[str, Any], complete: dict[str, Any]) -> None:
    assert validator(SCHEMA).is_valid(written)
    made = Recipe.from_dict(written).to_dict()
    assert json.dumps(made, sort_keys=True) == json.dumps(complete, sort_keys=True)  # so that 1 is not 1.0 or true
    assert set(made) == set(complete)
    assert [key for key in made if key in PLAIN] == [key for key in complete if key in PLAIN]


def test_print_config_shows_every_key() -> None:
    made = Recipe().complete()
    assert made == PLAIN | LATER
    assert Recipe.from_dict(made) == Recipe()


@pytest.mark.parametrize(
    ("train", "key"),
    [
        ({}, "9844acc1020fa86e7ddbcb2c82b945f33a782a6be4a1aafcb776503261088b0c"),
        (
            {
                "steps": 9,
                "optimizer": {"name": "sgd", "lr": 1, "momentum": 0.9},
                "augment": ["rotation"],
                "schedule": "cosine",
            },
            "6fbc7779d8a94eb23ab5b46e9bf5ef791151e3387f919aeda316d6df84779731",
        ),
        (
            {
                "warmup": {"epochs": 2, "start": 0.01},
                "ema": {"decay": 0.999},
                "early_stopping": {"patience": 3, "min_delta": 0.0},
                "clip": {"norm": 1},
            },
            "b439d53ccfccb392e3900da56abc2a2ec889c95c245b4cfbae44a1facb850263",
        ),
    ],
)
def test_a_run_is_found_by_the_key_that_it_had_when_recipes_were_mappings(train: dict[str, Any], key: str) -> None:
    spec = {"archspec": 1, "name": "Linear", "input": [1, 8, 8], "network": ["flatten", {"linear": 10}]}
    for more in ({}, {"exact": True}, {"channels_last": False}):
        loaded = from_dict(spec | {"train": train | more})
        recipe = choose_layout(loaded.recipe, loaded.plan)
        assert fingerprint_of(loaded.resolved | {"train": recipe.to_dict()}, "images") == key


def test_what_is_written_is_read() -> None:
    recipe = Recipe.from_dict(
        {
            "steps": 50,
            "validation": 0,
            "augment": ["rotation", {"mixup": {"p": 0.5}}],
            "loss": {"label_smoothing": 0.1},
            "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
            "clip": {"norm": 2},
            "schedule": {"name": "step", "step_size": 3},
            "warmup": {"epochs": 0.5},
            "ema": {"every": 2},
            "early_stopping": {"patience": 4, "monitor": "val_loss"},
        }
    )
    assert (recipe.steps, recipe.epochs, recipe.validation) == (50, None, 0)
    assert recipe.augment == (AppliedAugmentation("rotation"), AppliedAugmentation("mixup", {"p": 0.5}))
    assert recipe.augment[0].arguments == {"degrees": 15, "interpolation": "bilinear"}
    assert recipe.augment[1].arguments == {"alpha": 1.0, "p": 0.5}
    assert recipe.loss == Loss("cross_entropy", {"label_smoothing": 0.1})
    assert recipe.optimizer == Optimizer("sgd", {"lr": 0.1, "momentum": 0.9})
    assert recipe.clip == Clip(norm=2)
    assert (recipe.clip.algorithm, recipe.clip.limit) == ("norm", 2)
    assert recipe.schedule == Schedule("step", {"step_size": 3})
    assert recipe.warmup == Warmup(0.5, None, 0.01)
    assert recipe.ema == Ema(0.999, 2)
    assert recipe.early_stopping == EarlyStopping(4, "val_loss", 0.0)
    assert (recipe.data, recipe.batch_size, recipe.seed, recipe.compile) == ("digits", 64, 42, False)


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Recipe().seed = 1  # type: ignore[misc]


# --- what the schema admits -----------------------------------------------------------------------------------------


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """What fits a schema of an argument."""
    if "anyOf" in schema:
        return st.one_of(*map(values, schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "prefixItems" in schema:
        return st.tuples(*map(values, schema["prefixItems"])).map(list)
    low, high = schema.get("minimum"), schema.get("maximum")
    match schema["type"]:
        case "array":
            return st.lists(
                values(schema["items"]), min_size=schema.get("minItems", 0), max_size=schema.get("maxItems", 3)
            )
        case "integer":
            return st.integers(low, high)
        case "number":
            above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
            floats = st.floats(
                low if above is None else above,
                high if below is None else below,
                exclude_min=above is not None,
                exclude_max=below is not None,
                allow_nan=False,
                allow_infinity=False,
            )
            whole = st.integers(-3, 3).filter(validator(schema).is_valid)
            return floats | whole if any(map(validator(schema).is_valid, range(-3, 4))) else floats
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "string":
            return st.text(max_size=5)
        case "object":
            return st.dictionaries(st.text(max_size=5), values(schema["additionalProperties"]), min_size=1, max_size=3)
    raise AssertionError(schema)


def mappings(properties: dict[str, Schema], required: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    made = {name: values(schema) for name, schema in properties.items()}
    return st.fixed_dictionaries(
        {name: made[name] for name in required},
        optional={name: one for name, one in made.items() if name not in required},
    )


def choices(key: str) -> st.SearchStrategy[Any]:
    """A name with arguments, alone, or where one is the default its arguments alone."""
    named = [
        mappings(one["properties"], one["required"]).map(lambda given, name=name: {"name": name, **given})  # type: ignore[misc]
        for name, one in OPTIONS[key].items()
    ]
    forms = [st.one_of(*named), st.sampled_from([name for name, one in OPTIONS[key].items() if not one["required"]])]
    if DEFAULTS[key]:
        default = OPTIONS[key][DEFAULTS[key]["name"]]
        forms.append(mappings(default["properties"], default["required"]))
    return st.one_of(*forms)


def sections(form: type[Any], required: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return mappings({name: one.schema for name, one in keys(form).items()}, required)


AUGMENTS = st.one_of(
    st.sampled_from(list(AUGMENTATIONS)),
    *(
        mappings(one.signature.schema["properties"], []).map(lambda given, name=name: {name: given})  # type: ignore[misc]
        for name, one in AUGMENTATIONS.items()
    ),
)
COLUMN = st.text(min_size=1, max_size=5)
COLUMNS = st.lists(COLUMN, min_size=1, max_size=3)
WHOLE = {
    "data": st.text(max_size=5)
    | st.fixed_dictionaries(
        {"name": st.text(max_size=5), "target": COLUMN | st.lists(COLUMN, min_size=2, max_size=3)},
        optional={
            "ignore": COLUMNS,
            "one_hot": COLUMNS,
            "inputs": st.dictionaries(st.text(min_size=1, max_size=5), COLUMNS, min_size=1, max_size=2),
        },
    ),
    "loss": choices("loss"),
    "optimizer": choices("optimizer"),
    "schedule": st.none() | choices("schedule"),
    "augment": st.lists(AUGMENTS, max_size=3),
    "clip": st.none() | st.sampled_from(["norm", "value"]).flatmap(lambda name: sections(Clip, [name])),
    "warmup": st.none() | sections(Warmup, []),
    "ema": st.none() | sections(Ema, []),
    "early_stopping": st.none() | sections(EarlyStopping, ["patience"]),
    "resize": choices("resize"),
    "weights": st.none() | st.just("runs/net"),
    "freeze": st.none()
    | st.lists(st.text(max_size=5) | st.integers(0), min_size=1, max_size=3)
    | st.dictionaries(st.text(max_size=5), st.none() | st.integers(1, 9), min_size=1, max_size=3),
    "lr_scale": st.none()
    | st.dictionaries(
        st.text(max_size=5),
        st.floats(0.1, 10) | st.fixed_dictionaries({"decay": st.floats(0.1, 1)}),
        min_size=1,
        max_size=3,
    ),
    "outputs": st.none() | st.dictionaries(st.text(max_size=5), st.floats(0.1, 10), min_size=1, max_size=3),
    "normalize": st.booleans()
    | st.sampled_from(["data", "weights", "imagenet"])
    | st.fixed_dictionaries({"mean": st.just([0.5]), "std": st.just([0.25])}),
}
RECIPES = st.fixed_dictionaries(
    {}, optional={name: WHOLE[name] if name in WHOLE else values(one.schema) for name, one in keys(Recipe).items()}
).filter(validator(SCHEMA).is_valid)


@given(RECIPES)
@settings(max_examples=200, deadline=None)
def test_a_recipe_is_the_same_after_it_was_written_and_read(written: dict[str, Any]) -> None:
    recipe = Recipe.from_dict(written)
    complete = recipe.to_dict()
    assert validator(SCHEMA).is_valid(complete)
    assert Recipe.from_dict(complete) == recipe
    assert Recipe.from_dict(json.loads(json.dumps(complete))).to_dict() == complete
    for key, value in written.items():
        if key in LATER and (value == LATER[key] or {"name": value} == LATER[key] or value == {}):
            assert key not in complete
        elif isinstance(value, str) and key in OPTIONS:
            assert complete[key] == {"name": value}
        elif key in OPTIONS and value is not None:
            assert complete[key] == (value if "name" in value else (PLAIN | LATER)[key] | value)  # type: ignore[operator]
        elif key != "augment":
            assert complete.get(key) == value
    assert {key: complete[key] for key in complete if key not in written} == {
        key: value
        for key, value in PLAIN.items()
        if key not in written and not (key == "epochs" and "steps" in written)
    }


@given(RECIPES)
@settings(max_examples=100, deadline=None)
def test_what_the_schema_admits_has_the_types_of_the_fields(written: dict[str, Any]) -> None:
    recipe = Recipe.from_dict(written)
    parts = (recipe, recipe.clip, recipe.warmup, recipe.ema, recipe.early_stopping)
    for one in filter(None, parts):
        hints = get_type_hints(type(one))
        for part in fields(one):
            assert fits(getattr(one, part.name), hints[part.name]), part.name


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, as mypy takes it: an integer is a float too."""
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(fits(one, get_args(hint)[0]) for one in value)
    if isinstance(hint, type):
        return isinstance(value, hint)
    # a union, or a choice of words
    return any(fits(value, one) if isinstance(one, type) or get_args(one) else value == one for one in get_args(hint))


# --- one table ------------------------------------------------------------------------------------------------------


def test_defaults_fit_the_schema_and_every_key_has_one() -> None:
    assert list(validator(SCHEMA).iter_errors(DEFAULTS)) == []
    # `columns` is what `data` says beside the name
    assert set(SCHEMA["properties"]) == {one.name for one in fields(Recipe)} - {"columns"} == set(keys(Recipe))
    assert {name: one.default for name, one in keys(Recipe).items() if name != "steps"} == PLAIN | LATER == DEFAULTS


@pytest.mark.parametrize("form", [Recipe, Clip, Warmup, Ema, EarlyStopping])
def test_every_key_has_a_line_about_it_and_a_default_that_fits(form: type[Any]) -> None:
    for one in keys(form).values():
        assert one.doc
        assert not one.doc.endswith(".")
        if one.default is not REQUIRED and one.default is not None:
            assert validator(one.schema).is_valid(one.default), one.name
    assert [one.name for one in keys(EarlyStopping).values() if one.required] == ["patience"]


def test_every_option_has_a_line_about_it() -> None:
    for options in (OPTIMIZERS, SCHEDULES, LOSSES):
        for name, one in options.items():
            assert one.doc.endswith("."), name
            assert set(one.required) <= set(one.arguments), name

"""The JSON Schema for editors says what the language says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from test_errors import CASES

from archspec.foundation.errors import Fault, SpecError
from archspec.foundation.reading import read
from archspec.foundation.source import plain
from archspec.language.finder import bundled
from archspec.language.schema import spec_schema
from archspec.language.vocabulary import library_names
from archspec.layers.registry import primitives
from archspec.spec import from_dict, load

VALIDATOR = jsonschema.Draft202012Validator(spec_schema())

# What no schema can express: names of the file's own, values that formulas compute, shapes, and text that is no YAML
BEYOND = {
    "other recurrent layers",
    "indices that are to be embedded",
    "a separable convolution",
    "torch's axis of channels",
    "a float of a formula where an integer stands",
    "a float as an index",
    "a function of a module",
    "a type of Python as a default",
    "branches of attend in another order",
    "variants without a name",
    "an input that one call leaves out, and a tensor that nothing else uses",
    "a role of tokens without a meaning",
    "a sum with a mean of each channel",
    "positions that a subtraction makes negative",
    "formulas in a section",
    "an unknown variable within a list",
    "no operations vouched for",
    "texts as conditions",
    "a column that lacks its equals sign",
    "many branches, of which few differ",
    "an activation among the branches of a merge",
    "a role that is left empty",
    "a merge's word left out",
    "merges by other names",
    "a mistyped layer beside modifiers, and below a name that is near a layer's",
    "layers of other libraries in roles and formulas",
    "a norm that does not fit, by its role",
    "sizes of a later node",
    "tensors for a block that there is not",
    "more tensors than a block takes",
    "a block of two tensors that is called without them",
    "a block that gives two tensors without names for them",
    "names of tensors beside a block without any",
    "names of results beside a layer",
    "a tensor for a block that was never saved",
    "an output of a block that its body never saves",
    "an input of a block that its body never uses",
    "an output of a block that nothing uses",
    "a block whose last result is none of its outputs",
    "a tensor saved under the name of a block's input",
    "one name for two results",
    "an input that nothing uses",
    "a network that does not begin with its first input",
    "an input that is loaded for nothing",
    "a tensor saved under an input's name",
    "an input that is loaded in a block",
    "a loop as the only branch",
    "a repetition as the only branch",
    "a mistyped merge",
    "a layer whose result is thrown away",
    "the text none and the formula's none",
    "a mapping for a list in a part",
    "a mistyped layer in a part",
    "c_in of a later node",
    "a layer's name without quotes",
    "a text and a number added",
    "wrong values of variables in layers",
    "a wrong value of a variable",
    "padding forgotten beside an empty branch",
    "padding forgotten beside an empty branch of other channels",
    "a stride of one axis beside an empty branch",
    "a figure of more digits than there are",
    "a pooling window that sees padding only",
    "unknown primitive",  # it may be a block of the file
    "unknown primitive in defaults",
    "missing argument",  # `defaults` may give it
    "out of range by a formula",
    "unknown variable",
    "a caller's variable in a block",
    "unknown variable in a variant",
    "formula syntax",
    "formula that would run code",
    "formula of an unknown function",
    "formula of the wrong type",
    "formula without a value",
    "when that is no boolean",
    "shape mismatch in add",
    "shape mismatch in concat",
    "channels differ in add",
    "a merge without branches",
    "window larger than its input",
    "groups that do not divide",
    "linear on a feature map",
    "unequal columns",
    "init of roles, said wrongly",
    "init of a role that the file does not have, and of another parameter",
    "a merge of one tensor and itself",
    "texts compared with what they are without quotes",
    "an aux whose formula gives the name of another part",
    "rows of unequal length",
    "rows of unequal length by a formula",
    "rows without names",
    "a row with a mistyped column",
    "a table of one row as branches",
    "let where nothing follows",
    "block recursion",
    "expect not met",
    "a role without a meaning",
    "duplicate name",
    "init of a vector",
    "too large",
    "a name of torch's",
    "a block named like a primitive",
    "an empty shortcut where shapes change",
    "a loop's variable outside a loop",
    "no space after a main argument's colon",
    "torch's name of a layer",
    "an optimizer by a formula that gives none",
    "an auxiliary classifier in a block that is used twice",
    "a word of the language without its value",  # any word may be a block of the file
    "load before save",
    "load of a name that nothing saves",
    "load where nothing is saved",
    "save without a load",
    "saved again before it was loaded",
    "a block does not see what its caller saved",
    "a saved tensor of another shape",
    "a formula that gives no name",
    "two outputs of one name",
    "an empty aux, an aux in an aux, an output in an aux",
    "two auxiliary classifiers of one name",
    "init of a node that its shape does not allow",
    "extends of a file that is not there",
    "extends of a file elsewhere",
    "extends of itself",
    "a recompute whose formula gives no boolean",
    "an init of a node whose formula gives no initialiser",
    "load of a tensor whose save was left out",
    "an output within an auxiliary classifier's block",
    "floats for axes",  # to JSON Schema, 1.0 is an integer
    # what a recipe says of the network's parts and input
    "a frozen part that there is not",
    "a frozen part below one that there is",
    "a frozen part that formulas name, in a network of numbered parts",
    "a path that leads into a layer",
    "nothing left to train",
    "a rate of what does not learn",
    "a rate of a part that there is not",
    "rates that fall over branches",
    "rates that fall within one layer",
    "a normalisation of other channels",
    "a size that cannot be cut",
    "shared nodes with other weights",
    "shared nodes with other arguments",
    "a shared linear layer on vectors of other lengths",
    "a shared block on other channels",
    "shared nodes that are not the same layer",
    "shared nodes of other parts",
    "shared nodes with other initial values",
    "a shared layer that is made for one size",
    "a name that nothing shares before",
    "a mistyped name of what is shared",
    "names that only one node has",
    "a shared node within itself, and within another",
    "what a shared node cannot hold",
    "a shared node that loads a tensor",
    "a shared node in an auxiliary classifier, and outside of it",
    "recomputation of a part of what is shared",
    "a formula that gives no name to share",
    "share among the names of parts",
    "parts with a condition",  # a call of a block `stem` of the file's own, for all the schema knows
}


@pytest.mark.slow
def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(spec_schema())


def test_command_prints_it(run: Callable) -> None:
    done = run("schema")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == spec_schema()


@pytest.mark.parametrize(
    ("title", "text"), [(case.id, case.values[1]) for case in CASES], ids=[case.id for case in CASES]
)
def test_structural_errors_are_refused_by_the_schema_too(title: str, text: str) -> None:
    try:
        data = plain(read(text.encode(), "net.yaml"))
    except Fault:
        return  # no YAML that a schema could be held to
    assert VALIDATOR.is_valid(data) == (title in BEYOND), title


def test_every_primitive_and_block_is_in_it() -> None:
    calls = {name for name in spec_schema()["$defs"] if name.startswith("call_")}
    assert calls == {f"call_{name}" for name in [*primitives(), *library_names()]}


ODD: list[Any] = [None, True, -1, 0.5, "odd", [], [1], {}, {"odd": 1}]
NEW: list[Any] = [
    "=c_in",
    {"save": "x"},
    {"load": "x"},
    {"relu": None, "recompute": True},
    {"share": "x"},
    {"relu": None, "share": "x"},
    {"with": {}},
    {"repeat": 2},
]
FORMS: dict[str, Any] = {
    "archspec": 1,
    "name": "every form of a node",
    "input": {"i": [3, 8, 8], "j": [4, 8, 8]},
    "vars": {"n": "o", "w": 4},
    "defaults": {"act": {"leaky_relu": 0.1}, "norm": "batch_norm"},
    "blocks": {
        "b": {"args": {"w": {"type": "integer"}}, "body": [{"save": "x"}, "relu", {"add": [[], {"load": "x"}]}]},
        "t": {"inputs": ["x", "y"], "outputs": ["z", "x"], "body": [{"concat": [[], {"load": "y"}]}, {"save": "z"}]},
    },
    "network": {
        "stem": [
            {
                "conv": {"out": "=w", "kernel": 1},
                "init": {"conv": {"weight": {"normal": {"std": 0.1}}, "bias": 0}},
                "recompute": True,
            },
            {"save": "a"},
            {"b": 1, "repeat": 2},
        ],
        "side": {"aux": {"name": "s", "weight": 0.3, "body": ["flatten", {"linear": 2}]}, "when": True},
        "let": {"even": "=2 * w"},
        "rows": {
            "for": [{"k": 1}, {"k": "=w - 1"}],
            "let": {"out": "=w + k"},
            "body": [{"conv": {"out": "=out", "kernel": 1}}],
        },
        "table": [
            {
                "for": {"as": ["k", "o"], "rows": [[1, 2], ["=w // 4", 3]]},
                "body": [{"conv": {"out": "=o", "kernel": "=k"}}],
            },
            {"let": {"back": "=w"}},
            {"conv": {"out": "=back", "kernel": 1}},
        ],
        "loop": {
            "for": {"k": ["p", "q"]},
            "body": [{"save": "=k"}, "act", {"output": "=k"}, {"concat": {"u": [], "v": {"load": "=k"}}}],
        },
        "end": [
            {"when": True, "output": "=n"},
            {"add": [[], {"when": False, "body": "relu"}]},
            {"concat": [[], {"load": "a"}]},
            {"save": "l"},
            {"t": None, "load": ["l", "=n[:0] + 'j'"], "save": ["l", "=n[:0] + 'm'"], "when": True},
            {"use": "t", "load": "=['l', 'm']", "save": ["l", "m"], "recompute": True},
            {"concat": [[], {"concat": {"load": ["a", "=n[:0] + 'a'"]}}]},
            {"concat": [[], {"load": ["a", "a"], "when": False}, {"load": "=['a']"}]},
            {"conv": {"out": "=c_in", "kernel": 1}, "share": "c"},
            {"share": "=n[:0] + 'c'", "repeat": 2, "recompute": True},
            [{"share": "c"}],
        ],
        "again": {"share": "c"},
    },
}


def mutants(data: Any, odd: list[Any] = ODD) -> list[Any]:
    """The data with each of its values replaced, and each of its keys renamed, one at a time."""
    made: list[Any] = []
    if isinstance(data, dict):
        for key, value in data.items():
            made += [{**data, key: inner} for inner in [*odd, *mutants(value, odd)]]
            made.append({k: v for k, v in data.items() if k != key} | {f"{key}x": value})
            made.append({k: v for k, v in data.items() if k != key})
    elif isinstance(data, list):
        for i, value in enumerate(data):
            made += [[*data[:i], inner, *data[i + 1 :]] for inner in [*odd, *mutants(value, odd)]]
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in bundled() if "/" not in name])
def test_what_is_sound_fits_the_schema(name: str) -> None:
    """However a spec is changed: what check takes, the schema takes, and no change makes check fail of itself."""
    taken = 0
    resolved = load(name).resolved
    for mutant in mutants(resolved)[::8]:
        try:
            from_dict(mutant)
        except SpecError as error:
            assert error.diagnostics
            continue
        taken += 1
        errors = [(e.message, list(e.absolute_path)) for e in VALIDATOR.iter_errors(mutant)]
        assert not errors, (mutant, errors)
    assert taken


@pytest.mark.slow
def test_every_form_is_taken_or_refused_as_check_does() -> None:
    """The form, that is: what names mean, what formulas give and how shapes fit, no schema knows."""
    meaning = re.compile(
        r"`b`|must be a mapping, not the number 3|cannot stand within|names (parts|the (parts|branches))|the same tensor twice|"
        r"parts follow one another|nodes follow one another|would be one of them"
    )
    counts = {"taken": 0, "refused": 0}
    for mutant in mutants(FORMS, [*ODD, *NEW])[::24]:
        fits = VALIDATOR.is_valid(mutant)
        try:
            from_dict(mutant)
        except SpecError as error:
            first = error.diagnostics[0]
            if first.code in ("key-unknown", "key-missing", "node-form", "type-mismatch") and not meaning.search(
                first.message
            ):
                assert not fits, (mutant, first.message)
                counts["refused"] += 1
            continue
        assert fits, (mutant, [e.message for e in VALIDATOR.iter_errors(mutant)])
        counts["taken"] += 1
    assert min(counts.values()) > 10


def test_a_former_name_is_taken_and_said_to_be_one() -> None:
    assert VALIDATOR.is_valid({"archspec": 1, "input": [3], "network": [{"relu": None, "checkpoint": True}]})
    assert spec_schema()["$defs"]["node_mapping"]["properties"]["checkpoint"]["deprecated"] is True


def test_editors_are_told_what_things_mean() -> None:
    definitions = spec_schema()["$defs"]
    assert definitions["call_conv"]["description"] == primitives()["conv"].doc
    assert definitions["call_conv"]["anyOf"][0]["properties"]["kernel"]["description"] == "window size"
    assert all(
        re.search(r"\.$", one["description"]) for name, one in definitions.items() if name.startswith("section_")
    )

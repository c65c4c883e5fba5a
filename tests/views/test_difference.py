"""What differs between two networks is named, and nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

import archspec
from archspec.language.finder import bundled
from archspec.spec import open_file
from archspec.views.difference import Change, compare

HEAD = ["global_avg_pool", "flatten", {"linear": 10}]


def plan_of(network: Any, **sections: Any) -> Any:
    data = {"archspec": 1, "input": [3, 16, 16], "network": network, **sections}
    return archspec.from_dict(data).plan


def changes(old: Any, new: Any, **sections: Any) -> list[dict[str, Any]]:
    found = compare(plan_of(old, **sections), plan_of(new, **sections)).changes
    return [
        {key: value for key, value in one.to_dict().items() if value or key in ("kind", "what", "old", "new")}
        for one in found
    ]


CONV = {"conv": {"out": 8, "kernel": 3, "padding": 1, "bias": False}}
WIDER = {"conv": {"out": 8, "kernel": 5, "padding": 2, "bias": False}}


def test_a_changed_argument() -> None:
    assert changes([CONV, "relu", *HEAD], [WIDER, "relu", *HEAD]) == [
        {
            "kind": "changed",
            "what": "conv",
            "old": "0",
            "new": "0",
            "arguments": {"kernel": {"old": 3, "new": 5}, "padding": {"old": 1, "new": 2}},
            "params": 8 * 3 * (25 - 9),
            "macs": 8 * 3 * (25 - 9) * 16 * 16,
        }
    ]


def test_a_node_added_removed_or_replaced() -> None:
    added = {"kind": "added", "what": "tanh", "old": None, "new": "1"}
    assert changes([CONV, *HEAD], [CONV, "tanh", *HEAD]) == [added]
    assert changes([CONV, "tanh", *HEAD], [CONV, *HEAD]) == [added | {"kind": "removed", "old": "1", "new": None}]
    assert changes([CONV, "relu", *HEAD], [CONV, "tanh", *HEAD]) == [
        {"kind": "removed", "what": "relu", "old": "1", "new": None},
        added,
    ]


def test_a_node_that_moved() -> None:
    assert changes(["tanh", CONV, *HEAD], [CONV, "tanh", *HEAD]) == [
        {"kind": "moved", "what": "conv", "old": "1", "new": "0"}
    ] or changes(["tanh", CONV, *HEAD], [CONV, "tanh", *HEAD]) == [
        {"kind": "moved", "what": "tanh", "old": "0", "new": "1"}
    ]
    parts = {"first": ["tanh"], "second": ["relu"]}
    swapped = {"second": ["relu"], "first": ["tanh"]}
    assert [(one["kind"], one["what"]) for one in changes({**parts, "head": HEAD}, {**swapped, "head": HEAD})] == [
        ("moved", "sequence")
    ]


def test_a_branch_that_is_gone() -> None:
    old = [{"concat": {"left": [CONV], "right": ["tanh"], "skip": []}}, *HEAD]
    new = [{"concat": {"left": [CONV], "skip": []}}, *HEAD]
    found = changes(old, new)
    assert found[0] == {"kind": "removed", "what": "sequence", "old": "0.right", "new": None}


def test_names_are_no_difference() -> None:
    old = plan_of({"stem": [CONV, {"save": "a"}, "relu", {"add": [[], {"load": "a"}]}], "head": HEAD})
    new = plan_of({"begin": [CONV, {"save": "b"}, "relu", {"add": [[], {"load": "b"}]}], "end": HEAD})
    found = compare(old, new)
    assert found.changes == ()
    assert found.renamed[0] == ("stem.0", "begin.0")
    assert found.weights.loaded == ()
    assert found.weights.fresh == ("begin.0.weight", "end.2.weight", "end.2.bias")


def test_a_block_a_loop_and_a_variable_written_out_are_no_difference() -> None:
    block = {"twice": {"args": {"width": 8}, "body": [{"conv": {"out": "=width", "kernel": 1}}, "relu"]}}
    old = plan_of([{"twice": 8}, {"for": {"width": [4, 6]}, "body": [{"twice": "=width"}]}], blocks=block)
    new = plan_of(
        [
            [{"conv": {"out": 8, "kernel": 1}}, "relu"],
            [[[{"conv": {"out": 4, "kernel": 1}}, "relu"]], [[{"conv": {"out": 6, "kernel": 1}}, "relu"]]],
        ]
    )
    assert compare(old, new).changes == ()


def test_another_saved_tensor_is_a_difference() -> None:
    body = [CONV, {"save": "a"}, CONV, {"save": "b"}, CONV]
    body[0] = {"conv": {"out": 8, "kernel": 3, "padding": 1}}
    old = [*body, {"add": [[], {"load": "a"}, {"load": "b"}]}]
    new = [*body, {"add": [[], {"load": "b"}, {"load": "a"}]}]
    assert changes(old, new) == [
        {
            "kind": "rewired",
            "what": "add",
            "old": "5",
            "new": "5",
            "arguments": {"takes": {"old": ["4", "0", "2"], "new": ["4", "2", "0"]}},
        }
    ]


def test_initial_values_auxiliary_classifiers_and_inputs() -> None:
    old = plan_of([CONV, *HEAD])
    assert [
        one.arguments for one in compare(old, plan_of([CONV, *HEAD], init={"conv": {"weight": "zeros"}})).changes
    ] == [(("init of weight", None, ("zeros", ())),)]
    aux = [CONV, {"aux": {"name": "side", "weight": 0.3, "body": HEAD}}, *HEAD]
    heavier = [CONV, {"aux": {"name": "side", "weight": 0.5, "body": HEAD}}, *HEAD]
    assert changes(aux, heavier) == [
        {
            "kind": "changed",
            "what": "aux",
            "old": "side",
            "new": "side",
            "arguments": {"weight": {"old": 0.3, "new": 0.5}},
        }
    ]
    wide = archspec.from_dict({"archspec": 1, "input": [3, 24, 24], "network": [CONV, *HEAD]}).plan
    assert compare(old, wide).changes == (Change("changed", "input", "", "", (("shape", (3, 16, 16), (3, 24, 24)),)),)


@pytest.mark.parametrize(
    ("old", "new", "blocks"),
    [("resnet18", "resnet34", [1, 2, 4, 1]), ("resnet50", "resnet101", [0, 0, 17, 0])],
)
def test_depth_alone_adds_blocks_alone(old: str, new: str, blocks: list[int]) -> None:
    found = compare(archspec.load(old).plan, archspec.load(new).plan)
    assert {change.kind for change in found.changes} == {"added"}
    stages = [change.new.split(".")[1] for change in found.changes if change.new]
    assert [stages.count(str(stage)) for stage in range(4)] == blocks
    assert not found.weights.misfits
    assert not found.weights.left_out


@pytest.mark.parametrize("name", bundled())
def test_the_changes_account_for_every_parameter(name: str) -> None:
    specs = open_file(name)[0].check().specs
    for first, second in pairwise(specs):
        found = compare(first.plan, second.plan)
        grown = sum(-one.params if one.kind == "removed" else one.params for one in found.changes)
        assert grown == second.plan.params - first.plan.params, (first.variant, second.variant)
    for spec in specs:
        assert compare(spec.plan, spec.plan).changes == ()


def test_what_stands_beside_a_merge() -> None:
    tokens = ["tokens", {"linear": 12}]
    attend = {"attend": {"query": [], "key": [], "value": []}, "split": "equal", "axis": 1}
    assert changes([*tokens, {**attend, "heads": 2}], [*tokens, {**attend, "heads": 4}]) == [
        {
            "kind": "changed",
            "what": "attend",
            "old": "2",
            "new": "2",
            "arguments": {"heads": {"old": 2, "new": 4}},
        }
    ]
    halves, third = ({"concat": ["relu", []], "split": sizes} for sizes in ([2, 1], [1, 2]))
    (change,) = changes([halves], [third])
    assert change["arguments"] == {"split": {"old": [2, 1], "new": [1, 2]}}

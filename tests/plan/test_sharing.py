"""Shared nodes in the plan: their places, figures and JSON, and what may differ between two uses."""

from __future__ import annotations

from typing import Any

import pytest

from archspec.foundation.errors import SpecError
from archspec.layers.foreign import Foreign
from archspec.layers.primitive import Primitive
from archspec.spec import Spec, from_dict


def load(network: Any, input: tuple[int, ...] = (3, 16, 16), **sections: Any) -> Spec:
    roles = {"act": "relu", "norm": "batch_norm"}
    return from_dict({"archspec": 1, "input": list(input), "defaults": roles, "network": network, **sections})


def conv(out: int, **arguments: Any) -> dict[str, Any]:
    return {"conv": {"out": out, "kernel": 3, "padding": 1, **arguments}}


def places(spec: Spec) -> list[tuple[str, str, int, int]]:
    return [(one.path, one.module, one.params, one.macs) for one in spec.plan.layers]


def test_parameters_count_once_and_macs_each_time() -> None:
    spec = load([conv(8), {**conv(8), "share": "step", "repeat": 2}, "relu", {"share": "step"}])
    weights, macs = 8 * 8 * 9 + 8, 8 * 8 * 9 * 16 * 16
    assert places(spec) == [
        ("0", "0", 3 * 8 * 9 + 8, 3 * 8 * 9 * 16 * 16),
        ("1.0", "1.0", weights, macs),
        ("1.1", "1.0", 0, macs),
        ("2", "2", 0, 0),
        ("3", "1.0", 0, macs),
    ]
    assert spec.plan.params == 3 * 8 * 9 + 8 + weights
    assert spec.plan.macs == 3 * 8 * 9 * 16 * 16 + 3 * macs
    assert from_dict(spec.resolved).plan.params == spec.plan.params


def test_a_node_alone_is_the_first_one_with_its_arguments_and_initial_values() -> None:
    first = {"conv": {"out": "=c_in", "kernel": 1}, "share": "mix", "init": {"conv": {"weight": "=1 / c_in"}}}
    spec = load([first, "relu", {"share": "mix"}, {"share": "mix", "repeat": 2, "recompute": True}])
    kernels = [one.layer for one in spec.plan.layers if one.layer.primitive == "conv"]
    assert len({(one.frozen_arguments, one.init) for one in kernels}) == 1
    assert [one.recompute for one in kernels] == [False, False, True, True]
    assert spec.plan.params == 3 * 3 + 3


def test_a_node_alone_sees_the_formulas_of_the_first() -> None:
    loop = {
        "for": {"width": [4, 4]},
        "body": [{"conv": {"out": "=width", "kernel": 1}, "share": "mix", "when": "=last"}],
    }
    spec = load([loop, {"share": "mix"}], (4, 8, 8))
    assert [(one.path, one.module) for one in spec.plan.layers] == [("0.1.0", "0.1.0"), ("1", "0.1.0")]


def test_heights_and_widths_may_differ_and_groups_know_their_module() -> None:
    head = {
        "for": {"level": ["a", "b"]},
        "body": [{"load": "=level"}, {"conv_norm_act": {"out": 4}, "share": "head"}, {"output": "=level"}],
    }
    spec = load([{"save": "a"}, {"max_pool": 2}, {"save": "b"}, head])
    assert [one.input for one in spec.plan.layers if one.layer.primitive == "conv"] == [(3, 16, 16), (3, 8, 8)]
    data = spec.plan.to_dict()
    blocks = [(one["path"], one["module"]) for one in data["graph"]["groups"] if one["block"]]
    assert blocks == [("3.0.1", "3.0.1"), ("3.1.1", "3.0.1")]
    assert [(one["path"], one["module"], one["params"]) for one in data["layers"][-3:]] == [
        ("3.1.1.conv", "3.0.1.conv", 0),
        ("3.1.1.norm", "3.0.1.norm", 0),
        ("3.1.1.act", "3.0.1.act", 0),
    ]
    layers = [(one["path"], one["module"]) for one in data["graph"]["nodes"] if one["kind"] == "layer"]
    assert layers == [(one.path, one.module) for one in spec.plan.layers]


def test_names_belong_to_one_body() -> None:
    twice = {"twice": {"body": [{**conv(3), "share": "step"}, {"share": "step"}]}}
    spec = load(["twice", "twice", {**conv(3), "share": "step"}, {"share": "step"}], blocks=twice)
    assert [one.module for one in spec.plan.layers] == ["0.0", "0.0", "1.0", "1.0", "2", "2"]
    assert spec.plan.params == 3 * (3 * 3 * 9 + 3)


def test_what_a_shared_block_shares_within_is_the_same_in_each_use() -> None:
    twice = {"twice": {"body": [{**conv(3), "share": "step"}, {"share": "step"}, conv(3)]}}
    spec = load([{"twice": None, "share": "both", "repeat": 2}], blocks=twice)
    assert [one.module for one in spec.plan.layers] == ["0.0.0", "0.0.0", "0.0.2"] * 2
    assert spec.plan.params == 2 * (3 * 3 * 9 + 3)


def test_a_first_use_that_is_left_out_leaves_its_place_to_the_next() -> None:
    spec = load([{**conv(3), "share": "step", "when": False}, {**conv(3), "share": "step"}, {"share": "step"}])
    assert [(one.path, one.module) for one in spec.plan.layers] == [("1", "1"), ("2", "1")]


def test_a_role_that_stands_for_nothing_may_be_shared() -> None:
    roles = {"act": "relu", "norm": "none"}
    spec = load([conv(3), {"norm": None, "share": "n"}, conv(3), {"share": "n"}], defaults=roles)
    assert [one.path for one in spec.plan.layers] == ["0", "2"]


def test_a_loop_of_one_pass_shares_with_none() -> None:
    spec = load({"for": {"i": [1]}, "body": [{**conv(3), "share": "step"}]})
    assert spec.plan.params == 3 * 3 * 9 + 3


def test_names_may_come_of_a_formula() -> None:
    network = {"for": {"head": ["a", "b", "a", "b"]}, "body": [{**conv(3), "share": "=head"}]}
    assert [one.module for one in load(network).plan.layers] == ["0.0", "1.0", "0.0", "1.0"]


@pytest.mark.parametrize(
    ("layer", "sizes", "fits"),
    [
        ({"conv": {"out": 4, "kernel": 3}}, (8, 6), True),
        ("batch_norm", (8, 6), True),
        ("patch_merging", (8, 6), False),
        ({"window_attention": {"heads": 2, "window": 4}}, (8, 12), False),
        ({"global_avg_pool": None}, (8, 6), True),
    ],
)
def test_a_layer_made_for_one_size_takes_no_other(layer: Any, sizes: tuple[int, int], fits: bool) -> None:
    node = layer if isinstance(layer, dict) else {layer: None}
    body = [{"adaptive_avg_pool": "=size"}, {**node, "share": "x"}, "global_avg_pool"]
    network = [{"concat": {"for": {"size": list(sizes)}, "body": body}}]
    if fits:
        load(network, (4, 16, 16))
    else:
        with pytest.raises(SpecError, match="in it is made for one input"):
            load(network, (4, 16, 16))


def test_what_recomputes_all_of_a_shared_node_may_hold_it() -> None:
    body = ["relu", {**conv(3), "share": "step"}]
    spec = load([{"for": {"i": [1, 2]}, "body": body, "recompute": True}, {"share": "step"}])
    assert [one.module for one in spec.plan.layers] == ["0.0.0", "0.0.1", "0.1.0", "0.0.1", "0.0.1"]


def test_pictures_and_differences_say_what_is_shared() -> None:
    from archspec.views.difference import compare

    def tied(*names: str | None) -> Spec:
        return load([{**conv(3), **({"share": name} if name else {})} for name in names])

    one, other, apart = tied("a", "b", "a", "b"), tied("a", "a", "b", "b"), tied(None, None, None, None)
    assert not compare(one.plan, one.plan).changes
    assert not compare(one.plan, tied("c", "d", "c", "d").plan).changes
    assert [(change.old, change.arguments) for change in compare(one.plan, other.plan).changes] == [
        ("1", (("weights of", "1", "0"),)),
        ("2", (("weights of", "0", "2"),)),
        ("3", (("weights of", "1", "2"),)),
    ]
    assert [change.arguments for change in compare(one.plan, apart.plan).changes] == [(("shared", True, False),)] * 4


def test_the_table_of_layers_names_the_module_whose_parameters_count() -> None:
    from archspec.views.layers import rows

    plan = load([{**conv(3), "share": "step", "repeat": 2}, "relu"]).plan
    assert [(row.path, row.module, row.params) for row in rows(plan)] == [
        ("0.0", "0.0", 3 * 3 * 9 + 3),
        ("0.1", "0.0", 0),
        ("1", "1", 0),
    ]


def test_the_graph_in_tensorboard_has_a_node_for_each_use() -> None:
    from archspec.views.graph import graph

    drawn = graph(load([{**conv(3), "share": "step", "repeat": 2}]).plan)
    nodes = {node.name: node for node in drawn.node}
    assert list(nodes) == ["input", "0/0", "0/1", "output"]
    assert (nodes["0/0"].attr["parameters"].s, nodes["0/1"].attr["parameters"].s) == (b"84", b"0")
    assert ("shared with" in nodes["0/0"].attr, nodes["0/1"].attr["shared with"].s) == (False, b"0.0")


@pytest.mark.parametrize(("said", "fixed"), [({}, True), ({"fixed_size": False}, False), ({"fixed_size": True}, True)])
def test_a_plugin_is_of_a_fixed_size_unless_it_says_otherwise(said: dict[str, bool], fixed: bool) -> None:
    made = type("Made", (Primitive,), {"name": "made", "doc": "Made.", "module": lambda *_: None, **said})
    assert Foreign(made(), "made.py").fixed_size is fixed

"""The plan's graph: its JSON alone says how a network's layers are put together."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner
from conftest import ROOT, with_history
from interpreter import given_by, interpreted
from torch import fx, nn

from archspec.cli import cli
from archspec.foundation.errors import SpecError
from archspec.language.finder import bundled
from archspec.plan import walk
from archspec.plan.graph import GraphGroup, GraphLayer, GraphWire
from archspec.spec import Spec, from_dict, load, open_file

DOCS = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")


def spec(network: Any, input: tuple[int, ...] = (3, 8, 8), **sections: Any) -> Spec:
    return from_dict({"archspec": 1, "input": list(input), "network": network, **sections})


@functools.cache
def small(name: str) -> Spec:
    """The cheapest network of a bundled file, on small images where it takes them."""
    cheapest = min(open_file(name)[0].check().specs, key=lambda one: one.plan.macs)
    for size in (64, 96):
        try:
            return cheapest.replace(set=[f"input=[{cheapest.plan.input[0]}, {size}, {size}]"])
        except SpecError:
            pass
    return cheapest


def documented(name: str) -> Spec:
    (text,) = re.findall(rf"`{name}`:\n\n```yaml\n(.*?)```", DOCS, re.S)
    return from_dict(yaml.safe_load(text), name)


def data_of(spec: Spec) -> Any:
    return json.loads(json.dumps(spec.plan.to_dict()))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*bundled(), "unet.yaml", "pyramid.yaml", "exits.yaml"])
def test_the_json_alone_tells_how_to_run_the_network(name: str) -> None:
    made = documented(name) if name.endswith(".yaml") else small(name)
    data, module = data_of(made), with_history(made.build())
    inputs = [torch.randn(2, *shape) for shape in made.plan.inputs.values()]
    for mode in (module.eval(), module.train()):
        results = []
        for run in (given_by, functools.partial(interpreted, data)):
            torch.manual_seed(0)
            with torch.no_grad():
                results.append(run(mode, *inputs))
        ours, theirs = results
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), mode.training
    assert set(ours) == {"", *data["outputs"], *data["aux"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled())
def test_every_layer_of_the_module_is_one_node(name: str) -> None:
    """Whatever computes in the built network lies in one layer of the graph, by its path, and in no other."""
    made = small(name)
    paths = [node["path"] for node in data_of(made)["graph"]["nodes"] if node["kind"] == "layer"]
    assert paths == [layer.path for layer in made.plan.layers]
    layers = set(paths)
    assert len(layers) == len(paths)
    module = made.build("meta")
    assert layers <= {path for path, _ in module.named_modules()}
    for path, inner in module.named_modules():
        ways = {path[:end] for end, sign in enumerate(f"{path}.") if sign == "."}
        if not layers & ways:  # what puts layers together
            assert isinstance(inner, (nn.Sequential, fx.GraphModule)), path
            assert [*inner.parameters(recurse=False), *inner.buffers(recurse=False)] == [], path
        assert len(layers & ways) <= 1, path


ALL_FORMS = {
    "stem": ["relu", {"save": "a"}],
    "body": [
        {"for": {"name_": ["b", "c"]}, "body": [{"mine": None, "recompute": True}, {"save": "=name_"}]},
        {"aux": {"name": "side", "weight": 0.5, "body": [{"save": "a"}, {"add": [{"load": "a"}, {"load": "b"}]}]}},
        {"concat": {"none": [], "early": {"load": "a"}, "late": [{"load": "b"}, "tanh", {"output": "late"}]}},
        {"output": "joined"},
    ],
    "end": [{"load": "c"}],
}
BLOCKS = {"mine": {"body": [{"save": "a"}, "sigmoid", {"multiply": [[], {"load": "a"}]}]}}


def test_each_node_knows_what_it_takes_its_tensors_from() -> None:
    """By hand: numbers, kinds, paths and sources of a network with every form that leads tensors elsewhere."""
    graph = data_of(spec(ALL_FORMS, blocks=BLOCKS))["graph"]
    assert [(node["id"], node["kind"], node["path"], node["sources"]) for node in graph["nodes"]] == [
        (0, "input", "", []),
        (1, "layer", "stem.0", [0]),
        (2, "save", "stem.1", [1]),
        (3, "save", "body.0.0.0.0", [1]),
        (4, "layer", "body.0.0.0.1", [1]),
        (5, "load", "body.0.0.0.2.1", [1]),
        (6, "multiply", "body.0.0.0.2", [4, 1]),
        (7, "save", "body.0.0.1", [6]),
        (8, "save", "body.0.1.0.0", [6]),
        (9, "layer", "body.0.1.0.1", [6]),
        (10, "load", "body.0.1.0.2.1", [6]),
        (11, "multiply", "body.0.1.0.2", [9, 6]),
        (12, "save", "body.0.1.1", [11]),
        (13, "save", "body.side.0", [11]),
        (14, "load", "body.side.1.0", [11]),
        (15, "load", "body.side.1.1", [6]),
        (16, "add", "body.side.1", [11, 6]),
        (17, "load", "body.2.early", [1]),
        (18, "load", "body.2.late.0", [6]),
        (19, "layer", "body.2.late.1", [6]),
        (20, "output", "body.2.late.2", [19]),
        (21, "concat", "body.2", [11, 1, 19]),
        (22, "output", "body.3", [21]),
        (23, "load", "end.0", [11]),
    ]
    assert {node["id"]: node["saved"] for node in graph["nodes"] if node["kind"] == "load"} == {
        5: 3,
        10: 8,
        14: 13,
        15: 7,
        17: 2,
        18: 7,
        23: 12,
    }
    assert (graph["output"], graph["outputs"], graph["aux"]) == (11, {"late": 19, "joined": 21}, {"side": 16})
    assert [node["id"] for node in graph["nodes"] if node["aux"] == "side"] == [13, 14, 15, 16]


def test_groups_hold_their_nodes_and_stand_in_one_another() -> None:
    graph = data_of(spec(ALL_FORMS, blocks=BLOCKS))["graph"]
    assert [
        (one["kind"], one["path"], one["parent"], one["start"], one["stop"], one["source"], one["result"])
        for one in graph["groups"]
    ] == [
        ("sequence", "", None, 1, 24, 0, 11),
        ("sequence", "stem", 0, 1, 3, 0, 1),
        ("sequence", "body", 0, 3, 23, 1, 21),
        ("for", "body.0", 2, 3, 13, 1, 11),
        ("sequence", "body.0.0", 3, 3, 8, 1, 6),
        ("block", "body.0.0.0", 4, 3, 7, 1, 6),
        ("sequence", "body.0.0.0", 5, 3, 7, 1, 6),
        ("multiply", "body.0.0.0.2", 6, 5, 7, 4, 6),
        ("sequence", "body.0.0.0.2.0", 7, 5, 5, 4, 4),
        ("sequence", "body.0.1", 3, 8, 13, 6, 11),
        ("block", "body.0.1.0", 9, 8, 12, 6, 11),
        ("sequence", "body.0.1.0", 10, 8, 12, 6, 11),
        ("multiply", "body.0.1.0.2", 11, 10, 12, 9, 11),
        ("sequence", "body.0.1.0.2.0", 12, 10, 10, 9, 9),
        ("aux", "body.side", 2, 13, 17, 11, 11),
        ("sequence", "body.side", 14, 13, 17, 11, 16),
        ("add", "body.side.1", 15, 14, 17, 11, 16),
        ("concat", "body.2", 2, 17, 22, 11, 21),
        ("sequence", "body.2.none", 17, 17, 17, 11, 11),
        ("sequence", "body.2.late", 17, 18, 21, 11, 19),
        ("sequence", "end", 0, 23, 24, 21, 11),
    ]
    assert [one["path"] for one in graph["groups"] if one["recompute"]] == ["body.0.0.0", "body.0.1.0"]
    assert [(one["block"], one["path"]) for one in graph["groups"] if one["block"]] == [
        ("mine", "body.0.0.0"),
        ("mine", "body.0.1.0"),
    ]
    for node in graph["nodes"][1:]:
        inside = [one["id"] for one in graph["groups"] if one["start"] <= node["id"] < one["stop"]]
        assert node["parent"] == inside[-1]


def test_a_group_says_which_saved_tensors_cross_its_edge() -> None:
    graph = spec(ALL_FORMS, blocks=BLOCKS).plan.graph
    crossing = {
        (group.path, group.kind): ([one.path for one in cross.takes], [one.path for one in cross.gives])
        for group, cross in zip(graph.groups, graph.group_wires, strict=True)
        if cross.takes or cross.gives
    }
    first, second, third = "stem.1", "body.0.0.1", "body.0.1.1"
    assert crossing == {
        ("stem", "sequence"): ([], [first]),
        ("body", "sequence"): ([first], [third]),
        ("body.0", "for"): ([], [second, third]),
        ("body.0.0", "sequence"): ([], [second]),
        ("body.0.1", "sequence"): ([], [third]),
        ("body.0.0.0.2", "multiply"): (["body.0.0.0.0"], []),
        ("body.0.1.0.2", "multiply"): (["body.0.1.0.0"], []),
        ("body.side", "aux"): ([second], []),
        ("body.side", "sequence"): ([second], []),
        ("body.side.1", "add"): ([second, "body.side.0"], []),
        ("body.2", "concat"): ([first, second], []),
        ("body.2.late", "sequence"): ([second], []),
        ("end", "sequence"): ([third], []),
    }


def test_the_tree_of_groups_holds_every_node_once() -> None:
    graph = spec(ALL_FORMS, blocks=BLOCKS).plan.graph

    def nodes(placed: Any) -> list[int]:
        if not isinstance(placed, GraphGroup):
            return [placed.id]
        below = [id for child in placed.children for id in nodes(child)]
        return [*below, placed.result] if placed.node.is_merge else below

    assert nodes(graph.root) == list(range(1, len(graph.nodes)))
    late = next(node for node in graph.nodes if node.path == "body.2.late.1")
    assert isinstance(late, GraphLayer)
    assert [group.path for group in graph.around(late)] == ["body.2.late", "body.2", "body", ""]
    assert [group.path for group in graph.around(graph.groups[late.parent or 0])] == ["body.2", "body", ""]


def test_a_node_knows_where_it_is_written_and_the_calls_that_led_there() -> None:
    graph = load("googlenet").plan.graph
    merge = next(node for node in graph.nodes if node.kind == "concat")
    assert merge.mark is not None
    assert merge.mark.text.name == "archspec/layers/blocks/inception.yaml"
    assert any(frame.label.startswith("block `inception`") for frame in merge.calls)
    taps = [node for node in load("unet").plan.graph.nodes if isinstance(node, GraphWire)]
    assert {tap.kind for tap in taps} == {"save", "load"}
    assert all(tap.mark is not None and tap.mark.text.name == "specs/unet.yaml" for tap in taps)


def test_a_network_of_one_layer_has_an_input_and_that() -> None:
    graph = data_of(spec("relu"))["graph"]
    assert [(node["kind"], node["path"], node["sources"]) for node in graph["nodes"]] == [
        ("input", "", []),
        ("layer", "", [0]),
    ]
    assert (graph["groups"], graph["output"]) == ([], 1)


def test_checking_walks_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edges are worked out when they are asked for, or a saved tensor is loaded: what stood before may go nowhere."""

    def refused(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(walk, "make_graph", refused)
    result = CliRunner().invoke(cli, ["check", "resnet152", "googlenet"])
    assert result.exit_code == 0, result.output
    with pytest.raises(AssertionError):
        _ = load("digits").plan.layers

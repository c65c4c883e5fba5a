"""The graph in TensorBoard's log, against what torch.fx finds in the built network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import fx, nn

import archspec
from archspec.assembly.assemble import assemble
from archspec.plan.plan import Plan
from archspec.spec import from_dict
from archspec.views import graph
from trainer import session
from trainer.runs import folders as run_folders
from trainer.runs.job import prepare
from trainer.session import Options, resume_run, train

DOCS = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")

MERGING = {
    "archspec": 1,
    "name": "Merging",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": {
        "stem": [{"conv": {"out": 4, "kernel": 3, "padding": 1}}, {"save": "early"}],
        "body": [
            {"add": {"main": ["relu"], "shortcut": []}},
            {"concat": [["sigmoid", "tanh"], [{"load": "early"}]]},
            {"aux": {"name": "side", "weight": 0.3, "body": ["flatten", {"linear": "=num_classes"}]}},
        ],
        "input": ["global_avg_pool", "flatten"],
        "output": [{"linear": "=num_classes"}],
    },
}
NODES = {
    "input_": [],
    "stem/0": ["input_"],
    "body/0/main/0": ["stem/0"],
    "body/0/add": ["body/0/main/0", "stem/0"],
    "body/1/0/0": ["body/0/add"],
    "body/1/0/1": ["body/1/0/0"],
    "body/1/concat": ["body/1/0/1", "stem/0"],
    "body/side/0": ["body/1/concat"],
    "body/side/1": ["body/side/0"],
    "input/0": ["body/1/concat"],
    "input/1": ["input/0"],
    "output/0": ["input/1"],
    "output_": ["output/0"],
    "output_side": ["body/side/1"],
}


def edges(drawn: Any) -> dict[str, list[str]]:
    return {node.name: list(node.input) for node in drawn.node}


def test_merges_saved_tensors_and_side_classifiers_stand_where_they_lead() -> None:
    drawn = graph.graph(from_dict(MERGING, "merging").plan)
    assert edges(drawn) == NODES
    (merged,) = (node for node in drawn.node if node.name == "body/1/concat")
    assert merged.op == "concat"
    assert [size.size for size in merged.attr["_output_shapes"].list.shape[0].dim] == [-1, 8, 8, 8]


def test_a_network_of_one_layer_is_drawn() -> None:
    drawn = graph.graph(from_dict({"archspec": 1, "input": [4], "network": "relu"}, "one").plan)
    assert edges(drawn) == {"input": [], "relu": ["input"], "output": ["relu"]}


class Layers(fx.Tracer):
    """Traces a network down to the plan's layers."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.paths = {placed.path for placed in plan.layers}

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return name in self.paths


def traced(plan: Plan, model: nn.Module) -> dict[str, set[str]]:
    """The layers, or the input, whose results reach each layer and the output with no layer between, as torch sees."""
    reached: dict[fx.Node, set[str]] = {}
    result: dict[str, set[str]] = {}
    for node in Layers(plan).trace(model).nodes:
        before = {one for source in node.all_input_nodes for one in reached[source]}
        reached[node] = before
        if node.op == "placeholder":
            reached[node] = {"input"}
        elif node.op == "call_module":
            reached[node] = {node.target.replace(".", "/")}
            result[node.target.replace(".", "/")] = before
        elif node.op == "output":
            result["output"] = before
    return result


def drawn(plan: Plan) -> dict[str, set[str]]:
    """The same of a graph."""
    nodes = {node.name: node for node in graph.graph(plan).node}
    layers = {placed.path.replace(".", "/") for placed in plan.layers}

    def behind(name: str) -> set[str]:
        return {name} if name in layers or name == "input" else set().union(*map(behind, nodes[name].input))

    result = {name: set().union(*map(behind, nodes[name].input)) for name in layers}
    ends = [node for name, node in nodes.items() if name == "output" or name.startswith("output_")]
    return result | {"output": {one for end in ends for source in end.input for one in behind(source)}}


def documented(name: str) -> Plan:
    (text,) = re.findall(rf"`{name}`:\n\n```yaml\n(.*?)```", DOCS, re.S)
    return from_dict(yaml.safe_load(text), name).plan


@pytest.mark.parametrize(
    "name", ["resnet18", "googlenet", "densenet121", "inception_v3", "shufflenet_v2_x0_5", "unet.yaml", "pyramid.yaml"]
)
def test_layers_are_fed_by_those_that_torch_sees_feeding_them(name: str) -> None:
    plan = (documented(name) if name.endswith(".yaml") else archspec.load(name).plan).without_aux()
    expected = traced(plan, assemble(plan, "meta"))
    assert len(expected) == len(plan.layers) + 1
    assert drawn(plan) == expected


RECIPE = {"train": {"epochs": 2, "validation": 0.2, "batch_size": 100}}


def test_a_run_logs_its_graph_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = prepare(from_dict(MERGING | RECIPE, "merging"), tmp_path)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session, "evaluate_outputs", killed)
        with pytest.raises(KeyboardInterrupt):
            train(job, tmp_path, Options(pictures=False))
    result = resume_run(run_folders.find("merging", tmp_path), None, Options(pictures=False), print)
    log = EventAccumulator(result.folder)
    log.Reload()
    assert edges(log.Graph()) == NODES
    assert "val_accuracy" in log.Tags()["scalars"]
    assert len(list(Path(result.folder).glob(f"*{graph.SUFFIX}"))) == 1


def test_a_graph_that_cannot_be_drawn_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(graph, "write", refused)
    result = train(prepare(from_dict(MERGING | RECIPE, "merging"), tmp_path), tmp_path, Options(pictures=False))
    assert (Path(result.folder) / "results.json").exists()
    assert capsys.readouterr().err == f"note: the graph of {result.folder} is not drawn: no room\n"

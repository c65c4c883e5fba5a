"""Networks of several inputs, and blocks of several tensors, as Python: they compute what the module does, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from assembly.test_random_specs import NETWORKS, checked
from exports.test_python_export import assert_computes_the_same, exported
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from plan.test_tensor_blocks import CELL, EXCHANGE, NECK, conv, spec

from archspec.exports.python import write
from archspec.spec import Spec

PAIR = {"a": [4], "b": [4]}
SUBTRACT = {"inputs": ["left", "right"], "body": [{"subtract": [[], {"load": "right"}]}, {"linear": 2}]}
TWICE = {"inputs": ["x"], "outputs": ["y"], "body": ["tanh", {"add": [[], {"load": "x"}]}, {"save": "y"}]}
SIDE = {"aux": {"name": "side", "weight": 0.3, "body": ["global_avg_pool", "flatten", {"linear": 5}]}}
FORK = {"outputs": ["y", "z"], "body": [conv(3), {"save": "y"}, {"output": "deep"}, SIDE, "relu", {"save": "z"}]}
STAGE = {
    "inputs": ["p", "q"],
    "outputs": ["r", "s"],
    "args": {"count": 2},
    "body": [
        {"exchange": 4, "load": ["p", "q"], "save": ["r", "s"]},
        {"exchange": 4, "load": ["r", "s"], "save": ["r", "s"], "repeat": "=count"},
        {"load": "s"},
    ],
}
TOWER = {"body": [{"conv_norm_act": {"out": 4}}, {"max_pool": 2}, "flatten", {"linear": 5}]}
TWO_LEVELS: list[Any] = [conv(4), {"save": "a"}, conv(8, 3, 2), {"save": "b"}]
EXCHANGES: dict[str, Any] = {"exchange": {"width": 4}, "load": ["a", "b"], "save": ["a", "b"], "repeat": 2}
JOINED: list[Any] = [{"concat": [{"load": "a"}, [{"load": "b"}, {"upsample": 2}]]}, "flatten", {"linear": 5}]
LEVELS = {"for": {"level": ["a", "b", "c"], "width": [4, 6, 8]}, "body": [conv("=width", 3, 2), {"save": "=level"}]}
HEADS = [{"load": "x"}, {"output": "fine"}, {"load": "y"}, {"output": "middle"}, {"load": "z"}]
NEXT = {"cell": None, "load": ["x", "p"], "save": ["x", "p"]}
LINEAR = {"linear": 4}

CASES: dict[str, Any] = {
    "streams": (
        [
            {"conv_norm_act": {"out": 4}},
            {"save": "kept"},
            {"load": "depth"},
            {"conv_norm_act": {"out": 4}},
            {"concat": [{"load": "kept"}, []]},
        ],
        {},
        {"image": [3, 8, 8], "depth": [1, 8, 8]},
    ),
    "siamese": (
        [
            {
                "subtract": {
                    "left": [{"load": "left"}, {"tower": None, "share": "tower"}],
                    "right": [{"load": "right"}, {"share": "tower"}],
                }
            },
            {"power": 2},
        ],
        {"tower": TOWER},
        {"left": [1, 8, 8], "right": [1, 8, 8]},
    ),
    "exchange": ([*TWO_LEVELS, EXCHANGES, *JOINED], {"exchange": EXCHANGE}, (3, 8, 8)),
    "exchange computed again": ([*TWO_LEVELS, {**EXCHANGES, "recompute": True}, *JOINED], {"exchange": EXCHANGE}),
    "neck": (
        {
            "backbone": LEVELS,
            "neck": {"neck": {"width": 4}, "load": ["a", "b", "c"], "save": ["x", "y", "z"]},
            "heads": HEADS,
        },
        {"neck": NECK},
    ),
    "cells": ([{"save": "x"}, {"save": "p"}, {"for": {"i": [1, 2, 3]}, "body": NEXT}], {"cell": CELL}, (3, 8, 8)),
    "shared cell": (
        [{"save": "x"}, {"save": "p"}, {**NEXT, "share": "cell", "repeat": 3}],
        {"cell": CELL},
        (8, 6, 6),
    ),
    "cell in a branch": (
        [
            {"save": "a"},
            {"save": "b"},
            {
                "add": [
                    [{"cell": None, "load": ["a", "b"], "save": ["c", "d"]}],
                    [{"load": "d"}, conv(8)],
                    [conv(8), {"dropout": 0.5}],
                ]
            },
            {"add": [[], [{"load": "c"}, "relu"]]},
        ],
        {"cell": CELL},
        (3, 8, 8),
    ),
    "blocks in blocks": (
        [*TWO_LEVELS, {"stage": None, "load": ["a", "b"], "save": ["a", "b"]}, *JOINED],
        {"exchange": EXCHANGE, "stage": STAGE},
        (3, 8, 8),
    ),
    "two inputs of the network": ({"join": None, "load": ["b", "a"]}, {"join": SUBTRACT}, PAIR),
    "one tensor each": (["relu", {"twice": None}, "sigmoid"], {"twice": TWICE}, (4,)),
    "outputs in a block": (
        [
            {"fork": None, "save": ["a", "b"]},
            {"multiply": [[], {"load": "b"}]},
            {"add": [{"load": "a"}, []]},
        ],
        {"fork": FORK},
        (3, 8, 8),
    ),
    "a layer by itself": (
        [{"save": "a"}, "tanh", {"save": "b"}, {"one": None, "load": "a"}, {"concat": [[], {"load": "b"}]}],
        {"one": {"inputs": ["x"], "body": {"conv": {"out": 2, "kernel": 1}}}},
        (3, 8, 8),
    ),
    "an input called x": (
        [
            {"add": [[], {"load": "x"}]},
            "relu",
            {"output": "o"},
            {"multiply": [[{"load": "x"}], "tanh"]},
            {"output": "p"},
        ],
        {},
        {"y": [4], "x": [4]},
    ),
    "an input called x, computed again": (
        [
            {"add": [[], [{"load": "x"}, LINEAR]], "recompute": True},
            {"for": {"i": [1, 2]}, "body": [LINEAR, {"add": [[], {"load": "x"}]}], "recompute": True},
        ],
        {},
        {"y": [4], "x": [4]},
    ),
    "one input with a name": ([LINEAR, {"add": [[], {"load": "image"}]}], {}, {"image": [4]}),
    "names of two bodies": (
        [{"save": "a"}, "relu", {"inner": None}, LINEAR, {"add": [[], {"load": "a"}]}],
        {"inner": {"body": [LINEAR, {"save": "a"}, {"output": "o"}, "tanh", {"add": [[], {"load": "a"}]}]}},
        (4,),
    ),
    "a join that some calls lack": (
        [{"opt": {"deep": False}}, {"opt": {"deep": True}}],
        {
            "opt": {
                "args": {"deep": True},
                "body": [
                    LINEAR,
                    {"save": "e", "when": "=deep"},
                    LINEAR,
                    {"add": [[], {"load": "e"}], "when": "=deep"},
                    LINEAR,
                ],
            }
        },
        (4,),
    ),
}


def case(name: str) -> Spec:
    return spec(*CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_it_computes_the_same(name: str) -> None:
    assert_computes_the_same(case(name))


def test_texts_are_formatted_and_without_what_a_linter_finds(tmp_path: Path) -> None:
    for number, name in enumerate(CASES):
        (tmp_path / f"case{number}.py").write_text(write(case(name).plan), encoding="utf-8")
    for check in (["format", "--check"], ["check"]):
        found = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--isolated", tmp_path], capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stdout


def test_tensors_go_by_their_names() -> None:
    text = write(case("exchange").plan)
    assert "    def forward(self, high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:" in text
    assert '        a, b = self["4"][0](a, b)\n        a, b = self["4"][1](a, b)\n' in text


def test_a_network_takes_its_inputs_by_name() -> None:
    one = case("streams")
    assert "    def forward(self, image: Tensor, depth: Tensor) -> Tensor:" in write(one.plan)
    assert '    """spec: image `(N, 3, 8, 8)`, depth `(N, 1, 8, 8)` → `(N, 8, 8, 8)`."""' in write(one.plan)
    assert "\nimage 3×8×8, depth 1×8×8 -> 8×8×8, " in write(one.plan)
    theirs, ours = exported(one.plan).eval(), one.build().eval()
    theirs.load_state_dict(ours.state_dict())
    image, depth = torch.randn(2, 3, 8, 8), torch.randn(2, 1, 8, 8)
    assert torch.equal(theirs(depth=depth, image=image), ours(depth=depth, image=image))


def test_an_input_gets_another_name_where_the_file_needs_its_own() -> None:
    one = spec([{"concat": [[], {"load": "torch"}]}], {}, {"F": [4], "torch": [4]})
    assert "    def forward(self, F_: Tensor, torch_: Tensor) -> Tensor:" in write(one.plan)
    assert_computes_the_same(one)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(network=NETWORKS, input=st.sampled_from([(3, 8, 8), (6,)]), second=st.sampled_from(["", "after", "within"]))
def test_random_networks_compute_the_same(network: Any, input: tuple[int, ...], second: str) -> None:
    found = checked(network, input, "none", second)
    assume(not found.diagnostics)
    assert_computes_the_same(found.specs[0])

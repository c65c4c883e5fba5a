"""Initial values that are given by a role are those of the layer that it stands for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from archspec.spec import from_dict


def _build(norm: object, init: object, node: object = "norm", **sections: Any) -> torch.nn.Module:
    spec = {"archspec": 1, "input": [4, 8, 8], "defaults": {"norm": norm, "act": "prelu"}, "network": [node, "act"]}
    return from_dict(spec | {"init": init} | sections).build()


@pytest.mark.parametrize("norm", ["batch_norm", {"group_norm": 2}, "instance_norm", "=which", "layer_norm_2d"])
def test_a_role_is_the_layer_that_it_stands_for(norm: object) -> None:
    init = {"norm": {"weight": 0.5, "bias": 2}, "act": {"weight": 0.125}}
    vars = {"which": "batch_norm"} if norm == "=which" else {}
    if norm == "instance_norm":
        norm = {"instance_norm": {"affine": True}}
    state = _build(norm, init, vars=vars).state_dict()
    assert torch.equal(state["0.weight"], torch.full((4,), 0.5))
    assert torch.equal(state["0.bias"], torch.full((4,), 2.0))
    assert torch.equal(state["1.weight"], torch.full((1,), 0.125))


def test_the_layers_own_name_goes_before_the_role() -> None:
    state = _build("batch_norm", {"batch_norm": {"bias": 3}, "norm": {"weight": 0, "bias": 2}}).state_dict()
    assert (state["0.weight"].unique().item(), state["0.bias"].unique().item()) == (0, 3)


def test_a_role_at_a_node_is_for_that_node_alone() -> None:
    node = {"add": [["norm"], {"norm": None, "init": {"norm": {"weight": 0}}}]}
    state = _build("batch_norm", {"norm": {"weight": 0.5}}, node).state_dict()
    assert state["0.0.0.weight"].unique().item() == 0.5
    assert state["0.1.weight"].unique().item() == 0


@pytest.mark.parametrize("norm", ["none", "local_response_norm"])
def test_a_role_that_has_no_parameters_is_passed_over(norm: str) -> None:
    assert [*_build(norm, {"norm": {"weight": 0}}).state_dict()] == ["1.weight"]

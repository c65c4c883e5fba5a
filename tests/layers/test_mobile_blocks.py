"""Squeeze and excitation, inverted residuals and their kin, against torchvision's modules with the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import efficientnet, mobilenetv2, mobilenetv3, regnet, shufflenetv2

from archspec.spec import from_dict, load


def network(node: Any, channels: int, act: str = "relu") -> nn.Module:
    spec = {"archspec": 1, "input": [channels, 8, 8], "defaults": {"act": act, "norm": "batch_norm"}, "network": [node]}
    return from_dict(spec).build()


def assert_equal(theirs: nn.Module, ours: nn.Module, channels: int) -> None:
    """With the same weights, in the order in which they are made, which is that of their use in all of these."""
    with torch.no_grad():
        for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
            b.copy_(a.normal_(std=0.3))
    images = torch.randn(2, channels, 8, 8)
    for mode in (True, False):
        assert torch.equal(ours.train(mode)(images), theirs.train(mode)(images))


def test_squeeze_excite_is_torchvisions() -> None:
    theirs = torchvision.ops.SqueezeExcitation(16, 5, nn.ReLU, nn.Hardsigmoid)
    ours = network({"squeeze_excite": {"width": 5, "gate": "hardsigmoid"}}, 16)
    assert_equal(theirs, ours, 16)


@pytest.mark.parametrize(("out", "stride", "expansion"), [(16, 1, 6), (24, 1, 6), (16, 2, 6), (16, 1, 1)])
def test_inverted_residual_is_mobilenet_v2s(out: int, stride: int, expansion: int) -> None:
    theirs = mobilenetv2.InvertedResidual(16, out, stride, expansion)
    node = {"inverted_residual": {"out": out, "stride": stride, "expansion": expansion}}
    assert_equal(theirs, network(node, 16, act="relu6"), 16)


@pytest.mark.parametrize("out", [16, 24])
def test_inverted_residual_is_mobilenet_v3s(out: int) -> None:
    config = mobilenetv3.InvertedResidualConfig(16, 5, 72, out, True, "RE", 1, 1, 1.0)
    node = {"inverted_residual": {"out": out, "width": 72, "kernel": 5, "squeeze": 24}}
    ours = from_dict(
        {
            "archspec": 1,
            "input": [16, 8, 8],
            "defaults": {"act": "relu", "norm": "batch_norm", "squeeze_excite": {"gate": "hardsigmoid"}},
            "network": [node],
        }
    ).build()
    assert_equal(mobilenetv3.InvertedResidual(config, nn.BatchNorm2d), ours, 16)


@pytest.mark.parametrize(("out", "stride", "expansion"), [(16, 1, 4), (24, 2, 4), (16, 1, 1), (24, 1, 1)])
def test_fused_inverted_residual_is_efficientnet_v2s(out: int, stride: int, expansion: int) -> None:
    config = efficientnet.FusedMBConvConfig(expansion, 3, stride, 16, out, 1)
    node = {"fused_inverted_residual": {"out": out, "stride": stride, "expansion": expansion}}
    assert_equal(efficientnet.FusedMBConv(config, 0.0, nn.BatchNorm2d), network(node, 16, act="silu"), 16)


@pytest.mark.parametrize("block", ["inverted_residual", "fused_inverted_residual"])
def test_only_blocks_with_a_shortcut_are_dropped(block: str) -> None:
    for out, stride, drops in ((16, 1, 1), (24, 1, 0), (16, 2, 0)):
        ours = network({block: {"out": out, "stride": stride, "drop": 0.5}}, 16)
        assert sum(isinstance(m, torchvision.ops.StochasticDepth) for m in ours.modules()) == drops


@pytest.mark.parametrize("stride", [1, 2])
def test_shuffle_unit_is_torchvisions(stride: int) -> None:
    theirs = shufflenetv2.InvertedResidual(16, 16 if stride == 1 else 32, stride)
    ours = network({"shuffle_unit": {"out": 16 if stride == 1 else 32, "stride": stride}}, 16)
    assert_equal(theirs, ours, 16)


@pytest.mark.parametrize("squeeze", [0, 4])
@pytest.mark.parametrize(("width", "stride"), [(16, 1), (32, 1), (16, 2)])
def test_regnet_block_is_torchvisions(squeeze: int, width: int, stride: int) -> None:
    theirs = regnet.ResBottleneckBlock(
        16, width, stride, nn.BatchNorm2d, nn.ReLU, group_width=8, se_ratio=squeeze / 16 or None
    )
    ours = network({"regnet": {"width": width, "stride": stride, "group_width": 8, "squeeze": squeeze}}, 16)
    assert_equal(theirs, ours, 16)


RATES = ["efficientnet_b0", "efficientnet_b4", "efficientnet_v2_s", "convnext_small", "swin_t", "swin_v2_s", "maxvit_t"]
RATES += ["mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5"]


@pytest.mark.slow
@pytest.mark.parametrize("name", RATES)
def test_rates_of_random_layers_are_torchvisions(name: str) -> None:
    """Stochastic depth grows from block to block; torchvision also gives rates to blocks that have no shortcut."""
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name)
    for module in theirs.modules():
        if not getattr(module, "use_res_connect", True) and hasattr(module, "stochastic_depth"):
            module.stochastic_depth.p = 0.0
    rates = []
    for network in (theirs, load(name).build("meta")):
        random = [m for m in network.modules() if isinstance(m, (nn.Dropout, torchvision.ops.StochasticDepth)) and m.p]
        rates.append(sorted({(type(m).__name__, round(m.p, 12)) for m in random}))
    assert rates[0] == rates[1] != []

"""Blocks that weigh channels and places, and TensorFlow's padding, against their authors' code with the same weights."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from archspec.spec import from_dict


def network(*nodes: Any, shape: tuple[int, ...] = (8, 6, 10)) -> nn.Module:
    defaults = {"act": "relu", "norm": "batch_norm"}
    return from_dict({"archspec": 1, "input": list(shape), "defaults": defaults, "network": list(nodes)}).build()


def assert_equal(theirs: nn.Module, ours: nn.Module, shape: tuple[int, ...] = (8, 6, 10)) -> None:
    """With the same weights, in the order in which they are used, which is that of their making in all of these."""
    with torch.no_grad():
        for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
            b.copy_(a.normal_(std=0.3))
    images = torch.randn(2, *shape)
    for mode in (True, False):
        torch.testing.assert_close(ours.train(mode)(images), theirs.train(mode)(images))


class Eca(nn.Module):
    """https://github.com/BangguWu/ECANet, `eca_module.py`."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.conv = nn.Conv1d(1, 1, kernel_size=kernel, padding=(kernel - 1) // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.avg_pool(x)
        y = self.conv(y.squeeze(-1).transpose(-1, -2)).transpose(-1, -2).unsqueeze(-1)
        return x * torch.sigmoid(y).expand_as(x)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_efficient_channel_attention_is_its_authors(kernel: int) -> None:
    theirs = Eca(kernel)
    ours = network({"efficient_channel_attention": kernel})
    with torch.no_grad():
        (weight,) = ours.parameters()
        weight.copy_(theirs.conv.weight[:, :, None])
    images = torch.randn(2, 8, 6, 10)
    torch.testing.assert_close(ours(images), theirs(images))


class SpatialGate(nn.Module):
    """https://github.com/Jongchan/attention-module, `cbam.py`."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, stride=1, padding=(kernel - 1) // 2, bias=False)
        self.bn = nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        compressed = torch.cat((torch.max(x, 1)[0].unsqueeze(1), torch.mean(x, 1).unsqueeze(1)), dim=1)
        return x * torch.sigmoid(self.bn(self.conv(compressed)))


@pytest.mark.parametrize("kernel", [3, 7])
def test_spatial_attention_is_its_authors(kernel: int) -> None:
    assert_equal(SpatialGate(kernel), network({"spatial_attention": kernel}))


class CoordinateAttention(nn.Module):
    """https://github.com/houqb/CoordAttention, `coordatt.py`."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, kernel_size=1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv_h = nn.Conv2d(width, channels, kernel_size=1)
        self.conv_w = nn.Conv2d(width, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        x_h = functional.adaptive_avg_pool2d(x, (None, 1))  # type: ignore[arg-type]
        x_w = functional.adaptive_avg_pool2d(x, (1, None)).permute(0, 1, 3, 2)  # type: ignore[arg-type]
        y = functional.hardswish(self.bn1(self.conv1(torch.cat([x_h, x_w], dim=2))))
        x_h, x_w = torch.split(y, [height, width], dim=2)
        a_h = self.conv_h(x_h).sigmoid()
        a_w = self.conv_w(x_w.permute(0, 1, 3, 2)).sigmoid()
        return x * a_w * a_h


@pytest.mark.parametrize("shape", [(8, 6, 10), (8, 7, 1), (8, 1, 3)])
def test_coordinate_attention_is_its_authors(shape: tuple[int, ...]) -> None:
    assert_equal(CoordinateAttention(8, 5), network({"coordinate_attention": {"width": 5}}, shape=shape), shape)


def padded_as_tensorflow(x: Tensor, kernel: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    """timm's `pad_same`, of the notes on padding in TensorFlow's documentation."""
    sides: list[int] = []
    for axis in (1, 0):
        size = x.shape[2 + axis]
        total = (math.ceil(size / stride[axis]) - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1 - size
        sides += [max(total, 0) // 2, max(total, 0) - max(total, 0) // 2]
    return functional.pad(x, sides)


def test_same_pad_is_tensorflows_padding() -> None:
    random = Random(0)
    for _ in range(40):
        kernel, stride, dilation = ([random.randint(1, 4) for _ in range(2)] for _ in range(3))
        shape = (2, random.randint(1, 9), random.randint(1, 9))
        arguments = {"kernel": kernel, "stride": stride, "dilation": dilation}
        ours = network({"same_pad": arguments}, {"conv": {"out": 3, **arguments}}, shape=shape)
        weight, bias = ours.parameters()
        images = torch.randn(2, *shape)
        padded = padded_as_tensorflow(images, kernel, stride, dilation)
        expected = functional.conv2d(padded, weight, bias, tuple(stride), 0, tuple(dilation))
        result = ours(images)
        assert torch.equal(result, expected)
        assert result.shape[2:] == (math.ceil(shape[1] / stride[0]), math.ceil(shape[2] / stride[1]))


def test_same_pad_takes_numbers_for_both_axes() -> None:
    one, two = ({"same_pad": {"kernel": k, "stride": s}} for k, s in ((3, 2), ([3, 3], [2, 2])))
    images = torch.randn(2, 3, 8, 7)
    assert torch.equal(network(one, shape=(3, 8, 7))(images), network(two, shape=(3, 8, 7))(images))

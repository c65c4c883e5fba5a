"""Blocks that split, join and share, and a recursive network, against their authors' code with the same weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archspec
from archspec.spec import from_dict


def network(*nodes: Any, shape: tuple[int, ...]) -> nn.Module:
    defaults = {"act": "relu", "norm": "batch_norm"}
    return from_dict({"archspec": 1, "input": list(shape), "defaults": defaults, "network": list(nodes)}).build()


def assert_equal(theirs: nn.Module, ours: nn.Module, shape: tuple[int, ...]) -> None:
    """With the same weights and statistics, in the order of their making: outputs and gradients, to the bit."""
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=0.3)
        for name, buffer in theirs.named_buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 2) if name.endswith("var") else buffer.normal_()
    given = theirs.state_dict().values()
    own = ours.state_dict()
    ours.load_state_dict({name: one.reshape(own[name].shape) for name, one in zip(own, given, strict=True)})
    images = torch.randn(2, *shape)
    for mode in (False, True):
        results = []
        for module in (ours.train(mode), theirs.train(mode)):
            taken = images.clone().requires_grad_()
            output = module(taken)
            grads = torch.autograd.grad(output.square().sum(), [taken, *module.parameters()])
            results.append([output, *(one.flatten() for one in grads)])
        assert torch.equal(results[0][0], results[1][0])
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def conv(channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True) -> nn.Sequential:
    made = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(made, nn.BatchNorm2d(out), *([nn.ReLU()] if act else []))


class ChannelGate(nn.Module):
    """https://github.com/Jongchan/attention-module, `cbam.py`."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Conv2d(channels, width, 1), nn.ReLU(), nn.Conv2d(width, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        mean, largest = nn.functional.adaptive_avg_pool2d(x, 1), nn.functional.adaptive_max_pool2d(x, 1)
        return x * torch.sigmoid(self.mlp(mean) + self.mlp(largest))


class SpatialGate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 1, 7, padding=3, bias=False), nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        compressed = torch.cat((torch.max(x, 1)[0].unsqueeze(1), torch.mean(x, 1).unsqueeze(1)), dim=1)
        return x * torch.sigmoid(self.norm(self.conv(compressed)))


def test_cbam_is_its_authors() -> None:
    theirs = nn.Sequential(ChannelGate(16, 3), SpatialGate())
    ours = network({"cbam": {"width": 3}}, shape=(16, 6, 9))
    assert_equal(theirs, ours, (16, 6, 9))


class Ghost(nn.Module):
    """https://github.com/huawei-noah/Efficient-AI-Backbones, `ghostnet.py`."""

    def __init__(
        self, channels: int, out: int, kernel: int = 1, ratio: int = 2, act: bool = True, stride: int = 1
    ) -> None:
        super().__init__()
        self.out, inner = out, math.ceil(out / ratio)
        self.primary = conv(channels, inner, kernel, stride, act=act)
        self.cheap = conv(inner, inner * (ratio - 1), 3, groups=inner, act=act)

    def forward(self, x: Tensor) -> Tensor:
        first = self.primary(x)
        return torch.cat([first, self.cheap(first)], 1)[:, : self.out]


class GhostBottleneck(nn.Module):
    def __init__(self, channels: int, middle: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = Ghost(channels, middle)
        self.down = conv(middle, middle, 3, stride, middle, act=False) if stride > 1 else nn.Identity()
        self.second = Ghost(middle, out, act=False)
        same = channels == out and stride == 1
        side = [conv(channels, channels, 3, stride, channels, act=False), conv(channels, out, 1, act=False)]
        self.shortcut = nn.Sequential(*([] if same else side))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.down(self.first(x))) + self.shortcut(x)


@pytest.mark.parametrize(("out", "more"), [(8, {}), (9, {}), (8, {"kernel": 3, "ratio": 4, "stride": 2})], ids=str)
def test_ghost_is_its_authors(out: int, more: dict[str, int]) -> None:
    assert_equal(Ghost(6, out, **more), network({"ghost": {"out": out, **more}}, shape=(6, 7, 8)), (6, 7, 8))


@pytest.mark.parametrize(("out", "stride"), [(6, 1), (8, 1), (6, 2)])
def test_ghost_bottleneck_is_its_authors(out: int, stride: int) -> None:
    ours = network({"ghost_bottleneck": {"out": out, "width": 12, "stride": stride}}, shape=(6, 8, 8))
    assert_equal(GhostBottleneck(6, 12, out, stride), ours, (6, 8, 8))


class Bottle2neck(nn.Module):
    """https://github.com/Res2Net/Res2Net-PretrainedModels, `res2net.py`."""

    def __init__(self, channels: int, width: int, stride: int, scales: int, apart: bool) -> None:
        super().__init__()
        self.width, self.apart = math.floor(width * 26 / 64), apart
        self.first = conv(channels, self.width * scales, 1)
        self.convs = nn.ModuleList(conv(self.width, self.width, 3, stride) for _ in range(scales - 1))
        self.pool = nn.AvgPool2d(3, stride, 1) if apart else nn.Identity()
        self.last = conv(self.width * scales, 4 * width, 1, act=False)
        self.down = conv(channels, 4 * width, 1, stride, act=False) if apart else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        parts, done = torch.split(self.first(x), self.width, 1), []
        for i, one in enumerate(self.convs):
            part = parts[i] if i == 0 or self.apart else done[-1] + parts[i]
            done.append(one(part))
        return torch.relu(self.last(torch.cat([*done, self.pool(parts[-1])], 1)) + self.down(x))


@pytest.mark.parametrize(("channels", "stride", "scales"), [(64, 1, 4), (64, 2, 4), (16, 1, 3), (64, 1, 2)])
def test_res2net_is_its_authors(channels: int, stride: int, scales: int) -> None:
    theirs = Bottle2neck(channels, 16, stride, scales, apart=stride > 1 or channels != 64)
    ours = network({"res2net": {"width": 16, "stride": stride, "scales": scales}}, shape=(channels, 8, 8))
    assert_equal(theirs, ours, (channels, 8, 8))


class Basic(nn.Module):
    """https://github.com/ucbdrive/dla, `dla.py`, with the projection of the shortcut in the block that uses it."""

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.main = nn.Sequential(conv(channels, width, 3, stride), conv(width, width, 3, act=False))
        self.down = nn.MaxPool2d(stride) if stride > 1 else nn.Identity()
        self.project = conv(channels, width, 1, act=False) if channels != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.main(x) + self.project(self.down(x)))


class Tree(nn.Module):
    def __init__(
        self, levels: int, channels: int, width: int, stride: int = 1, keep: bool = False, root: int = 0
    ) -> None:
        super().__init__()
        root = (root or 2 * width) + keep * channels
        self.down = nn.MaxPool2d(stride) if stride > 1 else nn.Identity()
        self.levels, self.keep = levels, keep
        if levels == 1:
            self.first, self.second = Basic(channels, width, stride), Basic(width, width)
            self.root = conv(root, width, 1)
        else:
            self.first = Tree(levels - 1, channels, width, stride)
            self.second = Tree(levels - 1, width, width, root=root + width)

    def forward(self, x: Tensor, children: tuple[Tensor, ...] = ()) -> Tensor:
        children = (*children, self.down(x)) if self.keep else children
        first = self.first(x)
        if self.levels > 1:
            return self.second(first, (*children, first))
        return self.root(torch.cat([self.second(first), first, *children], 1))


@pytest.mark.parametrize("levels", [(1, 2), (1, 3)])
def test_deep_layer_aggregation_by_recursion_is_its_authors(levels: tuple[int, int]) -> None:
    widths = [4, 4, 6, 8, 12]
    changes = {"widths": widths, "levels": [1, 1, *levels, 1], "num_classes": 5}
    spec = archspec.load(str(Path(__file__).parent / "dla.yaml"), vars=changes, set=["input=[3, 32, 32]"])
    trees = [
        Tree(level, channels, width, 2, keep)
        for level, channels, width, keep in zip(
            (*levels, 1), widths[1:-1], widths[2:], (False, True, True), strict=True
        )
    ]
    base = [conv(3, 4, 7), conv(4, 4, 3), conv(4, 4, 3, 2)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Conv2d(12, 5, 1), nn.Flatten()]
    assert_equal(nn.Sequential(*base, *trees, *head), spec.build(), (3, 32, 32))


def test_dla_34_has_its_published_size() -> None:
    """15,742,104 parameters, as timm's `dla34`."""
    assert archspec.load(str(Path(__file__).parent / "dla.yaml")).plan.params == 15_742_104

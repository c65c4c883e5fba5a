"""Networks of the field that need newer layers, against modules written out by hand with the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from archspec.spec import from_dict


def built(network: list[Any], shape: tuple[int, ...]) -> nn.Module:
    module = from_dict({"archspec": 1, "input": list(shape), "network": network}).build()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def assert_same(ours: nn.Module, theirs: nn.Module, shape: tuple[int, ...]) -> None:
    """The same output, and the same gradients of the input and of every parameter, with our weights in their order."""
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    images = torch.randn(3, *shape)
    results = []
    for module in (ours, theirs):
        given = images.clone().requires_grad_()
        output = module(given)
        results.append([output, *torch.autograd.grad(output.square().sum(), [given, *module.parameters()])])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other.reshape(one.shape), rtol=1e-3, atol=1e-4)


class ScaledStdConv(nn.Conv2d):
    """As timm's: batch normalisation of the weights, a channel of it for each output channel."""

    def __init__(self, channels: int, out: int, kernel: int, *, gain: bool, **more: Any) -> None:
        super().__init__(channels, out, kernel, **more)
        bias = self.bias
        del self.bias
        self.gain = nn.Parameter(torch.ones(out, 1, 1, 1)) if gain else None
        self.bias = bias  # after the gain, as ours

    def forward(self, input: Tensor) -> Tensor:
        scale = None if self.gain is None else (self.gain * self.weight[0].numel() ** -0.5).view(-1)
        weight = self.weight.reshape(1, self.out_channels, -1)
        weight = functional.batch_norm(weight, None, None, scale, training=True, momentum=0.0, eps=1e-6)
        return self._conv_forward(input, weight.reshape_as(self.weight), self.bias)


@pytest.mark.parametrize("gain", [True, False])
def test_ws_conv_standardises_as_timm_does(gain: bool) -> None:
    ours = built(
        [{"ws_conv": {"out": 6, "kernel": 3, "padding": 1, "stride": 2, "groups": 2, "gain": gain}}], (4, 9, 9)
    )
    assert_same(ours, ScaledStdConv(4, 6, 3, gain=gain, padding=1, stride=2, groups=2), (4, 9, 9))


def test_an_nf_resnet_branch() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = ScaledStdConv(4, 4, 3, gain=True, padding=1)
            self.factor = nn.ParameterList([nn.Parameter(torch.zeros(()))])

        def forward(self, input: Tensor) -> Tensor:
            return input + self.factor[0] * self.conv(functional.relu(input))

    main = ["relu", {"ws_conv": {"out": 4, "kernel": 3, "padding": 1}}, "learned_factor"]
    assert_same(built([{"add": [main, []]}], (4, 8, 8)), Block(), (4, 8, 8))


def test_a_convnext_v2_block() -> None:
    class Block(nn.Module):
        """As the paper's, which keeps channels last."""

        def __init__(self) -> None:
            super().__init__()
            self.depthwise = nn.Conv2d(4, 4, 7, padding=3, groups=4)
            self.norm = nn.LayerNorm(4, eps=1e-6)
            self.expand = nn.Conv2d(4, 16, 1)
            self.scales = nn.ParameterList([nn.Parameter(torch.zeros(16)) for _ in range(2)])
            self.project = nn.Conv2d(16, 4, 1)

        def forward(self, input: Tensor) -> Tensor:
            x = self.norm(self.depthwise(input).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            x = functional.gelu(self.expand(x)).permute(0, 2, 3, 1)
            gamma, beta = self.scales
            norm = torch.norm(x, p=2, dim=(1, 2), keepdim=True)
            x = gamma * (x * (norm / (norm.mean(dim=-1, keepdim=True) + 1e-6))) + beta + x
            return input + self.project(x.permute(0, 3, 1, 2))

    main: list[Any] = [
        {"conv": {"out": 4, "kernel": 7, "padding": 3, "groups": 4}},
        {"layer_norm_2d": {"eps": 1e-6}},
        {"conv": {"out": 16, "kernel": 1}},
        "gelu",
        "global_response_norm",
        {"conv": {"out": 4, "kernel": 1}},
    ]
    ours = built([{"add": [main, []]}], (4, 8, 8))
    assert_same(ours, Block(), (4, 8, 8))


def test_a_1d_resnet_of_ecgs() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv1d(2, 2, 7, padding=3), nn.BatchNorm1d(2)
            self.head = nn.Linear(2, 5)

        def forward(self, input: Tensor) -> Tensor:
            x = functional.relu(input + self.norm(self.conv(input)))
            return self.head(functional.max_pool1d(x, 3, 2, 1).mean(-1))

    main = [{"conv_1d": {"out": 2, "kernel": 7, "padding": 3}}, "batch_norm_1d"]
    pool = {"max_pool_1d": {"kernel": 3, "stride": 2, "padding": 1}}
    ours = built([{"add": [main, []]}, "relu", pool, "global_avg_pool_1d", "flatten", {"linear": 5}], (2, 50))
    assert_same(ours, Block(), (2, 50))


def test_the_stem_of_r2plus1d() -> None:
    theirs = nn.Sequential(
        nn.Conv3d(3, 5, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
        nn.BatchNorm3d(5),
        nn.ReLU(),
        nn.Conv3d(5, 8, (3, 1, 1), padding=(1, 0, 0), bias=False),
    )
    first = {"out": 5, "kernel": [1, 7, 7], "stride": [1, 2, 2], "padding": [0, 3, 3], "bias": False}
    second = {"out": 8, "kernel": [3, 1, 1], "padding": [1, 0, 0], "bias": False}
    ours = built([{"conv_3d": first}, "batch_norm_3d", "relu", {"conv_3d": second}], (3, 4, 12, 12))
    assert_same(ours, theirs, (3, 4, 12, 12))


SMALLER: list[tuple[str, dict[str, Any], nn.Module, tuple[int, ...]]] = [
    (
        "conv_transpose_1d",
        {"out": 6, "kernel": 4, "stride": 2, "padding": 1, "groups": 2},
        nn.ConvTranspose1d(4, 6, 4, 2, 1, groups=2),
        (4, 9),
    ),
    (
        "conv_transpose_3d",
        {"out": 4, "kernel": [1, 3, 3], "stride": [1, 2, 2], "output_padding": [0, 1, 0], "bias": False},
        nn.ConvTranspose3d(2, 4, (1, 3, 3), (1, 2, 2), output_padding=(0, 1, 0), bias=False),
        (2, 3, 4, 5),
    ),
    ("upsample_1d", {"scale": 3, "mode": "linear"}, nn.Upsample(scale_factor=3, mode="linear"), (3, 7)),
    ("upsample_3d", {"scale": [1, 2, 3]}, nn.Upsample(scale_factor=(1.0, 2.0, 3.0)), (2, 3, 4, 5)),
    (
        "upsample_3d",
        {"size": [4, 7, 3], "mode": "trilinear", "align_corners": True},
        nn.Upsample((4, 7, 3), mode="trilinear", align_corners=True),
        (2, 3, 4, 5),
    ),
    ("pad_1d", {"size": [2, 0]}, nn.ConstantPad1d((2, 0), 0.0), (3, 5)),
    ("pad_1d", {"size": 3, "mode": "reflect"}, nn.ReflectionPad1d(3), (3, 5)),
    ("pad_3d", {"size": [1, 0, 2], "mode": "replicate"}, nn.ReplicationPad3d((2, 2, 0, 0, 1, 1)), (2, 3, 4, 5)),
    ("pad_3d", {"size": [1, 0, 2, 0, 0, 3], "value": 0.5}, nn.ConstantPad3d((1, 0, 2, 0, 0, 3), 0.5), (2, 3, 4, 5)),
]


@pytest.mark.parametrize(("name", "arguments", "theirs", "shape"), SMALLER, ids=[one[0] for one in SMALLER])
def test_sequences_and_volumes_are_enlarged_and_padded_as_by_torch(
    name: str, arguments: dict[str, Any], theirs: nn.Module, shape: tuple[int, ...]
) -> None:
    assert_same(built([{name: arguments}], shape), theirs, shape)


def test_blur_pool_is_a_convolution_with_binomial_weights() -> None:
    class Blur(nn.Module):
        def forward(self, input: Tensor) -> Tensor:
            row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
            x = functional.pad(input, (2, 2, 2, 2), mode="reflect").unfold(2, 5, 2).unfold(3, 5, 2)
            return torch.einsum("nchwij,i,j->nchw", x, row, row)

    assert_same(built([{"blur_pool": 5}], (3, 9, 12)), Blur(), (3, 9, 12))


@pytest.mark.parametrize(("by", "axis"), [("mean", 0), ("sum", 1), ("max", 2), ("min", 0), ("norm", 1)])
def test_reduce_keeps_or_leaves_out_its_axis(by: str, axis: int) -> None:
    images = torch.randn(2, 3, 4, 5)
    taken = {"max": torch.amax, "min": torch.amin, "norm": lambda x, i: x.square().sum(i).sqrt()}
    expected = taken.get(by, getattr(torch, by, None))(images, axis + 1)  # type: ignore[misc]
    torch.testing.assert_close(
        built([{"reduce": {"by": by, "axis": axis, "keep": False}}], (3, 4, 5))(images), expected
    )
    kept = built([{"reduce": {"by": by, "axis": axis}}], (3, 4, 5))(images)
    torch.testing.assert_close(kept, expected.unsqueeze(axis + 1))


def test_powers_and_roots() -> None:
    images = torch.rand(2, 3) + 1
    for node, expected in (({"power": -1}, 1 / images), ({"power": 2}, images * images), ("sqrt", images**0.5)):
        torch.testing.assert_close(built([node], (3,))(images), expected)


def test_branches_are_dropped_but_one_survives() -> None:
    """Of three branches of ones, twos and fours, the mean of those that survive in each sample, with p = 0.6."""
    spec = from_dict({"archspec": 1, "input": [3, 2, 2], "network": [{"branch_mean": {"branches": 3, "p": 0.6}}]})
    ours = spec.build().train()
    images = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1).expand(20_000, 3, 2, 2)
    torch.manual_seed(0)
    output = ours(images)
    assert torch.equal(output, output[:, :, :1, :1].expand(-1, -1, 2, 2))
    means = {(1, 2, 4): 7 / 3, (1, 2): 1.5, (1, 4): 2.5, (2, 4): 3.0, (1,): 1.0, (2,): 2.0, (4,): 4.0}
    for survivors, mean in means.items():
        share = 0.4 ** len(survivors) * 0.6 ** (3 - len(survivors)) + (0.6**3 / 3 if len(survivors) == 1 else 0)
        assert abs((output[:, 0, 0, 0] - mean).abs().lt(1e-5).float().mean().item() - share) < 0.015
    torch.testing.assert_close(ours.eval()(images[:2]), torch.full((2, 1, 2, 2), 7 / 3))

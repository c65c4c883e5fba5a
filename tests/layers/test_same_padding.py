"""`padding: same` with a stride, against the formula of TensorFlow's notes on padding and torch's own padding."""

from __future__ import annotations

import math
import pickle
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from archspec.spec import from_dict


def padded(x: Tensor, kernel: list[int], stride: list[int], dilation: list[int]) -> Tensor:
    """timm's `pad_same`, for any number of axes."""
    sides: list[int] = []
    for axis in reversed(range(len(kernel))):
        size = x.shape[2 + axis]
        total = (math.ceil(size / stride[axis]) - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1 - size
        sides += [max(total, 0) // 2, max(total, 0) - max(total, 0) // 2]
    return functional.pad(x, sides)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch's own, where no stride is above 1
@pytest.mark.parametrize(("name", "axes"), [("conv", 2), ("conv_1d", 1), ("conv_3d", 3)])
def test_strided_same_padding_is_tensorflows(name: str, axes: int) -> None:
    random = Random(0)
    for _ in range(25):
        kernel, stride, dilation = ([random.randint(1, 4) for _ in range(axes)] for _ in range(3))
        shape = (2, *(random.randint(1, 8) for _ in range(axes)))
        given = {"kernel": kernel, "stride": stride, "dilation": dilation}
        written = {key: value[0] if axes == 1 else value for key, value in given.items()}
        spec = from_dict(
            {"archspec": 1, "input": list(shape), "network": [{name: {"out": 3, "padding": "same", **written}}]}
        )
        assert spec.plan.output[1:] == tuple(math.ceil(n / s) for n, s in zip(shape[1:], stride, strict=True))
        ours = pickle.loads(pickle.dumps(spec.build()))
        assert list(ours.state_dict()) == ["0.weight", "0.bias"]
        images = torch.randn(2, *shape, requires_grad=True)
        convolve: Any = getattr(functional, f"conv{axes}d")
        expected = convolve(padded(images, kernel, stride, dilation), *ours.parameters(), stride, 0, dilation)
        result = ours(images)
        assert torch.equal(result, expected)
        used = [images, *ours.parameters()]
        grads = (torch.autograd.grad(one.square().sum(), used) for one in (result, expected))
        for one, other in zip(*grads, strict=True):
            torch.testing.assert_close(one, other)


def test_a_strided_convolution_that_is_shared_pads_each_size_by_itself() -> None:
    node = {"conv": {"out": 2, "kernel": 3, "stride": 2, "padding": "same"}, "share": "x"}
    branches = [[node, "flatten"], [{"pad": [0, 1, 0, 1]}, {"share": "x"}, "flatten"]]
    spec = from_dict({"archspec": 1, "input": [2, 6, 6], "network": [{"concat": branches}]})
    images = torch.randn(2, 2, 6, 6)
    ours = spec.build()
    assert spec.plan.output == (18 + 32,)
    halves = [functional.pad(images, (0, more, 0, more)) for more in (0, 1)]
    parts = [functional.conv2d(padded(x, [3, 3], [2, 2], [1, 1]), *ours.parameters(), 2).flatten(1) for x in halves]
    assert torch.equal(ours(images), torch.cat(parts, 1))


def test_the_stem_of_efficientnet_as_tensorflow_pads_it() -> None:
    spec = from_dict(
        {
            "archspec": 1,
            "input": [3, 224, 224],
            "defaults": {"act": "silu", "norm": "batch_norm"},
            "network": [{"conv_norm_act": {"out": 32, "stride": 2, "padding": "same"}}],
        }
    )
    assert spec.plan.output == (32, 112, 112)
    ours = spec.build().eval()
    images = torch.randn(1, 3, 224, 224)
    exported = torch.export.export(ours, (images,)).module()
    torch.testing.assert_close(exported(images), ours(images))

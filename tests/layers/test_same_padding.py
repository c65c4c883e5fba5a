"""`padding: same` with a stride, and padding of each side by itself, against the formula of TensorFlow's notes on padding and torch's own padding."""

from __future__ import annotations

import math
import pickle
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from archspec.foundation.errors import SpecError
from archspec.spec import from_dict


def padded(x: Tensor, kernel: list[int], stride: list[int], dilation: list[int], value: float = 0) -> Tensor:
    """timm's `pad_same`, for any number of axes."""
    sides: list[int] = []
    for axis in reversed(range(len(kernel))):
        size = x.shape[2 + axis]
        total = (math.ceil(size / stride[axis]) - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1 - size
        sides += [max(total, 0) // 2, max(total, 0) - max(total, 0) // 2]
    return functional.pad(x, sides, value=value)


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "axes"), [("", 2), ("_1d", 1), ("_3d", 3)])
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_pools_pad_as_tensorflow_does(kind: str, ending: str, axes: int) -> None:
    """Maxima are those of the input alone, and means count what is of the input alone."""
    random = Random(1)
    for _ in range(25):
        kernel, stride = ([random.randint(1, 4) for _ in range(axes)] for _ in range(2))
        dilation = [random.randint(1, 2) if kind == "max" else 1 for _ in range(axes)]
        shape = (2, *(random.randint(2, 8) for _ in range(axes)))
        given: dict[str, Any] = {"kernel": kernel, "stride": stride}
        given |= {"dilation": dilation} if kind == "max" else {}
        written = {key: value[0] if axes == 1 else value for key, value in given.items()}
        written |= {} if kind == "max" else {"count_include_pad": False}
        node = {f"{kind}_pool{ending}": {"padding": "same", **written}}
        spec = from_dict({"archspec": 1, "input": list(shape), "network": [node]})
        ours = pickle.loads(pickle.dumps(spec.build()))
        images = torch.randn(2, *shape, requires_grad=True)
        pool: Any = getattr(functional, f"{kind}_pool{axes}d")
        if kind == "max":
            filled = padded(images, kernel, stride, dilation, -math.inf)
            expected = pool(filled, kernel, stride, dilation=dilation)
        else:
            filled, inside = (padded(one, kernel, stride, dilation) for one in (images, torch.ones_like(images)))
            expected = pool(filled, kernel, stride) / pool(inside, kernel, stride)
        result = ours(images)
        assert tuple(result.shape[1:]) == spec.plan.output
        torch.testing.assert_close(result, expected)
        grads = (torch.autograd.grad(one.square().sum(), images)[0] for one in (result, expected))
        torch.testing.assert_close(*grads)
        if kind == "avg":
            assert torch.equal(ours(torch.ones(1, *shape)), torch.ones(1, *spec.plan.output))


def test_what_same_means_of_a_mean_has_to_be_said() -> None:
    with pytest.raises(SpecError) as caught:
        from_dict({"archspec": 1, "input": [3, 7, 7], "network": [{"avg_pool": {"kernel": 3, "padding": "same"}}]})
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.message, diagnostic.help) == (
        "input-shape",
        "`padding: same` of `avg_pool` would count the zeros that it adds, which TensorFlow's does not",
        "write `count_include_pad: false`; to count them, put `same_pad` before it",
    )


@pytest.mark.parametrize(
    ("name", "axes", "padding"),
    [
        ("conv", 2, [[0, 1], [2, 0]]),
        ("conv", 2, [1, [0, 2]]),
        ("ws_conv", 2, [[1, 0], 1]),
        ("conv_1d", 1, [4, 0]),
        ("conv_3d", 3, [[2, 0], 1, [0, 1]]),
    ],
)
def test_each_side_is_padded_by_itself(name: str, axes: int, padding: list[Any]) -> None:
    kernel, shape = [3, 2, 3][:axes], (4, 9, 8, 7)[: axes + 1]
    given = {"out": 6, "kernel": kernel[0] if axes == 1 else kernel, "stride": 2, "groups": 2, "padding": padding}
    spec = from_dict({"archspec": 1, "input": list(shape), "network": [{name: given}]})
    ours = pickle.loads(pickle.dumps(spec.build()))
    sides = [padding] if axes == 1 else [[one, one] if isinstance(one, int) else one for one in padding]
    images = torch.randn(2, *shape)
    around = functional.pad(images, [one for both in reversed(sides) for one in both])
    plain = from_dict(
        {"archspec": 1, "input": list(around.shape[1:]), "network": [{name: given | {"padding": 0}}]}
    ).build()
    plain.load_state_dict(ours.state_dict())
    assert torch.equal(ours(images), plain(around))
    assert tuple(ours(images).shape[1:]) == spec.plan.output


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            {"conv": {"out": 8, "kernel": 3, "padding": [0, 1, 0, 1]}},
            "`padding` of `conv` must be an integer ≥ 0, a list [height, width] of such or of lists [before, after], "
            "or `same`, not the list [0, 1, 0, 1]",
        ),
        (
            {"conv": {"out": 8, "kernel": 3, "padding": -1}},
            "`padding` of `conv` must be an integer ≥ 0, a list [height, width] of such or of lists [before, after], "
            "or `same`, not the number -1",
        ),
        (
            {"conv_1d": {"out": 8, "kernel": 3, "padding": [1, 2, 3]}},
            "`padding` of `conv_1d` must be an integer ≥ 0, a list [before, after] of such, or `same`, not the list [1, 2, 3]",
        ),
    ],
)
def test_padding_in_another_form_is_refused(node: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        from_dict({"archspec": 1, "input": [3, 7, 7], "network": [node]})
    assert [one.message for one in caught.value.diagnostics] == [message]


SIDED = [
    ("max_pool", 2),
    ("avg_pool", 2),
    ("max_pool_1d", 1),
    ("avg_pool_1d", 1),
    ("max_pool_3d", 3),
    ("avg_pool_3d", 3),
]


@pytest.mark.parametrize(("name", "axes"), SIDED)
def test_pools_pad_each_side_by_itself(name: str, axes: int) -> None:
    """As torch pools what is padded before; no window sees what was added alone, and means count it or do not."""
    random = Random(2)
    accepted = refused = 0
    for _ in range(40):
        kernel, stride = ([random.randint(1, 4) for _ in range(axes)] for _ in range(2))
        dilation = [random.randint(1, 3) if name.startswith("max") else 1 for _ in range(axes)]
        shape = (2, *(random.randint(1, 7) for _ in range(axes)))
        sides = [[random.randint(0, k - 1), random.randint(0, k - 1)] for k in kernel]
        if all(before == after for before, after in sides):
            continue
        given: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": sides}
        if name.startswith("max"):
            given["dilation"] = dilation
        written = {key: value[0] if axes == 1 else value for key, value in given.items()}
        counts = random.random() < 0.5
        written |= {} if name.startswith("max") else {"count_include_pad": counts}
        starts = [
            range(-before, n + after - d * (k - 1), s)
            for n, k, s, d, (before, after) in zip(shape[1:], kernel, stride, dilation, sides, strict=True)
        ]
        seen = all(
            any(0 <= start + d * tap < n for tap in range(k))
            for n, k, d, along in zip(shape[1:], kernel, dilation, starts, strict=True)
            for start in along
        )
        data = {"archspec": 1, "input": list(shape), "network": [{name: written}]}
        if not seen or not all(starts):
            refused += 1
            with pytest.raises(
                SpecError, match="would see padding only" if all(starts) else "is larger than its padded"
            ):
                from_dict(data)
            continue
        accepted += 1
        spec = from_dict(data)
        ours = pickle.loads(pickle.dumps(spec.build()))
        images = torch.randn(2, *shape, requires_grad=True)
        around = [one for both in reversed(sides) for one in both]
        pool: Any = getattr(functional, f"{name[:3]}_pool{axes}d")
        if name.startswith("max"):
            expected = pool(functional.pad(images, around, value=-math.inf), kernel, stride, dilation=dilation)
        else:
            expected = pool(functional.pad(images, around), kernel, stride)
            if not counts:
                expected = expected / pool(functional.pad(torch.ones_like(images), around), kernel, stride)
        result = ours(images)
        assert tuple(result.shape[1:]) == spec.plan.output == (2, *map(len, starts))
        assert result.isfinite().all()
        torch.testing.assert_close(result, expected)
        grads = (torch.autograd.grad(one.square().sum(), images)[0] for one in (result, expected))
        torch.testing.assert_close(*grads)
    assert accepted > 10
    assert refused > 1


@pytest.mark.parametrize(
    ("node", "message", "help"),
    [
        (
            {"max_pool": {"kernel": 3, "padding": [[0, 3], 0]}},
            "`padding` of `max_pool` adds 3 on one side, and its kernel has 3",
            "a side takes less than the kernel, so that each window sees input",
        ),
        (
            {"avg_pool": {"kernel": 3, "padding": [[0, 1], 0], "ceil_mode": True}},
            "`ceil_mode` of `avg_pool` needs a `padding` that is equal on both sides of each axis",
            "add to the last sides what the windows shall reach",
        ),
        (
            {"max_pool": {"kernel": 3, "padding": [[2, 2], [0, 0]]}},
            "`padding` (2×0) of `max_pool` is more than half its kernel (3×3)",
            None,
        ),
        (
            {"avg_pool": {"kernel": 3, "padding": [0, 1, 0, 1]}},
            "`padding` of `avg_pool` must be an integer ≥ 0, a list [height, width] of such or of lists [before, after], "
            "or `same`, not the list [0, 1, 0, 1]",
            None,
        ),
    ],
)
def test_sides_that_a_pool_cannot_have(node: Any, message: str, help: str | None) -> None:
    with pytest.raises(SpecError) as caught:
        from_dict({"archspec": 1, "input": [3, 7, 7], "network": [node]})
    (found,) = caught.value.diagnostics
    assert (found.message, found.help) == (message, help)


TRANSPOSED = [("conv_transpose", 2), ("conv_transpose_1d", 1), ("conv_transpose_3d", 3)]


@pytest.mark.parametrize(("name", "axes"), TRANSPOSED)
def test_transposed_same_is_the_gradient_of_the_convolution_that_tensorflow_pads(name: str, axes: int) -> None:
    random = Random(3)
    for _ in range(15):
        kernel, stride, dilation = ([random.randint(1, 4) for _ in range(axes)] for _ in range(3))
        shape = (2, *(random.randint(1, 4) for _ in range(axes)))
        given = {"kernel": kernel, "stride": stride, "dilation": dilation}
        written = {key: value[0] if axes == 1 else value for key, value in given.items()}
        node = {name: {"out": 3, "padding": "same", "bias": False, **written}}
        spec = from_dict({"archspec": 1, "input": list(shape), "network": [node]})
        ours = pickle.loads(pickle.dumps(spec.build()))
        larger = torch.zeros(2, 3, *(n * s for n, s in zip(shape[1:], stride, strict=True)), requires_grad=True)
        assert spec.plan.output == tuple(larger.shape[1:])
        convolve: Any = getattr(functional, f"conv{axes}d")
        (weight,) = ours.parameters()
        convolved = convolve(padded(larger, kernel, stride, dilation), weight, None, stride, 0, dilation)
        images = torch.randn(2, *shape)
        (expected,) = torch.autograd.grad(convolved, larger, images)
        torch.testing.assert_close(ours(images), expected)


@pytest.mark.parametrize(
    ("name", "axes", "padding", "extra"),
    [
        ("conv_transpose", 2, [[0, 1], [2, 0]], [0, 1]),
        ("conv_transpose", 2, [1, [0, 2]], 0),
        ("conv_transpose_1d", 1, [2, 1], 1),
        ("conv_transpose_3d", 3, [[2, 0], 1, [0, 1]], 0),
    ],
)
def test_each_side_is_left_off_by_itself(name: str, axes: int, padding: list[Any], extra: Any) -> None:
    given = {"out": 6, "kernel": 4, "stride": 2, "groups": 2, "output_padding": extra}
    shape = (4, 5, 4, 3)[: axes + 1]
    spec = from_dict({"archspec": 1, "input": list(shape), "network": [{name: given | {"padding": padding}}]})
    ours = pickle.loads(pickle.dumps(spec.build()))
    whole = from_dict({"archspec": 1, "input": list(shape), "network": [{name: given}]}).build()
    whole.load_state_dict(ours.state_dict())
    images = torch.randn(2, *shape)
    sides = [padding] if axes == 1 else [[one, one] if isinstance(one, int) else one for one in padding]
    expected = whole(images)[(..., *(slice(before, -after or None) for before, after in sides))]
    assert tuple(expected.shape[1:]) == spec.plan.output
    assert torch.equal(ours(images), expected)


def test_same_of_a_transposed_convolution_leaves_no_second_size() -> None:
    node = {"conv_transpose": {"out": 2, "kernel": 3, "stride": 2, "padding": "same", "output_padding": 1}}
    with pytest.raises(SpecError) as caught:
        from_dict({"archspec": 1, "input": [3, 7, 7], "network": [node]})
    (found,) = caught.value.diagnostics
    assert (found.message, found.help) == (
        "`conv_transpose` with `padding: same` gives its size times the stride, without `output_padding`",
        "leave `output_padding` out",
    )

"""Receptive fields against published ones, and against the footprints of gradients in real modules."""

from __future__ import annotations

from math import prod
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import archspec
from archspec.plan.plan import Plan
from archspec.views.receptive import receptive_fields

DILATED = """archspec: 1
name: Dilated
input: [3, 80, 96]
network:
  - conv: {out: 8, kernel: [3, 5], stride: [2, 1], padding: 1}
  - concat:
      near: [conv: {out: 4, kernel: 3, padding: 1}]
      far: [conv: {out: 4, kernel: 3, padding: 4, dilation: 4}]
      pooled: [avg_pool: {kernel: 3, stride: 1, padding: 1}]
  - save: skip
  - max_pool: 2
  - conv: {out: 8, kernel: 3, padding: same}
  - upsample: {mode: bilinear}
  - add:
      up: [conv: {out: 16, kernel: 1}]
      skip: [load: skip]
  - conv_transpose: {out: 4, kernel: 3, stride: 2, padding: 1, output_padding: 1}
  - blur_pool
  - pixel_shuffle: 2
"""


@pytest.mark.parametrize(
    ("spec", "size"),
    # https://distill.pub/2019/computing-receptive-fields
    [("alexnet", 195), ("vgg16", 212), ("inception_v3", 1311), ("inception_resnet_v2", 3039)],
)
def test_receptive_fields_are_those_published(spec: str, size: int) -> None:
    plan = archspec.load(spec).plan
    fields = [
        field
        for node, field in zip(plan.graph.nodes, receptive_fields(plan), strict=True)
        if len(node.output) == 3 and None not in field.size
    ]
    assert fields[-1].size == (size, size)
    assert str(fields[-1]) == str(size)
    assert fields[-1].shown_stride == "32"


class Summed(nn.Module):
    """A max pooling through which each value of a window reaches the result."""

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode)

    def forward(self, input: Tensor) -> Tensor:
        return self.pool(input)


def positive(module: nn.Module) -> nn.Module:
    """A module through which each value that can reach a result does: no weight is 0, no activation cuts any off."""
    torch.manual_seed(0)
    module = module.eval().double()
    for name, part in list(module.named_modules()):
        if isinstance(part, nn.MaxPool2d):
            module.set_submodule(name, Summed(part))
        if isinstance(part, nn.ReLU6):
            module.set_submodule(name, nn.ReLU())
    for name, buffer in module.named_buffers():
        if name.endswith("mask"):  # −100, which leaves a share of e^−100
            buffer.mul_(torch.inf).nan_to_num_(0, neginf=-torch.inf)
    for parameter in module.parameters():
        fan_in = max(prod(parameter.shape[1:]), 1)
        nn.init.uniform_(parameter, 0.5 / fan_in, 1.5 / fan_in)
    return module


def footprint(result: Tensor, image: Tensor, at: tuple[int, ...]) -> list[tuple[int, int]]:
    """The first and last positions of the input, along each axis, that one position of a result depends on."""
    values = result[0][(slice(None), *at)]
    (gradient,) = torch.autograd.grad(values @ torch.rand_like(values), image, retain_graph=True)
    seen = gradient[0].abs().sum(0)
    places = [seen.sum([other for other in range(seen.dim()) if other != axis]).nonzero() for axis in range(seen.dim())]
    return [(int(one.min()), int(one.max())) for one in places]


def held_to_gradients(plan: Plan, module: nn.Module, turns: tuple[float, ...] = (0, 0.5, 1)) -> int:
    """Compare the fields of some layers that give maps with their footprints, at positions along the diagonal."""
    module, results = positive(module), {}
    fields = dict(zip((node.id for node in plan.graph.nodes), receptive_fields(plan), strict=True))
    nodes = [node for node in plan.layers if len(node.output) == 3 and prod(node.output[1:]) > 1]
    chosen = nodes[:: max(len(nodes) // 6, 1)] + nodes[-1:]
    handles = [
        module.get_submodule(node.path).register_forward_hook(lambda _m, _i, out, at=node.id: results.update({at: out}))
        for node in chosen
    ]
    image = torch.rand(1, *plan.input, dtype=torch.float64, requires_grad=True)
    module(image)
    for handle in handles:
        handle.remove()
    for node in chosen:
        field = fields[node.id]
        for turn in turns:
            at = tuple(int((size - 1) * turn) for size in node.output[1:])
            expected = [(field.first[axis][i], field.last[axis][i]) for axis, i in enumerate(at)]
            assert footprint(results[node.id], image, at) == expected, (node.path, at)
    return len(chosen)


def test_fields_are_footprints_through_branches_dilations_and_scales(tmp_path: Path) -> None:
    (tmp_path / "dilated.yaml").write_text(DILATED)
    spec = archspec.load(str(tmp_path / "dilated.yaml"))
    assert held_to_gradients(spec.plan, spec.build(), turns=(0.4, 0.45, 0.5, 0.55)) > 6


@pytest.mark.parametrize(
    "node",
    [
        "avg_pool: {kernel: 4, stride: 2, padding: [[1, 2], [3, 0]], count_include_pad: false}",
        "conv_transpose: {out: 4, kernel: 3, stride: 2, padding: same}",
        "conv_transpose: {out: 4, kernel: 4, stride: 2, padding: [[2, 0], [0, 1]]}",
    ],
)
def test_fields_are_footprints_where_sides_differ(node: str, tmp_path: Path) -> None:
    text = f"archspec: 1\ninput: [3, 21, 21]\nnetwork:\n  - conv: {{out: 4, kernel: 3, stride: 2}}\n  - {node}\n"
    (tmp_path / "sides.yaml").write_text(text + "  - conv: {out: 4, kernel: 2}\n")
    spec = archspec.load(str(tmp_path / "sides.yaml"))
    assert held_to_gradients(spec.plan, spec.build(), turns=(0, 0.5, 0.6, 1)) > 2


ALONG_AXES = """archspec: 1
name: Along axes
input: [3, 61, 48]
network:
  - conv: {out: 8, kernel: [5, 3], stride: [2, 1], padding: same}
  - concat:
      new: [conv: {out: 4, kernel: 3, padding: same}]
      passed: []
    split: equal
  - slice: {start: 2, stop: 27, axis: 1, step: 3}
  - concat:
      left: [conv: {out: 8, kernel: 1}]
      right: [avg_pool: {kernel: [1, 3], stride: 1}, pad: [0, 1]]
    axis: 2
  - conv: {out: 8, kernel: [1, 3], padding: [0, 1]}
"""


def test_fields_are_footprints_along_axes_and_in_parts(tmp_path: Path) -> None:
    (tmp_path / "along.yaml").write_text(ALONG_AXES)
    spec = archspec.load(str(tmp_path / "along.yaml"))
    assert held_to_gradients(spec.plan, spec.build(), turns=(0.3, 0.4, 0.55, 0.7)) > 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    # smaller images than usual where these take long; fields end at their edges either way
    [
        ("googlenet", 32),
        ("densenet", 32),
        ("resnet18", 224),
        ("vgg11", 96),
        ("inception_resnet_v2", 107),
        ("mobilenet_v2", 224),
        ("convnext_tiny", 96),
        ("swin_t", 112),
        ("regnet_x_400mf", 224),
    ],
)
def test_fields_are_footprints_in_networks_of_the_zoo(name: str, size: int) -> None:
    spec = archspec.load(name, set=[f"input=[3, {size}, {size}]"])
    assert held_to_gradients(spec.plan, spec.build()) > 4

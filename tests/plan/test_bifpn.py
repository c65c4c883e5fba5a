"""A neck of weighted fusions (BiFPN), of blocks that take and give several tensors, against a module by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from archspec.foundation.reading import read
from archspec.foundation.source import plain
from archspec.spec import from_dict

TEXT = """
archspec: 1
name: BiFPN
input: [3, 32, 32]
defaults: {act: silu, norm: batch_norm}
blocks:
  fuse:
    args: {width: {type: integer}, branches: 2}
    body:
      - weighted_mean: =branches
      - act
      - conv: {out: =width, kernel: 3, padding: same, groups: =width, bias: false}
      - conv: {out: =width, kernel: 1}
      - norm
  bifpn:
    inputs: [p3, p4, p5, p6]
    outputs: [o3, o4, o5, o6]
    args: {width: {type: integer}}
    body:
      - load: p6
      - for: {level: [p5, p4, p3], into: [t5, t4, o3]}
        body:
          - concat: [load: =level, upsample: 2]
          - fuse: =width
          - save: =into
      - for: {level: [p4, p5], between: [t4, t5], into: [o4, o5]}
        body:
          - concat: [{load: [=level, =between]}, {max_pool: {kernel: 3, stride: 2, padding: same}}]
          - fuse: {width: =width, branches: 3}
          - save: =into
      - concat: [load: p6, max_pool: {kernel: 3, stride: 2, padding: same}]
      - fuse: =width
      - save: o6
network:
  - for: {level: [p3, p4, p5, p6]}
    body:
      - conv: {out: 8, kernel: 3, stride: 2, padding: same}
      - save: =level
  - bifpn: 8
    load: [p3, p4, p5, p6]
    save: [p3, p4, p5, p6]
    repeat: 2
  - for: {level: [p3, p4, p5, p6]}
    body: [load: =level, output: =level]
"""


class Fuse(nn.Module):
    def __init__(self, width: int, branches: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(branches))
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.pointwise = nn.Conv2d(width, width, 1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, *levels: Tensor) -> Tensor:
        weight = functional.relu(self.weight)
        fused = sum(w * level for w, level in zip(weight, levels, strict=True)) / (weight.sum() + 1e-4)
        return self.norm(self.pointwise(self.depthwise(functional.silu(fused))))


def up(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0)


def down(x: Tensor) -> Tensor:
    """As TensorFlow pads even sizes: at the end."""
    return functional.max_pool2d(functional.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)


class Neck(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.top_down = nn.ModuleList([Fuse(width, 2) for _ in range(3)])
        self.bottom_up = nn.ModuleList([Fuse(width, branches) for branches in (3, 3, 2)])

    def forward(self, p3: Tensor, p4: Tensor, p5: Tensor, p6: Tensor) -> tuple[Tensor, ...]:
        t5 = self.top_down[0](p5, up(p6))
        t4 = self.top_down[1](p4, up(t5))
        o3 = self.top_down[2](p3, up(t4))
        o4 = self.bottom_up[0](p4, t4, down(o3))
        o5 = self.bottom_up[1](p5, t5, down(o4))
        o6 = self.bottom_up[2](p6, down(o5))
        return o3, o4, o5, o6


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.ModuleList([nn.Conv2d(3 if i == 0 else 8, 8, 3, 2) for i in range(4)])
        self.necks = nn.ModuleList([Neck(8), Neck(8)])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        levels = []
        for conv in self.backbone:
            x = conv(functional.pad(x, (0, 1, 0, 1)))
            levels.append(x)
        for neck in self.necks:
            levels = neck(*levels)
        return tuple(levels)


def test_bifpn_is_the_module_by_hand_with_its_gradients() -> None:
    spec = from_dict(plain(read(TEXT.encode(), "bifpn.yaml")))
    ours, theirs = spec.build(), Network()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, 32, 32)
    _, levels = ours(images)
    expected = theirs(images)
    assert list(levels) == ["p3", "p4", "p5", "p6"]
    for one, other in zip(levels.values(), expected, strict=True):
        torch.testing.assert_close(one, other)
    found, wanted = (
        torch.autograd.grad(sum(one.square().mean() for one in result), list(module.parameters()))
        for result, module in ((levels.values(), ours), (expected, theirs))
    )
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)

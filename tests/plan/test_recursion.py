"""Blocks that use themselves: FractalNet against a module written by hand, and what does not end."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archspec
from archspec.foundation.errors import SpecError
from archspec.plan.nodes import Group
from archspec.weights import transplant

FRACTAL: dict[str, Any] = {
    "args": {"columns": {"type": "integer", "minimum": 1}, "width": 8},
    "body": [
        {
            "mean": {
                "short": {"conv_norm_act": {"out": "=width", "kernel": 3}},
                "long": {
                    "when": "=columns > 1",
                    "body": [{"fractal": {"columns": "=columns - 1", "width": "=width"}, "repeat": 2}],
                },
            }
        }
    ],
}


def spec_of(network: Any, **blocks: Any) -> archspec.Spec:
    data = {
        "archspec": 1,
        "input": [3, 16, 16],
        "defaults": {"act": "relu", "norm": "batch_norm"},
        "blocks": blocks,
        "network": network,
    }
    return archspec.from_dict(data)


class Fractal(nn.Module):
    """As the paper's equation 1 reads, with the mean as its join."""

    def __init__(self, columns: int, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.first = type(self)(columns - 1, channels, width) if columns > 1 else None
        self.second = type(self)(columns - 1, width, width) if columns > 1 else None

    def forward(self, input: Tensor) -> Tensor:
        short = self.norm(self.conv(input)).relu()
        if self.first is None or self.second is None:
            return short
        return (short + self.second(self.first(input))) / 2


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_fractal_net_is_what_a_person_writes(columns: int) -> None:
    spec = spec_of([{"fractal": {"columns": columns}}], fractal=FRACTAL)
    ours, theirs = spec.build(), Fractal(columns, 3, 8)

    transplant(theirs, ours, spec.plan.input)
    assert spec.plan.params == sum(parameter.numel() for parameter in theirs.parameters())
    images = torch.randn(2, 3, 16, 16)
    for network in (ours, theirs):
        network.train()
    expected, found = theirs(images), ours(images)
    assert torch.equal(found, expected)
    expected.square().mean().backward()
    found.square().mean().backward()
    gradients = [sorted(p.grad.norm().item() for p in n.parameters() if p.grad is not None) for n in (ours, theirs)]
    assert gradients[0] == gradients[1]
    assert len(gradients[0]) == 3 * (2**columns - 1)


def test_equal_calls_are_elaborated_once() -> None:
    tree = {
        "args": {"n": {"type": "integer", "minimum": 0}},
        "body": [{"tree": "=n - 1", "when": "=n > 0", "repeat": 2}, "relu"],
    }
    root = spec_of([{"tree": 10}], tree=tree).plan.root
    assert root.layers == 2**11 - 1
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        for _, child in node.children if isinstance(node, Group) else ():
            if id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)
    assert len(seen) < 10 * 11


def errors(network: Any, **blocks: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        spec_of(network, **blocks)
    return [f"{one.code}: {one.message} | {one.help}" for one in caught.value.diagnostics]


def test_what_does_not_end() -> None:
    free = {"args": {"n": 3}, "body": [{"free": "=n - 1", "when": "=n > 0"}, "relu"]}
    assert errors([{"free": 2}], free=free) == [
        "block-recursion: the block `free` uses itself: `free` → `free` | "
        "give it an argument `{type: integer, minimum: 0}` that is smaller in each call within itself"
    ]
    bounded = {"type": "integer", "minimum": 0}
    same = {"args": {"n": bounded}, "body": [{"same": "=n"}, "relu"]}
    assert errors([{"same": 2}], same=same) == [
        "block-recursion: the block `same` uses itself: `same` → `same` | `n` must be smaller in each call within itself"
    ]
    # each call has an argument that is smaller, but never the same one
    seesaw = {
        "args": {"a": bounded, "b": bounded},
        "body": [{"seesaw": {"a": "=b", "b": "=a - 1"}, "when": "=a > 0"}, "relu"],
    }
    assert errors([{"seesaw": {"a": 3, "b": 9}}], seesaw=seesaw)[0].startswith("block-recursion: ")
    through = {"args": {"n": bounded}, "body": [{"other": "=n - 1", "when": "=n > 0"}, "relu"]}
    other = {"args": {"n": bounded}, "body": [{"through": "=n"}, "tanh"]}
    assert spec_of([{"through": 3}], through=through, other=other).plan.root.layers == 7
    endless = {"args": {"n": bounded}, "body": [{"endless": "=n - 1"}, "relu"]}
    assert errors([{"endless": 1}], endless=endless) == [
        "out-of-range: `n` of `endless` must be an integer ≥ 0, not the number -1 | "
        "a `when` beside the call ends what a block does within itself: `when: =depth > 0`, say"
    ]


def test_a_long_way_to_an_error_is_cut() -> None:
    endless = {"args": {"n": {"type": "integer", "minimum": 0}}, "body": [{"endless": "=n - 1"}, "relu"]}
    with pytest.raises(SpecError) as caught:
        spec_of([{"endless": 20}], endless=endless)
    lines = caught.value.diagnostics[0].render().splitlines()
    assert sum("in block" in line for line in lines) == 11
    assert "  in 10 more calls" in lines


class DroppingFractal(Fractal):
    """With the paper's local sampling: each join drops its inputs sample by sample, and keeps at least one."""

    def forward(self, input: Tensor) -> Tensor:
        short = self.norm(self.conv(input)).relu()
        if self.first is None or self.second is None:
            return short
        branches = [short, self.second(self.first(input))]
        kept = nn.functional.dropout(torch.ones(len(input), 2), 0.4) > 0
        bits = nn.functional.dropout(torch.ones(len(input), 2, 24)) / 2
        alone = (bits @ 0.5 ** torch.arange(24.0)).argmax(1)
        joined = []
        for sample, survives in enumerate(kept):
            there = [one[sample] for one, stays in zip(branches, survives, strict=True) if stays]
            joined.append(sum(there) / len(there) if there else branches[alone[sample]][sample])
        return torch.stack(joined)


def test_local_drop_path_of_a_fractal_is_the_papers_under_one_seed() -> None:
    long = {"when": "=columns > 1", "body": [{"fractal": {"columns": "=columns - 1", "width": "=width"}, "repeat": 2}]}
    branches = {"short": {"conv_norm_act": {"out": "=width", "kernel": 3}}, "long": long}
    join = {"branch_mean": {"branches": 2, "p": 0.4}, "when": "=columns > 1"}
    spec = spec_of([{"fractal": {"columns": 4}}], fractal=FRACTAL | {"body": [{"concat": branches}, join]})
    ours, theirs = spec.build().train(), DroppingFractal(4, 3, 8).train()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    images = torch.randn(6, 3, 16, 16)
    results = []
    for module in (ours, theirs):
        torch.manual_seed(2)
        output = module(images)
        results.append([output, *torch.autograd.grad(output.square().mean(), list(module.parameters()))])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)

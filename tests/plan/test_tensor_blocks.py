"""Blocks that take and give several tensors by name: equal to modules written by hand, in the plan, the graph and pictures."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
import torch
from interpreter import interpreted
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate
from views.test_drawing import CLAIMS

from archspec.foundation.errors import SpecError
from archspec.spec import Spec, from_dict
from archspec.views.difference import compare
from archspec.views.drawing.html import html
from archspec.views.drawing.picture import lay_out


def spec(network: Any, blocks: Any, input: Any = (3, 16, 16)) -> Spec:
    shape = input if isinstance(input, dict) else list(input)
    roles = {"act": "relu", "norm": "batch_norm"}
    return from_dict({"archspec": 1, "input": shape, "defaults": roles, "blocks": blocks, "network": network})


def conv(out: int, kernel: int = 3, stride: int = 1) -> dict[str, Any]:
    return {"conv": {"out": out, "kernel": kernel, "stride": stride, "padding": kernel // 2}}


def assert_equal(theirs: nn.Module, one: Spec, *inputs: Tensor) -> nn.Module:
    """Outputs and gradients, bit for bit, and the same by the plan's JSON and by copies."""
    ours = one.build()
    assert sum(p.numel() for p in ours.parameters()) == one.plan.params
    for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert a.shape == b.shape
        b.data.copy_(a.data)
    wanted, found = theirs(*inputs), ours(*inputs)
    assert torch.equal(wanted, found)
    wanted.square().sum().backward()
    found.square().sum().backward()
    for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)
    data = json.loads(json.dumps(one.plan.to_dict()))
    assert torch.equal(interpreted(data, ours, *inputs)[""], found)
    for other in (pickle.loads(pickle.dumps(copy.deepcopy(ours))), torch.export.export(ours, inputs).module()):
        assert torch.equal(other(*inputs), found)
    for depth in (None, 0, 1, 99):
        for claim in CLAIMS:
            claim(lay_out(one.plan, depth))
    assert html(one.plan)
    return ours


EXCHANGE = {
    "doc": "Two resolutions, each of which gets the other one, brought to its size.",
    "inputs": ["high", "low"],
    "outputs": ["fine", "coarse"],
    "args": {"width": 4},
    "body": [
        {"add": {"same": [], "up": [{"load": "low"}, conv("=width", 1), {"upsample": 2}]}},
        "relu",
        {"save": "fine"},
        {"add": {"down": [{"load": "high"}, conv("=2 * width", 3, 2)], "same": [{"load": "low"}]}},
        "relu",
        {"save": "coarse"},
    ],
}


class HighResolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(4, 8, 3, 2, 1)
        self.ups = nn.ModuleList()
        self.downs = nn.ModuleList()
        exchanges = []
        for _ in range(2):
            exchanges.append(nn.ModuleList([nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 3, 2, 1)]))
        self.exchanges = nn.ModuleList(exchanges)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        high = self.stem(x)
        low = self.down(high)
        for up, down in self.exchanges:
            high, low = (high + interpolate(up(low), scale_factor=2)).relu(), (down(high) + low).relu()
        both = torch.cat([high, interpolate(low, scale_factor=2)], 1)
        return self.head(adaptive_avg_pool2d(both, 1).flatten(1))


def test_an_exchange_between_resolutions_equals_one_written_by_hand() -> None:
    network = [
        conv(4),
        {"save": "a"},
        conv(8, 3, 2),
        {"save": "b"},
        {"exchange": {"width": 4}, "load": ["a", "b"], "save": ["a", "b"], "repeat": 2},
        {"concat": [{"load": "a"}, [{"load": "b"}, {"upsample": 2}]]},
        "global_avg_pool",
        "flatten",
        {"linear": 5},
    ]
    one = spec(network, {"exchange": EXCHANGE})
    module = assert_equal(HighResolution(), one, torch.randn(2, 3, 16, 16))
    assert list(module.state_dict())[4] == "4.0.0.up.1.weight"
    fine, coarse = module.get_submodule("4.0")(high=torch.zeros(1, 4, 8, 8), low=torch.zeros(1, 8, 4, 4))
    assert (fine.shape, coarse.shape) == ((1, 4, 8, 8), (1, 8, 4, 4))


CELL = {
    "inputs": ["x", "previous"],
    "outputs": ["out", "x"],
    "args": {"width": 4},
    "body": [
        {"concat": [[conv("=width", 1)], [{"load": "previous"}, conv("=width", 1), "relu"]]},
        {"add": [conv("=2 * width"), {"avg_pool": {"kernel": 3, "stride": 1, "padding": 1}}]},
        {"save": "out"},
    ],
}


class Cells(nn.Module):
    """A stack of cells, each of which takes the results of the last two."""

    def __init__(self, count: int, channels: int = 3) -> None:
        super().__init__()
        sizes = [channels, channels]
        cells = []
        for _ in range(count):
            cells.append(
                nn.ModuleList([nn.Conv2d(sizes[0], 4, 1), nn.Conv2d(sizes[1], 4, 1), nn.Conv2d(8, 8, 3, 1, 1)])
            )
            sizes = [8, sizes[0]]
        self.cells = nn.ModuleList(cells)

    def forward(self, x: Tensor) -> Tensor:
        previous = x
        for left, right, middle in self.cells:
            both = torch.cat([left(x), right(previous).relu()], 1)
            x, previous = middle(both) + avg_pool2d(both, 3, 1, 1), x
        return x


def test_cells_that_take_the_last_two_results_equal_those_written_by_hand() -> None:
    """The block passes its input on, so that names stay the same from pass to pass."""
    loop = {"for": {"i": [1, 2, 3]}, "body": {"cell": None, "load": ["x", "p"], "save": ["x", "p"]}}
    one = spec([{"save": "x"}, {"save": "p"}, loop], {"cell": CELL})
    assert_equal(Cells(3), one, torch.randn(2, 3, 16, 16))


def test_names_may_be_formulas() -> None:
    cell = CELL | {"outputs": ["out"]}
    call = {"cell": None, "load": ["=names[index + 1]", "=names[index]"], "save": ["=names[index + 2]"]}
    loop = {"for": {"names": [["p", "x", "a", "b", "c"]] * 3}, "body": call}
    assert_equal(Cells(3), spec([{"save": "x"}, {"save": "p"}, loop], {"cell": cell}), torch.randn(2, 3, 16, 16))
    whole = {"cell": None, "load": "=names[:2]", "save": "=names[2:]"}
    loop = {"for": {"as": ["names"], "rows": [[["x", "p", "a"]], [["a", "x", "b"]], [["b", "a", "c"]]]}, "body": whole}
    assert_equal(Cells(3), spec([{"save": "x"}, {"save": "p"}, loop], {"cell": cell}), torch.randn(2, 3, 16, 16))


def test_a_shared_cell_is_one_module_on_other_tensors() -> None:
    class Shared(Cells):
        def __init__(self) -> None:
            super().__init__(1, 8)

        def forward(self, x: Tensor) -> Tensor:
            previous, (left, right, middle) = x, self.cells[0]
            for _ in range(3):
                both = torch.cat([left(x), right(previous).relu()], 1)
                x, previous = middle(both) + avg_pool2d(both, 3, 1, 1), x
            return x

    call = {"cell": None, "load": ["x", "p"], "save": ["x", "p"], "share": "cell", "repeat": 3}
    module = assert_equal(
        Shared(), spec([{"save": "x"}, {"save": "p"}, call], {"cell": CELL}, (8, 6, 6)), torch.randn(2, 8, 6, 6)
    )
    assert len(list(module.parameters())) == 6


NECK = {
    "doc": "PAN: from coarse to fine, and back.",
    "inputs": ["c3", "c4", "c5"],
    "outputs": ["p3", "p4", "p5"],
    "args": {"width": 4},
    "body": [
        {"load": "c5"},
        conv("=width", 1),
        {"save": "t5"},
        {"add": [{"upsample": 2}, [{"load": "c4"}, conv("=width", 1)]]},
        {"save": "t4"},
        {"add": [{"upsample": 2}, [{"load": "c3"}, conv("=width", 1)]]},
        {"save": "p3"},
        {"add": [conv("=width", 3, 2), {"load": "t4"}]},
        {"save": "p4"},
        {"add": [conv("=width", 3, 2), {"load": "t5"}]},
        {"save": "p5"},
    ],
}


class Neck(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.ModuleList([nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1), nn.Conv2d(6, 8, 3, 2, 1)])
        self.five, self.four, self.three = nn.Conv2d(8, 4, 1), nn.Conv2d(6, 4, 1), nn.Conv2d(4, 4, 1)
        self.down4, self.down5 = nn.Conv2d(4, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        c3 = self.backbone[0](x)
        c4 = self.backbone[1](c3)
        c5 = self.backbone[2](c4)
        t5 = self.five(c5)
        t4 = interpolate(t5, scale_factor=2) + self.four(c4)
        p3 = interpolate(t4, scale_factor=2) + self.three(c3)
        p4 = self.down4(p3) + t4
        p5 = self.down5(p4) + t5
        return p5, {"fine": p3, "middle": p4}


def test_a_neck_over_three_levels_equals_one_written_by_hand() -> None:
    levels = {"for": {"level": ["a", "b", "c"], "width": [4, 6, 8]}, "body": [conv("=width", 3, 2), {"save": "=level"}]}
    network = {
        "backbone": levels,
        "neck": {"neck": {"width": 4}, "load": ["a", "b", "c"], "save": ["x", "y", "z"]},
        "heads": [{"load": "x"}, {"output": "fine"}, {"load": "y"}, {"output": "middle"}, {"load": "z"}],
    }
    one, theirs, images = spec(network, {"neck": NECK}), Neck(), torch.randn(2, 3, 16, 16)
    assert list(one.plan.outputs.items()) == [("fine", (4, 8, 8)), ("middle", (4, 4, 4))]
    ours = one.build()
    assert list(ours.state_dict())[6:10] == ["neck.1.weight", "neck.1.bias", "neck.3.1.1.weight", "neck.3.1.1.bias"]
    for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
        b.data.copy_(a.data)
    (wanted, beside), (found, named) = theirs(images), ours(images)
    assert torch.equal(wanted, found)
    assert list(beside) == list(named)
    assert all(torch.equal(beside[name], named[name]) for name in beside)


def test_a_block_of_two_inputs_takes_those_of_the_network() -> None:
    join = {"inputs": ["left", "right"], "body": [{"subtract": [[], {"load": "right"}]}, {"linear": 2}]}
    one = spec({"join": None, "load": ["b", "a"]}, {"join": join}, {"a": [4], "b": [4]})
    module, (a, b) = one.build(), (torch.randn(3, 4), torch.randn(3, 4))
    assert list(module.state_dict()) == ["0.1.weight", "0.1.bias"]
    assert torch.equal(module(a=a, b=b), module.get_submodule("0.1")(b - a))


def test_one_input_and_one_output_need_no_names_at_the_call() -> None:
    twice = {"inputs": ["x"], "outputs": ["y"], "body": ["tanh", {"add": [[], {"load": "x"}]}, {"save": "y"}]}
    module = spec(["relu", {"twice": None}, "sigmoid"], {"twice": twice}, (4,)).build()
    x = torch.randn(2, 4)
    assert torch.equal(module(x), (x.relu().tanh() + x.relu()).sigmoid())
    fork = {"outputs": ["y", "z"], "body": ["tanh", {"save": "y"}, "relu", {"save": "z"}]}
    call = {"use": "fork", "save": ["a", "b"], "recompute": True}
    forked = spec(["relu", call, {"multiply": [[], {"load": "b"}]}], {"fork": fork}, (4,)).build()
    y = x.relu().tanh()
    assert torch.equal(forked(x), y * y.relu())


def test_the_tensors_that_lead_into_a_block_are_what_differs() -> None:
    fuse = {"inputs": ["one", "two"], "body": [{"subtract": [[], {"load": "two"}]}]}

    def one(*names: str) -> Spec:
        return spec(["tanh", {"save": "a"}, "relu", {"save": "b"}, {"fuse": None, "load": list(names)}], {"fuse": fuse})

    assert compare(one("a", "b").plan, one("a", "b").plan).changes == ()
    (change,) = compare(one("a", "b").plan, one("b", "a").plan).changes
    assert (change.kind, change.what, change.arguments) == ("rewired", "subtract", (("takes", ["0", "2"], ["2", "0"]),))


def test_blocks_are_elaborated_once_for_equal_tensors() -> None:
    one = spec(
        [{"save": "x"}, {"save": "p"}, {"cell": None, "load": ["x", "p"], "save": ["x", "p"], "repeat": 4}],
        {"cell": CELL},
    )
    calls = [group for group in one.plan.graph.groups if group.kind == "block"]
    assert [port.name for port in calls[0].node.takes] == ["x", "previous"]
    assert calls[2].node.children[0][1] is calls[3].node.children[0][1]
    assert calls[0].node.children[0][1] is not calls[1].node.children[0][1]


@pytest.mark.parametrize("input", [(3, 8, 8), (3, 9, 9)])
def test_the_shapes_of_all_tensors_count(input: tuple[int, ...]) -> None:
    fuse = {"inputs": ["one", "two"], "body": [{"add": [[], [{"load": "two"}, {"upsample": 2}]]}]}
    network = [{"save": "a"}, {"max_pool": 2}, {"save": "b"}, {"fuse": None, "load": ["a", "b"]}]
    if input == (3, 8, 8):
        assert spec(network, {"fuse": fuse}, input).plan.output == input
        return
    with pytest.raises(SpecError, match="`add` needs equal shapes"):
        spec(network, {"fuse": fuse}, input)

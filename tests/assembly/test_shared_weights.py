"""Networks with shared weights against modules written by hand: forward and gradients, bit for bit."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from interpreter import given_by, interpreted
from torch import Tensor, nn

from archspec.cli import cli
from archspec.spec import Spec, from_dict
from archspec.weights import transplant


def load(network: Any, input: tuple[int, ...], **sections: Any) -> Spec:
    roles = {"act": "relu", "norm": "batch_norm"}
    return from_dict({"archspec": 1, "input": list(input), "defaults": roles, "network": network, **sections})


def conv(out: Any, kernel: int = 3) -> dict[str, Any]:
    return {"conv": {"out": out, "kernel": kernel, "padding": kernel // 2}}


class Siamese(nn.Module):
    """One tower on both halves of the channels; their distance."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))
        self.score = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        left, right = self.tower(images[:, :3]), self.tower(images[:, 3:])
        return self.score((left - right).mean((2, 3)))


SIAMESE = {
    "blocks": {"tower": {"body": [conv(8), "norm", "act", conv(4, 1)]}},
    "network": {
        "compare": {
            "subtract": {
                "left": [{"channel_slice": {"stop": 3}}, {"tower": None, "share": "tower"}],
                "right": [{"channel_slice": {"start": 3}}, {"share": "tower"}],
            }
        },
        "score": ["global_avg_pool", "flatten", {"linear": 2}],
    },
}


class Pyramid(nn.Module):
    """Two heads over three levels, as RetinaNet has them."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(width, 6, 3, padding=1, stride=2) for width in (3, 6, 6)])
        self.classes = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 5, 3, padding=1))
        self.boxes = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, padding=1))

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        levels, named = [], {}
        for stage in self.stages:
            images = torch.relu(stage(images))
            levels.append(images)
        for index, level in enumerate(levels):
            named[f"classes{index}"] = self.classes(level)
            named[f"boxes{index}"] = self.boxes(level)
        return levels[-1], named


PYRAMID = {
    "blocks": {"head": {"args": {"out": {"type": "integer"}}, "body": [conv(6), "relu", conv("=out")]}},
    "network": {
        "stages": {
            "for": {"level": ["p0", "p1", "p2"]},
            "body": [{"conv": {"out": 6, "kernel": 3, "padding": 1, "stride": 2}}, "relu", {"save": "=level"}],
        },
        "heads": {
            "for": {"level": ["p0", "p1", "p2"]},
            "body": [
                {"load": "=level"},
                {"head": 5, "share": "classes"},
                {"output": "='classes' + str(index)"},
                {"load": "=level"},
                {"head": 4, "share": "boxes"},
                {"output": "='boxes' + str(index)"},
            ],
        },
        "end": {"load": "p2"},
    },
}


class ChannelAttention(nn.Module):
    """CBAM's: one MLP on the mean and the largest values. https://arxiv.org/abs/1807.06521"""

    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Conv2d(8, 2, 1, bias=False), nn.ReLU(), nn.Conv2d(2, 8, 1, bias=False))

    def forward(self, images: Tensor) -> Tensor:
        mean, largest = images.mean((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
        return images * torch.sigmoid(self.mlp(mean) + self.mlp(largest))


ATTENTION = {
    "blocks": {
        "weigh": {
            "body": [{"conv": {"out": w, "kernel": 1, "bias": False}} for w in (2,)]
            + ["relu", {"conv": {"out": 8, "kernel": 1, "bias": False}}]
        }
    },
    "network": {
        "multiply": {
            "features": [],
            "weight": [
                {
                    "add": {
                        "for": {"pool": ["global_avg_pool", "global_max_pool"]},
                        "body": ["=pool", {"weigh": None, "share": "mlp"}],
                    }
                },
                "sigmoid",
            ],
        }
    },
}


class Tied(nn.Module):
    """One step, five times, the last one after a pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        for _ in range(4):
            images = torch.tanh(self.step(images))
        return self.step(nn.functional.max_pool2d(images, 2))


TIED = {
    "network": [
        {"for": {"i": "=range(4)"}, "body": [{**conv(4), "share": "step"}, "tanh"]},
        {"max_pool": 2},
        {"share": "step"},
    ]
}
CASES = [
    pytest.param(SIAMESE, Siamese, (6, 8, 8), id="siamese"),
    pytest.param(PYRAMID, Pyramid, (3, 16, 16), id="pyramid"),
    pytest.param(ATTENTION, ChannelAttention, (8, 6, 6), id="attention"),
    pytest.param(TIED, Tied, (4, 8, 8), id="tied"),
]


def tensors(result: Any) -> list[Tensor]:
    return [result[0], *result[1].values()] if isinstance(result, tuple) else [result]


def gradients(module: nn.Module, images: Tensor) -> list[Tensor]:
    module.zero_grad()
    sum(one.square().sum() for one in tensors(module(images))).backward()
    return [parameter.grad for parameter in module.parameters() if parameter.grad is not None]


@pytest.mark.parametrize(("sections", "written", "input"), CASES)
def test_a_network_is_the_module_written_by_hand(sections: Any, written: type[nn.Module], input: Any) -> None:
    spec = load(sections["network"], input, blocks=sections.get("blocks", {}))
    ours, theirs = spec.build(), written()
    assert [tuple(p.shape) for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]
    assert spec.plan.params == sum(p.numel() for p in theirs.parameters())
    assert len(ours.state_dict()) == len(theirs.state_dict())
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    images = torch.randn(2, *input)
    for mode in (True, False):
        given, wanted = (tensors(one.train(mode)(images)) for one in (ours, theirs))
        assert len(given) == len(wanted)
        assert all(torch.equal(a, b) for a, b in zip(given, wanted, strict=True))
    found, wanted = gradients(ours, images), gradients(theirs, images)
    assert len(found) == len(wanted) > 0
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize(("sections", "written", "input"), CASES)
def test_copies_pickles_compilation_and_the_json_give_the_same(sections: Any, written: Any, input: Any) -> None:
    spec = load(sections["network"], input, blocks=sections.get("blocks", {}))
    module = spec.build().eval()
    images = torch.randn(2, *input)
    wanted = given_by(module, images)
    data = json.loads(json.dumps(spec.plan.to_dict()))
    results = [interpreted(data, module, images)]
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        results.append(given_by(other, images))
    results.append(given_by(torch.compile(module, fullgraph=True, backend="eager"), images))
    for found in results:
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    exported = torch.export.export(module, (images,)).module()
    assert all(torch.equal(given_by(exported, images)[name], wanted[name]) for name in wanted)


def test_the_module_stands_where_it_is_used_first() -> None:
    module = load(PYRAMID["network"], (3, 16, 16), blocks=PYRAMID["blocks"]).build("meta")
    assert [name for name in module.state_dict() if name.startswith("heads")] == [
        f"heads.0.{head}.{layer}.{name}" for head in (1, 4) for layer in (0, 2) for name in ("weight", "bias")
    ]


def test_initial_values_are_drawn_once_in_the_order_of_execution() -> None:
    module = load([conv(4), {**conv(4), "share": "step"}, {"share": "step"}, conv(4)], (3, 8, 8))
    torch.manual_seed(3)
    ours = module.build()
    torch.manual_seed(3)
    theirs = nn.ModuleList([nn.Conv2d(width, 4, 3, padding=1) for width in (3, 4, 4)])
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_recomputation_of_shared_nodes_gives_the_same_gradients() -> None:
    found = []
    for recompute in (False, True):
        step = {"recompute": True} if recompute else {}
        network = [conv(4), {**conv(4), "share": "step", "repeat": 2, **step}, "relu", {"share": "step", **step}]
        torch.manual_seed(0)
        module = load(network, (3, 8, 8)).build()
        torch.manual_seed(1)
        found.append(gradients(module, torch.randn(2, 3, 8, 8)))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_running_statistics_are_updated_in_each_use() -> None:
    module = load([{"batch_norm": None, "share": "n"}, {"share": "n"}], (3, 8, 8)).build().train()
    module(torch.randn(2, 3, 8, 8))
    assert module.state_dict()["0.num_batches_tracked"] == 2


def test_an_auxiliary_classifier_beside_shared_nodes_works() -> None:
    side = {"aux": {"name": "early", "weight": 0.3, "body": [{**conv(4), "share": "own", "repeat": 2}, "flatten"]}}
    loop = {"for": {"i": [1, 2]}, "body": [{**conv(4), "share": "step"}, {**side, "when": "=first"}]}
    spec = load([conv(4), loop], (3, 8, 8))
    module = spec.build().train()
    output, named = module(torch.randn(2, 3, 8, 8))
    assert (output.shape, named["early"].shape) == ((2, 4, 8, 8), (2, 4 * 64))
    assert spec.plan.params == sum(p.numel() for p in module.parameters())
    assert len(spec.build(aux=False).state_dict()) == 4


def test_build_and_its_summary_count_shared_weights_once(tmp_path: Any) -> None:
    file = tmp_path / "tied.yaml"
    file.write_text(
        "archspec: 1\nname: Tied\ninput: [4, 8, 8]\nnetwork:\n  - conv: {out: 4, kernel: 3, padding: 1}\n"
        "    share: step\n    repeat: 3\n  - relu\n  - share: step\n"
    )
    weights = tmp_path / "w.safetensors"
    done = CliRunner().invoke(cli, ["build", str(file), "--summary", "--save", str(weights)])
    assert done.exit_code == 0, done.output
    assert "Tied  -  4×8×8 → 4×8×8  148 parameters" in done.output
    (total,) = [line.split() for line in done.output.splitlines() if line.startswith("total")]
    assert total[:4] == ["total", "4×8×8", "148", "100%"]
    done = CliRunner().invoke(cli, ["build", str(file), "--weights", str(weights)])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(("sections", "written", "input"), CASES)
def test_weights_of_a_module_written_by_hand_carry_over(sections: Any, written: Any, input: Any) -> None:
    ours, theirs = load(sections["network"], input, blocks=sections.get("blocks", {})).build(), written()
    transplant(theirs, ours, input)
    images = torch.randn(2, *input)
    found, wanted = (tensors(one.eval()(images)) for one in (ours, theirs))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))

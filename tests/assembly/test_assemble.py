"""The assembled module is an ordinary torch module: nested as the spec, compiled, copied, pickled, hooked."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import fx, nn

from archspec.foundation.reading import read
from archspec.foundation.source import plain
from archspec.language import names
from archspec.language.finder import bundled
from archspec.layers.registry import primitives
from archspec.spec import from_dict, load

CIFAR = ["densenet", "digits", "googlenet", "preact", "resnet"]


def spec(network: Any, input: tuple[int, ...] = (3, 8, 8), **sections: Any) -> Any:
    return from_dict({"archspec": 1, "input": list(input), "network": network, **sections})


def test_state_dict_keys_are_the_paths_of_the_spec() -> None:
    module = spec(
        {
            "stem": [{"conv": {"out": 4, "kernel": 1}}, "relu", {"conv": {"out": 4, "kernel": 1}, "name": "last"}],
            "stages": {"for": {"width": [4, 4]}, "body": [{"conv": {"out": "=width", "kernel": 1}, "repeat": 2}]},
            "sides": {"add": {"main": [{"conv": {"out": 4, "kernel": 1}}], "shortcut": []}},
            "pair": {"concat": [{"conv": {"out": 2, "kernel": 1}}, [{"conv": {"out": 2, "kernel": 1}}]]},
            "single": {"conv": {"out": 2, "kernel": 1}},
            "sometimes": [{"relu": None, "when": False}, {"conv": {"out": 1, "kernel": 1}}],
        }
    ).build()
    assert [key for key in module.state_dict() if key.endswith("weight")] == [
        "stem.0.weight",
        "stem.last.weight",
        "stages.0.0.0.weight",
        "stages.0.0.1.weight",
        "stages.1.0.0.weight",
        "stages.1.0.1.weight",
        "sides.main.0.weight",
        "pair.0.weight",
        "pair.1.0.weight",
        "single.weight",
        "sometimes.1.weight",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled())
def test_only_torch_runs_in_forward(name: str) -> None:
    """Auxiliary classifiers aside, which torch has no module for."""
    module = load(name).build(device="meta", aux=False)
    for inner in module.modules():
        assert type(inner).__module__.startswith(("torch.", "torchvision.ops.")), type(inner)
        assert "archspec" not in (inner.code if isinstance(inner, fx.GraphModule) else "")


@pytest.mark.slow
@pytest.mark.parametrize("name", CIFAR)
def test_module_can_be_copied_pickled_compiled_and_exported(name: str) -> None:
    loaded = load(name)
    module = loaded.build().eval()
    images = torch.randn(2, *loaded.plan.input)
    with torch.inference_mode():
        expected = module(images)
        assert torch.equal(copy.deepcopy(module)(images), expected)
        assert torch.equal(pickle.loads(pickle.dumps(module))(images), expected)
    with torch.no_grad():
        compiled = torch.compile(module, fullgraph=True, backend="eager")
        assert torch.equal(compiled(images), expected)
        assert torch.equal(torch.export.export(module, (images,)).module()(images), expected)


@pytest.mark.slow
def test_pickled_module_needs_no_archspec(tmp_path: Path) -> None:
    module = load("resnet").build().eval()
    images = torch.randn(1, 3, 32, 32)
    torch.save([module, images, module(images)], tmp_path / "m.pt")
    code = """
import sys
sys.modules["archspec"] = None
import torch
module, images, expected = torch.load("m.pt", weights_only=False)
assert torch.equal(module(images), expected)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)


def test_hooks_work_on_inner_blocks() -> None:
    module = load("resnet").build()
    block = module.get_submodule("stages.1.0.add")
    seen = []
    block.register_forward_pre_hook(lambda m, inputs: seen.append(("pre", inputs[0].shape)))
    block.register_forward_hook(lambda m, inputs, output: seen.append(("forward", output.shape)))
    block.main.register_full_backward_hook(lambda m, inputs, outputs: seen.append(("backward", outputs[0].shape)))
    module.get_submodule("stages.1.0.add.main.0.norm").register_full_backward_hook(
        lambda m, inputs, outputs: seen.append(("norm", outputs[0].shape))
    )
    module(torch.randn(2, 3, 32, 32)).sum().backward()
    assert seen == [
        ("pre", (2, 16, 32, 32)),
        ("forward", (2, 32, 16, 16)),
        ("norm", (2, 32, 16, 16)),
        ("backward", (2, 32, 16, 16)),
    ]
    assert torch.equal(copy.deepcopy(module)(torch.zeros(1, 3, 32, 32)), module(torch.zeros(1, 3, 32, 32)))


def test_merges_compute_what_they_say() -> None:
    images = torch.randn(2, 3, 8, 8)
    branches = {"a": [], "b": ["relu"], "c": ["tanh"]}
    a, b, c = images, images.relu(), images.tanh()
    for kind, expected in (
        ("add", a + b + c),
        ("multiply", a * b * c),
        ("concat", torch.cat([a, b, c], 1)),
        ("mean", (a + b + c) / 3),
        ("maximum", torch.stack([a, b, c]).amax(0)),
    ):
        assert torch.equal(spec([{kind: branches}]).build()(images), expected)
    del branches["c"]
    for kind, expected in (("subtract", a - b), ("matmul", a @ b)):
        assert torch.equal(spec([{kind: branches}]).build()(images), expected)
    gate = spec([{"multiply": {"gate": ["global_avg_pool", "sigmoid"], "features": []}}])
    assert gate.plan.output == (3, 8, 8)
    assert torch.equal(gate.build()(images), images.mean((2, 3), keepdim=True).sigmoid() * images)


def test_default_initial_values_are_torchs_own() -> None:
    """The same seed gives the same weights as torch's layers made in the same order."""
    network = [{"conv": {"out": 8, "kernel": 3}}, "batch_norm", "flatten", {"linear": 10}]
    torch.manual_seed(0)
    ours = spec(network).build()
    torch.manual_seed(0)
    theirs = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(288, 10))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True))


def test_init_is_applied_by_primitive() -> None:
    module = spec(
        [{"conv": {"out": 64, "kernel": 3}}, "batch_norm", "flatten", {"linear": 10}],
        vars={"gain": 2.0},
        init={
            "conv": {"weight": {"kaiming_normal": {"mode": "fan_out"}}, "bias": 0.5},
            "batch_norm": {"weight": "zeros"},
            "linear": {"weight": {"uniform": {"a": 1, "b": "=gain"}}},
        },
    ).build()
    conv, norm, _, linear = module.children()
    assert conv.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert conv.bias.eq(0.5).all()
    assert norm.weight.eq(0).all()
    assert 1 <= linear.weight.min() < linear.weight.max() <= 2
    assert all(p.requires_grad for p in module.parameters())


def test_parameters_are_initialised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No random number is drawn for a value that is thrown away: kaiming draws for the weight, torch's for the bias."""
    drawn = []
    for function in ("normal_", "uniform_"):
        original = getattr(torch.Tensor, function)

        def counted(tensor: torch.Tensor, *args: Any, original: Any = original, **kwargs: Any) -> torch.Tensor:
            if not tensor.is_meta:
                drawn.append(tensor.numel())
            return original(tensor, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, function, counted)
    for init in ({}, {"conv": {"weight": "kaiming_normal"}}):
        drawn.clear()
        module = spec([{"conv": {"out": 8, "kernel": 3}}, "flatten", {"linear": 10}], init=init).build()
        assert sum(drawn) == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", sorted({n for n, p in primitives().items() if p.weights}))
def test_every_initialisable_parameter_can_be_set(name: str) -> None:
    primitive = primitives()[name]
    found = set()
    for example in primitive.examples:
        node = plain(read(example.encode(), "example"))
        for weight in primitive.weights:
            module = spec([node], primitive.example_input, init={name: {weight: 0.25}}).build()[0]
            if weight in dict(module.named_parameters()):
                assert module.get_parameter(weight).eq(0.25).all()
                found.add(weight)
    assert found == set(primitive.weights)


def test_every_initialiser_runs() -> None:
    from archspec.layers.initializers import INITIALIZERS

    for name, one in INITIALIZERS.items():
        arguments = {
            key: schema["enum"][0] if "enum" in schema else {"a": -0.5}.get(key, 0.5)
            for key, schema in one.arguments.items()
        }
        written = [{name: arguments}] if one.required else [name, {name: arguments}]
        for value in written:
            module = spec([{"conv": {"out": 8, "kernel": 3}}], init={"conv": {"weight": value}}).build()
            assert module[0].weight.isfinite().all()


def test_buffers_begin_as_torchs_do() -> None:
    ours, theirs = spec(["batch_norm"]).build()[0], nn.BatchNorm2d(3)
    assert {k: v.tolist() for k, v in ours.state_dict().items()} == {
        k: v.tolist() for k, v in theirs.state_dict().items()
    }


def test_names_that_torch_modules_have_are_reserved() -> None:
    """Held against the torch that is installed: what any of our containers has as an attribute cannot name a part."""
    graph = fx.Graph()
    graph.output(graph.placeholder("input"))
    attributes = set(dir(nn.Sequential())) | set(dir(fx.GraphModule(nn.Module(), graph)))
    assert {name for name in attributes if not name.startswith("_")} <= names._MODULE_ATTRIBUTES


def test_equal_blocks_share_their_plan() -> None:
    """So that deep networks are elaborated in milliseconds; the modules are still separate."""
    loaded = load("resnet152")
    passes = dict(dict(loaded.plan.root.children)["stages"].children)["2"].children
    bodies = [body.children[0][1] for _, body in passes]
    assert len(bodies) == 36
    assert len({id(body) for body in bodies}) == 2
    module = load("resnet").build()
    assert len({id(m) for m in module.modules()}) == len(list(module.modules()))
    assert len(list(module.parameters())) == len({p.data_ptr() for p in module.parameters()})

"""Networks as Python: the text stands alone, reads as it should, and computes what the module computes, bit for bit."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from torch import Tensor, nn

from archspec.exports.python import class_name, write
from archspec.foundation.errors import UsageError
from archspec.foundation.reading import read
from archspec.foundation.source import plain
from archspec.layers.calls import DEFAULTS
from archspec.layers.registry import primitives
from archspec.plan.plan import Plan
from archspec.spec import Spec, from_dict, load, open_file

NAMES = [
    "resnet50",
    "densenet121",
    "inception_v3",
    "mobilenet_v3_large",
    "swin_t",
    "vit_b_16",
    "maxvit_t",
    "imagenet/fpn",
    "unet",
]


def network(text: str, name: str) -> nn.Module:
    space: dict[str, Any] = {"__name__": "exported"}
    exec(compile(text, "exported.py", "exec"), space)
    made: nn.Module = space[name]()
    return made


def exported(plan: Plan) -> nn.Module:
    return network(write(plan), class_name(plan))


def exported_without_values(plan: Plan) -> nn.Module:
    """On the device `meta`, where functions of `nn.init` would compute for long what nobody sees."""
    with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
        for name in dir(nn.init):
            if name.endswith("_") and not name.startswith("_"):
                patch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)
        return exported(plan)


def shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(one.shape) for key, one in tensors.items()}


def assert_same_keys(spec: Spec) -> None:
    theirs, ours = exported_without_values(spec.plan), spec.build("meta")
    assert shapes(theirs.state_dict()) == shapes(ours.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_state_dicts_have_the_same_keys_and_shapes(name: str) -> None:
    assert_same_keys(load(name))


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted((ROOT / "specs").rglob("*.yaml")), ids=lambda file: str(file.relative_to(ROOT)))
def test_every_variant_has_the_same_keys_and_shapes(file: Path) -> None:
    """Of the file itself those of the module; of its variants those of the plan, which a test of specs proves equal."""
    first, *others = open_file(file)[0].check().specs
    assert_same_keys(first)
    for spec in others:
        expected = {f"{at.path}.{name}": shape for at in spec.plan.layers for name, shape in at.layer.parameters}
        assert shapes(dict(exported_without_values(spec.plan).named_parameters())) == expected


def test_texts_are_formatted_and_without_what_a_linter_finds(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / f"{Path(name).name}.py").write_text(write(load(name).plan), encoding="utf-8")
    for check in (["format", "--check"], ["check"]):
        found = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--isolated", tmp_path], capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("name", NAMES)
def test_torch_alone_is_imported(name: str) -> None:
    tree = ast.parse(write(load(name).plan))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {str(one).partition(".")[0] for one in modules} - {"torch"} <= sys.stdlib_module_names


def test_stages_of_efficientnet_are_a_loop_with_the_rates_of_the_paper() -> None:
    """Stochastic depth of 0.2 times the block's number over the number of blocks (16), as in the reference."""
    text = write(load("efficientnet_b0").plan)
    stages = text[text.index("        self.stages") : text.index("        self.head")]
    assert (
        stages
        == """\
        self.stages = nn.Sequential(
            *[
                nn.Sequential(
                    InvertedResidual(
                        in_channels,
                        out_channels=out_channels,
                        width=width,
                        squeeze=in_channels // 4,
                        drop=0.2 * first / 16,
                        kernel_size=kernel_size,
                        stride=stride,
                    ),
                    *[
                        InvertedResidual(
                            out_channels,
                            out_channels=out_channels,
                            width=6 * out_channels,
                            squeeze=out_channels // 4,
                            drop=0.2 * (first + i) / 16,
                            kernel_size=kernel_size,
                        )
                        for i in range(1, depth)
                    ],
                )
                for in_channels, out_channels, width, first, kernel_size, stride, depth in (
                    (32, 16, 32, 0, 3, 1, 1),
                    (16, 24, 96, 1, 3, 2, 2),
                    (24, 40, 144, 3, 5, 2, 2),
                    (40, 80, 240, 5, 3, 2, 3),
                    (80, 112, 480, 8, 5, 1, 3),
                    (112, 192, 672, 11, 5, 2, 4),
                    (192, 320, 1152, 15, 3, 1, 1),
                )
            ]
        )
"""
    )


def test_stages_of_a_dense_path_grow_in_a_loop() -> None:
    """DPN-92 as published: 3, 4, 20 and 3 blocks, which add 16, 32, 24 and 128 channels each."""
    text = write(load("dpn92").plan)
    rows = [line.strip() for line in text.splitlines() if line.startswith(" " * 20 + "(")]
    assert rows == [
        "(64, 256, 96, 16, 1, 3),",
        "(336, 512, 192, 32, 2, 4),",
        "(704, 1024, 384, 24, 2, 20),",
        "(1552, 2048, 768, 128, 2, 3),",
    ]
    assert "DualPath(\n                            width + 3 * growth + growth * i,\n" in text


def test_a_condition_asks_what_is_in_its_part() -> None:
    """A convolution that widens is left out where it would not: the drop rate, 0 there as well, has no part in it."""
    assert "        if in_channels != width:\n            self.main.expand" in write(load("efficientnet_b0").plan)


def test_auxiliary_classifiers_take_the_number_of_classes() -> None:
    space: dict[str, Any] = {"__name__": "exported"}
    exec(write(load("imagenet/googlenet").plan), space)
    _, others = space["GoogLeNet"](num_classes=7)(torch.randn(2, 3, 64, 64))
    assert {name: one.shape for name, one in others.items()} == {"aux1": (2, 7), "aux2": (2, 7)}


@pytest.mark.parametrize(
    ("name", "block"), [("convnext_tiny", "ConvNeXt"), ("regnet_y_400mf", "RegNet"), ("maxvit_t", "MaxViT")]
)
def test_blocks_are_spelt_as_their_networks(name: str, block: str) -> None:
    assert f"\nclass {block}(nn.Module):\n" in write(load(name).plan)


def test_names_in_any_script_are_names_of_classes() -> None:
    """Python takes letters of all scripts, and no digit first."""
    names = [
        from_dict({"archspec": 1, "name": name, "input": [4], "network": ["relu"]}).plan
        for name in ("Größe 网络", "3D Net")
    ]
    assert [class_name(plan) for plan in names] == ["Größe网络", "Network3DNet"]


def test_numbers_of_many_digits_are_written_as_what_they_are() -> None:
    """The fan-in of ViT-B/16's patches is 3·16·16."""
    assert "nn.init.trunc_normal_(module.weight, std=768**-0.5)" in write(load("vit_b_16").plan)


# --- what is computed ----------------------------------------------------------------------------------------------


def named(output: Any) -> dict[str, Tensor]:
    main, others = output if isinstance(output, tuple) else (output, {})
    return {"": main, **others}


def computed(module: nn.Module, *inputs: Tensor) -> dict[str, Tensor]:
    """Outputs, gradients and statistics, in evaluation and in training."""
    found: dict[str, Tensor] = {}
    inputs = tuple(one.clone().requires_grad_() for one in inputs)
    for mode in (False, True):
        module.train(mode)
        torch.manual_seed(5)
        results = named(module(*inputs))
        found |= {f"{mode} {name}": one.detach().clone() for name, one in results.items()}
        module.zero_grad()
        loss = torch.stack([one.square().mean() for one in results.values()]).sum()
        if loss.requires_grad:  # what `draw_column` draws depends on nothing
            loss.backward()
        found |= {f"{mode} gradient {n}": one.grad for n, one in module.named_parameters() if one.grad is not None}
        found |= {f"{mode} gradient of input {i}": one.grad for i, one in enumerate(inputs) if one.grad is not None}
        found |= {f"{mode} after {name}": one.clone() for name, one in module.state_dict().items()}
    return found


def assert_computes_the_same(spec: Spec, text: str | None = None) -> None:
    """That the file of a network, or another text of it, computes what its module does, bit for bit."""
    ours, theirs = spec.build(), network(text or write(spec.plan), class_name(spec.plan))
    torch.manual_seed(1)
    with torch.no_grad():
        for one in ours.parameters():
            one.add_(0.05 * torch.randn_like(one))
    theirs.load_state_dict({name: one.clone() for name, one in ours.state_dict().items()})
    inputs = [torch.randn(3, *shape) for shape in spec.plan.inputs.values()]
    wanted, found = computed(ours, *inputs), computed(theirs, *inputs)
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fashion/lenet5", "resnet", "preact", "densenet", "googlenet", "unet_small"])
def test_small_networks_compute_the_same(name: str) -> None:
    assert_computes_the_same(load(name))


CONV = {"conv": {"out": "=c_in", "kernel": 3, "padding": 1}}
WIRED: dict[str, list[Any]] = {
    "merges": [
        {"add": [CONV, {"mean": ["relu", CONV]}]},
        {"subtract": {"one": CONV, "other": []}},
        {"multiply": [CONV, [CONV, {"maximum": [[], CONV]}]]},
        [CONV, {"matmul": [CONV, CONV]}],
    ],
    "attend": [
        "tokens",
        {"attend": {"query": {"linear": 8}, "key": {"linear": 8}, "value": {"linear": 8}}, "heads": 2},
    ],
    **{
        f"attend {beside}": [
            "tokens",
            {
                "attend": {
                    "query": {"linear": 8},
                    "key": {"linear": 8},
                    "value": {"linear": 6},
                    **({"bias": {"relative_position_bias": 2}} if "bias" in beside else {}),
                },
                "heads": 2,
                "causal": "causal" in beside,
                "dropout": 0.3 if "dropout" in beside else 0.0,
            },
        ]
        for beside in ("causal", "causal bias", "dropout", "dropout causal bias")
    },
    "splits": [
        {"concat": {"left": CONV, "right": []}, "split": "equal"},
        {"concat": [CONV, []], "split": [2, 6], "axis": 1},
    ],
    "saves": [
        {"save": "early"},
        CONV,
        {"add": [[], {"load": "early"}]},
        {"output": "middle"},
        CONV,
        {"output": "late"},
    ],
    "aux": [
        CONV,
        {"save": "early"},
        {"aux": {"name": "side", "weight": 0.3, "body": ["global_avg_pool", "flatten", {"linear": 5}]}},
        CONV,
        {"aux": {"name": "seeing", "weight": 0.3, "body": [CONV, {"add": [[], {"load": "early"}]}, {"dropout": 0.5}]}},
        {"output": "named"},
    ],
    "recompute": [
        {"add": [[CONV, {"dropout": 0.5}], []], "recompute": True},
        {"for": {"i": [1, 2]}, "body": [CONV, {"save": "kept", "when": "=last"}, "relu"], "recompute": True},
        {"multiply": [[], {"load": "kept"}]},
    ],
    "share": [{"for": {"i": [1, 2, 3]}, "body": [{**CONV, "share": "same"}, "relu"]}, {"add": [{"share": "same"}, []]}],
    "loops": [
        {"for": {"width": [4, 8, 12, 16]}, "body": [{"conv_norm_act": {"out": "=width"}}, {"dropout": "=index / 10"}]}
    ],
}


@pytest.mark.parametrize("kind", WIRED)
def test_networks_of_every_wiring_compute_the_same(kind: str) -> None:
    defaults = {"act": "relu", "norm": "batch_norm"}
    data = {"archspec": 1, "name": kind, "input": [8, 8, 8], "defaults": defaults, "network": WIRED[kind]}
    assert_computes_the_same(from_dict(data))


FIRST = {
    1: {"linear": 6},
    2: {"linear": 8},
    3: {"conv": {"out": 8, "kernel": 1}},
    4: {"conv_3d": {"out": 4, "kernel": 1}},
}


def of_example(name: str, example: str) -> Spec:
    """A network of a layer behind one with weights; the layer takes positive values."""
    shape = primitives()[name].example_input
    first = {"conv_1d": {"out": 8, "kernel": 1}} if name.endswith("_1d") else FIRST[len(shape)]
    node = plain(read(example.encode(), "example"))
    return from_dict({"archspec": 1, "name": name, "input": list(shape), "network": [first, "sigmoid", node]})


@pytest.mark.slow
@pytest.mark.parametrize("name", primitives())
def test_every_layer_computes_the_same(name: str) -> None:
    for example in primitives()[name].examples:
        assert_computes_the_same(of_example(name, example))


def test_every_layer_is_formatted_and_without_what_a_linter_finds(tmp_path: Path) -> None:
    for name, one in primitives().items():
        for i, example in enumerate(one.examples):
            (tmp_path / f"{name}_{i}.py").write_text(write(of_example(name, example).plan), encoding="utf-8")
    for check in (["format", "--check"], ["check"]):
        found = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--isolated", tmp_path], capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stdout


# --- initial values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_parameters_get_the_initial_values_of_the_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[int, tuple[str, dict[str, Any]]] = {}

    def recorded(function: str) -> Any:
        def call(parameter: Tensor | None = None, *_: Any, **arguments: Any) -> Tensor | None:
            caller = inspect.currentframe()
            assert caller
            assert caller.f_back
            is_network = caller.f_back.f_code.co_filename == "exported.py" and "module" in caller.f_back.f_locals
            if is_network or caller.f_back.f_code.co_qualname.startswith(class_name(spec.plan)):
                calls[id(parameter)] = (function, arguments)
            return parameter

        return call

    for function in (
        "kaiming_normal_",
        "kaiming_uniform_",
        "trunc_normal_",
        "normal_",
        "zeros_",
        "ones_",
        "constant_",
        "xavier_uniform_",
    ):
        monkeypatch.setattr(nn.init, function, recorded(function))
    spec = load(name)
    with torch.device("meta"):
        model = exported(spec.plan)
    found = {path: calls[id(one)] for path, one in model.named_parameters() if id(one) in calls}
    wanted = {}
    for layer in spec.plan.layers:
        for parameter, (function, arguments) in layer.layer.init:
            given = dict(arguments)
            if function == "constant" and given["val"] in (0, 1):
                function, given = ("zeros" if given["val"] == 0 else "ones"), {}
            wanted[f"{layer.path}.{parameter}"] = (f"{function}_", given)
    assert found == wanted


# --- layers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [one for one in DEFAULTS if one.startswith("nn.")])
def test_arguments_that_are_left_out_have_the_defaults_of_torch(function: str) -> None:
    parameters = inspect.signature(getattr(nn, function.removeprefix("nn."))).parameters
    assert {name: parameters[name].default for name in DEFAULTS[function]} == DEFAULTS[function]


def test_a_layer_that_does_not_say_how_it_is_written_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(primitives()["tanh"]), "call", lambda *_: None)
    with pytest.raises(UsageError) as error:
        write(from_dict({"archspec": 1, "input": [3, 8, 8], "network": ["relu", "tanh"]}).plan)
    assert str(error.value) == (
        "`tanh` (1) does not say how it is written in Python: it comes from a plugin; export the network with `--to torch`"
    )


def test_one_process_writes_as_often_as_it_is_asked() -> None:
    from archspec.exports import python

    plan = load("fashion/lenet5").plan
    assert python.write(plan) == python.write(plan)

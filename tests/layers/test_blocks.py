"""Every block of the library: documented, and what its plan says is what torch does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from archspec.commands.explain import example_spec
from archspec.language.vocabulary import library_block, library_names
from archspec.spec import Spec, from_dict


def spec_of(node: Any, input: tuple[int, ...] = (16, 8, 8), norm: Any = "batch_norm") -> Spec:
    return from_dict(
        {"archspec": 1, "input": list(input), "defaults": {"act": "relu", "norm": norm}, "network": [node]}
    )


def kinds(spec: Spec) -> list[str]:
    return [placed.layer.primitive for placed in spec.plan.layers]


@pytest.mark.parametrize("name", library_names())
def test_block_is_documented(name: str) -> None:
    block = library_block(name)
    assert block.name == name
    assert block.doc.endswith(".")
    assert block.example
    assert all(argument.doc for argument in block.signature.arguments)
    assert name == "conv_norm_act" or block.source.startswith("https://")


@pytest.mark.parametrize("name", library_names())
def test_example_runs_as_planned(name: str) -> None:
    spec = from_dict(example_spec(library_block(name)))
    module = spec.build()
    output = module(torch.randn(2, *spec.plan.input, requires_grad=True))
    assert tuple(output.shape) == (2, *spec.plan.output)
    assert sum(p.numel() for p in module.parameters()) == spec.plan.params
    output.sum().backward()
    assert all(p.grad is not None for p in module.parameters())


WITH_NORM = [
    "resnet",
    "bottleneck",
    "preact",
    "preact_bottleneck",
    "conv_norm_act",
    "norm_act_conv",
    "dense",
    "transition",
]
WITH_NORM += ["vgg", "nin", "fire", "dual_path", *(f"inception_{x}" for x in "abcde")]
WITH_NORM += [f"inception_resnet_{x}" for x in "abc"]


@pytest.mark.parametrize("name", WITH_NORM)
@pytest.mark.parametrize("norm", ["none", {"group_norm": 4}])
def test_normalisation_is_a_choice(name: str, norm: Any) -> None:
    spec = from_dict(example_spec(library_block(name)) | {"defaults": {"act": "relu", "norm": norm}})
    assert ("group_norm" in kinds(spec)) == (norm != "none")
    assert "batch_norm" not in kinds(spec)
    assert tuple(spec.build()(torch.randn(2, *spec.plan.input)).shape[1:]) == spec.plan.output


def test_inception_works_with_and_without_normalisation() -> None:
    arguments = {"out1": 4, "reduce3": 4, "out3": 8, "reduce5": 2, "out5": 4, "pool": 4}
    for norm in ("batch_norm", "none"):
        spec = spec_of({"inception": arguments | {"norm": norm}})
        assert spec.plan.output == (20, 8, 8)
        assert kinds(spec).count("batch_norm") == (6 if norm == "batch_norm" else 0)
        convs = sum(
            i * o * k * k + o for i, o, k in [(16, 4, 1), (16, 4, 1), (4, 8, 3), (16, 2, 1), (2, 4, 5), (16, 4, 1)]
        )
        norms = 2 * (4 + 4 + 8 + 2 + 4 + 4) if norm == "batch_norm" else 0
        assert spec.plan.params == convs + norms


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("projection", ["conv", "batch_norm"]),
        ("conv", ["conv"]),
        ("zeros", ["subsample"]),
    ],
)
def test_shortcut_has_the_forms_of_the_paper(form: str, expected: list[str]) -> None:
    assert kinds(spec_of({"shortcut": {"out": 32, "stride": 2, "form": form}})) == expected
    assert kinds(spec_of({"shortcut": {"out": 16, "form": form}})) == []


def test_zeros_shortcut_is_option_a() -> None:
    images = torch.randn(2, 16, 7, 8)
    expected = nn.functional.pad(images[:, :, ::2, ::2], (0, 0, 0, 0, 0, 16))
    ours = spec_of({"shortcut": {"out": 32, "stride": 2, "form": "zeros"}}, (16, 7, 8)).build()
    assert torch.equal(ours(images), expected)


def test_resnet_block_equals_the_equations_of_the_paper() -> None:
    spec = spec_of({"resnet": {"width": 32, "stride": 2}})
    block = spec.build().eval()
    part = block.get_submodule
    images = torch.randn(2, 16, 8, 8)
    main = part("0.add.main.0.norm")(part("0.add.main.0.conv")(images)).relu()
    main = part("0.add.main.1.norm")(part("0.add.main.1.conv")(main))
    side = part("0.add.shortcut.0.norm")(part("0.add.shortcut.0.conv")(images))
    assert torch.equal(block(images), (main + side).relu())


def test_dense_without_bottleneck_is_one_convolution() -> None:
    spec = spec_of({"dense": {"growth": 8, "bottleneck": 0, "bias": True}})
    assert kinds(spec) == ["batch_norm", "relu", "conv"]
    assert spec.plan.params == 2 * 16 + 16 * 8 * 9 + 8


def test_transition_halves_channels_and_size() -> None:
    assert spec_of("transition").plan.output == (8, 4, 4)
    assert spec_of({"transition": 0.25}).plan.output == (4, 4, 4)

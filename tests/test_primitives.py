"""Every registered primitive against torch: shape, parameters and MACs of random cases, and what both refuse."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from torch.utils.flop_counter import FlopCounterMode

from archspec.arguments import REQUIRED, Schema
from archspec.errors import Fault
from archspec.primitive import Primitive
from archspec.registry import primitives, register
from archspec.shapes import Shape
from archspec.spec import from_dict

# Where we are stricter than torch on purpose: it takes any rank, treating a sample's axes as something else
RANK = "but its input is"
STRICTER = {
    "group_norm": "would normalise single values",  # torch refuses them for a batch of one alone
    "subsample": "it only adds channels",  # torch would cut channels off
}


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that a schema allows, small enough for many cases to be legal together."""
    if "anyOf" in schema:
        return st.one_of(*map(values, schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema["type"]
    if kind == "integer":
        low = schema.get("minimum", -4)
        return st.integers(low, min(schema.get("maximum", low + 4), low + 4))
    if kind == "number":
        low = schema.get("minimum", schema.get("exclusiveMinimum", -2.0))
        return st.floats(low, schema.get("maximum", low + 2), exclude_min="exclusiveMinimum" in schema, width=32)
    if kind == "array":
        return st.lists(values(schema["items"]), min_size=schema["minItems"], max_size=schema["maxItems"])
    return {"boolean": st.booleans(), "null": st.none()}[kind]


@st.composite
def cases(draw: st.DrawFn, primitive: Primitive) -> tuple[dict[str, Any], Shape]:
    arguments = {}
    for argument in primitive.arguments:
        written = argument.default is REQUIRED or draw(st.booleans())
        arguments[argument.name] = draw(values(argument.schema)) if written else argument.default
    size = st.integers(1, 12)
    channels = st.sampled_from([1, 2, 3, 4, 6, 8, 32])
    shape = draw(st.one_of(st.tuples(channels, size, size), st.tuples(channels), st.tuples(size, channels)))
    return arguments, shape


def torch_says(primitive: Primitive, arguments: dict[str, Any], shape: Shape) -> tuple[Shape, dict[str, Shape], float]:
    """Output shape, parameter shapes and MACs, read off the module as it runs on two samples."""
    module = primitive.module(arguments, shape)
    with FlopCounterMode(display=False) as counter:
        output = module(torch.zeros(2, *shape))
    parameters = {name: tuple(p.shape) for name, p in module.named_parameters() if p.requires_grad}
    return tuple(output.shape[1:]), parameters, counter.get_total_flops() / 2 / 2  # two samples, two operations a MAC


@pytest.mark.parametrize("primitive", primitives().values(), ids=list(primitives()))
@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
@given(data=st.data())
def test_primitive_says_what_torch_does(primitive: Primitive, data: st.DataObject) -> None:
    arguments, shape = data.draw(cases(primitive))
    assert primitive.signature.problem(arguments) is None
    try:
        output = primitive.output(arguments, shape)
    except Fault as fault:
        assert fault.code == "input-shape"
        if RANK not in fault.message and STRICTER.get(primitive.name, "-") not in fault.message:
            with pytest.raises((RuntimeError, ValueError)):
                torch_says(primitive, arguments, shape)
        return
    ours = (output, primitive.parameters(arguments, shape), primitive.macs(arguments, shape, output))
    assert ours == torch_says(primitive, arguments, shape)


@pytest.mark.parametrize("primitive", primitives().values(), ids=list(primitives()))
def test_the_random_cases_are_legal_often_enough(primitive: Primitive) -> None:
    """A property that never meets a legal case would hold of anything."""
    legal = []

    @settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=cases(primitive))
    def count(case: tuple[dict[str, Any], Shape]) -> None:
        with contextlib.suppress(Fault):
            legal.append(primitive.output(*case))

    count()
    assert len(legal) >= 10


@pytest.mark.parametrize("primitive", primitives().values(), ids=list(primitives()))
def test_examples_are_sound_and_documented(primitive: Primitive) -> None:
    assert primitive.doc.endswith(".")
    assert primitive.rule
    assert primitive.source.startswith("https://")
    assert all(argument.doc for argument in primitive.arguments)
    for example in primitive.examples:
        from archspec.source import plain, read

        node = plain(read(example.encode(), "example"))
        spec = from_dict({"archspec": 1, "input": list(primitive.example_input), "network": [node]})
        module = spec.build()
        assert tuple(module(torch.zeros(2, *spec.plan.input)).shape[1:]) == spec.plan.output


@pytest.mark.parametrize("primitive", primitives().values(), ids=list(primitives()))
def test_weights_names_every_parameter(primitive: Primitive) -> None:
    """`weights` is what `init` may name: no parameter of the module is missing there."""
    arguments = {a.name: (1 if a.default is REQUIRED else a.default) for a in primitive.arguments}
    shape = (1,) if primitive.name == "linear" else (32, 8, 8)
    if primitive.name == "subsample":
        arguments["out"] = 32
    module = primitive.module(arguments, shape)
    assert {name for name, _ in module.named_parameters()} == set(primitive.weights)


def test_registering_a_name_twice_is_an_error() -> None:
    from archspec.primitives import linear

    known = dict(primitives())
    with pytest.raises(
        ValueError,
        match=r"^primitive `linear` of archspec\.primitives\.linear is already registered by archspec\.primitives\.linear$",
    ):
        register(known, linear)


def test_arguments_out_of_range_are_refused() -> None:
    conv = primitives()["conv"].signature
    sound = {"out": 8, "kernel": 3, "stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
    for name, wrong in [
        ("out", 0),
        ("out", 1.0),
        ("out", True),
        ("kernel", [3]),
        ("kernel", [3, 0]),
        ("padding", "valid"),
        ("padding", -1),
        ("bias", 1),
        ("groups", None),
    ]:
        problem = conv.problem(sound | {name: wrong})
        assert problem is not None, (name, wrong)
        assert problem[0] == name
    assert conv.problem(sound) is None

"""Every registered primitive against torch: shape, parameters and MACs of random cases, and what both refuse."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from math import prod
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from layer_examples import spec_of
from torch.utils.flop_counter import FlopCounterMode

from archspec.foundation.arguments import REQUIRED, Schema
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, height_width
from archspec.layers.primitive import Primitive
from archspec.layers.registry import primitives, register
from archspec.spec import from_dict

# Where we are stricter than torch on purpose: it takes any rank, treating a sample's axes as something else
RANK = "but its input is"
SIDES = "on one side, and its kernel has|`ceil_mode` of .* needs a `padding` that is equal"  # means of zeros alone
STRICTER = {
    **dict.fromkeys(("branch_mean", "weighted_mean"), "needs channels first"),
    "branch_factors": "twice|two or more columns",  # torch takes any vector
    "group_norm": "would normalise single values",  # torch refuses them for a batch of one alone
    "channel_slice": "is not within its",  # torch gives an empty tensor
    # torch gives an empty tensor, or takes one of two sizes
    **dict.fromkeys(
        ("conv_transpose", "conv_transpose_1d", "conv_transpose_3d"), "takes away everything|without `output_padding`"
    ),
    "group_norm_1d": "would normalise single values",
    "group_norm_3d": "would normalise single values",
    "slice": "is not within",  # torch gives an empty tensor
    "relative_position_bias": "cannot lay out",  # torch gives a bias for other tokens
    "rotary_positions": "cannot lay out|do not divide",  # torch takes one angle for all, or no pair at all
    "ws_conv": "would standardise single values",  # torch divides the zero by the root of `eps`
    "feature_map": "cannot lay out",  # torch takes what is left over for other samples
    "subsample": "it only adds channels",  # torch would cut channels off
    # torch takes indices from outside the input
    **dict.fromkeys(("max_pool", "max_pool_1d", "max_pool_3d"), f"would see padding only|{SIDES}"),
    # it could mean either
    **dict.fromkeys(("avg_pool", "avg_pool_1d", "avg_pool_3d"), f"would count the zeros|{SIDES}"),
    # torch has three values where we have two
    **dict.fromkeys(("upsample", "upsample_1d", "upsample_3d"), "no corners to align"),
    # a larger shift is another, smaller one; heads that divide the positions would mix these up; v2 divides by one less
    "window_attention": "must be less than its window|does not divide its|needs windows of at least 2×2",
}
# Shapes that suit arguments which random ones hardly ever do
SUITED: dict[str, Callable[[dict[str, Any], Shape], Shape]] = {
    "branch_factors": lambda a, shape: (max(a["columns"]) + shape[0] + 1,),
    "feature_map": lambda a, shape: (prod(height_width(a["size"])), shape[-1]),
    "rotary_positions": lambda a, shape: (
        (prod(height_width(a["size"] or shape[0])), 4 * a["heads"] * shape[-1])
        if a["size"]
        else (shape[0], 4 * a["heads"] * shape[-1])
    ),
    "relative_position_bias": lambda a, shape: (prod(height_width(a["size"])) if a["size"] else shape[0], shape[-1]),
    "multi_axis_attention": lambda a, shape: (a["head_size"] * shape[0], *(a["size"] * n for n in shape[1:])),
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
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 2))
        ends = {"exclude_min": "exclusiveMinimum" in schema, "exclude_max": "exclusiveMaximum" in schema}
        return st.floats(low, high, width=32, **ends)
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
    shapes = [
        st.tuples(channels, size, size),
        st.tuples(channels),
        st.tuples(size, channels),
        st.tuples(channels, size, size, size),
    ]
    likely = {3: 0, 1: 1, 2: 2, 4: 3}[len(primitive.example_input)]
    shape = draw(st.one_of(shapes[likely], shapes[likely], *shapes))
    if primitive.name in SUITED and draw(st.booleans()):
        shape = SUITED[primitive.name](arguments, shape)
    return arguments, shape


def torch_says(primitive: Primitive, arguments: dict[str, Any], shape: Shape) -> tuple[Shape, dict[str, Shape], float]:
    """Output shape (of two samples), parameter shapes, and MACs of one sample, read off the module as it runs."""
    module = primitive.module(arguments, shape)
    output = module(torch.zeros(2, *shape))
    # on `meta`, where attention is made of matrix products that can be counted
    with FlopCounterMode(display=False) as counter:
        module.eval().to("meta")(torch.zeros(1, *shape, device="meta"))
    parameters = {name: tuple(p.shape) for name, p in module.named_parameters() if p.requires_grad}
    return tuple(output.shape[1:]), parameters, counter.get_total_flops() / 2  # two operations a MAC


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch's own
@pytest.mark.parametrize("primitive", primitives().values(), ids=list(primitives()))
def test_primitive_says_what_torch_does(primitive: Primitive) -> None:
    legal = 0

    def agrees(case: tuple[dict[str, Any], Shape]) -> None:
        nonlocal legal
        arguments, shape = case
        assert primitive.signature.problem(arguments) is None
        try:
            output = primitive.output(arguments, shape)
        except Fault as fault:
            assert fault.code == "input-shape"
            if RANK not in fault.message and not re.search(STRICTER.get(primitive.name, "^$"), fault.message):
                with pytest.raises((RuntimeError, ValueError, AssertionError, ArithmeticError, IndexError)):
                    torch_says(primitive, arguments, shape)
            return
        legal += 1
        ours = (output, primitive.parameters(arguments, shape), primitive.macs(arguments, shape, output))
        assert ours == torch_says(primitive, arguments, shape)

    for count in (60, 300):  # more of those that are seldom legal
        random = settings(
            max_examples=count,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )
        random(given(case=cases(primitive))(agrees))()
        if legal >= 10:
            break
    assert legal >= 10, "a property that hardly ever meets a legal case would hold of anything"


@pytest.mark.parametrize("primitive", primitives().values(), ids=list(primitives()))
def test_examples_are_sound_and_documented(primitive: Primitive) -> None:
    assert primitive.doc.endswith(".")
    assert primitive.rule
    assert primitive.source.startswith("https://")
    assert all(argument.doc for argument in primitive.arguments)
    for example in primitive.examples:
        from archspec.foundation.reading import read
        from archspec.foundation.source import plain

        node = plain(read(example.encode(), "example"))
        spec = from_dict({"archspec": 1, "input": list(primitive.example_input), "network": [node]})
        module = spec.build()
        copied = pickle.loads(pickle.dumps(module))
        assert tuple(copied(torch.zeros(2, *spec.plan.input)).shape[1:]) == spec.plan.output


@pytest.mark.parametrize("primitive", primitives().values(), ids=list(primitives()))
def test_weights_names_every_parameter(primitive: Primitive) -> None:
    """`weights` is what `init` may name: no parameter of the modules of its examples is missing there."""
    from archspec.foundation.reading import read
    from archspec.foundation.source import plain

    found = set()
    for example in primitive.examples:
        node = plain(read(example.encode(), "example"))
        spec = from_dict({"archspec": 1, "input": list(primitive.example_input), "network": [node]})
        found |= {name.removeprefix("0.") for name, _ in spec.build().named_parameters()}
    assert found == set(primitive.weights)


def test_registering_a_name_twice_is_an_error() -> None:
    from archspec.layers.primitives import linear

    known = dict(primitives())
    with pytest.raises(
        ValueError,
        match=r"^primitive `linear` of archspec\.layers\.primitives\.linear is already registered by "
        r"archspec\.layers\.primitives\.linear$",
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


def taps(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> list[list[int]]:
    """The positions that each window of torch's pooling touches, padding included, one window after the other."""
    counted = torch.nn.functional.max_pool1d(torch.zeros(1, 1, size), kernel, stride, padding, dilation, ceil).shape[-1]
    return [[i * stride - padding + tap * dilation for tap in range(kernel)] for i in range(counted)]


def test_no_pooling_window_sees_padding_only() -> None:
    random = Random(0)
    refused = accepted = 0
    for _ in range(3000):
        primitive = primitives()[random.choice(["max_pool", "avg_pool"])]
        shape = (2, random.choice([1, 1, 2, 3, 7]), random.choice([1, 2, 4, 5]))
        kernel = [random.choice([1, 2, 2, 3, 5]) for _ in "yx"]
        arguments: dict[str, Any] = {
            "kernel": kernel,
            "stride": [random.randint(1, 4) for _ in "yx"],
            "padding": [random.randint(0, k // 2) for k in kernel],
            "ceil_mode": random.random() < 0.5,
        }
        dilation = [1, 1]
        if primitive.name == "max_pool":
            arguments["dilation"] = dilation = [random.randint(1, 4) for _ in "yx"]
        else:
            arguments["count_include_pad"] = random.random() < 0.5
        axes = zip(shape[1:], kernel, arguments["stride"], arguments["padding"], dilation, strict=True)
        try:
            windows = [taps(*axis, arguments["ceil_mode"]) for axis in axes]
        except RuntimeError:  # no window fits
            with pytest.raises(Fault):
                primitive.output(arguments, shape)
            continue
        seen = [all(any(0 <= tap < n for tap in one) for one in ws) for ws, n in zip(windows, shape[1:], strict=True)]
        if not all(seen):
            refused += 1
            with pytest.raises(Fault, match="would see padding only"):
                primitive.output(arguments, shape)
            continue
        accepted += 1
        images = torch.randn(2, *shape, requires_grad=True)
        output = primitive.module(arguments, shape)(images)
        assert tuple(output.shape[1:]) == primitive.output(arguments, shape)
        output.sum().backward()
        assert images.grad is not None
        assert output.isfinite().all()
        assert images.grad.isfinite().all()
    assert refused > 50
    assert accepted > 1000


@pytest.mark.parametrize("name", primitives())
def test_buffers_are_those_of_the_module(name: str, tmp_path: Path) -> None:
    one = primitives()[name]
    for example in one.examples:
        spec = spec_of(one, example, tmp_path)
        said = sum(one.buffers(node.layer.arguments, node.layer.input) for node in spec.plan.layers)
        assert said == sum(buffer.nbytes for buffer in spec.build().buffers())


@pytest.mark.parametrize("size", [2, 5, 8])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("window_attention", {"heads": 2, "window": 0, "shift": 1, "version": "v1"}),
        ("window_attention", {"heads": 2, "window": 0, "shift": 0, "version": "v1"}),
        ("multi_axis_attention", {"size": 0, "by": "window", "head_size": 8}),
    ],
)
def test_buffers_are_those_of_the_module_for_any_size(name: str, arguments: dict[str, Any], size: int) -> None:
    arguments = {key: size if value == 0 and key != "shift" else value for key, value in arguments.items()}
    module = primitives()[name].module(arguments, (16, 40, 40))
    held = sum(one.numel() * one.element_size() for one in module.buffers())
    assert held == primitives()[name].buffers(arguments, (16, 40, 40)) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "primitive", [one for one in primitives().values() if not one.fixed_size], ids=lambda one: str(one.name)
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch's own
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_module_of_no_fixed_size_serves_for_other_sizes(primitive: Primitive, data: st.DataObject) -> None:
    """As sharing needs it: made for one shape, it computes on another what a module that is made for that does."""
    arguments, shape = data.draw(cases(primitive))
    sizes = data.draw(st.tuples(*[st.integers(1, 12)] * len(shape)))
    other = (shape[0], *sizes[1:]) if len(shape) > 2 else (sizes[0], shape[1]) if len(shape) == 2 else shape
    if len(shape) == 2 and data.draw(st.booleans()):
        other = sizes[0], sizes[1]
    try:
        made, wanted = (primitive.output(arguments, one) and primitive.module(arguments, one) for one in (shape, other))
        parameters = primitive.parameters(arguments, shape)
        if parameters != primitive.parameters(arguments, other) or (primitive.weights and not parameters):
            return
    except Fault:
        return
    wanted.load_state_dict(made.state_dict())
    images = torch.rand(2, *other)
    assert torch.equal(made.eval()(images), wanted.eval()(images))

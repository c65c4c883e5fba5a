"""What is kept for the backward pass against what torch saves, and peaks against torch's own account of memory."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from layer_examples import spec_of
from peaks import allocations, held, peak_of_inference, peak_of_training, saved
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import archspec
from archspec.assembly.assemble import assemble
from archspec.foundation.errors import UsageError
from archspec.language.finder import bundled, variants
from archspec.layers.registry import primitives
from archspec.plan.graph import GraphLayer
from archspec.plan.plan import Plan
from archspec.recipe.optimizers import OPTIMIZERS
from archspec.views.convolutions import channels_last, copies_of_weights
from archspec.views.memory import inference_memory, kept_bytes, training_memory

SPEC = """archspec: 1
name: Kept
input: [3, 32, 32]
defaults: {act: relu, norm: batch_norm}
network:
  - conv_norm_act: {out: 16, stride: 2}
  - conv_norm_act: {out: 16}
    recompute: true
  - add:
      shortcut: []
      main: [conv_norm_act: {out: 16}, squeeze_excite: {width: 4}]
    repeat: 2
    recompute: true
  - aux:
      name: early
      weight: 0.3
      body: [global_avg_pool, flatten, linear: 5]
  - multiply:
      one: []
      two: [conv: {out: 16, kernel: 1}, sigmoid]
      three: [global_avg_pool]
  - maximum:
      left: [max_pool: {kernel: 3, stride: 1, padding: 1}]
      right: [gelu, dropout: 0.1]
  - mean: {one: [scale: 2], two: [local_response_norm]}
  - tokens
  - layer_norm
  - class_token
  - attention: {heads: 4, dropout: 0.1}
  - attention: 2
    recompute: true
  - stochastic_depth: 0.1
  - token
  - dropout: 0.0
  - linear: 10
"""


SHARED = """archspec: 1
name: Shared
input: [8, 16, 16]
network:
  - {conv: {out: 8, kernel: 3, padding: 1}, share: step}
  - relu
  - {batch_norm: , share: norm}
  - max_pool: 2
  - {share: step}
  - {share: norm}
  - {share: step, repeat: 2, recompute: true}
  - gelu
"""


def saved_by_torch(plan: Plan, batch: int) -> int:
    """What torch saves of a whole network, with tensors that have no memory."""
    module = assemble(plan, "meta").train()
    with FakeTensorMode(allow_non_fake_inputs=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part in module.modules():
            for name, parameter in list(part._parameters.items()):
                if parameter is not None:
                    part._parameters[name] = nn.Parameter(torch.empty(parameter.shape))
            for name, buffer in list(part._buffers.items()):
                if buffer is not None:
                    part._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)
        return saved(module, *(torch.empty(batch, *shape) for shape in plan.inputs.values()))


@pytest.mark.parametrize("batch", [2, 5])
@pytest.mark.parametrize("text", [SPEC, SHARED], ids=["all", "shared"])
def test_kept_bytes_are_those_that_torch_saves(text: str, batch: int, tmp_path: Path) -> None:
    (tmp_path / "kept.yaml").write_text(text)
    spec = archspec.load(str(tmp_path / "kept.yaml"))
    assert kept_bytes(spec.plan, batch) == saved(spec.build().train(), torch.rand(batch, *spec.plan.input))


@pytest.mark.parametrize(
    ("name", "index"), [(name, i) for name, one in primitives().items() for i in range(len(one.examples))]
)
def test_each_layer_keeps_what_it_says(name: str, index: int, tmp_path: Path) -> None:
    one = primitives()[name]
    if name == "lstm":
        pytest.skip("it does not say: oneDNN has a memory of its own")
    spec = spec_of(one, one.examples[index], tmp_path, learns=True)
    for batch in (2, 3):
        assert kept_bytes(spec.plan, batch) == saved(spec.build().train(), torch.rand(batch, *spec.plan.input))


FAST = {"digits", "googlenet", "resnet18", "vit_b_32", "swin_t", "mobilenet_v3_small"}
# every file, and of the variants, most of which differ in numbers alone, a few
CHOSEN = FAST | {*bundled(), *list(variants())[::8]}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in sorted(CHOSEN)],
)
def test_kept_bytes_of_the_zoo_are_those_that_torch_saves(name: str) -> None:
    plan = archspec.load(name).plan
    assert kept_bytes(plan, 2) == saved_by_torch(plan, 2)


NETWORKS = {
    **{"digits": 32, "resnet": 8, "googlenet": 4, "densenet": 4, "mobilenet_v2": 4, "resnet18": 4},
    **{"convnext_tiny": 2, "swin_t": 2, "vit_b_16": 2},
}
# the first blocks of a stage or of an encoder: the others are the same again
SHORTER = {"convnext_tiny": "depths=[1, 1, 2, 1]", "swin_t": "depths=[2, 2, 2, 2]", "vit_b_16": "depth=3"}


@pytest.fixture
def two_threads() -> Iterator[None]:
    """As on any machine but the smallest: with one thread, oneDNN works on some convolutions with less memory."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("name", "optimizer"),
    [*((name, "adamw") for name in NETWORKS), ("digits", "sgd"), ("resnet18", "sgd"), ("convnext_tiny", "sgd")],
)
def test_peaks_are_those_that_torch_measures(name: str, optimizer: str) -> None:
    spec, batch = archspec.load(name, set=[SHORTER[name]] if name in SHORTER else []), NETWORKS[name]
    if optimizer == "sgd":
        measured = peak_of_training(spec, batch, partial(torch.optim.SGD, lr=0.01, momentum=0.9))
        said = training_memory(spec.plan, batch, "sgd", {"momentum": 0.9})
    else:
        assert inference_memory(spec.plan, batch) == pytest.approx(peak_of_inference(spec, batch), rel=0.01)
        measured, said = peak_of_training(spec, batch), training_memory(spec.plan, batch, "adamw")
    assert said.peak == pytest.approx(measured, rel=0.03)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("name", "batch"), [("resnet", 1), ("digits", 1), ("sequence_cnn", 2), ("sequence_cnn", 16)])
@pytest.mark.parametrize("mixed", [False, True], ids=["32", "bf16-mixed"])
def test_single_images_and_sequences_take_other_ways_through_torch(name: str, batch: int, mixed: bool) -> None:
    """Columns for a matrix product (im2col) of a single small image; copies of one axis for oneDNN."""
    spec, precision = archspec.load(name), "bf16-mixed" if mixed else "32"
    said = (
        inference_memory(spec.plan, batch, precision),
        training_memory(spec.plan, batch, "adamw", None, precision).peak,
    )
    measured = peak_of_inference(spec, batch, mixed=mixed), peak_of_training(spec, batch, mixed=mixed)
    assert said == pytest.approx(measured, rel=0.02)


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("name", "batch"), [("digits", 32), ("unet_small", 8), ("resnet18", 4)])
def test_channels_last_take_fewer_copies_of_images_and_more_of_weights(name: str, batch: int) -> None:
    spec = archspec.load(name)
    said = training_memory(spec.plan, batch, "adamw", channels_last=True).peak
    assert said == pytest.approx(peak_of_training(spec, batch, channels_last=True), rel=0.02)
    assert said != training_memory(spec.plan, batch, "adamw").peak


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("name", ["densenet", "dncnn"])
def test_each_thread_sums_up_for_itself_in_16_bits(name: str) -> None:
    plan, measured = archspec.load(name).plan, peak_of_inference(archspec.load(name), 1, mixed=True)
    assert inference_memory(plan, 1, "bf16-mixed", threads=2) == pytest.approx(measured, rel=0.01)
    step = training_memory(plan, 1, "adamw", precision="bf16-mixed", threads=2).peak
    assert step == pytest.approx(peak_of_training(archspec.load(name), 1, mixed=True), rel=0.02)
    assert step > training_memory(plan, 1, "adamw", precision="bf16-mixed").peak


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    "layer",
    [
        {"conv": {"out": 24, "kernel": 3, "padding": 1}},
        {"conv": {"out": 24, "kernel": 7, "stride": 2, "padding": 3, "bias": False}},
        {"conv": {"out": 8, "kernel": 3, "dilation": 2}},
        {"conv": {"out": 4, "kernel": 1}},
        {"conv": {"out": 24, "kernel": 5, "groups": 3}},
        {"conv_1d": {"out": 8, "kernel": 5, "padding": 2}},
        {"conv_3d": {"out": 20, "kernel": 3}},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("channels", [12, 24])
def test_copies_of_convolutions_are_counted(layer: dict[str, Any], channels: int, batch: int) -> None:
    axes = {"conv": [14, 16], "conv_1d": [64], "conv_3d": [6, 7, 8]}[next(iter(layer))]
    depthwise = {"conv": {"out": channels, "kernel": 3, "groups": channels}}
    network = [layer, "relu"] if axes[1:2] != [16] else [depthwise, "relu", layer, "relu"]
    spec = archspec.from_dict({"archspec": 1, "input": [channels, *axes], "network": network})
    measured = peak_of_inference(spec, batch)
    assert inference_memory(spec.plan, batch) == pytest.approx(measured, rel=0.01)


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("name", "batch"), [("digits", 64), ("digits", 256), ("unet_small", 4), ("fashion/lenet5", 64)]
)
def test_peaks_in_bf16_are_those_that_torch_measures(name: str, batch: int) -> None:
    spec = archspec.load(name)
    said = training_memory(spec.plan, batch, "adamw", precision="bf16-mixed").peak
    assert said == pytest.approx(peak_of_training(spec, batch, mixed=True), rel=0.05)


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("precision", ["32", "bf16-mixed"])
def test_gradients_of_batches_before_are_counted(precision: str) -> None:
    spec = archspec.load("digits")
    said = training_memory(spec.plan, 64, "adamw", precision=precision, accumulates=True).peak
    assert said == pytest.approx(peak_of_training(spec, 64, mixed=precision != "32", accumulate=2), rel=0.01)
    assert said > training_memory(spec.plan, 64, "adamw", precision=precision).peak


@pytest.mark.slow
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("name", "batch"), [("unet_small", 8), ("digits", 256)])
def test_large_outputs_and_strides_are_counted(name: str, batch: int) -> None:
    """A loss of each position keeps more than activations do; a strided convolution copies its gradient twice."""
    spec = archspec.load(name)
    assert training_memory(spec.plan, batch, "adamw").peak == pytest.approx(peak_of_training(spec, batch), rel=0.03)


def test_channels_last_make_a_depthwise_convolution_fill_its_groups() -> None:
    """Torch's own account of one backward pass: the largest piece of memory, in multiples of the weights'."""
    network = ["layer_norm_2d", {"conv": {"out": 32, "kernel": 7, "padding": 3, "groups": 32, "bias": False}}]
    spec = archspec.from_dict({"archspec": 1, "input": [32, 7, 7], "network": network})
    module = spec.build()
    loss = module(torch.rand(2, 32, 7, 7)).square().sum()
    assert max(allocations(loss.backward)) == 256 * 4 * 32 * 7 * 7
    graph = spec.plan.graph
    assert channels_last(graph) == {1, 2}
    layer = graph.nodes[2]
    assert isinstance(layer, GraphLayer)
    assert copies_of_weights(layer) == 256


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *((name, {}) for name in OPTIMIZERS),
        ("sgd", {"momentum": 0.9, "nesterov": True}),
        ("adam", {"amsgrad": True}),
        ("rmsprop", {"momentum": 0.9, "centered": True}),
    ],
)
def test_states_of_optimizers_are_torchs(name: str, arguments: dict[str, Any]) -> None:
    spec = archspec.load("digits")
    module = spec.build()
    kinds = {kind.lower(): getattr(torch.optim, kind) for kind in dir(torch.optim)}
    optimizer = kinds[name](module.parameters(), **({"lr": 0.1} if name == "sgd" else {}), **arguments)
    module(torch.rand(2, *spec.plan.input)).sum().backward()
    optimizer.step()
    state = [value for one in optimizer.state.values() for value in one.values() if torch.is_tensor(value)]
    # numbers of steps aside
    assert training_memory(spec.plan, 2, name, arguments).optimizer == held(one for one in state if one.dim())


def test_memory_grows_with_batch_and_falls_with_precision_and_recomputation() -> None:
    plan = archspec.load("resnet").plan
    one, four = training_memory(plan, 1), training_memory(plan, 4)
    assert (one.parameters, four.parameters) == (4 * 272_378, 4 * 272_378)
    assert four.input == 4 * one.input == 4 * 4 * 3 * 32 * 32
    assert training_memory(plan, 64, precision="bf16-mixed").peak < 0.6 * training_memory(plan, 64).peak


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "8"}, "there is no precision `8`"),
        ({"optimizer": "adan"}, "there is no optimizer `adan`"),
    ],
)
def test_unknown_names_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        training_memory(archspec.load("digits").plan, **arguments)
    assert caught.value.message == message

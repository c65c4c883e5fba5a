"""Exports as files: what is written is read back by others' programs, and a file that is not the network's is refused."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from archspec import exports
from archspec.exports import Images, Model, Options, Written
from archspec.exports._proving import prove as proving
from archspec.exports._proving.prove import ProofFailed
from archspec.foundation.errors import UsageError
from archspec.spec import from_dict

NETWORK: dict[str, Any] = {
    "archspec": 1,
    "name": "Tiny",
    "input": [3, 16, 16],
    "defaults": {"act": "relu", "norm": "batch_norm"},
    "network": [
        {"conv_norm_act": {"out": 8, "stride": 2}},
        {"aux": {"name": "early", "weight": 0.3, "body": ["global_avg_pool", "flatten", {"linear": 5}]}},
        {"concat": {"wide": [{"conv_norm_act": {"out": 4}}], "same": []}},
        {"add": {"main": [{"conv": {"out": 12, "kernel": 3, "padding": 1}}], "skip": []}},
        "global_avg_pool",
        "flatten",
        {"linear": 5},
    ],
}
FORMATS = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}


def tiny(changes: dict[str, Any] | None = None, **more: Any) -> Model:
    spec = from_dict(NETWORK | (changes or {}), "tiny").without_aux()
    torch.manual_seed(3)
    module = spec.build().eval()
    return replace(Model(spec, "initial weights", Images(), lambda: module), **more)


def write(to: str, folder: Path, model: Model, options: Options = Options()) -> tuple[Path, Written]:  # noqa: B008
    if to == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
    path = folder / f"net{FORMATS[to]}"
    return path, exports.load(to).write(model, str(path), options)


def run_onnx(path: Path, images: Tensor) -> list[np.ndarray]:
    import onnxruntime

    return onnxruntime.InferenceSession(str(path)).run(None, {"images": images.numpy()})


def test_formats_are_found_because_they_are_there() -> None:
    assert set(FORMATS) <= set(exports.names())
    for name in exports.names():
        assert exports.load(name).name == name


@pytest.mark.slow
def test_onnx_computes_the_same_for_other_batches_and_sizes(tmp_path: Path) -> None:
    model = tiny()
    path, written = write("onnx", tmp_path, model)
    assert written.facts["dynamic"] == "size"
    for shape in ((1, 3, 16, 16), (7, 3, 16, 16), (2, 3, 31, 20)):
        images = torch.randn(shape)
        (found,) = run_onnx(path, images)
        with torch.no_grad():
            expected = model.make()(images).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_onnx_names_its_weights_layers_and_axes_as_the_spec_does(tmp_path: Path) -> None:
    model = tiny(images=Images((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), ("a", "b", "c", "d", "e"), {"name": "stretch"}))
    path, _ = write("onnx", tmp_path, model)
    import onnx

    found = onnx.load(path)
    own = {name for name, _ in model.make().named_parameters()}
    assert own <= {one.name for one in found.graph.initializer}
    (images,) = found.graph.input
    assert [axis.dim_param or axis.dim_value for axis in images.type.tensor_type.shape.dim] == [
        "batch",
        3,
        "height",
        "width",
    ]
    assert [one.name for one in found.graph.output] == ["output"]
    assert {node.name for node in found.graph.node if node.op_type == "Conv"} == {
        "0.conv/Conv",
        "2.wide.0.conv/Conv",
        "3.main.0/Conv",
    }
    known = {one.key: json.loads(one.value) for one in found.metadata_props}
    assert known["classes"] == ["a", "b", "c", "d", "e"]
    assert known["mean"] == [0.5, 0.4, 0.3]
    assert known["input_values"] == (
        "float32, (value / 255 - mean) / std, with mean 0.5, 0.4, 0.3 and std 0.2, 0.3, 0.4"
    )
    assert str(Path(exports.__file__).parent) not in str(found)


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_normalisation_inside_takes_bytes(to: str, tmp_path: Path) -> None:
    model = tiny(images=Images((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
    path, written = write(to, tmp_path, model, Options(normalize=True))
    assert written.facts["input_values"] == "uint8, 0 to 255; normalised inside"
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
    with torch.no_grad():
        expected = model.make()((images.float() / 255 - mean[:, None, None]) / std[:, None, None])
    found = torch.from_numpy(run_onnx(path, images)[0]) if to == "onnx" else torch.export.load(path).module()(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_normalisation_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        write("torch", tmp_path, tiny(), Options(normalize=True))
    assert str(error.value) == (
        "--normalize needs a mean and a standard deviation, and initial weights of Tiny give none\n"
        "  help: export a run, weights that know them (torchvision:NAME), or say them in the spec: "
        "`train: {normalize: {mean: […], std: […]}}`"
    )


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_named_outputs_are_outputs_and_auxiliary_classifiers_are_none(to: str, tmp_path: Path) -> None:
    network = [*NETWORK["network"]]
    network.insert(3, {"output": "features"})
    model = tiny({"network": network})
    path, _ = write(to, tmp_path, model)
    images = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        output, named = model.make()(images)
    if to == "onnx":
        import onnx

        assert [one.name for one in onnx.load(path).graph.output] == ["output", "features"]
        found = [torch.from_numpy(one) for one in run_onnx(path, images)]
    else:
        own, others = torch.export.load(path).module()(images)
        assert list(others) == ["features"]
        found = [own, others["features"]]
    torch.testing.assert_close(found, [output, named["features"]], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_run_s_answer_follows_the_network(tmp_path: Path) -> None:
    class InUnits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.full((5,), 1000.0))

        def forward(self, output: Tensor) -> Tensor:
            return output * 3 + self.mean

    model = tiny(answer=InUnits())
    path, _ = write("torch", tmp_path, model)
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(torch.export.load(path).module()(images), model.make()(images) * 3 + 1000)


def test_safetensors_hold_the_weights_and_what_they_need(tmp_path: Path) -> None:
    model = tiny(images=Images((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), ("a", "b", "c", "d", "e"), {"name": "stretch"}))
    path, written = write("safetensors", tmp_path, model)
    from safetensors.torch import load_file

    state = model.make().state_dict()
    found = load_file(path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())
    from archspec.weights import metadata

    assert {name: json.loads(text) for name, text in metadata(path).items()} == {
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.3, 0.4],
        "classes": ["a", "b", "c", "d", "e"],
        "resize": {"name": "stretch"},
        "input": [16, 16],
    }
    assert written.proof is not None
    assert written.proof.text == (
        f"proven by {written.proof.runner}: equal bit for bit, with random weights and its own, of inputs 2×3×16×16, "
        "3×3×16×16"
    )


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (["flatten", {"linear": 5}], "for another size `1` (linear) has weights of another shape"),
        (
            [{"conv": {"out": 8, "kernel": 4, "stride": 4}}, {"window_attention": {"heads": 2, "window": 2}}],
            "`1` (window_attention) is made for one size",
        ),
    ],
)
def test_the_plan_says_why_the_size_is_fixed(network: list[Any], reason: str) -> None:
    from archspec.exports._sizes import find_other_size

    assert find_other_size(from_dict(NETWORK | {"network": network})) == (None, reason)


def test_another_size_suits_what_the_network_halves() -> None:
    from archspec.exports._sizes import find_other_size

    down: list[Any] = [{"conv": {"out": 4, "kernel": 2, "stride": 2}}] * 4
    up: list[Any] = [{"conv_transpose": {"out": 4, "kernel": 2, "stride": 2}}] * 4
    skip = [{"conv": {"out": 4, "kernel": 1}}, {"add": {"deep": [*down, *up], "skip": []}}]
    assert find_other_size(from_dict(NETWORK | {"network": skip})) == (((3, 48, 80),), "")


def test_a_size_that_was_asked_for_and_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        write("torch", tmp_path, tiny({"network": ["flatten", {"linear": 5}]}), Options("size"))
    assert str(error.value) == (
        "Tiny takes no other size: for another size `1` (linear) has weights of another shape\n"
        "  help: --dynamic batch leaves the batch open alone"
    )


# --- random weights, and rounding --------------------------------------------------------------------------------------


def test_a_network_of_zeros_proves_nothing_and_random_weights_do() -> None:
    """The last layer of a new network may be 0, whatever stands before it; its copy has no 0."""
    module = tiny().make()
    nn.init.zeros_(module.get_parameter("6.weight"))
    random = next(proving.randomize_copies(module, proving.example(4, ((3, 16, 16),), 0)))
    for name, parameter in random.named_parameters():
        assert not torch.equal(parameter, torch.zeros_like(parameter)), name
        assert not torch.equal(parameter, torch.ones_like(parameter)), name
    norms = [one for one in random.modules() if isinstance(one, nn.BatchNorm2d)]
    assert norms
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.running_mean.abs().min() > 0
        assert not torch.isclose(norm.running_var, torch.ones(())).any()


class Unstable(nn.Module):
    """It makes much of rounding errors, unless its weights are small."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4, bias=False)
        nn.init.constant_(self.linear.weight, 0.01)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return torch.sin(1e5 * self.linear(input) ** 5)


class InDouble:
    """What computes a module in double precision, and another factor of it."""

    runner, tolerance = "double precision", 1e-4

    def __init__(self, module: nn.Module, factor: float = 1.0) -> None:
        self.module, self.factor = copy.deepcopy(module).double(), factor

    def write(self, path: str, state: Any) -> None:
        self.state = dict(state)

    def read(self, path: str) -> Any:
        self.module.load_state_dict(self.state)
        return lambda *inputs: [self.factor * self.module(inputs[0].double()).float()], self.state


def test_a_network_that_makes_much_of_rounding_is_proven_with_smaller_weights() -> None:
    module, batches = Unstable().eval(), [(3, ((4,),))]
    randoms = [*proving.randomize_copies(module, proving.example(16, ((4,),), 0))]
    assert proving.prove(InDouble(module), "", module, randoms, batches).difference < 1e-2
    with pytest.raises(ProofFailed, match=r"^nothing can be proven for an input of 3×4: the network makes so much of"):
        proving.prove(InDouble(module), "", module, randoms[:1], batches)
    with pytest.raises(ProofFailed, match=r"^the written file does not compute what the network does"):
        proving.prove(InDouble(module, 1.01), "", module, randoms[-1:], batches)


# --- several inputs --------------------------------------------------------------------------------------------------


STREAMS: dict[str, Any] = {
    "input": {"image": [3, 16, 16], "thumb": [1, 8, 8], "row": [5]},
    "network": [
        {"conv_norm_act": {"out": 4}},
        "global_avg_pool",
        "flatten",
        {"concat": [[], [{"load": "thumb"}, "global_max_pool", "flatten"], [{"load": "row"}, {"linear": 8}]]},
        {"output": "features"},
        {"linear": 2},
    ],
}


def drawn(count: int, side: int) -> dict[str, Tensor]:
    return {
        "image": torch.randn(count, 3, side, side),
        "thumb": torch.randn(count, 1, side // 2, side // 2),
        "row": torch.randn(count, 5),
    }


@pytest.mark.slow
def test_an_onnx_model_has_inputs_of_the_specs_names(tmp_path: Path) -> None:
    model = tiny(STREAMS)
    path, written = write("onnx", tmp_path, model)
    import onnx
    import onnxruntime

    graph = onnx.load(path).graph
    axes = {one.name: [d.dim_param or d.dim_value for d in one.type.tensor_type.shape.dim] for one in graph.input}
    assert axes == {
        "image": ["batch", 3, "height", "width"],
        "thumb": ["batch", 1, "thumb_height", "thumb_width"],
        "row": ["batch", 5],
    }
    assert written.facts["inputs"] == {"image": [3, 16, 16], "thumb": [1, 8, 8], "row": [5]}
    assert written.proof is not None
    assert written.proof.to_dict()["inputs"][1] == [[3, 3, 16, 16], [3, 1, 8, 8], [3, 5]]
    session = onnxruntime.InferenceSession(str(path))
    for count, side in ((1, 16), (5, 24)):
        given = drawn(count, side)
        found, features = session.run(None, {name: one.numpy() for name, one in given.items()})
        wanted, named = model.make()(**given)
        torch.testing.assert_close(torch.from_numpy(found), wanted)
        torch.testing.assert_close(torch.from_numpy(features), named["features"])


@pytest.mark.slow
def test_a_program_takes_several_inputs(tmp_path: Path) -> None:
    model = tiny(STREAMS)
    path, written = write("torch", tmp_path, model)
    program = torch.export.load(path).module()
    for count, side in ((1, 16), (5, 24)):
        given = drawn(count, side)
        assert torch.equal(program(*given.values())[0], model.make()(**given)[0])
    assert written.lines[1].startswith("thumb: batch × 1 × height × width, float32")


def test_weights_of_several_inputs_are_proven(tmp_path: Path) -> None:
    from safetensors import safe_open

    path, written = write("safetensors", tmp_path, tiny(STREAMS))
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["inputs"]) == {"image": [3, 16, 16], "thumb": [1, 8, 8], "row": [5]}
    assert {"input", "input_shape"} & metadata.keys() == set()
    assert written.proof is not None
    assert written.proof.inputs == ((2, ((3, 16, 16), (1, 8, 8), (5,))), (3, ((3, 16, 16), (1, 8, 8), (5,))))


@pytest.mark.slow
def test_rows_of_several_inputs_are_normalised_inside(tmp_path: Path) -> None:
    inputs = {"a": [2], "b": [3]}
    network = [{"concat": [[{"load": "a"}, {"linear": 4}], [{"load": "b"}, "tanh"]]}, {"linear": 2}]
    mean, std = (1.0, 2.0, 3.0, 4.0, 5.0), (1.0, 2.0, 4.0, 8.0, 16.0)
    model = tiny({"input": inputs, "network": network}, images=Images(mean, std))
    path, _ = write("torch", tmp_path, model, Options(normalize=True))
    a, b = 10 * torch.randn(4, 2), 10 * torch.randn(4, 3)
    wanted = model.make()(
        (a - torch.tensor(mean[:2])) / torch.tensor(std[:2]), (b - torch.tensor(mean[2:])) / torch.tensor(std[2:])
    )
    torch.testing.assert_close(torch.export.load(path).module()(a, b), wanted)

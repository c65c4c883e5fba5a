"""Proofs of exports that are put to the test: a file that was changed is no proof, in whichever format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exports.test_export_proofs import NETWORK, tiny
from exports.test_python_export import assert_computes_the_same

from archspec import exports
from archspec.exports import Options
from archspec.exports._proving import graph, prove as proving
from archspec.exports._proving.prove import ProofFailed
from archspec.exports.python import write
from archspec.spec import from_dict

WEIGHT = "3.main.0.weight"
WRONG_WEIGHT = f"its weights `{WEIGHT}` are not equal bit for bit"
WRONG = "does not compute what the network does"


class Proven:
    """What writes and reads the file of the tiny network in a format; what it writes is proven."""

    def __init__(self, to: str, folder: Path) -> None:
        made: list[Any] = []
        with pytest.MonkeyPatch.context() as patch:
            for module in (graph, proving):
                patch.setattr(module, "prove", lambda found, *rest, **more: made.append(found))
            exports.load(to).write(tiny(), "", Options())
        (self.own,) = made
        self.path = str(folder / "net")
        model = tiny()
        self.module, self.batches = model.make(), [(2, model.shapes)]
        self.randoms = [*proving.randomize_copies(self.module, proving.example(4, model.shapes, 0))]
        proving.prove(self.own, self.path, self.module, self.randoms, self.batches)

    def refusal(self, mutate: Callable[[str], None]) -> str:
        """What is said of a file that was changed after it was written."""
        own = self.own

        class Mutant:
            runner, tolerance, read = own.runner, own.tolerance, own.read

            def write(self, path: str, state: Any) -> None:
                own.write(path, state)
                mutate(path)

        with pytest.raises(ProofFailed) as error:
            proving.prove(Mutant(), self.path, self.module, self.randoms, self.batches)  # type: ignore[arg-type]
        return str(error.value)


# --- ONNX ------------------------------------------------------------------------------------------------------------


def _conv(model: Any, index: int) -> Any:
    return [node for node in model.graph.node if node.op_type == "Conv"][index]


def _nudge_a_weight(model: Any) -> None:
    import onnx

    tensor = next(one for one in model.graph.initializer if one.name == "3.main.0.weight")
    values = onnx.numpy_helper.to_array(tensor).copy()
    values.flat[5] = np.nextafter(values.flat[5], 1, dtype=np.float32)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def _change_a_stride(model: Any) -> None:
    for attribute in _conv(model, 0).attribute:
        if attribute.name == "strides":
            attribute.ints[:] = [1, 1]


def _change_a_padding(model: Any) -> None:
    for attribute in _conv(model, 1).attribute:
        if attribute.name == "pads":
            attribute.ints[:] = [0, 0, 2, 2]


def _drop_a_branch(model: Any) -> None:
    add = next(node for node in model.graph.node if node.op_type == "Add")
    add.op_type = "Identity"
    del add.input[1]


def _swap_branches(model: Any) -> None:
    concat = next(node for node in model.graph.node if node.op_type == "Concat" and node.attribute[0].i == 1)
    concat.input[:] = [concat.input[1], concat.input[0]]


def _change_an_epsilon(model: Any) -> None:
    norm = next(node for node in model.graph.node if node.op_type == "BatchNormalization")
    for attribute in norm.attribute:
        if attribute.name == "epsilon":
            attribute.f = 1e-3


def _drop_an_activation(model: Any) -> None:
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Identity"


ONNX: dict[str, tuple[Callable[[Any], None], str]] = {
    "weight": (_nudge_a_weight, WRONG_WEIGHT),
    "stride": (_change_a_stride, WRONG),
    "padding": (_change_a_padding, WRONG),
    "branch": (_drop_a_branch, WRONG),
    "order": (_swap_branches, WRONG),
    "epsilon": (_change_an_epsilon, WRONG),
    "activation": (_drop_an_activation, WRONG),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    return Proven("onnx", tmp_path_factory.mktemp("onnx"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ONNX)
def test_a_mutated_model_is_no_proof(name: str, model: Proven) -> None:
    import onnx

    change, said = ONNX[name]

    def mutate(path: str) -> None:
        file = onnx.load(path)
        change(file)
        onnx.save(file, path)

    assert said in model.refusal(mutate)


# --- .pt2 ------------------------------------------------------------------------------------------------------------


def _nodes(program: Any, name: str) -> Iterator[Any]:
    return (node for node in program.graph.nodes if node.op == "call_function" and name in str(node.target))


def _set(node: Any, place: int, value: Any) -> None:
    node.args = (*node.args[:place], value, *node.args[place + 1 :])


def _nudge_a_weight_of_it(program: Any) -> None:
    values = program.state_dict[WEIGHT].view(-1)
    with torch.no_grad():
        values[5] = torch.nextafter(values[5], torch.tensor(1.0))


def _pad_less(program: Any) -> None:
    """Of what the branch takes: its edge is lost, and an edge of zeros stands around what it gives."""
    node = [*_nodes(program, "conv2d")][2]
    node.args = (*node.args[:3], [1, 1], [2, 2], [2, 2], *node.args[6:])


def _skip(name: str) -> Callable[[Any], None]:
    """Leave the first such node out: its first input stands in its place."""

    def change(program: Any) -> None:
        node = next(_nodes(program, name))
        node.replace_all_uses_with(node.args[0])
        program.graph.erase_node(node)

    return change


PROGRAM: dict[str, tuple[Callable[[Any], None], str]] = {
    "weight": (_nudge_a_weight_of_it, WRONG_WEIGHT),
    "stride": (lambda program: _set(next(_nodes(program, "conv2d")), 3, [1, 1]), WRONG),
    "padding": (_pad_less, WRONG),
    "branch": (_skip("aten.add."), WRONG),
    "order": (lambda program: _set(node := next(_nodes(program, "aten.cat")), 0, [*node.args[0]][::-1]), WRONG),
    "epsilon": (lambda program: _set(next(_nodes(program, "batch_norm")), 7, 1e-3), WRONG),
    "activation": (_skip("relu"), WRONG),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    return Proven("torch", tmp_path_factory.mktemp("torch"))


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAM)
def test_a_mutated_program_is_no_proof(name: str, program: Proven) -> None:
    change, said = PROGRAM[name]

    def mutate(path: str) -> None:
        read = torch.export.load(path)
        change(read)
        read.graph_module.recompile()
        torch.export.save(read, path)

    assert said in program.refusal(mutate)


# --- safetensors -----------------------------------------------------------------------------------------------------


def _nudged(state: dict[str, torch.Tensor]) -> None:
    values = state[WEIGHT].view(-1)
    values[5] = torch.nextafter(values[5], torch.tensor(1.0))


WEIGHTS: dict[str, tuple[Callable[[dict[str, torch.Tensor]], Any], str]] = {
    "weight": (_nudged, WRONG_WEIGHT),
    "precision": (lambda state: state.update({WEIGHT: state[WEIGHT].double()}), WRONG_WEIGHT),
    "order": (lambda state: state.update({WEIGHT: state[WEIGHT].transpose(0, 1).contiguous()}), WRONG_WEIGHT),
    "missing weight": (lambda state: state.pop(WEIGHT), f"it lacks the weights `{WEIGHT}`"),
    "missing statistics": (
        lambda state: state.pop("0.norm.running_mean"),
        "does not run for an input of 2×3×16×16: Error(s) in loading state_dict for Sequential:",
    ),
    "other weight": (
        lambda state: state.update({"other": torch.zeros(2)}),
        "its weights `other` are not equal bit for bit",
    ),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    return Proven("safetensors", tmp_path_factory.mktemp("safetensors"))


@pytest.mark.parametrize("name", WEIGHTS)
def test_mutated_weights_are_no_proof(name: str, weights: Proven) -> None:
    from safetensors.torch import load_file, save_file

    change, said = WEIGHTS[name]

    def mutate(path: str) -> None:
        state = load_file(path)
        change(state)
        save_file(state, path)

    assert said in weights.refusal(mutate)


# --- Python ----------------------------------------------------------------------------------------------------------


TEXT = {
    "stride": ("ConvNormAct(3, 8, stride=2)", "ConvNormAct(3, 8)"),
    "padding": ("nn.Conv2d(12, 12, 3, padding=1)", "nn.Conv2d(12, 12, 3, padding=1, padding_mode='reflect')"),
    "branch": ('x = self["3"]["main"](x) + x', 'x = self["3"]["main"](x)'),
    "order": ('[self["2"]["wide"](x), x]', '[x, self["2"]["wide"](x)]'),
    "auxiliary classifier": ('early = self["early"](x)', 'early = self["early"](x.detach())'),
    "epsilon": ("nn.BatchNorm2d(out_channels)", "nn.BatchNorm2d(out_channels, eps=1e-6)"),
    "momentum": ("nn.BatchNorm2d(out_channels)", "nn.BatchNorm2d(out_channels, momentum=0.2)"),
    "activation": ("nn.ReLU()", "nn.Identity()"),
    "dropout": ("nn.Dropout(0.5)", "nn.Dropout(0.4)"),
}


@pytest.mark.parametrize("name", TEXT)
def test_a_mutated_text_does_not_compute_the_same(name: str) -> None:
    """What proves texts in these tests tells what a network does in evaluation and in training."""
    layers = NETWORK["network"]
    spec = from_dict(NETWORK | {"network": [*layers[:-1], {"dropout": 0.5}, layers[-1]]})
    text = write(spec.plan)
    old, new = TEXT[name]
    assert text.count(old) == 1
    assert_computes_the_same(spec, text)
    with pytest.raises(AssertionError):
        assert_computes_the_same(spec, text.replace(old, new))

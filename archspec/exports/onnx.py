"""An ONNX model: onnxruntime and many other programs run it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archspec import __version__
from archspec.exports._format import Format, Model, Options, Written
from archspec.foundation.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from archspec.exports._proving.graph import Traced

NEEDED = ("onnx", "onnxruntime", "onnxscript")
LARGEST = 2**31 - 2**20
"""Bytes of weights that a file holds: it is a message of Protocol Buffers."""


class Onnx(Format):
    name = "onnx"
    doc = "an ONNX model, which onnxruntime and many other programs run; needs the extra `onnx`"
    suffix = ".onnx"
    takes_options = True

    def check(self) -> None:
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise UsageError(
                f"--to onnx needs {', '.join(missing)}, not installed here",
                help="pip install 'archspec-nets[onnx]'; --to torch needs nothing more",
            )

    def write(self, model: Model, path: str, options: Options) -> Written:
        from archspec.exports._proving.graph import write_graph

        if 4 * model.plan.params > LARGEST:
            raise UsageError(
                f"an ONNX file holds at most 2 GB, and {model.plan.title} has {4 * model.plan.params / 1e9:.1f} GB of "
                "weights",
                help="--to torch has no such limit",
            )
        return write_graph(model, path, options, _Candidate)


class _Candidate:
    tolerance = 1e-4

    def __init__(self, traced: Traced) -> None:
        import onnxruntime

        self.runner = f"onnxruntime {onnxruntime.__version__}"
        self.model = _translate(traced)
        self.names = frozenset(traced.module.state_dict())
        self.inputs = traced.inputs

    def write(self, path: str, state: Mapping[str, Tensor]) -> None:
        from onnx_ir import save, tensor

        for name, value in self.model.graph.initializers.items():
            if name in state:
                value.const_value = tensor(state[name].detach().contiguous().numpy(), name=name)
        save(self.model, path)

    def read(self, path: str) -> tuple[Callable[..., Sequence[Tensor]], Mapping[str, Tensor]]:
        import onnx
        import onnxruntime
        import torch

        model = onnx.load(path)
        onnx.checker.check_model(model)
        kept = {
            one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy())
            for one in model.graph.initializer
            if one.name in self.names
        }
        del model
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

        def run(*inputs: Tensor) -> list[Tensor]:
            given = {name: one.numpy() for name, one in zip(self.inputs, inputs, strict=True)}
            return [torch.from_numpy(one) for one in session.run(None, given)]

        return run, kept


def _translate(traced: Traced) -> Any:
    """The model, whose weights have the names of the network's `state_dict`."""
    import torch
    from onnx_ir.passes import common
    from onnxscript import optimizer

    program = torch.onnx.export(traced.program, dynamo=True, optimize=False, verbose=False)
    assert program is not None
    model: Any = program.model
    weights = set(traced.module.state_dict())
    model.producer_name, model.producer_version = "archspec", __version__
    optimizer.inline(model)
    # formulas of shapes alone: what weights go into must keep taking them, since they are exchanged
    keep = lambda node: False if any(one is not None and one.name in weights for one in node.inputs) else None  # noqa: E731
    optimizer.fold_constants_ir(model, should_fold=keep)
    _name_nodes(model.graph)
    for tidy in (
        common.CommonSubexpressionEliminationPass(),
        common.OutputFixPass(),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedOpsetsPass(),
        common.ClearMetadataAndDocStringPass(),  # they name files of this machine
    ):
        tidy(model)
    _name(model, traced)
    model.metadata_props.update(traced.metadata)
    return model


def _name(model: Any, traced: Traced) -> None:
    """Give inputs, outputs and open axes names that say what they are."""
    from onnx_ir import Shape

    graph = model.graph
    symbols: dict[str, str] = {}
    for input, value, axes in zip(traced.inputs, graph.inputs, traced.axes, strict=True):
        for size, name in zip(value.shape, axes, strict=True):
            if name is not None:  # inputs may have sizes of their own
                symbols.setdefault(str(size.value), f"{input}_{name}" if name in symbols.values() else name)
    values = [*graph.inputs, *(output for node in graph for output in node.outputs)]
    for value in values:
        if value.shape is not None:
            sizes = [one if isinstance(one, int) else str(one.value) for one in value.shape]
            value.shape = Shape([one if isinstance(one, int) else _renamed(one, symbols) for one in sizes])
    graph.name = "archspec"
    for value, name in zip(graph.inputs, traced.inputs, strict=True):
        value.name = name
    for output, name in zip(graph.outputs, traced.outputs, strict=True):
        output.name = name


def _name_nodes(graph: Any) -> None:
    """Give nodes the paths of the layers that they come from: `stem.0.conv/Conv`."""
    import ast

    taken: dict[str, int] = {}
    for node in graph:
        scopes = ast.literal_eval(node.metadata_props.get("pkg.torch.onnx.name_scopes", "[]"))
        path = next((scope for scope in reversed(scopes[:-1]) if scope), "")
        name = f"{path}/{node.op_type}" if path else node.op_type
        taken[name] = taken.get(name, 0) + 1
        node.name = name if taken[name] == 1 else f"{name}_{taken[name]}"


def _renamed(size: str, symbols: Mapping[str, str]) -> str:
    return re.sub(r"[A-Za-z_]\w*", lambda found: symbols.get(found[0], found[0]), size)


FORMAT = Onnx()

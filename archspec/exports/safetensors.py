"""Weights as a safetensors file, with what they need to be used as metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from archspec.exports._format import Format, Model, Options, Written

if TYPE_CHECKING:
    from torch import Tensor, nn


class Safetensors(Format):
    name = "safetensors"
    doc = "the weights, a state_dict, with what they need to be used as metadata; for any program that reads them"
    suffix = ".safetensors"

    def write(self, model: Model, path: str, options: Options) -> Written:
        from archspec.exports._proving.metadata import input_facts, input_values, metadata
        from archspec.exports._proving.prove import count_samples, example, prove, randomize_copies

        module = model.make()
        shapes = model.shapes
        batches = [(2, shapes), (3, shapes)]
        candidate = _Candidate(model, metadata(model, options))
        proof = prove(
            candidate,
            path,
            module,
            randomize_copies(module, example(count_samples(shapes), shapes, 0)),
            batches,
        )
        values = input_values(model, options)
        word = "input" if len(shapes) == 1 else "inputs"
        return Written(proof, (f"{word}: {values}",), input_facts(model) | {"input_values": values})


class _Candidate:
    tolerance = 0.0

    def __init__(self, model: Model, metadata: Mapping[str, str]) -> None:
        self.runner = f"a new module, safetensors {version('safetensors')}"
        self.model = model
        self.metadata = metadata

    def write(self, path: str, state: Mapping[str, Tensor]) -> None:
        import torch
        from safetensors.torch import save_file

        # it takes no views, and nothing twice
        copies = {name: one.clone(memory_format=torch.contiguous_format) for name, one in state.items()}
        save_file(copies, path, dict(self.metadata))

    def read(self, path: str) -> tuple[Callable[..., Sequence[Tensor]], Mapping[str, Tensor]]:
        from safetensors.torch import load_file

        from archspec.exports._proving.prove import tensors_of

        state = load_file(path)
        module: nn.Module = self.model.spec.build().eval()

        def run(*inputs: Tensor) -> Sequence[Tensor]:
            module.load_state_dict(state)  # here, where what it refuses is a proof that failed
            return tensors_of(module(*inputs))

        return run, state


FORMAT = Safetensors()

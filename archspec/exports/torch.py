"""A program of `torch.export`, a `.pt2` file: torch alone loads and runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from archspec.exports._format import Format, Model, Options, Written

if TYPE_CHECKING:
    from torch import Tensor

    from archspec.exports._proving.graph import Traced


class Torch(Format):
    name = "torch"
    doc = "a program of torch.export (.pt2): `torch.export.load(FILE).module()` runs it, with torch alone"
    suffix = ".pt2"
    takes_options = True

    def write(self, model: Model, path: str, options: Options) -> Written:
        from archspec.exports._proving.graph import write_graph

        return write_graph(model, path, options, _Candidate)


METADATA = "archspec.json"
"""The file in a `.pt2` that holds the metadata."""


class _Candidate:
    tolerance = 1e-5
    """Most are equal bit for bit; attention takes another path of torch's where it is traced."""

    def __init__(self, traced: Traced) -> None:
        import torch

        self.runner = f"torch {torch.__version__}"
        self.traced = traced

    def write(self, path: str, state: Mapping[str, Tensor]) -> None:
        import torch

        program = self.traced.program
        with torch.no_grad():
            for name, tensor in program.state_dict.items():
                tensor.copy_(state[name])
        known = {name: json.loads(text) for name, text in self.traced.metadata.items()}
        torch.export.save(program, path, extra_files={METADATA: json.dumps(known, ensure_ascii=False)})

    def read(self, path: str) -> tuple[Callable[..., Sequence[Tensor]], Mapping[str, Tensor]]:
        import torch

        from archspec.exports._proving.prove import tensors_of

        program = torch.export.load(path)
        module = program.module()
        return lambda *inputs: tensors_of(module(*inputs)), program.state_dict


FORMAT = Torch()

"""A network whose architecture is compared with another's: copies of it that are run and watched."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from archspec.foundation.errors import escape_line
from archspec.foundation.shapes import show
from archspec.weights.tensors import format_tensor, tensors_of
from archspec.weights.trace import Follower, Operand, TransplantError


class Network:
    """One of the two networks, of which only copies are run."""

    def __init__(self, side: str, module: nn.Module, batch: Tensor) -> None:
        self.side = side
        self.module = module
        self.batch = batch
        self.tensors = tensors_of(module)
        self.traced = self._trace()
        self.nodes = self.traced.nodes
        self.input = self.traced.input
        self.link()

    def _trace(self) -> Follower:
        """A run in training, without computing anything where the network permits it."""
        try:
            return self.run(self.copy("meta"), training=True)
        except Exception:  # layers that look at values; or the example is wrong, which the next run tells
            return self.run(self.copy("cpu"), training=True)

    def link(self) -> None:
        """Let each node know where its results go."""
        for node in (self.input, *self.nodes):
            node.targets = {}
        for node in self.nodes:
            for source, tag in node.sources.items():
                source.targets[node] = tag

    @property
    def operands(self) -> list[Operand]:
        """In the order of use."""
        return [operand for node in self.nodes for operand in node.operands]

    def describe(self, name: str) -> str:
        """A tensor as errors name it."""
        owner = self.module.get_submodule(name.rpartition(".")[0])
        operation = next((o.operation for o in self.operands if name in o.names), None)
        used = f"used by {operation}" if operation else "never used"
        return f"`{escape_line(name)}` ({format_tensor(self.tensors[name])}, {type(owner).__name__}, {used})"

    def copy(self, device: str, values: Mapping[str, Tensor] | None = None) -> nn.Module:
        """The network's structure, with tensors of its own: copies of the network's, or of `values` by name."""
        memo: dict[int, Any] = {}
        for name, own in self.tensors.items():
            tensor = (values or {}).get(name, own).detach()
            tensor = tensor.to("meta") if device == "meta" else tensor.cpu().clone()
            memo[id(own)] = nn.Parameter(tensor, requires_grad=False) if isinstance(own, nn.Parameter) else tensor
        try:
            return copy.deepcopy(self.module, memo)
        except Exception as error:
            raise TransplantError(
                f"cannot transplant: the {self.side} cannot be copied: {error}",
                help="take out of it what `copy.deepcopy` does not take",
            ) from None

    def run(
        self,
        network: nn.Module,
        *,
        training: bool,
        measure: Callable[[Tensor], Any] | None = None,
        replaced: Mapping[str, int] | None = None,
        dtype: torch.dtype | None = None,
    ) -> Follower:
        """Run a copy. Random numbers drawn elsewhere, and torch's settings, do not notice."""
        for part in network.modules():
            part.training = training
        tensors = tensors_of(network)
        device = next((tensor.device for tensor in tensors.values()), self.batch.device)
        batch = self.batch.to(device).clone()
        batch = batch.to(dtype) if dtype is not None and batch.is_floating_point() else batch
        follower = Follower(tensors, batch, measure, replaced)
        try:
            with _undisturbed(), torch.no_grad(), follower:
                follower.output = network(batch)
        except Exception as error:
            shape = show(tuple(self.batch.shape[1:]))
            reason = (str(error) or type(error).__name__).strip().splitlines()[0]
            raise TransplantError(
                f"cannot transplant: the {self.side} does not run on an input of {shape}: {reason}",
                help="give an example of a shape that both networks take",
            ) from None
        return follower


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Seeded random numbers, and attention computed as in training; both as before afterwards."""
    state, fast = random.getstate(), torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it computes in another order
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            random.seed(0)
            yield
    finally:
        random.setstate(state)
        torch.backends.mha.set_fastpath_enabled(fast)

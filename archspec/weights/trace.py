"""How a network uses its tensors: a copy of it is run, and its operations are watched.

Which parameter is taken up when, and by what, is found on the device `meta`, where nothing is computed.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import show


class TransplantError(UsageError):
    """Two networks do not have the same architecture, or it could not be proven that they do."""


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, each once."""
    return dict(module.named_parameters()) | dict(module.named_buffers())


@dataclass(frozen=True)
class Use:
    """The first use of a tensor: by which operation, and as which argument."""

    name: str
    operation: str
    argument: str
    tensor: Tensor = field(compare=False, repr=False)
    layer: str
    """The class of the module that holds it."""

    @property
    def kind(self) -> tuple[str, str]:
        return self.operation, self.argument

    @property
    def owner(self) -> str:
        return self.name.rpartition(".")[0]

    def __str__(self) -> str:
        return f"`{self.name}` ({form(self.tensor)}, {self.layer}, used by {self.operation})"


def form(tensor: Tensor) -> str:
    """Shape and, where it is not the usual one, the type: `64×3×7×7`, `64 float16`."""
    shape = show(tuple(tensor.shape)) or "a scalar"
    return shape if tensor.dtype == torch.float32 else f"{shape} {str(tensor.dtype).removeprefix('torch.')}"


_COMMUTATIVE = {"add", "mul"}
_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows parameters and floating-point buffers through a run: who uses them first, and what comes of it.

    Random layers get their expected value. The results of operations that use `replaced` tensors are replaced by random
    numbers drawn from the seed that stands there.
    """

    def __init__(self, tensors: Mapping[str, Tensor], replaced: Mapping[str, int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names = {_memory(tensor): name for name, tensor in tensors.items()}
        self.parameters = {name for name, tensor in tensors.items() if isinstance(tensor, nn.Parameter)}
        self.replaced = replaced
        self.kinds: dict[str, tuple[str, str]] = {}
        self.results: dict[str, tuple[torch.dtype, int, int]] = {}
        self.output: Any = None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        operation = str(func.overloadpacket.__name__).rstrip("_")
        if operation == "bernoulli" and len(args) > 1 and isinstance(args[1], float):
            return args[0].fill_(args[1]) if func._schema.is_mutable else torch.full_like(args[0], args[1])
        if operation == "native_dropout":
            return args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)
        result = func(*args, **(kwargs or {}))
        given = _leaves((*args, *(kwargs or {}).values()))
        used = [(place, self.names[key]) for place, tensor in given if (key := _memory(tensor)) in self.names]
        if used:
            self._note(operation, used, next((tensor for _, tensor in _leaves((result,))), None))
        return result

    def _note(self, operation: str, used: list[tuple[str, str]], result: Tensor | None) -> None:
        if result is None or _memory(result) in self.names:
            return  # a view of a parameter is still the parameter
        if operation == "addmm":  # it takes its bias first
            used = used[::-1]
        for place, name in used:
            if name in self.parameters or "batch_norm" in operation:  # other buffers are constants of the architecture
                self.kinds.setdefault(name, (operation, "" if operation in _COMMUTATIVE else place))
        if result.is_meta:
            return
        for _, name in used:
            if name in self.replaced:
                generator = torch.Generator().manual_seed(self.replaced[name])
                result.copy_(torch.randn(result.shape, generator=generator))
        self.results.setdefault(used[-1][1], _digest(result))


def _leaves(values: Sequence[Any], place: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors among arguments or results, with their places."""
    for number, value in enumerate(values):
        if isinstance(value, Tensor):
            yield f"{place}{number}", value
        elif isinstance(value, (list, tuple)):
            yield from _leaves(value, f"{place}{number}.")


def _memory(tensor: Tensor) -> int:
    """What a tensor and its views have in common."""
    return int(tensor.untyped_storage()._cdata)


def _digest(tensor: Tensor) -> tuple[torch.dtype, int, int]:
    """Equal for tensors that hold bitwise equal values, in whatever order: axes may be arranged otherwise."""
    values = (tensor + 0 if tensor.is_floating_point() else tensor).contiguous().reshape(-1)  # -0.0 is 0.0
    bits = values.view(_WORDS[values.element_size()]).long() * -0x61C8864680B583EB  # an odd number: nothing is lost
    return tensor.dtype, tensor.numel(), int(((bits ^ bits >> 29) * 0x3F58476D1CE4E5B9).sum())


class Network:
    """One of the two networks, of which only copies are run."""

    def __init__(self, side: str, module: nn.Module, batch: Tensor) -> None:
        self.side = side
        self.module = module
        self.batch = batch
        self.tensors = tensors_of(module)
        self.uses = self._uses()

    def _uses(self) -> list[Use]:
        """First uses in training, in order, found without computing anything where the network permits it."""
        try:
            record = self.run(self.copy("meta"), {}, training=True)
        except Exception:  # layers that look at values; or the example is wrong, which the next run tells
            record = self.run(self.copy("cpu"), {}, training=True)
        return [self._use(name, *kind) for name, kind in record.kinds.items()]

    def _use(self, name: str, operation: str, argument: str) -> Use:
        owner = self.module.get_submodule(name.rpartition(".")[0])
        return Use(name, operation, argument, self.tensors[name], type(owner).__name__)

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
            raise TransplantError(f"cannot transplant: the {self.side} cannot be copied: {error}") from None

    def run(self, network: nn.Module, replaced: Mapping[str, int], *, training: bool) -> _Recorder:
        """Run a copy. Random numbers drawn elsewhere, and torch's settings, do not notice."""
        for part in network.modules():
            part.training = training
        tensors = tensors_of(network)
        recorder = _Recorder({n: t for n, t in tensors.items() if t.is_floating_point()}, replaced)
        device = next((tensor.device for tensor in tensors.values()), self.batch.device)
        try:
            with _undisturbed(), torch.no_grad(), recorder:
                recorder.output = network(self.batch.to(device))
        except Exception as error:
            shape = show(tuple(self.batch.shape[1:]))
            reason = (str(error) or type(error).__name__).strip().splitlines()[0]
            raise TransplantError(
                f"cannot transplant: the {self.side} does not run on an input of {shape}: {reason}",
                help="give an example of a shape that both networks take",
            ) from None
        return recorder


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

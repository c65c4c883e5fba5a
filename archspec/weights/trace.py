"""A network's run as a graph: which of its operations takes up which parameter, and what data flows into it.

A copy of the network is run, and its operations are watched. The graph keeps those alone that take parameters, and
which of them the data of each comes from. It is found on the device `meta`, where nothing is computed. All that is
private in torch and used for weights stands in this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from archspec.foundation.errors import UsageError

try:  # documented under "Extending PyTorch", but below a private name
    from torch.utils._python_dispatch import TorchDispatchMode
except ImportError as error:
    raise UsageError(f"this version of torch, {torch.__version__}, does not let its operations be watched") from error


class TransplantError(UsageError):
    """Two networks do not have the same architecture, or it could not be proven that they do."""


@dataclass(eq=False)
class Operand:
    """What an operation takes of parameters: one, or elements of several that were moved but not computed with."""

    names: tuple[str, ...]
    operation: str
    """As torch calls it: `addmm`."""
    value: Tensor = field(repr=False)
    """As the operation takes it, its axes in one order for all operations of a kind: out before in."""
    own: bool
    """Whether it is a view of a parameter's own memory, not of a copy."""
    product: bool = False
    """Whether it is multiplied as a matrix or a filter: the outputs are its first axis."""
    parts: tuple[Operand, ...] = ()
    """Those that were put together, one below the other."""

    @property
    def name(self) -> str:
        return self.names[0]


@dataclass(eq=False)
class Node:
    """An operation that takes parameters and data. `sources` are the nodes that its data comes from, each with a number
    that sums up what lies between them; `targets` are those that its results go to."""

    kind: str
    operands: tuple[Operand, ...] = ()
    sources: dict[Node, int] = field(default_factory=dict, repr=False)
    settings: dict[str, Any] = field(default_factory=dict, repr=False)
    targets: dict[Node, int] = field(default_factory=dict, repr=False)


Flow = dict[Node, int]

PRODUCTS = {"addmm", "mm", "bmm", "convolution"}
_COMMUTATIVE = {"add", "mul"}
_MOVING = {
    "cat", "stack", "clone", "copy", "index", "index_select", "gather", "repeat", "masked_fill", "zero", "fill", "roll",
    "constant_pad_nd", "flip", "where", "_reshape_copy",
}  # fmt: skip
"""Operations that move elements, or put constants between them, but compute nothing."""


_MAKING = {
    *(f"new_{what}" for what in ("zeros", "ones", "full", "empty", "empty_strided")),
    *(f"{what}_like" for what in ("zeros", "ones", "full", "empty")),
}
"""Operations that take no more than a shape from what they are given."""


@dataclass
class _State:
    """What is known of a piece of memory: the data in it, or of which parameters it was made."""

    flow: Flow = field(default_factory=dict)
    moved: tuple[str, ...] = ()
    computed: tuple[Operand, ...] = ()
    own: bool = False
    statistic: bool = False


class Follower(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows data and parameters through a run.

    Random layers get their expected value. `measure` is applied to the result of each node; `replaced` results, by the
    name of a parameter, are replaced by random numbers drawn from the seed that stands there.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        data: Tensor,
        measure: Callable[[Tensor], Any] | None = None,
        replaced: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tensors = dict(tensors)
        self.measure, self.replaced = measure, replaced or {}
        self.input = Node("input")
        self.nodes: list[Node] = []
        self.results: dict[str, Any] = {}
        self.statistics: dict[str, tuple[Tensor, Tensor]] = {}
        """Mean and variance of a batch, by the name of the running mean."""
        self.program: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        """The operations that took no data, in order."""
        self.output: Any = None
        self._held: dict[int, Any] = {}
        self._states: dict[int, _State] = {}
        for name, tensor in tensors.items():
            if tensor.is_floating_point():
                self._states[self.memory(tensor)] = _State(
                    moved=(name,), own=True, statistic=not isinstance(tensor, nn.Parameter)
                )
        self._states[self.memory(data)] = _State({self.input: 0})

    def memory(self, tensor: Tensor) -> int:
        """What a tensor and its views have in common."""
        storage = tensor.untyped_storage()
        if not tensor.is_meta:
            return storage.data_ptr()
        self._held[id(storage)] = storage  # where there is no memory, the object stands for it
        return id(storage)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        operation = str(func.overloadpacket.__name__).rstrip("_")
        if operation == "bernoulli" and func._overloadname in ("float", "p"):
            chance = args[1] if len(args) > 1 else kwargs.get("p", 0.5)  # left out where it is one half
            return args[0].fill_(chance) if mutates(func) else torch.full_like(args[0], chance)
        given = [*leaves(args), *leaves([kwargs[key] for key in kwargs], "k")]
        states = [(place, tensor, self._state(tensor, operation)) for place, tensor in given]
        if operation == "native_dropout":
            result: Any = args[0].clone(), torch.ones_like(args[0], dtype=torch.bool)
        else:
            result = func(*args, **kwargs)
        written = [args[0]] if mutates(func) and args and isinstance(args[0], Tensor) else []
        if mutates(func) and isinstance(kwargs.get("out"), Tensor):
            written.append(kwargs["out"])
        outputs = [*(tensor for _, tensor in leaves((result,))), *written]
        if operation not in _MAKING and any(state.flow for _, _, state in states):
            self._data(operation, func, args, states, outputs, result)
        else:
            self._constant(operation, (func, args, kwargs, result), states, outputs)
        return result

    def _state(self, tensor: Tensor, operation: str) -> _State:
        state = self._states.get(self.memory(tensor))
        if state is None or (state.statistic and "batch_norm" not in operation):
            return _State()  # other buffers are constants of the architecture
        return state

    def _set(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor], state: _State) -> None:
        """What memory holds from now on: that of results, and what was written in place, wholly or in part."""
        old = {self.memory(tensor) for tensor in inputs}
        for tensor in outputs:
            key = self.memory(tensor)
            before = self._states.get(key, _State())
            if key not in old or tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size():
                if not (before.own and key in old):
                    self._states[key] = state
            else:
                flow = dict(before.flow)
                for node, tag in state.flow.items():
                    flow[node] = flow.get(node, 0) + tag
                self._states[key] = _State(flow, before.moved, before.computed)

    def _constant(self, operation: str, call: Any, states: Any, outputs: list[Tensor]) -> None:
        """An operation without data: it moves elements of parameters, computes with them, or makes a constant."""
        inputs = [tensor for _, tensor, _ in states]
        moved = _unique(name for _, _, state in states for name in state.moved)
        computed = _unique(operand for _, _, state in states for operand in state.computed)
        dtypes = {tensor.dtype for _, tensor, state in states if state.moved} | {outputs[0].dtype if outputs else None}
        moving = operation in _MOVING or (operation == "_to_copy" and len(dtypes) == 1)
        memories = {self.memory(tensor) for tensor in inputs}
        views = not mutates(call[0]) and bool(outputs) and all(self.memory(t) in memories for t in outputs)
        if views or moving or not (moved or computed):
            self.program.append(call)
            if not views:
                self._set(outputs, inputs, _State(moved=moved, computed=computed))
            return
        operands = tuple(o for _, _, state in states for o in state.computed) + self._operands(operation, states)
        self._set(outputs, inputs, _State(computed=_unique(operands)))

    def _operands(self, operation: str, states: Any) -> tuple[Operand, ...]:
        """What an operation takes of parameters itself; the weight of a product before its bias."""
        found = []
        for place, tensor, state in states:
            if state.moved:
                value = _matrix(operation, place, tensor)
                product = value is not None
                value = squeeze(tensor) if value is None else value
                found.append(Operand(state.moved, operation, value, state.own, product))
        return tuple(found[::-1] if operation == "addmm" else found)

    def _data(
        self, operation: str, func: Any, args: tuple[Any, ...], states: Any, outputs: list[Tensor], result: Any
    ) -> None:
        """An operation on data: a node where it takes parameters, else a part of the way between two."""
        inputs = [tensor for _, tensor, _ in states]
        flow = _between(operation, args, states)
        carried = tuple(operand for _, _, state in states for operand in state.computed)
        operands = carried + self._operands(operation, states)
        memories = {self.memory(tensor) for tensor in inputs}
        if not operands:
            if mutates(func) or not all(self.memory(tensor) in memories for tensor in outputs):
                self._set(outputs, inputs, _State(flow))
            return
        node = self._node(operation, func, args, states, operands, flow)
        self._set(outputs, inputs, _State({node: 0}))
        self._note(operation, node, result)

    def _node(self, operation: str, func: Any, args: Any, states: Any, operands: Any, flow: Flow) -> Node:
        settings = {
            argument.name: value
            for argument, value in zip(func._schema.arguments, args, strict=False)
            if isinstance(value, (bool, int, float)) or (isinstance(value, list) and not _tensors(value))
        }
        settings = {name: value for name, value in settings.items() if name in _SETTINGS}
        places = [place for place, _, state in states if state.moved or state.computed]
        biased = operation in PRODUCTS and len(places) == 2 and len(operands) > 1
        if operation in PRODUCTS and (operation != "bmm" or operands[0].product):
            kind = "product"
        elif operation in _COMMUTATIVE:
            kind = operation
        else:
            kind = f"{'batch_norm' if 'batch_norm' in operation else operation}:{','.join(places)}"
        node = Node(kind, operands[:-1] if biased else operands, flow, settings)
        if operation == "addmm" and places == ["0"]:
            node.kind = "add"
        self.nodes.append(node)
        if biased:  # as if it were added afterwards, which other networks do
            node = Node("add", operands[-1:], {node: 0}, settings)
            self.nodes.append(node)
        return node

    def _note(self, operation: str, node: Node, result: Any) -> None:
        first = next((tensor for _, tensor in leaves((result,))), None)
        if first is None or first.is_meta or self.measure is None:
            return
        names = [name for operand in node.operands for name in operand.names]
        seeds = [self.replaced[name] for name in names if name in self.replaced]
        if seeds:
            generator = torch.Generator().manual_seed(min(seeds))
            first.copy_(torch.randn(first.shape, generator=generator, dtype=first.dtype))
        if node.kind.startswith("batch_norm") and isinstance(result, (list, tuple)) and len(result) > 2:
            self._remember(node, first, result)
        self.results.setdefault(names[-1], self.measure(first))

    def _remember(self, node: Node, first: Tensor, result: Any) -> None:
        mean = next((n for operand in node.operands for n in operand.names if n.endswith("running_mean")), None)
        if mean and result[1].numel() == first.shape[1]:
            self.statistics.setdefault(mean, (result[1].clone(), result[2].double().pow(-2).to(result[2].dtype)))


_SETTINGS = {"stride", "padding", "dilation", "transposed", "groups", "eps", "num_groups", "group", "normalized_shape"}


def _between(operation: str, args: tuple[Any, ...], states: Any) -> Flow:
    """The nodes whose results an operation takes; their numbers tell apart what happens on the way.

    They are added up, so that they do not depend on the order of commutative operations, nor on how a concatenation is
    nested. They only choose between layers that are alike otherwise.
    """
    flow: Flow = {}
    several = sum(bool(state.flow) for _, _, state in states) > 1
    offset = 0
    for place, tensor, state in states:
        step = 0
        if operation == "cat":
            step = 1_000_003 * offset
            axis = args[1] if len(args) > 1 else 0
            offset += tensor.shape[axis] if tensor.dim() else 0
        elif several and operation not in _COMMUTATIVE:
            step = 7_368_787 * int(place.strip("k").split(".")[0])
        elif not several and operation not in _QUIET:
            step = hash(operation) % 2_147_483_647
        for node, tag in state.flow.items():
            flow[node] = flow.get(node, 0) + tag + step
    return flow


_QUIET = {
    "view", "_unsafe_view", "reshape", "permute", "transpose", "t", "clone", "expand", "slice", "select", "split",
    "unsqueeze", "squeeze", "alias", "detach", "unbind", "chunk", "contiguous", "roll", "native_dropout", "add", "mul",
    "_to_copy", "copy", "split_with_sizes", "as_strided", "div",
}  # fmt: skip
"""Operations that tell nothing: other networks write them otherwise."""


def _matrix(operation: str, place: str, tensor: Tensor) -> Tensor | None:
    """The weight of a product, its outputs first; `None` where it is none."""
    if operation == "bmm" and tensor.dim() == 3 and (tensor.stride(0) == 0 or tensor.shape[0] == 1):
        tensor, operation = tensor.select(0, 0), "mm"  # the same for all of the batch
    if operation == "convolution":
        return tensor if place == "1" else None
    if operation not in ("mm", "addmm") or tensor.dim() != 2 or (operation == "addmm" and place == "0"):
        return None
    return tensor.t() if place == ("1" if operation == "mm" else "2") else tensor


def mutates(func: Any) -> bool:
    """Whether an operation writes into what it is given."""
    return bool(func._schema.is_mutable)


def squeeze(tensor: Tensor) -> Tensor:
    """Without the axes along which it is repeated, or has one element."""
    for axis in reversed(range(tensor.dim())):
        if tensor.shape[axis] == 1 or tensor.stride(axis) == 0:
            tensor = tensor.select(axis, 0)
    return tensor


def _unique(values: Any) -> Any:
    return tuple(dict.fromkeys(values))


def _tensors(values: Sequence[Any]) -> bool:
    return any(isinstance(value, Tensor) for value in values)


def leaves(values: Sequence[Any], place: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors among arguments or results, with their places."""
    for number, value in enumerate(values):
        if isinstance(value, Tensor):
            yield f"{place}{number}", value
        elif isinstance(value, (list, tuple)):
            yield from leaves(value, f"{place}{number}.")

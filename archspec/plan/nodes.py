"""What a plan is a tree of: layers, wires and groups, each with all that is known of it without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from archspec.foundation.errors import Mark
from archspec.foundation.frozen import Pairs
from archspec.foundation.sealed import sealed
from archspec.foundation.shapes import Shape
from archspec.layers import merges
from archspec.layers.initializers import Init
from archspec.layers.merges import MERGE_RULES, ONE_HEAD, Attention

MAX_NODES = 100_000
"""Of a plan, groups counted."""
MAX_LEVELS = 24
"""Of a module; beyond these, tools that walk modules become slow."""
_NOTHING: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class NamedOutput:
    """What a network gives beside its main output: a named output, or the output of an auxiliary classifier."""

    name: str
    """The name that the spec gives it."""
    shape: Shape
    """Its shape for one sample."""
    weight: float | None
    """The weight of an auxiliary classifier's loss; `None` for a named output."""
    mark: Mark = field(repr=False, compare=False)


@sealed(frozen=True, slots=True)
class Layer:
    """A leaf of the network: a primitive, its complete arguments, and what follows from them for its input."""

    primitive: str
    frozen_arguments: Pairs = field(repr=False)
    input: Shape
    output: Shape
    parameters: tuple[tuple[str, Shape], ...] = field(repr=False)
    params: int
    """The number of trainable parameters."""
    macs: int
    mark: Mark = field(repr=False)
    init: tuple[tuple[str, Init], ...] = field(default=(), repr=False)
    recompute: bool = False
    """Whether its activations are computed again in the backward pass, not kept."""
    share: str = ""
    """The name by which nodes of one body are one module."""

    named_outputs: ClassVar[tuple[NamedOutput, ...]] = ()
    depth = 0  # levels of modules below it
    size = 1  # nodes
    layers = 1
    loads = False  # whether a saved tensor is loaded in it

    @property
    def shares(self) -> bool:
        """Whether it, or anything in it, is a module that several nodes are."""
        return bool(self.share)

    @property
    def arguments(self) -> dict[str, Any]:
        """Every argument by name, defaults included."""
        return dict(self.frozen_arguments)

    @property
    def shared(self) -> Mapping[str, int]:
        """The parameters of what is shared in its body, by its name."""
        return {self.share: self.params} if self.share else _NOTHING


@sealed(frozen=True, slots=True)
class Wire:
    """A tensor led elsewhere: `save` and `output` pass their input on, `load` gives the tensor that was saved."""

    kind: str
    name: str
    input: Shape
    output: Shape
    mark: Mark = field(repr=False)

    recompute: ClassVar[bool] = False
    share: ClassVar[str] = ""
    shared: ClassVar[Mapping[str, int]] = _NOTHING
    params = macs = depth = layers = 0
    size = 1
    shares = False

    @property
    def loads(self) -> bool:
        return self.kind == "load"

    @property
    def named_outputs(self) -> tuple[NamedOutput, ...]:
        return (NamedOutput(self.name, self.input, None, self.mark),) if self.kind == "output" else ()


@dataclass(frozen=True, slots=True)
class Port:
    """A tensor that a block takes or gives by name."""

    name: str
    """Its name in the block."""
    wire: Wire | None
    """The `load` or `save` around the call; `None` for the tensor that reaches the call, or that the call passes on."""


@sealed(frozen=True, slots=True)
class Group:
    """Nodes put together.

    `kind` is `sequence`; `for` or `repeat`, whose children are its passes; a merge (`concat`, `add`, …), whose
    children are its branches; `block`, whose only child is the block's body, and which is no level of the module; or
    `aux`, whose only child is its body: it passes its input on, and its body is computed in training alone.
    """

    kind: str
    children: tuple[tuple[str, Node], ...]
    input: Shape
    output: Shape
    mark: Mark = field(repr=False)
    block: str = ""
    frozen_arguments: Pairs = field(default=(), repr=False)
    recompute: bool = False
    """Whether its activations are computed again in the backward pass, not kept."""
    looped: bool = False
    """Of a merge: whether its branches are the passes of a `for`."""
    split: tuple[int, ...] = ()
    """Of a merge that splits what reaches it: the sizes of the parts, one for each branch."""
    axis: int = 0
    """Of a merge: the axis that it joins or splits."""
    attention: Attention = ONE_HEAD
    """Of `attend`."""
    share: str = ""
    """The name by which nodes of one body are one module."""
    takes: tuple[Port, ...] = ()
    """Of a block that takes tensors by name: these. Its body begins with the first."""
    gives: tuple[Port, ...] = ()
    """Of a block that gives tensors by name: these. The first is what the call passes on."""
    params: int = field(init=False)
    macs: int = field(init=False)
    size: int = field(init=False)
    layers: int = field(init=False)
    depth: int = field(init=False)
    loads: bool = field(init=False, repr=False)
    """Whether a saved tensor is loaded anywhere in it."""
    shares: bool = field(init=False, repr=False)
    """Whether it, or anything in it, is a module that several nodes are."""
    named_outputs: tuple[NamedOutput, ...] = field(init=False, repr=False)
    """What it gives beside its output."""
    shared: Mapping[str, int] = field(init=False, repr=False, compare=False)
    """The parameters of what is shared in its body, by its name."""

    def __post_init__(self: Any) -> None:
        params = macs = layers = depth = 0
        size = 1 + 2 * (len(self.takes) + len(self.gives))
        loads, shares = bool(self.takes or self.gives), bool(self.share)
        shared = _NOTHING
        named_outputs: tuple[NamedOutput, ...] = ()
        for _, node in self.children:
            params += node.params
            macs += node.macs
            size += node.size
            layers += node.layers
            if type(node) is Layer and not node.share:
                continue  # as most are, and none of what follows is of such
            if node.depth > depth:
                depth = node.depth
            loads = loads or node.loads
            shares = shares or node.shares
            if node.named_outputs:
                named_outputs += node.named_outputs
            if node.shared:
                params -= sum(node.shared.values())
                shared = {**shared, **node.shared}
        params += sum(shared.values())
        own_body = self.kind in ("block", "aux")
        if own_body:
            shared = _NOTHING
        if self.is_merge:
            macs += merges.macs(self.kind, [node.output for _, node in self.children])
        if self.kind == "aux":
            macs = 0
            named_outputs = (NamedOutput(self.name, self.children[0][1].output, self.arguments["weight"], self.mark),)
        self.params = params
        self.shared = {self.share: params} if self.share else shared
        self.macs = macs
        self.size = size
        self.layers = layers
        self.loads = loads
        self.shares = shares
        self.depth = depth if own_body else depth + 1
        self.named_outputs = named_outputs

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of a `block` or `aux`, by name."""
        return dict(self.frozen_arguments)

    @property
    def name(self) -> str:
        """The name of an auxiliary classifier."""
        return str(self.arguments["name"])

    @property
    def is_beside(self) -> bool:
        """Whether it takes or gives other tensors than the one that reaches it, or works beside the network."""
        return self.kind == "aux" or bool(self.takes or self.gives)

    @property
    def is_merge(self) -> bool:
        """Whether its children are branches of one input."""
        return self.kind in MERGE_RULES


Node = Layer | Wire | Group
"""Equal parts of a network may be one and the same object: a node does not know its place, `Plan.graph` does."""

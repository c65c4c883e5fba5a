"""The graph of a plan: every node in its place, with the nodes whose tensors it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from archspec.foundation.errors import Frame, Mark
from archspec.foundation.shapes import Shape
from archspec.plan.nodes import Group, Layer, NamedOutput


@dataclass(frozen=True, slots=True)
class GraphNode:
    """An input, a layer, a merge, a part or a wire, in its place. A wire makes no tensor, but leads one on."""

    id: int
    """Its number in `Graph.nodes`."""
    kind: str
    """`input`, `layer`, that of a merge (`concat`, `add`, …), `split`, `save`, `load` or `output`."""
    path: str
    """Its part of the network, dotted: a layer's is its path in the module, a merge's that of its group."""
    sources: tuple[int, ...]
    """The nodes whose tensors it takes, in order; none of them is a wire."""
    output: Shape
    """The shape of its output for one sample."""
    parent: int | None
    """The innermost group that it stands in; a merge stands in its own."""
    calls: tuple[Frame, ...] = field(repr=False)
    """The calls and passes of loops that led to it, outermost first."""
    aux: str | None
    """The auxiliary classifier that it belongs to, which is computed in training alone."""
    mark: Mark | None = field(repr=False)
    """Where it is written."""

    @property
    def result(self) -> int:
        """The node whose tensor is passed on from here."""
        return self.id

    @property
    def recompute(self) -> bool:
        """Whether its activations are computed again in the backward pass; those of a group's nodes all are."""
        return False


@dataclass(frozen=True, slots=True)
class GraphInput(GraphNode):
    """An input of the network. What is loaded by its name takes it up."""

    name: str
    """Empty where the file gives none."""


@dataclass(frozen=True, slots=True)
class GraphLayer(GraphNode):
    """A layer in its place, as `Plan.layers` lists it. Shapes and MACs are those of one sample."""

    layer: Layer
    """What it is: `layer.primitive` is its name in specs, `layer.arguments` has every argument by name."""
    module: str
    """Its path in the module: its own, or where it is shared, that of the first node of its name."""

    @property
    def input(self) -> Shape:
        """The shape of its input."""
        return self.layer.input

    @property
    def recompute(self) -> bool:
        return self.layer.recompute

    @property
    def params(self) -> int:
        """The number of trainable parameters; 0 where they are those of a layer before it, which is shared."""
        return self.layer.params if self.module == self.path else 0

    @property
    def macs(self) -> int:
        """The multiply-accumulate operations for one sample."""
        return self.layer.macs

    @property
    def file(self) -> str:
        """The file that asks for the layer: the spec's, or a block's of the library."""
        return self.layer.mark.text.name

    @property
    def line(self) -> int:
        """The line in that file, from 1."""
        return self.layer.mark.line


@dataclass(frozen=True, slots=True)
class GraphWire(GraphNode):
    """A `save`, `load` or `output` in its place: its one source is the tensor that it leads on."""

    name: str
    saved: int | None
    """The `save`, or the input, whose tensor a `load` takes."""

    @property
    def result(self) -> int:
        return self.sources[0]


@dataclass(frozen=True, slots=True)
class GraphPart(GraphNode):
    """A part of a tensor that reaches a merge, which the branch of its path takes: a view of its one source."""

    axis: int
    """The axis of the source that is split."""
    start: int
    """The first position of the part along it."""
    stop: int
    """The position after its last."""


@dataclass(frozen=True, slots=True)
class GraphPort:
    """A tensor that a block takes or gives by name, in its place."""

    inner: int
    """The `save` under its name in the block."""
    outer: int | None
    """The `save`, or the input, of the caller's; `None` for what reaches the call, or is only passed on from it."""


@dataclass(frozen=True, slots=True)
class GraphGroup:
    """A group in its place. Its nodes are `Graph.nodes[start:stop]`, those of the groups in it included."""

    id: int
    """Its number in `Graph.groups`."""
    node: Group = field(repr=False)
    path: str
    parent: int | None
    """The innermost group that it stands in."""
    start: int
    stop: int
    children: tuple[GraphItem, ...] = field(repr=False)
    """In the order of the group's own; a merge, which joins them, is none of them, but the group's last node."""
    source: int
    """The node whose tensor it takes."""
    result: int
    """The node whose tensor is passed on from here: `source`, of an auxiliary classifier or an empty group."""
    calls: tuple[Frame, ...] = field(repr=False)
    aux: str | None
    """The auxiliary classifier that it belongs to, or is."""
    module: str
    """Its path in the module: its own, or where it is shared, that of the first node of its name."""
    parts: tuple[GraphPart, ...] = field(default=(), repr=False)
    """Of a merge that splits what reaches it: what each of its branches takes."""
    takes: tuple[GraphPort, ...] = field(default=(), repr=False)
    """Of a block that takes tensors by name: these, which are saved in it before all else."""
    gives: tuple[GraphPort, ...] = field(default=(), repr=False)
    """Of a block that gives tensors by name: these, which are loaded in it after all else."""

    @property
    def kind(self) -> str:
        return self.node.kind

    @property
    def recompute(self) -> bool:
        """Whether the activations of its nodes are computed again in the backward pass."""
        return self.node.recompute

    def __contains__(self, id: int) -> bool:
        """Whether a node, by its number, stands in it."""
        return self.start <= id < self.stop


_K = TypeVar("_K", bound=GraphNode)

GraphItem = GraphNode | GraphGroup

Kept = GraphInput | GraphWire
"""What may be loaded: an input by its name, or a `save`."""


@dataclass(frozen=True, slots=True)
class GroupWires:
    """The `save`s and inputs outside a group that are loaded in it, and the `save`s in it that are loaded outside."""

    takes: tuple[Kept, ...]
    gives: tuple[GraphWire, ...]


@dataclass(frozen=True)
class Graph:
    """A network's nodes with their edges, and the groups that they stand in.

    What is saved, loaded, left out or empty is resolved: whoever runs `nodes` in their order, each on the tensors of
    its `sources`, needs to know nothing of scopes.
    """

    nodes: tuple[GraphNode, ...] = field(repr=False)
    """In the order of execution; the first are the inputs."""
    groups: tuple[GraphGroup, ...] = field(repr=False)
    """Each before the groups in it, otherwise in the order of execution."""
    root: GraphItem
    named_outputs: tuple[tuple[NamedOutput, int], ...]
    """What the network gives beside its output, each with the node that makes it, in the order of execution."""
    shared: tuple[tuple[GraphLayer | GraphGroup, GraphLayer | GraphGroup], ...]
    """The nodes that are another one once more, each with the one that it is: the first that is shared by its name."""

    @property
    def output(self) -> int:
        """The node that makes the network's output."""
        return self.root.result

    @cached_property
    def inputs(self) -> tuple[GraphInput, ...]:
        """What the network takes; it begins with the first."""
        return tuple(node for node in self.nodes if isinstance(node, GraphInput))

    @cached_property
    def layers(self) -> tuple[GraphLayer, ...]:
        return tuple(node for node in self.nodes if isinstance(node, GraphLayer))

    def around(self, item: GraphItem) -> Iterator[GraphGroup]:
        """The groups that a node or group stands in, innermost first."""
        parent = item.parent
        while parent is not None:
            yield self.groups[parent]
            parent = self.groups[parent].parent

    @cached_property
    def open_groups(self) -> frozenset[int]:
        """The groups, by number, that are no module by themselves, since they use one that stands outside of them."""
        found: set[int] = set()
        for use, owner in self.shared:
            around = {group.id for group in self.around(owner)}
            for group in self.around(use):
                if group.id in around:
                    break
                found.add(group.id)
        return frozenset(found)

    @cached_property
    def group_wires(self) -> tuple[GroupWires, ...]:
        """What saved tensors each group takes and gives, in the order of `groups`."""
        takes: list[dict[int, Kept]] = [{} for _ in self.groups]
        gives: list[dict[int, GraphWire]] = [{} for _ in self.groups]
        wires = [node for node in self.nodes if isinstance(node, GraphWire)]
        saves: dict[int, Kept] = {one.id: one for one in self.inputs} | {one.id: one for one in wires}
        for load in wires:
            if load.saved is None:
                continue
            save = saves[load.saved]
            for group in self.around(load):
                if save.id in group:
                    break
                takes[group.id][save.id] = save
            for group in self.around(save):
                if load.id in group:
                    break
                assert isinstance(save, GraphWire)
                gives[group.id][save.id] = save
        return tuple(GroupWires(_ordered(one), _ordered(other)) for one, other in zip(takes, gives, strict=True))


def join_path(path: str, key: str) -> str:
    """The path of what stands in a part under a key; either may be empty."""
    return f"{path}.{key}" if path and key else path or key


def _ordered(saves: dict[int, _K]) -> tuple[_K, ...]:
    return tuple(saves[id] for id in sorted(saves))

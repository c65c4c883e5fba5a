"""The plan: everything about a network but its weights, known without torch, and never changed once made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from math import prod
from typing import Any, ClassVar

from archspec.foundation.errors import Frame, Mark, cut
from archspec.foundation.shapes import Shape, show
from archspec.language.names import MERGES
from archspec.layers.initializers import Init

Pairs = tuple[tuple[str, Any], ...]
"""Names with values, in order; lists within are tuples."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a network gives beside its output: the tensor of an `output`, or of an `aux`, which has a weight."""

    name: str
    shape: Shape
    weight: float | None
    mark: Mark = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Layer:
    """A leaf of the network: a primitive, its complete arguments, and what follows from them for its input."""

    primitive: str
    pairs: Pairs = field(repr=False)
    input: Shape
    output: Shape
    parameters: tuple[tuple[str, Shape], ...] = field(repr=False)
    macs: int
    mark: Mark = field(repr=False)
    init: tuple[tuple[str, Init], ...] = field(default=(), repr=False)
    checkpoint: bool = False
    """Whether its activations are computed again in the backward pass, not kept."""

    free: ClassVar[frozenset[str]] = frozenset()
    saved: ClassVar[frozenset[str]] = frozenset()
    named: ClassVar[tuple[Named, ...]] = ()
    depth = 0  # levels of modules below it
    size = 1  # nodes
    layers = 1

    @property
    def arguments(self) -> dict[str, Any]:
        """Every argument by name, defaults included."""
        return dict(self.pairs)

    @property
    def params(self) -> int:
        """The number of trainable parameters."""
        return sum(prod(shape) for _, shape in self.parameters)


@dataclass(frozen=True, slots=True)
class Tap:
    """A tensor led elsewhere: `save` and `output` pass their input on, `load` gives the tensor that was saved."""

    kind: str
    name: str
    input: Shape
    output: Shape
    mark: Mark = field(repr=False)

    checkpoint: ClassVar[bool] = False
    params = macs = depth = layers = 0
    size = 1

    @property
    def free(self) -> frozenset[str]:
        return frozenset([self.name] if self.kind == "load" else [])

    @property
    def saved(self) -> frozenset[str]:
        return frozenset([self.name] if self.kind == "save" else [])

    @property
    def named(self) -> tuple[Named, ...]:
        return (Named(self.name, self.input, None, self.mark),) if self.kind == "output" else ()


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes put together.

    `kind` is `sequence`; `for` or `repeat`, whose children are its passes; `concat`, `add` or `multiply`, whose
    children are its branches; `block`, whose only child is the block's body, and which is no level of the module; or
    `aux`, whose only child is its body: it passes its input on, and its body is computed in training alone.
    """

    kind: str
    children: tuple[tuple[str, Node], ...]
    input: Shape
    output: Shape
    mark: Mark = field(repr=False)
    block: str = ""
    pairs: Pairs = field(default=(), repr=False)
    checkpoint: bool = False
    """Whether its activations are computed again in the backward pass, not kept."""
    params: int = field(init=False)
    macs: int = field(init=False)
    size: int = field(init=False)
    layers: int = field(init=False)
    depth: int = field(init=False)
    free: frozenset[str] = field(init=False, repr=False)
    """The saved tensors that it takes from outside."""
    saved: frozenset[str] = field(init=False, repr=False)
    """The tensors that it saves, as far as they can be loaded outside."""
    named: tuple[Named, ...] = field(init=False, repr=False)
    """What it gives beside its output."""

    def __post_init__(self) -> None:
        nodes = [node for _, node in self.children]
        object.__setattr__(self, "params", sum(node.params for node in nodes))
        object.__setattr__(self, "macs", sum(node.macs for node in nodes) if self.kind != "aux" else 0)
        object.__setattr__(self, "size", 1 + sum(node.size for node in nodes))
        object.__setattr__(self, "layers", sum(node.layers for node in nodes))
        level = 0 if self.kind in ("block", "aux") else 1
        object.__setattr__(self, "depth", level + max((node.depth for node in nodes), default=0))
        free: set[str] = set()
        saved: set[str] = set()
        for node in nodes:
            free |= node.free - saved
            saved |= node.saved
        object.__setattr__(self, "free", frozenset() if self.kind == "block" else frozenset(free))
        object.__setattr__(self, "saved", frozenset() if self.kind in ("block", "aux") else frozenset(saved))
        named = tuple(one for node in nodes for one in node.named)
        if self.kind == "aux":
            own = self.arguments
            named = (Named(own["name"], nodes[0].output, own["weight"], self.mark),)
        object.__setattr__(self, "named", named)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of a `block` or `aux`, by name."""
        return dict(self.pairs)


Node = Layer | Tap | Group
"""Equal parts of a network may be one and the same object: a node does not know its place, `Plan.layers` does."""


@dataclass(frozen=True, slots=True)
class PlacedLayer:
    """A layer in its place: its path, as in `state_dict` keys, and the calls that led there, outermost first."""

    path: str
    layer: Layer
    calls: tuple[Frame, ...]
    aux: str | None = None
    """The side classifier that it belongs to, which is computed in training alone."""

    @property
    def input(self) -> Shape:
        return self.layer.input

    @property
    def output(self) -> Shape:
        return self.layer.output

    @property
    def params(self) -> int:
        """The number of trainable parameters."""
        return self.layer.params

    @property
    def macs(self) -> int:
        return self.layer.macs

    @property
    def file(self) -> str:
        """The file that asks for the layer: the spec's, or a block's of the library."""
        return self.layer.mark.text.name

    @property
    def line(self) -> int:
        return self.layer.mark.line


@dataclass(frozen=True, repr=False)
class Plan:
    """A network, elaborated. MACs are multiply-accumulate operations for one sample."""

    name: str
    variant: str | None
    file: str
    input: Shape
    root: Node
    description: str = ""
    source: str = ""
    vars: Pairs = ()

    @property
    def output(self) -> Shape:
        return self.root.output

    @property
    def params(self) -> int:
        """The number of trainable parameters."""
        return self.root.params

    @property
    def macs(self) -> int:
        return self.root.macs

    def __repr__(self) -> str:
        figures = f"{show(self.input)} → {show(self.output)}, {self.params:,} parameters, {self.macs / 1e9:.3f} GMACs"
        return f"<Plan {self.title}: {figures}>"

    @property
    def title(self) -> str:
        """The name, with the variant where there is one."""
        return f"{self.name} ({self.variant})" if self.variant else self.name

    @cached_property
    def layers(self) -> tuple[PlacedLayer, ...]:
        """Every layer in the order of execution."""
        return tuple(_placed(self.root, "", (), None))

    @property
    def outputs(self) -> dict[str, Shape]:
        """The shapes of the named outputs, which the network gives beside its main one."""
        return {one.name: one.shape for one in self.root.named if one.weight is None}

    @property
    def aux(self) -> dict[str, Named]:
        """The side classifiers by name, each with its shape and the weight of its loss."""
        return {one.name: one for one in self.root.named if one.weight is not None}

    def without_aux(self) -> Plan:
        """The same network without its side classifiers."""
        return replace(self, root=_without_aux(self.root, {})) if self.aux else self

    def to_dict(self) -> dict[str, Any]:
        """The whole plan as JSON types."""
        return {
            "name": self.name,
            "variant": self.variant,
            "description": self.description,
            "source": self.source,
            "file": self.file,
            "vars": dict(self.vars),
            "input": list(self.input),
            "output": list(self.output),
            "outputs": {name: list(shape) for name, shape in self.outputs.items()},
            "aux": {name: {"output": list(one.shape), "weight": one.weight} for name, one in self.aux.items()},
            "params": self.params,
            "macs": self.macs,
            "layers": [_layer_dict(placed) for placed in self.layers],
        }


def _placed(node: Node, path: str, calls: tuple[Frame, ...], aux: str | None) -> Iterator[PlacedLayer]:
    if isinstance(node, Layer):
        yield PlacedLayer(path, node, calls, aux)
    elif isinstance(node, Group):
        aux = node.arguments["name"] if node.kind == "aux" else aux
        for index, (key, child) in enumerate(node.children):
            inner = f"{path}.{key}" if path and key else path or key
            yield from _placed(child, inner, (*calls, *frames_into(node, index)), aux)


def _without_aux(node: Node, done: dict[int, Node]) -> Node:
    """A part of a plan less its side classifiers; parts that were one object stay one."""
    if not isinstance(node, Group) or not any(one.weight is not None for one in node.named):
        return node
    if node.kind == "aux":  # as a branch of a merge it still passes its input on
        return Group("sequence", (), node.input, node.output, node.mark)
    if id(node) not in done:
        merge = node.kind in MERGES
        kept = [(key, one) for key, one in node.children if merge or not (isinstance(one, Group) and one.kind == "aux")]
        done[id(node)] = replace(node, children=tuple((key, _without_aux(child, done)) for key, child in kept))
    return done[id(node)]


def frames_into(group: Group, index: int) -> tuple[Frame, ...]:
    """The step that leads from a group to one of its children, as errors name it."""
    if group.kind == "block":
        return (block_frame(group.block, group.arguments, group.mark),)
    if group.kind in ("for", "repeat"):
        return (pass_frame(group.kind, index, len(group.children)),)
    return ()


def block_frame(name: str, arguments: dict[str, Any], mark: Mark) -> Frame:
    shown = ", ".join(f"{key}={_short(value)}" for key, value in islice(arguments.items(), MAX_SHOWN))
    return Frame(f"block `{name}` ({shown})" if shown else f"block `{name}`", mark)


def pass_frame(kind: str, index: int, count: int) -> Frame:
    return Frame(f"row {index + 1} of `for`" if kind == "for" else f"pass {index + 1} of {count}")


MAX_SHOWN = 40  # values, in a line about a call
MAX_SHOWN_TEXT = 80  # characters of one


def _short(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        text = "[" + ", ".join(map(_short, value[:MAX_SHOWN])) + "]"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key}: {_short(inner)}" for key, inner in islice(value.items(), MAX_SHOWN)) + "}"
    else:
        text = str(value)
    return cut(text, MAX_SHOWN_TEXT)


def _layer_dict(placed: PlacedLayer) -> dict[str, Any]:
    layer = placed.layer
    return {
        "path": placed.path,
        "primitive": layer.primitive,
        "arguments": {key: list(v) if isinstance(v, tuple) else v for key, v in layer.pairs},
        "input": list(layer.input),
        "output": list(layer.output),
        "parameters": {name: list(shape) for name, shape in layer.parameters},
        "params": layer.params,
        "macs": layer.macs,
        "aux": placed.aux,
        "checkpoint": layer.checkpoint,
        "init": {name: {function: dict(arguments)} for name, (function, arguments) in layer.init},
        "file": layer.mark.text.name,
        "line": layer.mark.line,
        "column": layer.mark.column,
        "calls": [frame.label + (f", from {frame.mark}" if frame.mark else "") for frame in placed.calls],
    }


def freeze(value: Any) -> Any:
    """A value as an immutable, hashable one, in which `1`, `1.0` and `true` differ."""
    if isinstance(value, dict):
        return tuple((key, freeze(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return tuple(map(freeze, value))
    return (type(value), value)


def freeze_pairs(values: dict[str, Any]) -> Pairs:
    """Arguments as they stand in a plan: lists are tuples."""
    return tuple((name, _tupled(value)) for name, value in values.items())


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value

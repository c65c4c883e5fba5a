"""A network as a tree of calls: each layer the call that makes it, each block a call of its class."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

from archspec.foundation.errors import UsageError
from archspec.layers.calls import DEFAULTS, Call, file_of
from archspec.layers.registry import primitives
from archspec.plan.graph import Graph, GraphGroup, GraphItem, GraphLayer, GraphWire
from archspec.plan.nodes import Group

_CHANNELS = ("in_channels", "out_channels")
POSITIONAL: dict[str, tuple[str, ...]] = {
    **{f"nn.Conv{axes}d": (*_CHANNELS, "kernel_size") for axes in (1, 2, 3)},
    **{f"nn.ConvTranspose{axes}d": (*_CHANNELS, "kernel_size") for axes in (1, 2, 3)},
    "nn.Linear": ("in_features", "out_features"),
    **{f"nn.BatchNorm{axes}d": ("num_features",) for axes in (1, 2, 3)},
    "nn.InstanceNorm2d": ("num_features",),
    "nn.GroupNorm": ("num_groups", "num_channels"),
    "nn.LayerNorm": ("normalized_shape",),
    "nn.LocalResponseNorm": ("size",),
    "nn.Dropout": ("p",),
    **{f"nn.{kind}Pool{axes}d": ("kernel_size",) for kind in ("Max", "Avg") for axes in (1, 2, 3)},
    **{f"nn.Adaptive{kind}Pool{axes}d": ("output_size",) for kind in ("Max", "Avg") for axes in (1, 2, 3)},
    **{
        f"nn.{kind}Pad{axes}d": ("padding",)
        for kind in ("Constant", "Reflection", "Replication", "Circular")
        for axes in (1, 2, 3)
    },
    "nn.ZeroPad3d": ("padding",),
    "nn.PixelShuffle": ("upscale_factor",),
    "nn.ChannelShuffle": ("groups",),
    "LayerNorm2d": ("normalized_shape",),
    "nn.Unflatten": ("dim", "unflattened_size"),
}
"""The names of arguments that are given by their place."""
_LOOPS = ("for", "repeat")
_WHOLE = ("nn.LayerNorm", "nn.Unflatten")  # a tuple of equal sizes is not one number for all axes


class Classes(int):
    """The number of classes, where it is the size of a last layer: the network's class takes it as an argument."""


@dataclass(frozen=True)
class Ports:
    """Names of tensors: those that a block takes and gives in its body, or those of its caller that these are."""

    takes: tuple[str, ...] = ()
    """Empty where it takes the tensor that reaches it."""
    gives: tuple[str, ...] = ()
    """Empty where it gives one tensor, which goes on."""
    outputs: tuple[str, ...] = ()
    """Outputs of the network that are made in it."""
    aux: tuple[str, ...] = ()
    """Those of `outputs` that are there in training alone."""

    @property
    def count(self) -> int:
        """How many tensors it gives."""
        return max(1, len(self.gives)) + len(self.outputs)


NO_PORTS = Ports()


@dataclass(frozen=True)
class Tree:
    """A part of a network.

    `kind` is `call`; `sequence`, `loop` (the passes of one) or a merge; `block`, until its class is known; `save`,
    `load`, `output` or `aux`; or `shared`, another use of the part at the path `name` of its body.
    """

    kind: str
    name: str = ""
    slots: tuple[tuple[str, Any], ...] = ()
    """The arguments of a call by name."""
    children: tuple[tuple[str, Tree], ...] = ()
    recompute: bool = False
    ports: Ports = Ports()
    """Of a call, or another use of one: the tensors around it that it takes and gives by name."""
    node: Group | None = field(default=None, compare=False, repr=False)

    @property
    def is_plain(self) -> bool:
        """Whether it is a module that takes one tensor and gives one, made of such modules alone."""
        if self.kind in ("save", "load", "output", "aux", "shared") or (self.kind != "call" and self.slots):
            return False
        if self.ports != NO_PORTS:
            return False
        return not any(child.recompute or not child.is_plain for _, child in self.children)


def parts(tree: Tree) -> Iterator[Tree]:
    """It and all in it."""
    yield tree
    for _, child in tree.children:
        yield from parts(child)


class Forest:
    """The trees of a graph: of its root, and of the body of each call of a block, which equal calls share."""

    def __init__(self, graph: Graph, classified: frozenset[int]) -> None:
        self.graph = graph
        self.classified = classified
        """The layers, by number, that give one value for each class."""
        self.bodies: dict[str, list[tuple[GraphGroup, Tree]]] = {}
        """Of each block its different calls; those in a block come before it."""
        self.known: dict[int, Tree] = {}
        self.shared = {use.path for use, _ in graph.shared}
        root, self.recompute = _body(graph.root)
        self.root = self.tree(root, "")

    def tree(self, item: GraphItem, scope: str) -> Tree:
        """The tree of an item, which stands in a body at the path `scope`."""
        item, recompute = self.opened(item)
        if isinstance(item, GraphWire):
            return Tree(item.kind, item.name if item.kind == "output" else self.within(item, item.name, scope))
        assert isinstance(item, (GraphLayer, GraphGroup))
        if item.path in self.shared:
            path = item.module[len(scope) + 1 :] if scope else item.module
            return Tree("shared", path, recompute=recompute, ports=self.outer(item, scope))
        if isinstance(item, GraphLayer):
            return replace(self.layer(item), recompute=recompute)
        tree = self.group(item, scope)
        return replace(tree, recompute=recompute or tree.recompute)

    def opened(self, item: GraphItem) -> tuple[GraphItem, bool]:
        """What stands in the place of a block that needs no class: a single layer, or one that gives more beside."""
        recompute = item.recompute
        while isinstance(item, GraphGroup) and item.kind == "block" and not has_ports(item):
            (child,) = item.children
            inner, _ = _body(child)
            if isinstance(inner, GraphGroup) and not item.node.named_outputs and _has_parts(inner):
                break
            item, recompute = child, recompute or child.recompute
        return item, recompute

    def within(self, item: GraphItem, name: str, scope: str) -> str:
        """The name of a tensor where an item stands; it says of which block, if that is written into another body."""
        block = next((group for group in self.graph.around(item) if group.kind == "block"), None)
        return name if block is None or block.path == scope else f"{block.path[len(scope) :].lstrip('.')}:{name}"

    def outer(self, item: GraphLayer | GraphGroup, scope: str) -> Ports:
        """The tensors around a call that it takes and gives by name."""
        if isinstance(item, GraphLayer) or not has_ports(item):
            return NO_PORTS
        takes = tuple(self.within(item, port.wire.name, scope) for port in item.node.takes if port.wire)
        gives = tuple(self.within(item, port.wire.name, scope) for port in item.node.gives if port.wire)
        return Ports(takes, gives, *_outputs(item.node))

    def group(self, group: GraphGroup, scope: str) -> Tree:
        if group.kind == "block":
            known = self.known.get(id(group.node))
            if known is None:
                tree = self.tree(group.children[0], group.path)
                if tree.kind in ("call", "block"):  # a block that is another one
                    known = tree
                else:
                    self.bodies.setdefault(group.node.block, []).append((group, replace(tree, recompute=False)))
                    recompute = tree.recompute
                    known = Tree("block", group.node.block, recompute=recompute, node=group.node)
                self.known[id(group.node)] = known
            return replace(known, ports=self.outer(group, scope)) if has_ports(group) else known
        if group.kind == "aux":
            return Tree("aux", group.node.name, children=(("", self.tree(group.children[0], scope)),))
        children = []
        for (key, _), child in zip(group.node.children, group.children, strict=True):
            children.append((key, self.tree(child, scope)))
        if group.node.is_merge:
            slots = tuple((name, one) for name, one in (("axis", group.node.axis), ("split", group.node.split)) if one)
            if group.kind == "attend":
                slots += tuple((name, one) for name, one in asdict(group.node.attention).items() if one)
            return Tree(group.kind, slots=slots, children=tuple(children))
        return Tree("loop" if group.kind in _LOOPS else "sequence", children=tuple(children))

    def layer(self, item: GraphLayer) -> Tree:
        layer = item.layer
        call = primitives()[layer.primitive].call(layer.arguments, layer.input)
        if call is None:
            message = f"`{layer.primitive}` ({item.path}) does not say how it is written in Python"
            raise UsageError(f"{message}: it comes from a plugin; export the network with `--to torch`")
        tree = of_call(call)
        if item.id in self.classified:
            slots = [(name, Classes(one) if name.startswith("out_") else one) for name, one in tree.slots]
            tree = replace(tree, slots=tuple(slots))
        return tree


def of_call(call: Call) -> Tree:
    """The tree of a call, each argument with its name."""
    if call.positional and isinstance(call.positional[0], Call):
        return Tree("sequence", children=tuple((str(i), of_call(one)) for i, one in enumerate(call.positional)))
    function = call.function
    names = POSITIONAL.get(function) or parameters(function)
    slots = [(names[i] if i < len(names) else f"_{i}", one) for i, one in enumerate(call.positional)]
    slots += call.named
    if function.startswith("nn.") and function not in _WHOLE:
        slots = [(name, _one(value)) for name, value in slots]
    place = {name: i for i, name in enumerate([*names, *DEFAULTS.get(function, ())])}
    return Tree("call", function, tuple(sorted(slots, key=lambda slot: place.get(slot[0], len(place)))))


def _one(value: Any) -> Any:
    """One number for all axes, where they have the same."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


@cache
def source(name: str) -> ast.Module:
    """The file of a class in `archspec/layers/modules/`."""
    text = resources.files("archspec.layers.modules").joinpath(f"{file_of(name)}.py").read_text(encoding="utf-8")
    return ast.parse(text)


@cache
def parameters(function: str) -> tuple[str, ...]:
    """The names of the arguments that the class of a layer takes by their place, if torch has none for it."""
    return tuple(name for name, _ in _arguments(function)) if "." not in function else ()


@cache
def defaults(function: str) -> dict[str, Any]:
    """The arguments that may be left out, and what they are then."""
    if "." in function or function in DEFAULTS:
        return DEFAULTS.get(function, {})
    return {name: ast.literal_eval(one) for name, one in _arguments(function) if one is not None}


def _arguments(function: str) -> list[tuple[str, ast.expr | None]]:
    """The arguments of a class of ours, each with its default."""
    kind = next(one for one in source(function).body if isinstance(one, ast.ClassDef))
    for method in kind.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            names = method.args.args[1:]
            values = [None] * (len(names) - len(method.args.defaults)) + list(method.args.defaults)
            return [(one.arg, value) for one, value in zip(names, values, strict=True)]
    base = ast.unparse(kind.bases[0])
    return [(name, None) for name in POSITIONAL[base]] if base in POSITIONAL else _inherited(base)


def _inherited(base: str) -> list[tuple[str, ast.expr | None]]:
    return [] if "." in base else _arguments(base)


def has_ports(group: GraphGroup) -> bool:
    """Whether a block takes or gives tensors by name."""
    return bool(group.takes or group.gives)


def inner_ports(group: GraphGroup) -> Ports:
    """The tensors of a block by their names in its body."""
    if not has_ports(group):
        return NO_PORTS
    takes, gives = (tuple(port.name for port in ports) for ports in (group.node.takes, group.node.gives))
    return Ports(takes, gives, *_outputs(group.node))


def _outputs(node: Group) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The outputs of the network that are made in a block, and those of them that are there in training alone."""
    found = node.named_outputs
    return tuple(one.name for one in found), tuple(one.name for one in found if one.weight is not None)


def _body(item: GraphItem) -> tuple[GraphItem, bool]:
    recompute = item.recompute
    while isinstance(item, GraphGroup) and item.kind == "block" and not has_ports(item):
        (item,) = item.children
        recompute = recompute or item.recompute
    return item, recompute


def _has_parts(group: GraphGroup) -> bool:
    """Whether a block's body is more than a sequence of none or one."""
    keys = [key for key, _ in group.node.children]
    single = keys == ["0"] and not (isinstance(group.children[0], GraphGroup) and group.children[0].kind in _LOOPS)
    return group.node.is_merge or (bool(keys) and not single)

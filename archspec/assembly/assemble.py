"""Assembly: a plan to an ordinary torch module, nested as the spec is nested.

Sequences become `nn.Sequential`; merges, and sequences that lead tensors past their parts, become modules whose
`forward` torch.fx writes, so that nothing of archspec runs in the network, and a pickled network needs no archspec.
A module that is shared stands where it is used first; whichever module holds all of its uses calls it in each of them.
The exceptions are `archspec.assembly.modules`: auxiliary classifiers and recomputation.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from archspec.assembly.joins import MERGES, attend, split
from archspec.assembly.layers import make_layer
from archspec.assembly.modules import in_training, recomputed, with_named
from archspec.language.inputs import UNNAMED
from archspec.plan.graph import Graph, GraphGroup, GraphItem, GraphLayer, GraphWire, Kept
from archspec.plan.nodes import NamedOutput
from archspec.plan.plan import Plan


def assemble(plan: Plan, device: str | torch.device = "cpu") -> nn.Module:
    """The network of a plan, on a device, its parameters initialised once.

    It maps `(N, *plan.input)`, or a batch of each of `plan.inputs` in their order, to `(N, *plan.output)`; with
    `outputs`, and in training with auxiliary classifiers, to `(output, {name: tensor})`. Its `state_dict` keys are
    the plan's paths. The random numbers are drawn layer by layer in the order of execution, as torch's own layers
    made in that order would draw them.
    """
    return _Assembler(plan.graph, torch.device(device)).network()


Key = int | str
"""What tells tensors beside the main one apart: the number of a `save` or input in the graph, or an output's name."""


@dataclass(frozen=True)
class _Part:
    """A child of a group. It has no module where it is a wire, another one's once more, or a group that is `open`."""

    key: str
    """The path of its module, from the one that calls it."""
    item: GraphItem
    module: nn.Module | None
    recompute: bool
    inputs: tuple[Kept, ...]
    """What it takes beside its input."""
    outputs: tuple[Key, ...]
    """What it gives beside its output."""
    parts: tuple[_Part, ...] = ()
    """Of an open group, whose children are called by the module around it."""
    block: GraphGroup | None = None
    """The block that it is the body of, where that takes or gives tensors by name."""

    @property
    def is_wired(self) -> bool:
        """Whether it is more than a module that is called on the tensor before it."""
        beside = bool(self.inputs or self.outputs or self.block)
        return self.module is None or self.recompute or _is_aux(self.item) or beside


class _Assembler:
    """Makes a module of each part of a network, in the order of execution."""

    def __init__(self, graph: Graph, device: torch.device) -> None:
        self.graph = graph
        self.device = device

    def network(self) -> nn.Module:
        root, _, _ = _open_blocks(self.graph.root)
        if isinstance(root, GraphGroup) and (root.node.named_outputs or self.beside(root)[0]):
            return self.wired(root, self.parts(root), is_root=True)
        return self.module(root)

    def module(self, item: GraphItem, block: GraphGroup | None = None) -> nn.Module:
        """A part that is neither a wire nor a block; `block` is what it is the body of, if that has tensors by name."""
        if isinstance(item, GraphLayer):
            return make_layer(item.layer, self.device)
        assert isinstance(item, GraphGroup)
        if item.kind == "aux":
            return self.module(_open_blocks(item.children[0])[0])
        parts = self.parts(item)
        named = block is not None and bool(block.takes[1:] or block.gives)
        if item.node.is_merge or named or any(self.beside(item)) or any(part.is_wired for part in parts):
            return self.wired(item, parts, block)
        return nn.Sequential(OrderedDict((part.key, part.module) for part in parts if part.module is not None))

    def parts(self, group: GraphGroup, around: GraphGroup | None = None) -> list[_Part]:
        """The children of a group, as the module of the group `around` calls them."""
        around = around or group
        parts = []
        for child in group.children:
            item, recompute, block = _open_blocks(child)
            if isinstance(item, GraphWire):
                parts.append(_Part("", item, None, recompute, (), ()))
            elif isinstance(item, GraphGroup) and item.id in self.graph.open_groups:
                inner = tuple(self.parts(item, around))
                parts.append(_Part("", item, None, recompute, (), (), inner))
            else:
                assert isinstance(item, (GraphLayer, GraphGroup))
                module = self.module(item, block) if item.module == item.path else None
                key = item.module[len(around.module) + 1 :] if around.module else item.module
                parts.append(_Part(key, item, module, recompute, *self.beside(item, block), block=block))
        return parts

    def beside(self, item: GraphItem, block: GraphGroup | None = None) -> tuple[tuple[Kept, ...], tuple[Key, ...]]:
        """What a part takes beside its input, and gives beside its output; the body of a block, by its names."""
        if not isinstance(item, GraphGroup):
            return (), ()
        crossing = self.graph.group_wires[item.id]
        named_outputs = () if item.kind == "aux" else tuple(one.name for one in item.node.named_outputs)
        if block is not None:
            return (), (*(port.inner for port in block.gives[1:]), *named_outputs)
        return crossing.takes, (*(save.id for save in crossing.gives), *named_outputs)

    def wired(
        self, group: GraphGroup, parts: list[_Part], block: GraphGroup | None = None, *, is_root: bool = False
    ) -> nn.Module:
        """A module whose `forward` torch.fx writes: a merge, or a sequence that leads tensors past its parts."""
        root = nn.Module()
        wiring = _Wiring(fx.Graph(), group.module)
        inputs, outputs = self.beside(group, block)
        taken = [(one.id, one.name or UNNAMED) for one in self.graph.inputs] if is_root else []
        if block is not None:
            ports = zip(block.takes, block.node.takes, strict=True)
            taken = [(port.inner, one.name) for port, one in ports]
        tensor = wiring.begin(taken) if taken else wiring.graph.placeholder("input")
        for save in () if is_root else inputs:
            wiring.tensors[save.id] = wiring.graph.placeholder(f"saved_{save.name}")
        _install(root, parts)
        tensor = wiring.add_all(group, parts, tensor)
        for key, rate in wiring.dropouts.items():
            _place(root, key, nn.Dropout(rate))
        tensor = wiring.tensors[block.gives[0].inner] if block and block.gives else tensor
        wiring.close(tensor, outputs, (is_root and group.node.named_outputs) or None)
        name = group.kind.capitalize() if group.node.is_merge else "Sequence"
        return fx.GraphModule(root, wiring.graph, class_name=name)


def _open_blocks(item: GraphItem) -> tuple[GraphItem, bool, GraphGroup | None]:
    """What stands in a block's place, since a block is no level of the module; and whether it is computed again.

    And the block itself, where it takes or gives tensors by name.
    """
    recompute = item.recompute
    block = item if isinstance(item, GraphGroup) and (item.takes or item.gives) else None
    while isinstance(item, GraphGroup) and item.kind == "block":
        (item,) = item.children
        recompute = recompute or item.recompute
    return item, recompute, block


def _install(root: nn.Module, parts: Iterable[_Part]) -> None:
    """Put the modules of parts where they belong; those of open groups stand in modules that only hold them."""
    for part in parts:
        _install(root, part.parts)
        if part.module is not None:
            _place(root, part.key, part.module)


def _place(root: nn.Module, key: str, module: nn.Module) -> None:
    """Put a module at its path; the modules above it are made where they are missing."""
    path, _, name = key.rpartition(".")
    for step in path.split(".") if path else ():
        if step not in dict(root.named_children()):
            root.add_module(step, nn.Module())
        root = root.get_submodule(step)
    root.add_module(name, module)


def _is_aux(item: GraphItem) -> bool:
    return isinstance(item, GraphGroup) and item.kind == "aux"


class _Wiring:
    """The graph of one module's `forward`, and the tensors in it that have keys."""

    def __init__(self, graph: fx.Graph, around: str) -> None:
        self.graph = graph
        self.around = around
        """The path of that module."""
        self.dropouts: dict[str, float] = {}
        """Of merges that drop weights of their attention: the paths of what does so, which no branch can have."""
        self.tensors: dict[Key, fx.Node] = {}
        self.count = 0

    def begin(self, inputs: list[tuple[int, str]]) -> fx.Node:
        """Take tensors by their names, as a network or block does; that with which it begins."""
        for id, name in inputs:
            self.tensors[id] = self.graph.placeholder(name)
        return self.tensors[inputs[0][0]]

    def add_all(self, group: GraphGroup, parts: Iterable[_Part], tensor: fx.Node) -> fx.Node:
        """Add all parts of a group that gets a tensor; the tensor that comes of it."""
        if group.node.is_merge:
            taken = split(self.graph, tensor, group.node)
            branches = [self.add(*one) for one in zip(parts, taken, strict=True)]
            if rate := group.node.attention.dropout:
                key = f"{group.module}._dropout"[len(self.around) + 1 if self.around else 0 :].lstrip(".")
                self.dropouts[key] = rate
                return attend(self.graph, branches, group.node, key)
            return MERGES[group.kind](self.graph, branches, group.node)
        for part in parts:
            tensor = self.add(part, tensor)
        return tensor

    def add(self, part: _Part, tensor: fx.Node) -> fx.Node:
        """Add a part that gets a tensor; the tensor that comes of it."""
        item = part.item
        if isinstance(item, GraphWire):
            if item.saved is not None:
                return self.tensors[item.saved]
            self.tensors[item.id if item.kind == "save" else item.name] = tensor
            return tensor
        if isinstance(item, GraphGroup) and not part.key:
            return self.add_all(item, part.parts, tensor)
        inputs = (tensor, *(self.tensors[save.id] for save in part.inputs))
        if part.block and part.block.takes:
            inputs = tuple(tensor if one.outer is None else self.tensors[one.outer] for one in part.block.takes)
        if isinstance(item, GraphGroup) and item.kind == "aux":
            self.tensors[item.node.name] = self._called(in_training, part.key, inputs)
            return tensor
        result = self._called(recomputed if part.recompute else None, part.key, inputs)
        if part.outputs:
            for index, key in enumerate(part.outputs, 1):
                self.tensors[key] = self.graph.call_function(operator.getitem, (result, index))
            result = self.graph.call_function(operator.getitem, (result, 0))
        for index, port in enumerate(part.block.gives if part.block else ()):
            if port.outer is not None:
                self.tensors[port.outer] = self.tensors[port.inner] if index else result
        return result

    def _called(self, function: Callable[..., Any] | None, key: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        # names of our own: fx would name the result after the part, which may be called `self`
        name = f"part_{self.count}"
        self.count += 1
        if function is None:
            return self.graph.create_node("call_module", key, inputs, name=name)
        module = self.graph.create_node("get_attr", key, name=f"{name}_module")
        return self.graph.create_node("call_function", function, (module, *inputs), name=name)

    def close(self, tensor: fx.Node, outputs: tuple[Key, ...], named_outputs: tuple[NamedOutput, ...] | None) -> None:
        """End in a tensor and those beside it; `named` are the outputs of a whole network."""
        beside = tuple(self.tensors[key] for key in outputs)
        if named_outputs is None:
            self.graph.output((tensor, *beside) if beside else tensor)
        elif any(one.weight is not None for one in named_outputs):
            names = tuple(one.name for one in named_outputs)
            self.graph.output(self.graph.call_function(with_named, (tensor, names, *beside)))
        else:
            self.graph.output((tensor, {one.name: node for one, node in zip(named_outputs, beside, strict=True)}))

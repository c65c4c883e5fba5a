"""Assembly: a plan to an ordinary torch module, nested as the spec is nested.

Sequences become `nn.Sequential`; merges, and sequences that lead tensors past their parts, become modules whose
`forward` torch.fx writes, so that nothing of archspec runs in the network, and a pickled network needs no archspec.
The exceptions are `archspec.assembly.modules`: side classifiers and recomputation.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from torch import fx, nn

from archspec.assembly.modules import in_training, recomputed, with_named
from archspec.layers.initializers import Init
from archspec.plan.plan import Group, Layer, Named, Node, Plan, Tap


def assemble(plan: Plan, device: str | torch.device = "cpu") -> nn.Module:
    """The network of a plan, on a device, its parameters initialised once.

    It maps `(N, *plan.input)` to `(N, *plan.output)`; with `outputs`, and in training with side classifiers, to
    `(output, {name: tensor})`. Its `state_dict` keys are the plan's paths. The random numbers are drawn layer by layer
    in the order of execution, as torch's own layers made in that order would draw them.
    """
    root = _opened(plan.root)
    if root.named and isinstance(root, Group):
        return _wired(root, _parts(root, torch.device(device), frozenset()), _Ends(root, frozenset()), is_root=True)
    return _module(root, torch.device(device), frozenset())


def _opened(node: Node) -> Node:
    """What stands in a block's place: a block is no level of the module."""
    recompute = node.recompute
    while isinstance(node, Group) and node.kind == "block":
        ((_, node),) = node.children
        recompute = recompute or node.recompute
    return replace(node, recompute=True) if recompute and not isinstance(node, Tap) else node


def _module(node: Node, device: torch.device, live: frozenset[str]) -> nn.Module:
    """A node that is no block, as a module. `live` are those of its saved tensors that are loaded after it."""
    if isinstance(node, Layer):
        return _layer(node, device)
    assert isinstance(node, Group)
    if node.kind == "aux":
        return _module(_opened(node.children[0][1]), device, frozenset())
    parts, ends = _parts(node, device, live), _Ends(node, live)
    if node.kind in MERGES or ends.inputs or ends.outputs or any(part.is_led for part in parts):
        return _wired(node, parts, ends)
    return nn.Sequential(OrderedDict((part.key, part.module) for part in parts if part.module is not None))


class _Ends:
    """What a node takes beside its input and gives beside its output, as keys: saved tensors, then named ones."""

    def __init__(self, node: Node, live: frozenset[str]) -> None:
        self.inputs = sorted(f"saved {name}" for name in node.free)
        named = [] if _is_aux(node) else [f"named {one.name}" for one in node.named]
        self.outputs = [*sorted(f"saved {name}" for name in node.saved & live), *named]


def _is_aux(node: Node) -> bool:
    return isinstance(node, Group) and node.kind == "aux"


@dataclass(frozen=True)
class _Part:
    """A child of a group; a tap has no module."""

    key: str
    node: Node
    module: nn.Module | None
    ends: _Ends

    @property
    def is_led(self) -> bool:
        """Whether it is more than a module that is called on the tensor before it."""
        led = self.module is None or self.node.recompute or _is_aux(self.node)
        return led or bool(self.ends.inputs or self.ends.outputs)


def _parts(group: Group, device: torch.device, live: frozenset[str]) -> list[_Part]:
    lives = []
    for _, node in reversed(group.children):
        lives.append(live)
        live = (live - node.saved) | node.free
    parts = []
    for (key, node), after in zip(group.children, reversed(lives), strict=True):
        # what a block saves is its own, though what is in it stands in its place
        inside = after & node.saved
        opened = _opened(node)
        module = None if isinstance(opened, Tap) else _module(opened, device, inside)
        parts.append(_Part(key, opened, module, _Ends(node, inside)))
    return parts


def _concat(graph: fx.Graph, branches: list[fx.Node]) -> fx.Node:
    return graph.call_function(torch.cat, (branches,), {"dim": 1})


def _folded(operation: Callable[[Any, Any], Any]) -> Callable[[fx.Graph, list[fx.Node]], fx.Node]:
    """From the first branch to the last, two at a time."""

    def join(graph: fx.Graph, branches: list[fx.Node]) -> fx.Node:
        return reduce(lambda result, other: graph.call_function(operation, (result, other)), branches)

    return join


MERGES = {"concat": _concat, "add": _folded(operator.add), "multiply": _folded(operator.mul)}


def _wired(group: Group, parts: list[_Part], ends: _Ends, *, is_root: bool = False) -> nn.Module:
    """A module whose `forward` torch.fx writes: a merge, or a sequence that leads tensors past its parts."""
    root = nn.Module()
    wiring = _Wiring(fx.Graph())
    tensor = wiring.graph.placeholder("input")
    for key in ends.inputs:
        wiring.tensors[key] = wiring.graph.placeholder(key.replace(" ", "_"))
    branches = []
    for part in parts:
        if part.module is not None:
            root.add_module(part.key, part.module)
        result = wiring.lead(part, tensor)
        if group.kind in MERGES:
            branches.append(result)
        else:
            tensor = result
    if group.kind in MERGES:
        tensor = MERGES[group.kind](wiring.graph, branches)
    wiring.close(tensor, ends, group.named if is_root else None)
    name = group.kind.capitalize() if group.kind in MERGES else "Sequence"
    return fx.GraphModule(root, wiring.graph, class_name=name)


class _Wiring:
    """The graph of one module's `forward`, and the tensors in it that have keys."""

    def __init__(self, graph: fx.Graph) -> None:
        self.graph = graph
        self.tensors: dict[str, fx.Node] = {}
        self.count = 0

    def lead(self, part: _Part, tensor: fx.Node) -> fx.Node:
        """Add a part that gets a tensor; the tensor that comes of it."""
        node = part.node
        if isinstance(node, Tap):
            if node.kind == "load":
                return self.tensors[f"saved {node.name}"]
            self.tensors[f"{'saved' if node.kind == 'save' else 'named'} {node.name}"] = tensor
            return tensor
        inputs = (tensor, *(self.tensors[key] for key in part.ends.inputs))
        if _is_aux(node):
            self.tensors[f"named {node.named[0].name}"] = self._called(in_training, part.key, inputs)
            return tensor
        result = self._called(recomputed if node.recompute else None, part.key, inputs)
        if not part.ends.outputs:
            return result
        for index, key in enumerate(part.ends.outputs, 1):
            self.tensors[key] = self.graph.call_function(operator.getitem, (result, index))
        return self.graph.call_function(operator.getitem, (result, 0))

    def _called(self, function: Callable[..., Any] | None, key: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
        # names of our own: fx would name the result after the part, which may be called `self`
        name = f"part_{self.count}"
        self.count += 1
        if function is None:
            return self.graph.create_node("call_module", key, inputs, name=name)
        module = self.graph.create_node("get_attr", key, name=f"{name}_module")
        return self.graph.create_node("call_function", function, (module, *inputs), name=name)

    def close(self, tensor: fx.Node, ends: _Ends, named: tuple[Named, ...] | None) -> None:
        """End in a tensor and those beside it; `named` are the outputs of a whole network."""
        beside = tuple(self.tensors[key] for key in ends.outputs)
        if named is None:
            self.graph.output((tensor, *beside) if beside else tensor)
        elif any(one.weight is not None for one in named):
            names = tuple(one.name for one in named)
            self.graph.output(self.graph.call_function(with_named, (tensor, names, *beside)))
        else:
            self.graph.output((tensor, {one.name: node for one, node in zip(named, beside, strict=True)}))


# --- layers and their initial values -------------------------------------------------------------------------------


def _layer(layer: Layer, device: torch.device) -> nn.Module:
    from archspec.layers.registry import primitives

    primitive = primitives()[layer.primitive]
    with torch.device("meta"):
        module = primitive.module(layer.arguments, layer.input)
    init = dict(layer.init)
    if device.type == "meta":
        return module
    if all(_resets(inner) for inner in module.modules()):
        for path, inner in module.named_modules():
            _materialize(inner, f"{path}." if path else "", init, device)
    else:  # it alone knows its initial values, and gives them where it is made
        with torch.device(device):
            module = primitive.module(layer.arguments, layer.input)
    for name, one in init.items():
        _initialize(module, name, one, device)
    return module


def _resets(module: nn.Module) -> bool:
    """Whether a module's own parameters and buffers, if it has any, can be given their initial values again."""
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return not own or callable(getattr(module, "reset_parameters", None))


def _materialize(module: nn.Module, prefix: str, init: dict[str, Init], device: torch.device) -> None:
    """Give a module made on `meta` memory and its own initial values, but for the parameters that `init` will fill."""
    own = dict(module.named_parameters(recurse=False))
    buffers = dict(module.named_buffers(recurse=False))
    for name, parameter in own.items():
        if prefix + name not in init:
            empty = torch.empty_like(parameter, device=device)
            setattr(module, name, nn.Parameter(empty, requires_grad=parameter.requires_grad))
    for name, buffer in buffers.items():
        setattr(module, name, torch.empty_like(buffer, device=device))
    if own or buffers:
        reset: Any = module.reset_parameters
        reset()  # what is still on `meta` draws no random numbers


def _initialize(module: nn.Module, name: str, init: Init, device: torch.device) -> None:
    """Fill one parameter by a function of `torch.nn.init`."""
    path, _, last = name.rpartition(".")
    owner = module.get_submodule(path)
    parameter = getattr(owner, last)
    if parameter.is_meta:
        parameter = nn.Parameter(torch.empty_like(parameter, device=device), requires_grad=parameter.requires_grad)
        setattr(owner, last, parameter)
    function, arguments = init
    getattr(nn.init, f"{function}_")(parameter, **dict(arguments))

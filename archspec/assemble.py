"""Assembly: a plan to an ordinary torch module, nested as the spec is nested.

Sequences become `nn.Sequential`; merges become modules whose `forward` torch.fx writes, so that nothing of archspec
runs in the network, and a pickled network needs no archspec to be loaded.
"""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import fx, nn

from archspec.initializers import Init
from archspec.plan import Group, Layer, Node, Plan


def assemble(plan: Plan, device: str | torch.device = "cpu") -> nn.Module:
    """The network of a plan, on a device, its parameters initialised once.

    It maps `(N, *plan.input)` to `(N, *plan.output)`. Its `state_dict` keys are the plan's paths. The random numbers
    are drawn layer by layer in the order of execution, as torch's own layers made in that order would draw them.
    """
    return _module(plan.root, torch.device(device))


def _module(node: Node, device: torch.device) -> nn.Module:
    if isinstance(node, Layer):
        return _layer(node, device)
    if node.kind == "block":
        return _module(node.children[0][1], device)
    children = OrderedDict((key, _module(child, device)) for key, child in node.children)
    if node.kind in MERGES:
        return _merge(node, children)
    return nn.Sequential(children)


def _concat(graph: fx.Graph, branches: list[fx.Node]) -> fx.Node:
    return graph.call_function(torch.cat, (branches,), {"dim": 1})


def _folded(operation: Callable[[Any, Any], Any]) -> Callable[[fx.Graph, list[fx.Node]], fx.Node]:
    """From the first branch to the last, two at a time."""

    def join(graph: fx.Graph, branches: list[fx.Node]) -> fx.Node:
        return reduce(lambda result, other: graph.call_function(operation, (result, other)), branches)

    return join


MERGES = {"concat": _concat, "add": _folded(operator.add), "multiply": _folded(operator.mul)}


def _merge(group: Group, branches: OrderedDict[str, nn.Module]) -> nn.Module:
    """A module that gives its input to each branch and joins what they return."""
    root = nn.Module()
    graph = fx.Graph()
    tensor = graph.placeholder("input")
    results = []
    for number, (key, branch) in enumerate(branches.items()):
        root.add_module(key, branch)
        # a name of our own: fx would name the result after the branch, which may be called `self`
        results.append(graph.create_node("call_module", key, (tensor,), name=f"branch_{number}"))
    graph.output(MERGES[group.kind](graph, results))
    return fx.GraphModule(root, graph, class_name=group.kind.capitalize())


# --- layers and their initial values -------------------------------------------------------------------------------


def _layer(layer: Layer, device: torch.device) -> nn.Module:
    from archspec.registry import primitives

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

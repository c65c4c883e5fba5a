"""Layers as torch modules, given memory and initial values once."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from archspec.layers.initializers import Init
from archspec.plan.nodes import Layer


def make_layer(layer: Layer, device: torch.device) -> nn.Module:
    """The module of a layer on a device, initialised as torch does but for what the spec's `init` names."""
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

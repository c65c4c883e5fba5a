"""The three steps of a network's `forward` that torch has no operation for; networks without them need none of this.

Each stands in a torch.fx graph as one call, and stays one where a graph is traced again (when a network is unpickled).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx, nn
from torch.utils.checkpoint import checkpoint


def _one_call(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        for argument in arguments:
            if isinstance(argument, fx.Proxy):
                return argument.tracer.create_proxy("call_function", call, arguments, {})
        return function(*arguments)

    call.__name__, call.__qualname__, call.__module__ = function.__name__, function.__qualname__, function.__module__
    call.__doc__ = function.__doc__
    return call


@_one_call
def in_training(module: nn.Module, *inputs: Any) -> Any:
    """What an auxiliary classifier gives in training; `None` in evaluation, where it costs nothing."""
    return module(*inputs) if module.training else None


@_one_call
def recomputed(module: nn.Module, *inputs: Any) -> Any:
    """What a module gives; its activations are not kept for the backward pass, but computed again there."""
    return checkpoint(module, *inputs, use_reentrant=False)


@_one_call
def with_named(output: Any, names: tuple[str, ...], *tensors: Any) -> Any:
    """`(output, {name: tensor})` with the named tensors that there are; the output alone where there are none."""
    named_outputs = {name: tensor for name, tensor in zip(names, tensors, strict=True) if tensor is not None}
    return (output, named_outputs) if named_outputs else output

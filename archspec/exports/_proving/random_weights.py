"""Random weights and statistics for a proof: the loss of an initial one, a 0 or 1, could go unnoticed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def randomize(module: nn.Module, inputs: tuple[Tensor, ...], gain: float = 1.0) -> None:
    """Give a module random weights, in place: no factor is 0 or 1, no summand 0.

    With a `gain` below 1, matrices are smaller: gates, such as those of squeeze-and-excitation, then hardly follow the
    data. In a deep network whose gates do, unusual data grow from block to block, and with them rounding errors.

    Statistics of normalisations are those of `inputs`, each `(N, *shape)`, but not quite, so that data keep their size
    from layer to layer: others would drown, or lose, what a layer computes.
    """
    generator = torch.Generator().manual_seed(0)
    factors = {f"{path}.weight" if path else "weight" for path, one in module.named_modules() if _is_norm(one)}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(_random(name, parameter, name in factors, gain, generator))
        for name, buffer in module.named_buffers():
            if name.startswith("answer."):  # else a mean could drown what the network computes
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
        _set_statistics(module, inputs, generator)


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, (_BatchNorm, nn.LayerNorm, nn.GroupNorm)) or "Norm" in type(module).__name__


def _random(name: str, tensor: Tensor, is_factor: bool, gain: float, generator: torch.Generator) -> Tensor:
    if is_factor:
        return torch.rand(tensor.shape, generator=generator) + 0.5
    if tensor.ndim > 1 and name.endswith("weight"):
        fan_in = max(1, tensor.numel() // max(1, tensor.shape[0]))
        return torch.randn(tensor.shape, generator=generator).mul(gain * (2 / fan_in) ** 0.5)
    return torch.randn(tensor.shape, generator=generator) * 0.3


def _set_statistics(module: nn.Module, samples: tuple[Tensor, ...], generator: torch.Generator) -> None:
    """Set the statistics of each norm when data reach it: those before it count as they are set, noise included."""

    def set_own(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, _BatchNorm)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        (data,) = inputs
        variance, mean = torch.var_mean(data, [axis for axis in range(data.ndim) if axis != 1], correction=0)
        noise = torch.rand((2, len(mean)), generator=generator)
        norm.running_mean.copy_(mean + variance.sqrt() * (noise[0] - 0.5) * 0.2)
        # a channel that hardly varies would make rounding large
        norm.running_var.copy_(variance * (0.8 + 0.4 * noise[1]) + 0.01 * variance.mean())

    norms = [one for one in module.modules() if isinstance(one, _BatchNorm) and one.track_running_stats]
    hooks = [norm.register_forward_pre_hook(set_own) for norm in norms]
    module(*samples)
    for hook in hooks:
        hook.remove()

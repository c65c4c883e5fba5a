"""The optimizer and learning rate schedule of a recipe, as torch's own objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import ChainedScheduler, LinearLR, LRScheduler, SequentialLR

from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe, Warmup


def make_optimizer(recipe: Recipe, network: nn.Module, *, fused: bool = False) -> Optimizer:
    """The recipe's optimizer of all parameters but those that are frozen for good.

    With `decay: weights`, weight decay acts on some of them alone; by `lr_scale`, parts learn at rates of their own.
    `fused`: it steps by one kernel for all tensors, where torch has one; numbers are rounded otherwise.
    """
    # pairs: torch takes `(0.0, 0.99)`, and not `[0, 0.99]`
    arguments = {key: _floats(value) for key, value in recipe.optimizer.arguments.items()}
    kind: Callable[..., Optimizer] = _OPTIMIZERS[recipe.optimizer.name]
    if fused and recipe.optimizer.name in _FUSED:
        arguments["fused"] = True
    names = dict(network.named_parameters())
    factors = recipe.lr_scale.factors(list(names)) if recipe.lr_scale else {}
    no_decay = {id(one) for one in _norms_and_biases(network)} if recipe.decay == "weights" else set()
    grouped: dict[tuple[float, bool], list[nn.Parameter]] = {}
    # what is shared has several names
    everywhere = network.named_parameters(remove_duplicate=False) if recipe.freeze else ()
    frozen = {id(parameter) for name, parameter in everywhere if recipe.freeze and recipe.freeze.holds(name)}
    for name, parameter in names.items():
        if id(parameter) not in frozen:
            grouped.setdefault((factors.get(name, 1.0), id(parameter) in no_decay), []).append(parameter)
    groups = dict(sorted(grouped.items(), key=lambda group: group[0][1]))  # those without decay come last
    optimizer = kind(
        [
            {"params": parameters} | ({"weight_decay": 0.0} if spared else {})
            for (_, spared), parameters in groups.items()
        ],
        **arguments,
    )
    for (factor, _), group in zip(groups, optimizer.param_groups, strict=True):
        group["lr"] *= factor
    return optimizer


def _floats(value: Any) -> Any:
    return tuple(one if one is None else float(one) for one in value) if isinstance(value, list) else value


_FUSED = ("sgd", "adam", "adamw")
_OPTIMIZERS: dict[str, Any] = {name.lower(): getattr(torch.optim, name) for name in torch.optim.__all__}


_NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.GroupNorm, nn.LayerNorm),
)
_LINEAR_LAYERS = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


def _norms_and_biases(network: nn.Module) -> Iterator[nn.Parameter]:
    """Parameters of normalisation layers, biases, and the scales and slopes that other layers give each channel."""
    for module in network.modules():
        norm = isinstance(module, _NORMS)
        maps = isinstance(module, _LINEAR_LAYERS)
        for name, parameter in module.named_parameters(recurse=False):
            if norm or "bias" in name or (not maps and parameter.squeeze().ndim <= 1):
                yield parameter


def make_schedule(recipe: Recipe, optimizer: Optimizer, steps: int, epoch: int) -> LRScheduler | None:
    """The recipe's schedule, to be stepped after each step of the optimizer; `None` for a constant rate.

    `steps` is how many steps the training has, `epoch` how many an epoch has. Schedules that fall by epochs count them
    from the beginning, also during a warm-up; the others share out the steps that it leaves. Raises `UsageError` where
    it leaves none.
    """
    warmup, schedule = recipe.warmup, recipe.schedule
    warm = _warm_up_steps(warmup, steps, epoch) if warmup else 0
    main = _SCHEDULES[schedule.name](optimizer, steps - warm, epoch, **schedule.arguments) if schedule else None
    if warmup is None:
        return main
    rise = LinearLR(optimizer, warmup.start, total_iters=warm)
    if schedule is None or main is None:
        return rise
    if schedule.name in ("cosine", "one_cycle"):
        return SequentialLR(optimizer, [rise, main], [warm])
    return ChainedScheduler([main, rise], optimizer)


def count_steps(recipe: Recipe, batches: int) -> tuple[int, int]:
    """How many steps of the optimizer the training has, and an epoch of some batches."""
    epoch = max(1, -(-batches // recipe.accumulate))
    if recipe.steps is not None:
        return recipe.steps, epoch
    assert recipe.epochs is not None
    return recipe.epochs * epoch, epoch


def check_schedule(recipe: Recipe, batches: int) -> None:
    """Raises `UsageError` where the schedule does not fit a training whose epochs have some batches."""
    make_schedule(recipe, make_optimizer(recipe, nn.Linear(1, 1)), *count_steps(recipe, batches))


def _warm_up_steps(warmup: Warmup, steps: int, epoch: int) -> int:
    warm = warmup.steps or max(1, round((warmup.epochs or 0) * epoch))
    if warm >= steps:
        raise UsageError(
            f"a warm-up of {warm} steps leaves nothing of the {steps} of the training",
            help="shorten it, `--set train.warmup.steps=1` for example, or train for longer",
        )
    return warm


def _multi_step(optimizer: Optimizer, steps: int, epoch: int, milestones: list[int], **arguments: Any) -> LRScheduler:
    return lr_scheduler.MultiStepLR(optimizer, [one * epoch for one in milestones], **arguments)


def _step(optimizer: Optimizer, steps: int, epoch: int, step_size: int, **arguments: Any) -> LRScheduler:
    return lr_scheduler.StepLR(optimizer, step_size * epoch, **arguments)


def _exponential(optimizer: Optimizer, steps: int, epoch: int, gamma: float) -> LRScheduler:
    return lr_scheduler.StepLR(optimizer, epoch, gamma)


def _cosine(optimizer: Optimizer, steps: int, epoch: int, **arguments: Any) -> LRScheduler:
    return lr_scheduler.CosineAnnealingLR(optimizer, steps, **arguments)


def _one_cycle(optimizer: Optimizer, steps: int, epoch: int, **arguments: Any) -> LRScheduler:
    share = float(arguments.pop("pct_start", 0.3))
    if share * steps == 1:  # torch would divide by zero
        raise UsageError(
            f"`one_cycle` cannot rise in one of {steps} steps",
            help="set another share, `--set train.schedule.pct_start=0.3` for example",
        )
    # torch refuses to cycle the momentum of an optimizer that has none
    cycled = arguments.pop("cycle_momentum", True) and not {"momentum", "betas"}.isdisjoint(optimizer.defaults)
    peaks = [group["lr"] for group in optimizer.param_groups]
    return lr_scheduler.OneCycleLR(optimizer, peaks, steps, pct_start=share, cycle_momentum=cycled, **arguments)


_SCHEDULES: dict[str, Callable[..., LRScheduler]] = {
    "multi_step": _multi_step,
    "step": _step,
    "exponential": _exponential,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
}

"""Peaks of memory by torch's own account: its profiler notes each allocation on a CPU.

`python -m benchmarks.memory` measures all bundled networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from archspec.spec import Spec


def allocations(function: Callable[[], Any]) -> list[int]:
    """The bytes that a function takes and gives back, one after the other; what is given back is negative."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as watched:
        function()
    events = [event for event in watched.profiler.kineto_results.events() if event.name() == "[memory]"]
    return [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]


def peak(function: Callable[[], Any]) -> int:
    """The most bytes that a function holds beside those that there were."""
    total = most = 0
    for change in allocations(function):
        total += change
        most = max(most, total)
    return most


def held(tensors: Iterable[Any]) -> int:
    return sum(one.numel() * one.element_size() for one in tensors if isinstance(one, torch.Tensor))


def peak_of_inference(spec: Spec, batch: int, *, mixed: bool = False) -> int:
    """The peak of an inference, in bytes."""
    module, inputs = spec.build().eval(), _inputs(spec, batch)

    def infer() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            module(*inputs)

    infer()  # what torch makes once
    return peak(infer) + held([*inputs, *module.parameters(), *module.buffers()])


def peak_of_training(
    spec: Spec,
    batch: int,
    make: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] = torch.optim.AdamW,
    *,
    mixed: bool = False,
    accumulate: int = 1,
) -> int:
    """The peak of a step of an optimizer and cross-entropy, of each output, after the first one; in bytes.

    Raises:
        ValueError: Batch normalisation has one value of a channel.
    """
    module, inputs = spec.build().train(), _inputs(spec, batch)
    optimizer = make(module.parameters())

    def step() -> None:
        optimizer.zero_grad()
        for _ in range(accumulate):
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                losses = [_loss(one) for one in _tensors(module(*inputs))]
            torch.stack(losses).sum().backward()
            del losses
        optimizer.step()

    step()
    optimizer.zero_grad()
    state = [value for one in optimizer.state.values() for value in one.values()]
    return peak(step) + held([*inputs, *module.parameters(), *module.buffers(), *state])


def _inputs(spec: Spec, batch: int) -> list[torch.Tensor]:
    return [torch.rand(batch, *shape) for shape in spec.plan.inputs.values()]


def _loss(output: torch.Tensor) -> torch.Tensor:
    labels = torch.zeros(len(output), *output.shape[2:], dtype=torch.long)
    return nn.functional.cross_entropy(output, labels)


def _tensors(result: Any) -> Iterator[torch.Tensor]:
    """The tensors that a network gives: one, or several, also by name."""
    if isinstance(result, (tuple, list, dict)):
        for one in result.values() if isinstance(result, dict) else result:
            yield from _tensors(one)
    else:
        yield result

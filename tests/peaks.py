"""Peaks of memory by torch's own account: of each allocation on a CPU, by its profiler; of its allocator on a GPU; and what it saves
for a backward pass.

`python -m benchmarks.memory` measures all bundled networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
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


def saved(module: nn.Module, *inputs: torch.Tensor, mixed: bool = False) -> int:
    """The bytes of all storages that torch saves in a forward pass, beside those of parameters and buffers."""
    own = {one.untyped_storage()._cdata for one in [*module.parameters(), *module.buffers()]}
    storages: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            storages[storage._cdata] = storage
        return tensor

    with torch.autocast("cpu", torch.bfloat16, enabled=mixed), saved_tensors_hooks(pack, lambda tensor: tensor):
        result = module(*inputs)
    del result
    return sum(storage.nbytes() for storage in storages.values())


def held(tensors: Iterable[Any]) -> int:
    return sum(one.numel() * one.element_size() for one in tensors if isinstance(one, torch.Tensor))


def peak_of_inference(spec: Spec, batch: int, *, mixed: bool = False, device: str = "cpu") -> int:
    """The peak of an inference, in bytes."""
    module, inputs = spec.build().eval().to(device), _inputs(spec, batch, device)

    def infer() -> None:
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=mixed):
            module(*inputs)

    infer()  # what torch makes once
    return _whole_peak(infer, [*inputs, *module.parameters(), *module.buffers()])


def peak_of_training(
    spec: Spec,
    batch: int,
    make: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] = torch.optim.AdamW,
    *,
    mixed: bool = False,
    accumulate: int = 1,
    channels_last: bool = False,
    device: str = "cpu",
) -> int:
    """The peak of a step of an optimizer and cross-entropy, of each output, after the first one; in bytes.

    Raises:
        ValueError: Batch normalisation has one value of a channel.
    """
    order = torch.channels_last if channels_last else torch.contiguous_format
    module = spec.build().train().to(device, memory_format=order)
    inputs = [one.contiguous(memory_format=order) if one.dim() == 4 else one for one in _inputs(spec, batch, device)]
    optimizer = make(module.parameters())

    def step() -> None:
        optimizer.zero_grad()
        for _ in range(accumulate):
            with torch.autocast(device, torch.bfloat16, enabled=mixed):
                losses = [_loss(one) for one in _tensors(module(*inputs))]
            torch.stack(losses).sum().backward()
            del losses
        optimizer.step()

    step()
    optimizer.zero_grad()
    state = [value for one in optimizer.state.values() for value in one.values()]
    return _whole_peak(step, [*inputs, *module.parameters(), *module.buffers(), *state])


def _whole_peak(function: Callable[[], Any], tensors: list[Any]) -> int:
    """The most bytes that there are while a function runs, `tensors` included, which are there before."""
    if tensors[0].device.type == "cpu":
        return peak(function) + held(tensors)
    torch.cuda.reset_peak_memory_stats()
    function()
    return torch.cuda.max_memory_allocated()


def _inputs(spec: Spec, batch: int, device: str) -> list[torch.Tensor]:
    return [torch.rand(batch, *shape, device=device) for shape in spec.plan.inputs.values()]


def _loss(output: torch.Tensor) -> torch.Tensor:
    labels = torch.zeros(len(output), *output.shape[2:], dtype=torch.long, device=output.device)
    return nn.functional.cross_entropy(output, labels)


def _tensors(result: Any) -> Iterator[torch.Tensor]:
    """The tensors that a network gives: one, or several, also by name."""
    if isinstance(result, (tuple, list, dict)):
        for one in result.values() if isinstance(result, dict) else result:
            yield from _tensors(one)
    else:
        yield result

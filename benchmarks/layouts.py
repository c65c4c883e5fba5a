"""Processor time of a training step on one thread of a CPU: with channels first, last, and with a fused optimizer.

Steps are interleaved, and each is compared with that of its round with channels first, so that a busy machine slows all
alike; a ratio of 1.2 means that a step takes 1 / 1.2 of that one's processor time. It takes some minutes.

    python benchmarks/layouts.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional

from archspec.spec import load
from trainer.steps.compute import optimize_execution
from trainer.steps.memory import keep_freed_memory
from trainer.steps.optim import make_optimizer

NETWORKS = ("digits", "resnet", "preact", "densenet", "googlenet")
KINDS = {"channels first": (False, False), "channels last": (True, False), "fused": (False, True), "both": (True, True)}
ROUNDS, BATCH = 12, 32


def step_of(name: str, last: bool, fused: bool) -> Callable[[], None]:
    """A step with images and labels at random."""
    torch.manual_seed(0)
    spec, layout = load(name), torch.channels_last if last else torch.contiguous_format
    network = spec.build().train().to(memory_format=layout)
    optimize_execution(network, spec.recipe, torch.device("cpu"))
    optimizer = make_optimizer(spec.recipe, network, fused=fused)
    images = torch.randn(BATCH, *spec.plan.input).contiguous(memory_format=layout)
    labels = torch.randint(10, (BATCH,))

    def step() -> None:
        optimizer.zero_grad()
        output = network(images)
        functional.cross_entropy(output[0] if isinstance(output, tuple) else output, labels).backward()
        optimizer.step()

    return step


def main() -> None:
    torch.set_num_threads(1)
    print(f"| network | ms | {' | '.join(list(KINDS)[1:])} |\n|---|---:|{'---:|' * (len(KINDS) - 1)}")
    with keep_freed_memory():
        for name in NETWORKS:
            steps = {kind: step_of(name, *how) for kind, how in KINDS.items()}
            times: dict[str, list[float]] = {kind: [] for kind in KINDS}
            for number in range(-1, ROUNDS):  # the first round is not counted
                for kind in [*KINDS][number % len(KINDS) :] + [*KINDS][: number % len(KINDS)]:
                    began = time.process_time()
                    steps[kind]()
                    if number >= 0:
                        times[kind].append(time.process_time() - began)
            base = times["channels first"]
            ratios = [
                statistics.median(one / other for one, other in zip(base, times[kind], strict=True))
                for kind in list(KINDS)[1:]
            ]
            shown = " | ".join(f"{one:.2f}" for one in ratios)
            print(f"| {name} | {1e3 * statistics.median(base):.0f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()

"""Does a spec's module cost anything over a hand-written one? Forward and training step, side by side in one run.

Ours against torchvision's ResNet-18, and against a GoogLeNet (small) written by hand in plain torch. The two take
turns with the same weights (other values alone change the time by some 3 %). What is printed is the median ratio of
neighbouring runs (ours / theirs): 1.00 is no difference.

    python benchmarks/forward.py [--pairs 60]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn

import archspec


def conv(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2), nn.BatchNorm2d(out_channels), nn.ReLU()
    )


class Inception(nn.Module):
    def __init__(self, channels: int, reduce3: int, reduce5: int, out1: int, out3: int, out5: int, pool: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, out1, 1)
        self.conv3 = nn.Sequential(conv(channels, reduce3, 1), conv(reduce3, out3, 3))
        self.conv5 = nn.Sequential(conv(channels, reduce5, 1), conv(reduce5, out5, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(channels, pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.conv1(x), self.conv3(x), self.conv5(x), self.pool(x)], 1)


def hand_written_googlenet() -> nn.Sequential:
    """The table of section A of the reference networks."""
    return nn.Sequential(
        conv(3, 64, 3),
        Inception(64, 32, 16, 16, 32, 8, 8),
        Inception(64, 32, 16, 24, 48, 12, 12),
        nn.MaxPool2d(3, 2, 1),
        Inception(96, 32, 16, 24, 48, 12, 12),
        Inception(96, 32, 16, 16, 48, 16, 16),
        Inception(96, 32, 16, 16, 48, 16, 16),
        Inception(96, 32, 16, 32, 48, 24, 24),
        nn.MaxPool2d(3, 2, 1),
        Inception(128, 48, 16, 32, 64, 16, 16),
        Inception(128, 48, 16, 32, 64, 16, 16),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def leaves(model: nn.Module, images: Tensor) -> list[nn.Module]:
    """The layers that hold parameters, in the order in which they run."""
    found: list[nn.Module] = []
    hooks = [
        module.register_forward_pre_hook(lambda leaf, _: found.append(leaf))
        for module in model.modules()
        if list(module.parameters(recurse=False))
    ]
    with torch.inference_mode():
        model.eval()(images)
    for hook in hooks:
        hook.remove()
    return found


def pair_of(spec: str, reference: Callable[[], nn.Module], images: Tensor) -> tuple[nn.Module, nn.Module]:
    """Our module and the other, with the same weights."""
    ours, theirs = archspec.build(spec), reference()
    for mine, other in zip(leaves(ours, images), leaves(theirs, images), strict=True):
        mine.load_state_dict(other.state_dict())
    return ours, theirs


def forward(model: nn.Module, images: Tensor) -> Callable[[], None]:
    model.eval()

    def run() -> None:
        with torch.inference_mode():
            model(images)

    return run


def training_step(model: nn.Module, images: Tensor) -> Callable[[], None]:
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    labels = torch.zeros(len(images), dtype=torch.int64)

    def run() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return run


def ratio(ours: Callable[[], None], theirs: Callable[[], None], pairs: int) -> tuple[float, float, float]:
    """The median ratio of neighbouring runs, and the median time of each in milliseconds."""
    times: list[tuple[float, float]] = []
    for pair in range(pairs + 3):  # the first three warm up
        pair_times = {}
        for run in (ours, theirs) if pair % 2 else (theirs, ours):
            began = time.perf_counter()
            run()
            pair_times[run] = time.perf_counter() - began
        times.append((pair_times[ours], pair_times[theirs]))
    times = times[3:]
    return (
        statistics.median(a / b for a, b in times),
        statistics.median(a for a, _ in times) * 1e3,
        statistics.median(b for _, b in times) * 1e3,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=60)
    pairs = parser.parse_args().pairs
    torch.manual_seed(0)
    cases = {
        "ResNet-18, 4×3×224×224": ("resnet18", torchvision.models.resnet18, torch.randn(4, 3, 224, 224)),
        "GoogLeNet (small), 32×3×32×32": ("googlenet", hand_written_googlenet, torch.randn(32, 3, 32, 32)),
    }
    print(f"{'':32}{'':16}{'ours':>10}{'theirs':>10}{'ratio':>8}")
    for title, (spec, reference, images) in cases.items():
        for what, measure in (("forward", forward), ("training step", training_step)):
            ours, theirs = pair_of(spec, reference, images)
            result = ratio(measure(ours, images), measure(theirs, images), pairs)
            print(f"{title:32}{what:16}{result[1]:8.1f}ms{result[2]:8.1f}ms{result[0]:8.3f}", flush=True)


if __name__ == "__main__":
    main()

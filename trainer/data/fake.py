"""Made-up images, to try a training out with."""

from __future__ import annotations

from pathlib import Path

import torch

from trainer.input.datasets import DataSet, InMemory


def load(folder: Path, *, download: bool = False) -> DataSet:
    """The same images each time: 512 to train with, 128 to test."""
    generator = torch.Generator().manual_seed(0)
    colours = torch.randint(40, 216, (10, 3, 1, 1), generator=generator)

    def draw(count: int) -> InMemory:
        labels = torch.randint(10, (count,), generator=generator)
        noise = torch.randint(-40, 41, (count, 3, 32, 32), generator=generator)
        return InMemory((colours[labels] + noise).clamp(0, 255).to(torch.uint8), labels)

    return DataSet("fake", tuple("0123456789"), draw(512), draw(128))

"""Scikit-learn's handwritten digits, enlarged, with noise, and without it as what is to be found."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Generator, Tensor

from trainer.data.digit_scenes import enlarged
from trainer.input.datasets import IMAGES, DataSet, InMemory

SCALE = 4
"""By what images of 8×8 pixels are enlarged."""
NOISE = 16
"""Noise is a sum of 12 numbers from -NOISE to NOISE: nearly normal, of a standard deviation of 33 of 255."""


def load(folder: Path, *, download: bool = False) -> DataSet:
    """The same images each time: 1,437 to train with, 360 to test, 1×32×32.

    Only whole numbers are computed with, so the images are the same on every machine.
    """
    from trainer.data import digits

    known = digits.load(folder)
    assert isinstance(known.train, InMemory)
    assert isinstance(known.test, InMemory)
    train, test = _noisy(known.train, 0), _noisy(known.test, 1)
    return DataSet("noisy_digits", ("grey",), train, test, targets=IMAGES)


def _noisy(digits: InMemory, seed: int) -> InMemory:
    generator = torch.Generator().manual_seed(seed)
    clean: Tensor = enlarged(digits.images, SCALE)[:, None]
    noise = _noise(clean.shape, generator)
    return InMemory((clean + noise).clamp(0, 255).to(torch.uint8), clean.to(torch.uint8))


def _noise(shape: torch.Size, generator: Generator) -> Tensor:
    total = torch.zeros(shape, dtype=torch.int64)
    for _ in range(12):
        total += torch.randint(-NOISE, NOISE + 1, shape, generator=generator)
    return total

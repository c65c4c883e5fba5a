"""Scenes made of scikit-learn's handwritten digits on textured backgrounds, with the class of each pixel."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Generator, Tensor
from torch.nn import functional

from trainer.input.datasets import DataSet, InMemory

CELL = 24
"""A scene is two by two cells of so many pixels, of which each holds a digit at most."""
SIZE = 2 * CELL
TRAIN, TEST = 1500, 300
INK = 90
"""From what strength on, up to 255, a pixel belongs to the digit."""


def load(folder: Path, *, download: bool = False) -> DataSet:
    """The same scenes each time: 1,500 to train with, 300 to test, of digits that are not trained with.

    One to three digits, each in a size, place and colour of its own, lie on a background of waves, and noise on
    everything. Images are 3×48×48; class 0 is the background, class 1 the digit 0, and so on. Only whole numbers are
    computed with, so the scenes are the same on every machine.
    """
    from trainer.data import digits

    known = digits.load(folder)
    assert isinstance(known.train, InMemory)
    assert isinstance(known.test, InMemory)
    names = ("background", *(f"digit {name}" for name in known.class_names))
    train, test = _scenes(known.train, TRAIN, 0), _scenes(known.test, TEST, 1)
    return DataSet("digit_scenes", names, train, test, targets="masks")


def _scenes(digits: InMemory, count: int, seed: int) -> InMemory:
    generator = torch.Generator().manual_seed(seed)
    images = _waves(count, generator)
    masks = torch.zeros(count, SIZE, SIZE, dtype=torch.uint8)
    sizes = {scale: enlarged(digits.images, scale) for scale in (2, 3)}
    chosen = torch.randint(len(digits), (count, 3), generator=generator).tolist()
    colours = torch.randint(150, 256, (count, 3, 3, 1), generator=generator)
    for scene in range(count):
        cells = torch.randperm(4, generator=generator).tolist()
        for cell, digit, colour in list(zip(cells, chosen[scene], colours[scene], strict=False))[: 1 + scene % 3]:
            inks = sizes[2 + int(torch.randint(2, (), generator=generator))]
            ink = inks[digit] >= INK
            free = CELL - len(ink)
            row, column = torch.randint(free + 1, (2,), generator=generator).tolist()
            top, left = CELL * (cell // 2) + row, CELL * (cell % 2) + column
            place = slice(top, top + len(ink)), slice(left, left + len(ink))
            images[scene][:, *place][:, ink] = colour
            masks[scene][place][ink] = int(digits.labels[digit]) + 1
    noise = torch.randint(-12, 13, (2, *images.shape), generator=generator).sum(0)
    return InMemory((images + noise).clamp(0, 255).to(torch.uint8), masks)


def enlarged(images: Tensor, scale: int) -> Tensor:
    """Images `(N, 1, H, W)` so many times as large, with smooth edges, int64 `(N, H, W)`."""
    large = images.repeat_interleave(scale, 2).repeat_interleave(scale, 3).double()
    sums = functional.avg_pool2d(large, 3, 1, padding=1, divisor_override=1)  # of whole numbers, and so exact
    return (sums[:, 0].long() // 9).contiguous()


def _waves(count: int, generator: Generator) -> Tensor:
    """Backgrounds of values up to 130, int64 `(N, 3, SIZE, SIZE)`: three waves of random direction and colour each."""
    axis = torch.arange(SIZE)
    images = torch.full((count, 3, SIZE, SIZE), 70)
    for _ in range(3):
        along = torch.randint(-3, 4, (2, count, 1, 1), generator=generator)
        length = torch.randint(12, 48, (count, 1, 1), generator=generator)
        phase = torch.randint(48, (count, 1, 1), generator=generator)
        wave = ((along[0] * axis[:, None] + along[1] * axis + phase) % length * 2 - length).abs() * 2 - length
        height = torch.randint(21, (count, 3, 1, 1), generator=generator)
        images += (height * wave[:, None]).div(length[:, None], rounding_mode="floor")
    return images

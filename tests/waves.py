"""Batches of images that are neither noise nor flat."""

from __future__ import annotations

import torch
from torch import Tensor

COUNT = 24


def photos(shape: tuple[int, ...] = (3, 32, 32), count: int = COUNT, seed: int = 0) -> Tensor:
    """Images that are neither noise nor flat: smooth waves in each channel."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.arange(shape[1])[:, None] / shape[1], torch.arange(shape[2]) / shape[2]
    waves = torch.rand(count, shape[0], 3, 1, 1, generator=generator) * 12
    values = torch.sin(waves[:, :, 0] * rows + waves[:, :, 1] * columns + waves[:, :, 2])
    return ((values + 1) * 127.5).round().to(torch.uint8)


def labels(count: int = COUNT) -> Tensor:
    return torch.arange(count) % 10


def far(ours: Tensor, theirs: Tensor) -> int:
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype == torch.uint8
    return int((ours.int() - theirs.int()).abs().max())

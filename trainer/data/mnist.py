"""MNIST: 70,000 handwritten digits of 28×28 pixels."""

from __future__ import annotations

from pathlib import Path

from trainer.data._idx import load_idx
from trainer.input.datasets import DataSet


def load(folder: Path, *, download: bool = False) -> DataSet:
    """The set as published: 60,000 images to train with, 10,000 to test. Raises `UsageError` where it is not there."""
    from torchvision.datasets import MNIST

    return load_idx("mnist", MNIST, tuple("0123456789"), folder, download=download)

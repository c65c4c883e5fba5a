"""CIFAR-10: 60,000 colour photographs of 32×32 pixels in 10 classes."""

from __future__ import annotations

from pathlib import Path

from trainer.data._cifar import load_cifar
from trainer.input.datasets import DataSet


def load(folder: Path, *, download: bool = False) -> DataSet:
    """The set as published: 50,000 images to train with, 10,000 to test. Raises `UsageError` where it is not there."""
    from torchvision.datasets import CIFAR10

    return load_cifar("cifar10", CIFAR10, folder, download=download)

"""Fashion-MNIST: 70,000 articles of clothing in grey, of 28×28 pixels, in 10 classes."""

from __future__ import annotations

from pathlib import Path

from trainer.data._idx import load_idx
from trainer.input.datasets import DataSet


def load(folder: Path, *, download: bool = False) -> DataSet:
    """The set as published: 60,000 images to train with, 10,000 to test. Raises `UsageError` where it is not there."""
    from torchvision.datasets import FashionMNIST

    return load_idx("fashion_mnist", FashionMNIST, tuple(FashionMNIST.classes), folder, download=download)

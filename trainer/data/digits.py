"""Handwritten digits, 1,797 real images of 8×8 pixels, which come with scikit-learn."""

from __future__ import annotations

from pathlib import Path

from trainer.input.datasets import DataSet, in_memory


def load(folder: Path, *, download: bool = False) -> DataSet:
    """Four fifths to train with and one fifth to test, drawn once for all, each class in both alike."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = (digits.images * (255 / 16)).round()
    parts = train_test_split(images, digits.target, test_size=0.2, random_state=0, stratify=digits.target)
    return DataSet("digits", tuple("0123456789"), in_memory(parts[0], parts[2]), in_memory(parts[1], parts[3]))

"""Measures of 150 irises, which come with scikit-learn."""

from __future__ import annotations

from pathlib import Path

from trainer.data._bundled import load_bundled
from trainer.input.datasets import DataSet


def load(folder: Path, *, download: bool = False) -> DataSet:
    """Each of one of three species, by the lengths and widths of sepals and petals in centimetres."""
    from sklearn.datasets import load_iris

    return load_bundled("iris", load_iris(), "species", of_classes=True)

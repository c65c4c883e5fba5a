"""Measures of 442 patients with diabetes, which come with scikit-learn."""

from __future__ import annotations

from pathlib import Path

from trainer.data._bundled import load_bundled
from trainer.input.datasets import DataSet


def load(folder: Path, *, download: bool = False) -> DataSet:
    """Of each how far the disease is a year later, by ten measures, in the units in which they were taken."""
    from sklearn.datasets import load_diabetes

    return load_bundled("diabetes", load_diabetes(scaled=False), "progression", of_classes=False)

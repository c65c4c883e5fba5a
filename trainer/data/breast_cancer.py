"""Measures of 569 tumours, which come with scikit-learn."""

from __future__ import annotations

from pathlib import Path

from trainer.data._bundled import load_bundled
from trainer.input.datasets import DataSet


def load(folder: Path, *, download: bool = False) -> DataSet:
    """Each malignant or benign, by 30 measures of the nuclei of its cells."""
    from sklearn.datasets import load_breast_cancer

    return load_bundled("breast_cancer", load_breast_cancer(), "diagnosis", of_classes=True)

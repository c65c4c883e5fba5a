"""Chemical measures of 178 wines, which come with scikit-learn."""

from __future__ import annotations

from pathlib import Path

from trainer.data._bundled import load_bundled
from trainer.input.datasets import DataSet


def load(folder: Path, *, download: bool = False) -> DataSet:
    """Each of one of three growers, by 13 measures."""
    from sklearn.datasets import load_wine

    return load_bundled("wine", load_wine(), "grower", of_classes=True)

"""The handwritten digits of scikit-learn, read row by row: sequences of eight tokens."""

from __future__ import annotations

from pathlib import Path

from trainer.data import digits
from trainer.input.datasets import DataSet, Form, InMemory


def load(folder: Path, *, download: bool = False) -> DataSet:
    """Each digit of `digits` as a sequence of its eight rows, of eight grey levels from 0 to 255 each."""
    known = digits.load(folder)
    assert isinstance(known.train, InMemory)
    assert isinstance(known.test, InMemory)
    train, test = (InMemory(one.images[:, 0].float(), one.labels) for one in (known.train, known.test))
    return DataSet("digit_rows", known.class_names, train, test, form=Form((), {}, ("digit",), known.class_names))

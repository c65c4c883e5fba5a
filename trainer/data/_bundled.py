"""The tables that come with scikit-learn, as data sets."""

from __future__ import annotations

from typing import Any

import torch

from trainer.data._vectors import hold_out
from trainer.input.datasets import NUMBERS, DataSet, Form, InMemory


def load_bundled(name: str, found: Any, target: str, *, of_classes: bool) -> DataSet:
    """A `Bunch` of scikit-learn's `load_…` functions; a fifth of it, of each class alike, is kept for the test."""
    features = tuple(str(one) for one in found.feature_names)
    samples, targets = torch.as_tensor(found.data).float(), torch.as_tensor(found.target)
    rows = tuple(str(row + 1) for row in range(len(samples)))
    classes = tuple(map(str, found.target_names)) if of_classes else None
    every = InMemory(samples, targets.long() if of_classes else targets.float()[:, None], rows)
    train, test = hold_out(every, name)
    form = Form(features, {}, (target,), classes)
    return DataSet(name, classes or form.targets, train, test, targets="classes" if of_classes else NUMBERS, form=form)

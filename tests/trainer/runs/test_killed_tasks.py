"""Killed within an epoch, trainings of further tasks go on to the same end, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kills import assert_resumes_alike
from PIL import Image

from archspec.spec import from_dict
from trainer.runs.job import Job, prepare

RECIPE = {"epochs": 3, "batch_size": 8, "validation": 0.2, "optimizer": {"name": "adamw", "lr": 0.01}}
CONV = {"conv": {"out": 4, "kernel": 3, "padding": 1}}


def put(file: Path, pixels: np.ndarray[Any, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(file)


def uneven_classes(root: Path) -> dict[str, Any]:
    random = np.random.default_rng(0)
    for name, count in (("common", 40), ("rare", 10)):
        for number in range(count):
            put(root / name / f"{number}.png", random.integers(0, 150, (8, 8)) + 100 * (name == "rare"))
    recipe = RECIPE | {"sampler": "balanced", "loss": {"name": "focal", "weight": {"rare": 2}}}
    network = [CONV, "batch_norm", "relu", "flatten", {"dropout": 0.2}, {"linear": "=num_classes"}]
    return {"vars": {"num_classes": 2}, "network": network, "train": recipe}


def noisy_images(root: Path) -> dict[str, Any]:
    random = np.random.default_rng(0)
    for number in range(50):
        clean = np.full((8, 8), random.integers(40, 200))
        put(root / "targets" / f"{number}.png", clean)
        put(root / "images" / f"{number}.png", clean + random.integers(-30, 30, (8, 8)))
    recipe = RECIPE | {"loss": "charbonnier", "augment": [{"rotation": {"degrees": 30}}]}
    return {"network": [CONV, "batch_norm", "relu", {"conv": {"out": 1, "kernel": 3, "padding": 1}}], "train": recipe}


@pytest.mark.parametrize("make", [uneven_classes, noisy_images])
def test_killed_it_goes_on_to_the_same_end(make: Callable[[Path], dict[str, Any]], tmp_path: Path) -> None:
    root = tmp_path / "data"
    spec = {"archspec": 1, "name": "Small", "input": [1, 8, 8], **make(root)}
    spec["train"]["data"] = str(root)

    def job() -> Job:
        return prepare(from_dict(spec, "net"), tmp_path)

    assert_resumes_alike(job, 8, tmp_path)

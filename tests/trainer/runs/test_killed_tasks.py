"""Killed within an epoch, trainings of further tasks go on to the same end, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from archspec.spec import from_dict
from trainer.runs import checkpoints, folders
from trainer.runs.job import Job, prepare
from trainer.session import Options, resume_run, train
from trainer.steps.module import SpecModule

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


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it."""


@pytest.mark.parametrize("make", [uneven_classes, noisy_images])
def test_killed_it_goes_on_to_the_same_end(
    make: Callable[[Path], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "data"
    spec = {"archspec": 1, "name": "Small", "input": [1, 8, 8], **make(root)}
    spec["train"]["data"] = str(root)

    def job() -> Job:
        return prepare(from_dict(spec, "net"), tmp_path)

    options = Options(save_steps=2, pictures=False)
    whole = Path(train(job(), tmp_path / "whole", options).folder)
    inner, count = SpecModule.training_step, 0

    def training_step(self: SpecModule, given: Any, index: int) -> Any:
        nonlocal count
        count += 1
        if count == 8:
            raise Killed
        return inner(self, given, index)

    with monkeypatch.context() as patch:
        patch.setattr(SpecModule, "training_step", training_step)
        with pytest.raises(Killed):
            train(job(), tmp_path / "killed", options)
    resume_run(folders.find("net", tmp_path / "killed"), None, options, print)
    ends = (whole, tmp_path / "killed" / "net")
    states = [checkpoints.load(one / "checkpoints" / "last.ckpt")["state_dict"] for one in ends]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    results = [json.loads((one / "results.json").read_text()) for one in ends]
    for one in results:
        del one["seconds"], one["images_per_second"]
    assert results[0] == results[1]

"""Trainings that are killed, and what they are held to once they were resumed: the uninterrupted one, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.runs import checkpoints, folders
from trainer.runs.job import Job
from trainer.session import Options, resume_run, train
from trainer.steps.module import SpecModule

TIMES = {"seconds", "images_per_second", "epoch_seconds"}


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it."""


def killed_at(step: int, patch: pytest.MonkeyPatch) -> None:
    """Ends the next training in its step of this number, counted from 1 in this process."""
    inner, count = SpecModule.training_step, 0

    def training_step(self: SpecModule, batch: Any, index: int) -> Any:
        nonlocal count
        count += 1
        if count == step:
            raise Killed
        return inner(self, batch, index)

    patch.setattr(SpecModule, "training_step", training_step)


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """Where two checkpoints or results differ, times aside."""
    if isinstance(a, dict) and isinstance(b, dict):
        if set(a) != set(b):
            return [f"{path}: {set(a) ^ set(b)}"]
        return [one for key in a if key not in TIMES for one in differences(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, (list, tuple)) and len(a) == len(b):
        return [one for i, (x, y) in enumerate(zip(a, b, strict=True)) for one in differences(x, y, f"{path}/{i}")]
    same = torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
    return [] if same else [path]


def assert_alike(whole: Path, stopped: Path) -> None:
    """Two runs' folders hold the same weights, state of training, results and metrics."""
    for name in ("last", "best"):
        files = [folder / "checkpoints" / f"{name}.ckpt" for folder in (whole, stopped)]
        assert files[0].exists() == files[1].exists()
        if files[0].exists():
            a, b = (checkpoints.load(file) for file in files)
            assert differences(a["state_dict"], b["state_dict"]) == []
            assert name == "best" or differences(a, b) == []
    a, b = (json.loads((folder / "results.json").read_text()) for folder in (whole, stopped))
    assert differences(a, b) == []
    assert (whole / "metrics.csv").read_text() == (stopped / "metrics.csv").read_text()


def assert_resumes_alike(make_job: Callable[[], Job], step: int, folder: Path) -> Path:
    """A training that is killed in a step, and resumed, ends like the uninterrupted one, whose folder is returned."""
    options = Options(save_steps=2, pictures=False)
    whole = Path(train(make_job(), folder / "whole", options).folder)
    with pytest.MonkeyPatch.context() as patch:
        killed_at(step, patch)
        with pytest.raises(Killed):
            train(make_job(), folder / "killed", options)
    killed = folders.find(whole.name, folder / "killed")
    resume_run(killed, None, options, print)
    assert_alike(whole, killed.folder)
    return whole

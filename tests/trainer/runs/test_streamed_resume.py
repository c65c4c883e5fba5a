"""Streamed trainings, stopped and gone on with: as those in memory, whatever the workers had read ahead."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from forks import Command
from kills import Killed, assert_alike, killed_at
from pictures import photos

from archspec.spec import from_dict
from trainer.input import splits
from trainer.input.loaders import Stream
from trainer.runs import folders as run_folders
from trainer.runs.job import prepare
from trainer.session import Options, resume_run, train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_cache", "without_pictures")]

NETWORK = [
    {"conv": {"out": 4, "kernel": 3}},
    "batch_norm",
    "relu",
    "global_avg_pool",
    "flatten",
    {"dropout": 0.3},
    {"linear": "=num_classes"},
]
TRAIN = {
    "data": "photos",
    "epochs": 3,
    "validation": 0.2,
    "batch_size": 4,
    "augment": ["random_resized_crop", "horizontal_flip", "mixup"],
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
    "schedule": "cosine",
}
SPEC = {"archspec": 1, "name": "Small", "input": [3, 8, 8], "vars": {"num_classes": 10}, "network": NETWORK}
BATCHES = 6  # of an epoch: a fifth of 40 images is for the test, a fifth of the rest for validation


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    photos(tmp_path / "photos", count=20)
    monkeypatch.setattr(splits, "MEMORY_LIMIT", 0)
    monkeypatch.setattr("trainer.input.loaders.usable_cpus", lambda: 2)
    return tmp_path


def job(folder: Path, **recipe: Any) -> Any:
    made = prepare(from_dict(SPEC | {"train": TRAIN | recipe | {"data": str(folder / "photos")}}, "small.yaml"), folder)
    assert isinstance(made.train, Stream)
    assert len(made.train) // 4 == BATCHES
    return made


@pytest.mark.parametrize("recipe", [{}, {"accumulate": 2, "ema": {"decay": 0.9}}], ids=["plain", "averaged"])
def test_a_streamed_training_ended_at_any_step_goes_on_to_the_same_end(recipe: dict[str, Any], folder: Path) -> None:
    made = job(folder, **recipe)
    whole = Path(train(made, folder / "whole").folder)
    for every, *steps in ((1, 1, 4, 3), (2, 5, 9), (None, BATCHES, BATCHES + 1)):
        options, out = Options(save_steps=every, pictures=False), folder / f"every {every}"
        for number, step in enumerate(steps):
            with pytest.MonkeyPatch.context() as patch:
                killed_at(step, patch)
                with pytest.raises(Killed):
                    resume_run(run_folders.find("small", out), None, options, print) if number else train(
                        made, out, options
                    )
        resume_run(run_folders.find("small", out), None, options, print)
        assert_alike(whole, out / "small")


def test_a_streamed_training_is_stopped_by_a_signal_to_its_workers_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As Ctrl+C sends it, and schedulers do: to every process of the group."""
    whole = Path(train(job(folder), folder / "whole").folder)
    *_, note = capsys.readouterr().err.splitlines(keepends=True)
    (folder / "streaming.py").write_text(
        "import trainer.input.splits as p\np.MEMORY_LIMIT = 0\n"
        "if __name__ == '__main__':\n    from archspec.cli import main\n    main()\n"
    )
    begin = partial(Command, folder=folder, script=str(folder / "streaming.py"), session=True)
    (folder / "small.yaml").write_text(str(SPEC | {"train": TRAIN | {"data": str(folder / "photos")}}))
    arguments, last = ["train", "small.yaml"], folder / "runs/small/checkpoints/last.ckpt"
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        before = last.stat().st_mtime_ns if last.exists() else 0
        process = begin([*arguments, "--save-steps", "1"])
        while process.poll() is None and (not last.exists() or last.stat().st_mtime_ns == before):
            time.sleep(0.002)
        os.killpg(process.pid, number)
        _, said = process.communicate(timeout=120)
        assert process.returncode == status
        *_, stopped, cure = said.splitlines()
        assert stopped.startswith(f"stopped by {number.name}: saved ")
        assert cure == "  help: resume it: archspec train --resume runs/small"
        assert "Traceback" not in said
        arguments = ["train", "--resume", "runs/small"]
    done = begin(arguments)
    _, said = done.communicate(timeout=120)
    assert note == (
        "note: the test accuracy of 25.00% is not above 50.00%, which the answer `cat` to all images would reach\n"
    )
    assert (done.returncode, said) == (0, note)
    assert_alike(whole, folder / "runs" / "small")


def test_as_many_workers_as_there_are_give_the_same_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = []
    for workers in (0, 1, 2):
        monkeypatch.setattr("trainer.input.loaders.usable_cpus", lambda workers=workers: workers)
        result = train(job(folder, epochs=1), folder / str(workers), Options(pictures=False))
        state = torch.load(Path(result.folder) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        states.append(state)
    assert all(torch.equal(states[0][key], other[key]) for other in states[1:] for key in other)

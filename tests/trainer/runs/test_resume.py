"""Stopped at any step and gone on with, a run ends as one that was never stopped: in each bit, on a CPU."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forks import Command
from kills import Killed, assert_alike, killed_at

from archspec.foundation.errors import UsageError
from archspec.spec import from_dict
from trainer import session
from trainer.errors import Stopped
from trainer.input.loaders import Batches
from trainer.runs import folders as run_folders
from trainer.runs.job import prepare
from trainer.session import Options, resume_run, train
from trainer.steps.module import SpecModule
from trainer.tasks.classification import Classification

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_pictures")]

SPEC = {
    "archspec": 1,
    "name": "Small",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": [
        {"conv": {"out": 4, "kernel": 3}},
        "batch_norm",
        "relu",
        "flatten",
        {"dropout": 0.3},
        {"linear": "=num_classes"},
    ],
}
RICH = {
    "epochs": 3,
    "validation": 0.2,
    "batch_size": 100,
    "augment": [{"random_resized_crop": {"scale": [0.6, 1.0]}}],
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
    "schedule": "cosine",
    "warmup": {"steps": 5},
}
RECIPES: dict[str, dict[str, Any]] = {
    "rich": RICH,
    "averaged and accumulated": RICH | {"ema": {"decay": 0.9}, "accumulate": 2},
    "by steps": {key: value for key, value in RICH.items() if key != "epochs"} | {"steps": 26},
    "without validation": RICH | {"validation": 0, "schedule": "one_cycle", "warmup": None},
    "stopped early": RICH | {"epochs": 9, "early_stopping": {"patience": 1, "min_delta": 0.5}},
}
BATCHES = 11  # of an epoch: 1,150 images, or 1,437 where none are for validation


def job(folder: Path, recipe: dict[str, Any]) -> Any:
    return prepare(from_dict(SPEC | {"train": recipe}, "small"), folder)


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_ended_at_any_step_goes_on_to_the_same_end(name: str, tmp_path: Path) -> None:
    """Ended in the first step, in the midst, at the ends of epochs; saved every step, every third, or by the epoch."""
    whole = Path(train(job(tmp_path, RECIPES[name]), tmp_path / "whole").folder)
    if name == "stopped early":
        assert json.loads((whole / "results.json").read_text())["epochs"] < 9
    for every, *steps in ((1, 1, 7, 3), (3, 10, 8, 6), (None, BATCHES, BATCHES + 1), (4, 2 * BATCHES)):
        options = Options(save_steps=every, pictures=False)
        out = tmp_path / f"every {every}"
        with pytest.MonkeyPatch.context() as patch:
            killed_at(steps[0], patch)
            with pytest.raises(Killed):
                train(job(tmp_path, RECIPES[name]), out, options)
        for step in steps[1:]:
            with pytest.MonkeyPatch.context() as patch:
                killed_at(step, patch)
                with pytest.raises(Killed):
                    resume_run(run_folders.find("small", out), None, options, print)
        resume_run(run_folders.find("small", out), None, options, print)
        assert_alike(whole, out / "small")


def test_a_training_ended_before_its_test_is_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path(train(job(tmp_path, RICH), tmp_path / "whole").folder)
    with pytest.MonkeyPatch.context() as patch:

        def killed(*_: Any, **__: Any) -> None:
            raise Killed

        patch.setattr(session, "evaluate_outputs", killed)
        with pytest.raises(Killed):
            train(job(tmp_path, RICH), tmp_path / "stopped")
    resume_run(run_folders.find("small", tmp_path / "stopped"), None, Options(), print)
    assert_alike(whole, tmp_path / "stopped" / "small")


@pytest.mark.parametrize(
    ("name", "ordinal"),
    [("rich", 1), ("rich", 3), *((name, 2) for name in RECIPES if name not in ("rich", "without validation"))],
)
def test_a_signal_in_a_validation_waits_for_one_batch_of_it(
    name: str, ordinal: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each epoch's, the last of which may be cut short."""
    monkeypatch.setattr(Classification, "evaluation_batch", lambda task, recipe: 50)
    whole = Path(train(job(tmp_path, RECIPES[name]), tmp_path / "whole").folder)
    if ordinal > json.loads((whole / "results.json").read_text())["epochs"]:
        return  # it stopped early
    inner, steps = SpecModule.validation_step, 0

    def validation_step(self: SpecModule, batch: Any, index: int) -> None:
        nonlocal steps
        first = index == 2 and self.current_epoch == ordinal - 1
        steps += first or steps > 0
        if first:
            os.kill(os.getpid(), signal.SIGTERM)
        inner(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(SpecModule, "validation_step", validation_step)
        with pytest.raises(Stopped) as caught:
            train(job(tmp_path, RECIPES[name]), tmp_path / "stopped")
    assert (steps, caught.value.exit_status) == (1, 143)
    assert str(caught.value).startswith(f"stopped by SIGTERM: saved epoch {ordinal}, before its validation\n")
    assert not (tmp_path / "stopped" / "small" / "results.json").exists()
    resume_run(run_folders.find("small", tmp_path / "stopped"), None, Options(), print)
    assert_alike(whole, tmp_path / "stopped" / "small")


def test_a_signal_between_batches_of_one_step_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, inner = RECIPES["averaged and accumulated"], SpecModule.training_step

    def training_step(self: SpecModule, batch: Any, index: int) -> Any:
        if index == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return inner(self, batch, index)

    monkeypatch.setattr(SpecModule, "training_step", training_step)
    with pytest.raises(Stopped, match="stopped by SIGTERM: saved epoch 1, after batch 4\n"):
        train(job(tmp_path, recipe), tmp_path)


def test_the_order_goes_on_where_it_was() -> None:
    whole = Batches(100, 10, seed=3)
    whole.set_epoch(5)
    rest = Batches(100, 10, seed=3)
    rest.start_at(5, 4)
    assert list(rest) == list(whole)[4:]
    rest.set_epoch(6)
    whole.set_epoch(6)
    assert list(rest) == list(whole)


# --- real processes ------------------------------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Command]:
    def process(*arguments: str) -> Command:
        return Command(["train", *arguments], tmp_path)

    return process


def wait_for_progress(process: Command, last: Path) -> None:
    """Until a process has written a checkpoint, or ended."""
    before = last.stat().st_mtime_ns if last.exists() else 0
    while process.poll() is None and (not last.exists() or last.stat().st_mtime_ns == before):
        time.sleep(0.005)


def test_a_repeatedly_killed_run_ends_like_an_uninterrupted_one(start: Callable, tmp_path: Path) -> None:
    settings = ["digits", "--epochs", "6", "--save-steps", "2"]
    whole = start(*settings, "--out", "whole")
    stopped, last = tmp_path / "stopped" / "digits", tmp_path / "stopped" / "digits" / "checkpoints" / "last.ckpt"
    process, generator, codes = start(*settings, "--out", "stopped"), random.Random(0), []
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        wait_for_progress(process, last)
        time.sleep(generator.random() * 0.4)
        process.send_signal(number)
        out, said = process.communicate(timeout=120)
        codes.append(process.returncode)
        if number != signal.SIGKILL:
            assert said.startswith(f"stopped by {number.name}: saved ")
            assert said.endswith("  help: resume it: archspec train --resume stopped/digits\n")
        process = start("--resume", "stopped/digits", "--save-steps", "2")
    out, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (0, "")
    assert codes == [-signal.SIGKILL, 143, 130, -signal.SIGKILL]
    assert "test accuracy" in out
    assert whole.wait(300) == 0
    assert_alike(tmp_path / "whole" / "digits", stopped)


# --- what is wrong is said -----------------------------------------------------------------------------------------


def test_a_damaged_checkpoint_is_said_and_the_one_before_is_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Path(train(job(tmp_path, RICH), tmp_path / "whole").folder)
    with pytest.MonkeyPatch.context() as patch:
        killed_at(20, patch)
        with pytest.raises(Killed):
            train(job(tmp_path, RICH), tmp_path / "out", Options(save_steps=2))
    last = tmp_path / "out" / "small" / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    said: list[str] = []
    resume_run(run_folders.find("small", tmp_path / "out"), None, Options(), said.append)
    assert said == [f"the checkpoint {last} is damaged; resuming from last.previous.ckpt"]
    assert_alike(whole, tmp_path / "out" / "small")


def test_a_run_goes_on_in_another_place(tmp_path: Path) -> None:
    whole = Path(train(job(tmp_path, RICH), tmp_path / "whole").folder)
    with pytest.MonkeyPatch.context() as patch:
        killed_at(16, patch)
        with pytest.raises(Killed):
            train(job(tmp_path, RICH), tmp_path / "out", Options(save_steps=2))
    (tmp_path / "out" / "small").rename(tmp_path / "moved")
    resume_run(run_folders.find(str(tmp_path / "moved"), tmp_path), None, Options(), print)
    assert_alike(whole, tmp_path / "moved")


def test_a_run_of_other_data_is_not_gone_on_with(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        killed_at(3, patch)
        with pytest.raises(Killed):
            train(job(tmp_path, RICH), tmp_path / "out")
    folder = tmp_path / "out" / "small"
    text = (folder / "spec.yaml").read_text()
    (folder / "spec.yaml").write_text(text.replace("data: digits", "data: fake"))
    with pytest.raises(UsageError) as caught:
        resume_run(run_folders.find("small", tmp_path / "out"), None, Options(), print)
    assert str(caught.value) == (
        f"the run {folder} cannot be resumed: its data set `fake`, or its spec.yaml, differs from that of the run\n"
        "  help: give it the data that it had (--data, or --data-folder for a set by name), or train anew"
    )


def test_a_run_that_another_process_trains_is_left_alone(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        killed_at(3, patch)
        with pytest.raises(Killed):
            train(job(tmp_path, RICH), tmp_path / "out")
    run = run_folders.find("small", tmp_path / "out")
    assert run.status == "stopped"
    code = "import sys, time; from pathlib import Path; from trainer.runs.folders import lock\nwith lock(Path(sys.argv[1])): print(1, flush=True); time.sleep(100)"
    other = subprocess.Popen([sys.executable, "-c", code, str(run.folder)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    other.stdout.readline()
    assert run.status == "running"
    with pytest.raises(UsageError) as caught:
        resume_run(run, None, Options(), print)
    other.kill()
    other.wait()
    assert str(caught.value) == (
        f"the run {run.folder} is being trained by another process\n  help: wait for it, or stop it first"
    )
    assert run.status == "stopped"

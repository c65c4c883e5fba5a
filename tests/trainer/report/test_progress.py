"""The progress bar, in a real terminal; and what it reckons."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from archspec.recipe import Recipe
from trainer.processes.group import SINGLE_PROCESS
from trainer.report import progress
from trainer.report.progress import Bar, batches_of
from trainer.tasks.classification import TASK

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_pictures")]

SPEC = """
archspec: 1
input: [1, 8, 8]
vars: {num_classes: 10}
network: [flatten, {linear: 16}, relu, {linear: =num_classes}]
train: {epochs: 12, batch_size: 10, validation: 0.2}
"""
PICTURE = re.compile(
    r"epoch (\d+)/(\d+) ([━╸╺ ]+) loss (\d\.\d{4})  accuracy (\d+\.\d\d)%  ([\d,]+) images/s  (\d+):(\d\d) left"
)


def in_terminal(*arguments: str, folder: Path) -> tuple[int, list[str], float]:
    """Runs `archspec …` in a terminal of 80 columns: its exit status, each line as it was drawn, and the seconds."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "archspec", *arguments]
    process = subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    began, seen = time.monotonic(), b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # so Linux says that nobody writes any more
            break
        if not part:
            break
        seen += part
    os.close(ours)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    return process.wait(60), [line for line in re.split(r"[\r\n]+", plain) if line], time.monotonic() - began


def test_a_bar_shows_loss_accuracy_speed_and_the_time_left_of_the_whole_training(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(SPEC)
    code, lines, seconds = in_terminal("train", "net.yaml", folder=tmp_path)
    assert code == 0
    pictures = [found for line in lines if (found := PICTURE.match(line))]
    # an epoch's line draws the bar again, below it
    assert 5 <= len(pictures) <= seconds / progress.REFRESH_SECONDS + 2 * 12
    epochs = [int(found[1]) for found in pictures]
    assert epochs == sorted(epochs)
    assert {found[2] for found in pictures} == {"12"}
    # what it shows of an epoch's validation is what the epoch's own line says
    said = dict(re.findall(r"^epoch (\d+)/12 .*val accuracy (\S+)%  ", "\n".join(lines), re.M))
    assert len(said) == 12
    assert all(said[str(epoch - 1)] == found[5] for epoch, found in zip(epochs, pictures, strict=True))
    assert {len(line) for line in lines if PICTURE.match(line)} <= set(range(81))
    left = [60 * int(found[7]) + int(found[8]) for found in pictures]
    assert left[-1] <= 1
    assert max(left) <= 2 * seconds
    assert lines[-1].rstrip().endswith("runs/net")


def test_a_resumed_training_shows_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(SPEC)
    command = [sys.executable, "-m", "archspec", "train", "net.yaml", "--set", "train.epochs=30"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch 10/30"):
            process.kill()
            break
    process.wait()
    code, lines, _ = in_terminal("train", "--resume", "runs/net", folder=tmp_path)
    assert code == 0
    first = next(line for line in lines if re.match(r"epoch \d+/30 ━", line))
    assert 10 <= int(first.split()[1].split("/")[0]) <= 30
    pictures = [found for line in lines if (found := PICTURE.match(line))]
    assert int(pictures[0][1]) >= 10


def test_without_a_terminal_there_are_lines_alone(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run(
        "train",
        "digits",
        "--epochs",
        "2",
        "--set",
        "train.steps=20",
        "--set",
        "train.schedule=null",
        TERM="xterm-256color",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "━" not in done.stdout.split("trained on")[0]
    assert "\x1b" not in done.stdout
    assert re.findall(r"^epoch \d+", done.stdout, re.M) == ["epoch 1", "epoch 2"]


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        patch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: self.now))


def trainer(epoch: int, done: int) -> Any:
    loop = SimpleNamespace(batch_progress=SimpleNamespace(current=SimpleNamespace(completed=done)))
    return SimpleNamespace(
        is_global_zero=False,
        current_epoch=epoch,
        num_training_batches=100,
        val_dataloaders=SimpleNamespace(dataset=range(3000)),
        fit_loop=SimpleNamespace(epoch_loop=loop),
        callback_metrics={},
    )


@pytest.mark.parametrize("begun", [0, 5])
def test_the_time_left_counts_validations_and_leaves_out_the_first_step(
    begun: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten epochs, each of 100 batches of 0.1 s and a validation of 7 s, the first batch taking a minute."""
    clock = Clock(monkeypatch)
    monitor: Any = SimpleNamespace(total=0.0, steps=0, group=SINGLE_PROCESS, metric=TASK.metric)
    bar = Bar(Recipe(epochs=10, batch_size=10), monitor)
    bar.on_train_start(trainer(begun, 0), SimpleNamespace(unit="images"))
    clock.now += 60
    left = []
    for epoch in (begun, begun + 1):
        for index in range(100):
            clock.now += 0.1
            bar.on_train_batch_end(trainer(epoch, 0), None, None, (None, range(10)), index)
        left.append(bar.left(clock.now))
        bar.on_validation_start(trainer(epoch, 0), None)
        clock.now += 3
        left.append(bar.left(clock.now))
        clock.now += 4
        bar.on_validation_end(trainer(epoch, 0), None)
        left.append(bar.left(clock.now))
    after = 10 - begun - 1
    # before a validation was timed, 3,000 images are taken to cost what 1,000 cost in training: 10 s
    assert left[:2] == pytest.approx([after * 10 + (after + 1) * 10, after * 10 + (after + 1) * 10 - 3])
    assert left[2:] == pytest.approx([after * 17, after * 17 - 10, after * 17 - 13, (after - 1) * 17])


def test_a_training_counted_in_steps_has_as_many_batches_as_they_take() -> None:
    """11 batches an epoch, gathered by twos: five steps of two, and one of what is left."""
    assert [batches_of(Recipe(steps=steps, accumulate=2), 11) for steps in (1, 5, 6, 7, 12, 13)] == [
        2,
        10,
        11,
        13,
        22,
        24,
    ]
    assert batches_of(Recipe(epochs=3, accumulate=2), 11) == 33

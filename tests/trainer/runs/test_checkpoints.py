"""Checkpoints on the disk: whole or not at all, and known when they are damaged."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from archspec.foundation.errors import UsageError
from trainer.processes.group import SINGLE_PROCESS
from trainer.runs import resume
from trainer.runs.checkpoints import BestCheckpoint, Damaged, latest, load, previous, save
from trainer.runs.monitor import TrainingMonitor
from trainer.tasks.classification import TASK

pytestmark = pytest.mark.slow


def content(number: int, size: int = 10_000) -> dict[str, Any]:
    return {"number": number, "state_dict": {"weight": torch.full((size,), float(number))}}


@pytest.fixture
def last(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints" / "last.ckpt"


def test_a_checkpoint_is_a_file_that_torch_reads(last: Path) -> None:
    save(content(3), last)
    assert torch.equal(torch.load(last, weights_only=True)["state_dict"]["weight"], torch.full((10_000,), 3.0))
    assert load(last)["number"] == 3
    assert zipfile.ZipFile(last).comment.startswith(b"sha256:")


def test_the_one_before_is_kept(last: Path) -> None:
    for number in (1, 2, 3):
        save(content(number), last)
    assert {file.name for file in last.parent.iterdir()} == {"last.ckpt", "last.previous.ckpt"}
    assert (load(last)["number"], load(previous(last))["number"]) == (3, 2)


def test_every_damage_is_found(last: Path) -> None:
    save(content(1, 200), last)
    whole = last.read_bytes()
    generator = random.Random(0)
    for position in {*range(len(whole) - 80, len(whole)), *generator.sample(range(len(whole)), 150)}:
        changed = bytearray(whole)
        changed[position] ^= 1 << generator.randrange(8)
        last.write_bytes(changed)
        with pytest.raises(Damaged, match="its checksum does not fit its content"):
            load(last)
    for length in (0, 1, 50, 100, len(whole) // 2, len(whole) - 1):
        last.write_bytes(whole[:length])
        with pytest.raises(Damaged):
            load(last)


def test_a_damaged_checkpoint_falls_back_to_the_previous_one(last: Path) -> None:
    assert latest(last.parent, print) is None
    save(content(1), last)
    save(content(2), last)
    assert latest(last.parent, print) == last
    last.write_bytes(last.read_bytes()[:-1000])
    said: list[str] = []
    assert latest(last.parent, said.append) == previous(last)
    assert said == [f"the checkpoint {last} is damaged; resuming from last.previous.ckpt"]
    previous(last).write_bytes(b"")
    with pytest.raises(Damaged) as caught:
        latest(last.parent, said.append)
    assert str(caught.value) == (
        f"no checkpoint in {last.parent} is intact enough to resume from\n"
        "  help: train anew: archspec train, with --force"
    )


class Opened:
    def __reduce__(self) -> Any:
        return open, (os.environ["ARCHSPEC_TEST_FILE"], "w")


def test_loading_runs_nothing(last: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHSPEC_TEST_FILE", str(tmp_path / "written"))
    save({"code": Opened()}, last)
    with pytest.raises(Damaged, match="holds other things than tensors and numbers"):
        load(last)
    assert not (tmp_path / "written").exists()


WRITER = """
import sys, torch
from pathlib import Path
from trainer.runs.checkpoints import load, save
number = 0
while True:
    number += 1
    save({"number": number, "weight": torch.full((300_000,), float(number))}, Path(sys.argv[1]))
    print(number, flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_sound_checkpoint(last: Path) -> None:
    generator = random.Random(1)
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(last)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(2)]
        time.sleep(generator.random() * 0.1)
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.readlines()
        writer.wait()
        done = int([line for line in said if line.endswith("\n")][-1])
        found = latest(last.parent, print)
        assert found is not None
        number = load(found)["number"]
        assert number >= done
        assert torch.equal(load(found)["weight"], torch.full((300_000,), float(number)))


def test_a_full_disk_leaves_the_one_before(last: Path) -> None:
    """A limit on the size of files stands for the full disk: writing fails half way, as it does there."""
    code = f"""
import resource, signal, sys
from pathlib import Path
import torch
from trainer.runs.checkpoints import save
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
last = Path({str(last)!r})
save({{"number": 1, "weight": torch.zeros(100_000)}}, last)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    save({{"number": 2, "weight": torch.zeros(100_000)}}, last)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        f"UsageError the checkpoint {last} cannot be written: File too large\n"
        f"  help: make room on its disk, then resume from the one before: archspec train --resume {last.parent.parent}\n"
    )
    assert [file.name for file in last.parent.iterdir()] == ["last.ckpt"]
    assert load(last)["number"] == 1


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a second file system")
def test_temporary_files_on_another_disk_play_no_part(last: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.stat("/dev/shm").st_dev != os.stat(last.parent.parent).st_dev
    monkeypatch.setenv("TMPDIR", "/dev/shm")
    before = set(os.listdir("/dev/shm"))
    save(content(1), last)
    save(content(2), last)
    assert (load(last)["number"], load(previous(last))["number"]) == (2, 1)
    monkeypatch.setenv("TMPDIR", str(last / "nowhere"))
    save(content(3), last)
    assert load(last)["number"] == 3
    assert set(os.listdir("/dev/shm")) <= before


def test_a_folder_that_cannot_be_is_an_error_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written: Not a directory"):
        save(content(1), tmp_path / "file" / "checkpoints" / "last.ckpt")


def test_callbacks_keep_their_names_in_checkpoints(tmp_path: Path) -> None:
    """Lightning finds a callback's state by this name: an older run could not be resumed under another one."""
    signals = resume.Signals(tmp_path)
    assert resume.LastCheckpoint(tmp_path, signals, SINGLE_PROCESS, "key").state_key == "Last"
    assert resume.RandomStates().state_key == "Randomness"
    assert TrainingMonitor(1, SINGLE_PROCESS, TASK.metric).state_key == "Epochs"
    assert BestCheckpoint(tmp_path, TASK.metric, TASK.metric).state_key == "Best"

"""What befalls a training: closed outputs and terminals, killed workers, leftovers; and what is said meanwhile."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from forks import Command
from pictures import SPEC as PHOTOS, photos

from archspec.spec import from_dict
from trainer.report import heartbeat
from trainer.runs import folders
from trainer.runs.job import prepare
from trainer.session import Options, resume_run, train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_cache", "without_pictures")]

SPEC: dict[str, Any] = {
    "archspec": 1,
    "name": "Linear",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10, "rate": 0.1},
    "network": ["flatten", {"dropout": "=rate"}, {"linear": "=num_classes"}],
    "variants": {"wide": {"vars": {"rate": 0.2}}, "other": {"vars": {"rate": 0.3}}},
    "train": {"epochs": 3, "validation": 0.2, "batch_size": 100},
}
LONG = ["train", "net.yaml", "--epochs", "10000", "--save-steps", "5"]


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(SPEC))
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "archspec", *arguments]


def wait_for(what: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


# --- outputs and terminals -------------------------------------------------------------------------------------------


def test_a_training_whose_output_nobody_reads_goes_on_to_its_end(net: Path) -> None:
    """As in `archspec train … | head -1`."""
    process = subprocess.Popen(
        command("train", "net.yaml"), cwd=net, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Linear, 650 parameters, on digits")
    process.stdout.close()
    assert (process.wait(120), process.stderr.read()) == (0, "")  # type: ignore[union-attr]
    assert (net / "runs" / "net" / "results.json").exists()


def in_a_terminal(folder: Path, arguments: list[str], before: Callable[[], object]) -> tuple[int, int]:
    """A process in a terminal of its own: its id, and the terminal's other end."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        before()
        os.execv(sys.executable, command(*arguments))
    return process, terminal


def test_a_training_whose_terminal_closes_saves_and_can_be_resumed(net: Path) -> None:
    process, terminal = in_a_terminal(net, LONG, lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
    last = net / "runs" / "net" / "checkpoints" / "last.ckpt"
    wait_for(last.exists)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 128 + signal.SIGHUP
    run = folders.find("net", net / "runs")
    assert run.status == "stopped"
    assert not list(last.parent.glob(".*"))


def test_a_training_that_was_told_to_ignore_it_goes_on_without_its_terminal(net: Path) -> None:
    """As by `nohup`, or `disown` in a shell."""
    arguments = ["train", "net.yaml", "--epochs", "20", "--save-steps", "2"]
    process, terminal = in_a_terminal(net, arguments, lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_for((net / "runs" / "net" / "checkpoints" / "last.ckpt").exists)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert folders.find("net", net / "runs").status == "finished"


# --- workers ---------------------------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_is_named_with_the_likely_cause(tmp_path: Path) -> None:
    photos(tmp_path / "photos", count=20)
    recipe = {"data": "./photos", "batch_size": 4, "augment": ["random_resized_crop"], "epochs": 10_000}
    spec = PHOTOS | {"train": PHOTOS["train"] | recipe}  # type: ignore[operator]
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(spec))
    process = Command(["train", "net.yaml", "--workers", "1"], tmp_path)
    wait_for((tmp_path / "runs" / "net" / "checkpoints" / "last.ckpt").exists)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    os.kill(int(children[0]), signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said == (
        "error: a process that reads images was killed, most likely because memory ran out\n"
        "  help: have fewer of them, --workers 1 for example, or --workers 0 for none; or make memory free\n"
    )


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_number_of_workers_can_be_chosen(workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.input import loaders

    photos(tmp_path / "photos")
    recipe = {"data": str(tmp_path / "photos"), "batch_size": 4, "augment": ["random_resized_crop"]}
    job = prepare(from_dict(PHOTOS | {"train": PHOTOS["train"] | recipe}), tmp_path)  # type: ignore[operator]
    assert loaders.loader(job.train, 4, shuffle_by=1, workers=workers).num_workers == workers
    drawn = [images for images, _ in loaders.loader(job.train, 4, shuffle_by=1, workers=workers)]
    again = [images for images, _ in loaders.loader(job.train, 4, shuffle_by=1, workers=0)]
    assert all(one.equal(other) for one, other in zip(drawn, again, strict=True))


# --- what is left behind ---------------------------------------------------------------------------------------------


def test_leftovers_of_killed_processes_are_removed_at_the_next_start(net: Path) -> None:
    process = Command(LONG, net)
    folder = net / "runs" / "net"
    wait_for((folder / "checkpoints" / "last.ckpt").exists)
    process.kill()
    process.wait(60)
    for name in ("checkpoints/.last.ckpt.123", "checkpoints/.best.ckpt.4567", ".results.json.123", ".metrics.csv.9"):
        (folder / name).write_text("half")
    with subprocess.Popen(command("train", "--resume", "net"), cwd=net, stdout=subprocess.PIPE, text=True) as again:
        assert again.stdout is not None
        assert again.stdout.readline().startswith("going on from epoch ")
        again.terminate()
    assert not [file for file in folder.rglob(".*") if file.name not in (".lock",)]


def test_a_finished_run_keeps_one_best_and_one_last_checkpoint(tmp_path: Path) -> None:
    folder = Path(train(prepare(from_dict(SPEC, "net"), tmp_path), tmp_path, Options(pictures=False)).folder)
    assert {file.name for file in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_a_command_repeated_after_a_stop_is_told_of_the_run_that_was_stopped(run: Callable, net: Path) -> None:
    arguments = ["train", "net.yaml", "--epochs", "12"]
    process = Command([*arguments, "--save-steps", "1"], net)
    wait_for((net / "runs" / "net" / "checkpoints" / "last.ckpt").exists)
    process.kill()
    process.wait(60)
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (
        0,
        "note: runs/net was stopped at the same training: archspec train --resume runs/net goes on with it\n",
    )


# --- names and variants ----------------------------------------------------------------------------------------------


def test_a_run_can_be_named(run: Callable, net: Path) -> None:
    done = run("train", "net.yaml", "--epochs", "1", "--name", "first try")
    assert (done.returncode, done.stderr) == (0, "")
    assert folders.find("first try", net / "runs").environment["name"] == "first try"
    assert "\nfirst try: runs/first try\n" in done.stdout
    for name in ("a/b", ".hidden", "", "-x", "a\nb"):
        done = run("train", "net.yaml", f"--name={name}")
        assert (done.returncode, done.stdout) == (2, "")
        assert (
            "cannot be the name of a run's folder\n  help: take letters and digits, `wide-lr0.1` say\n" in done.stderr
        )
    done = run("train", "digits", "net.yaml", "--name", "x")
    assert done.stderr == (
        "error: --name names one training, and several are asked for\n  help: leave it out, or train one by one\n"
    )


def test_several_variants_are_trained_and_compared(run: Callable, net: Path) -> None:
    done = run("train", "net.yaml", "--epochs", "1", "--variant", "wide", "--variant", "other", "--variant", "wide")
    assert (done.returncode, done.stderr) == (0, "")
    assert {folder.name for folder in (net / "runs").iterdir() if folder.is_dir()} == {"net-wide", "net-other"}
    done = run("check", "net.yaml", "--variant", "wide", "--variant", "other")
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["wide", "other"]
    done = run("build", "net.yaml", "--variant", "wide", "--variant", "other")
    assert done.returncode == 2
    assert done.stderr.endswith("Error: Invalid value for '--variant': one variant is built, not 2.\n")


# --- what is said ----------------------------------------------------------------------------------------------------


def test_without_a_terminal_a_line_is_printed_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(heartbeat, "SECONDS", 0.0)
    train(prepare(from_dict(SPEC, "net"), tmp_path), tmp_path, Options(pictures=False))
    lines = capsys.readouterr().out.splitlines()
    pattern = r"epoch 2/3, batch 5 of 11  loss \d\.\d{4}  [\d,]+ images/s  \d+ s left"
    assert sum(bool(re.fullmatch(pattern, line)) for line in lines) == 1
    assert lines.count("epoch 2/3, validating, batch 2 of 2") == 1
    monkeypatch.setattr(heartbeat, "SECONDS", 60.0)
    train(prepare(from_dict(SPEC, "net"), tmp_path), tmp_path, Options(pictures=False))
    assert [line[:9] for line in capsys.readouterr().out.splitlines()] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (99, "99 s"), (3000, "50 min"), (7200, "2.0 h")])
def test_the_time_left_is_said_roughly(seconds: float, words: str) -> None:
    assert heartbeat._duration(seconds) == words


def test_resuming_says_where_it_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(train(prepare(from_dict(SPEC, "net"), tmp_path), tmp_path, Options(pictures=False)).folder)
    (folder / "results.json").unlink()
    capsys.readouterr()
    resume_run(folders.find("net", tmp_path), None, Options(pictures=False), print)
    assert capsys.readouterr().out == "all its steps are done\n"

"""Several processes train as one would: real processes on the CPU, over gloo."""

from __future__ import annotations

import csv
import json
import socket
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.run
import yaml
from conftest import ROOT
from forks import WITHOUT_PICTURES, Command
from hypothesis import given, strategies

from archspec.spec import load
from trainer.input.loaders import Batches
from trainer.runs import checkpoints, folders as run_folders
from trainer.runs.evaluation import evaluate, load_network
from trainer.runs.job import prepare

pytestmark = pytest.mark.slow

RECORDER = str(ROOT / "tests" / "recorder.py")
PLAIN = {
    "archspec": 1,
    "name": "Plain",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    # nothing in it that depends on which images are together: no batch norm, nothing drawn
    "network": [{"conv": {"out": 6, "kernel": 3}}, "relu", "flatten", {"linear": "=num_classes"}],
    "train": {"epochs": 3, "validation": 0.2, "batch_size": 100, "optimizer": {"name": "sgd", "lr": 0.1}},
}
NOISY = PLAIN | {
    "network": [
        {"conv": {"out": 6, "kernel": 3}},
        "batch_norm",
        "relu",
        "flatten",
        {"dropout": 0.3},
        {"linear": "=num_classes"},
    ],
    "train": PLAIN["train"] | {"epochs": 12, "augment": [{"random_resized_crop": {"scale": [0.6, 1.0]}}]},
}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def begun(folder: Path, *arguments: str, script: str = RECORDER, **environment: str) -> Command:
    """A process in a session of its own, so that a signal can reach all that it starts."""
    folder.mkdir(exist_ok=True)
    for name, spec in (("plain", PLAIN), ("noisy", NOISY)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(spec))
    environment = {"PYTHONIOENCODING": "utf-8", WITHOUT_PICTURES: "1"} | environment
    return Command(list(arguments), folder, script=script, session=True, **environment)


def ended(process: Command) -> tuple[int, str, str]:
    out, said = process.communicate(timeout=240)
    return process.wait(0), out, said


def by_itself(folder: Path, *arguments: str) -> list[tuple[int, str, str]]:
    return [ended(begun(folder, *arguments, "--devices", "2"))]


def by_torchrun(folder: Path, *arguments: str) -> list[tuple[int, str, str]]:
    torchrun = ("--standalone", "--nproc-per-node", "2")
    return [ended(begun(folder, *torchrun, RECORDER, *arguments, script=torch.distributed.run.__file__))]


def by_srun(folder: Path, *arguments: str) -> list[tuple[int, str, str]]:
    """What srun sets for each of the tasks that it starts."""
    job = {"NTASKS": "2", "NTASKS_PER_NODE": "2", "NNODES": "1", "NODELIST": "127.0.0.1", "NODEID": "0"}
    job |= {"STEP_NUM_TASKS": "2", "STEP_NUM_NODES": "1", "JOB_NAME": "training"}
    tasks = [{f"SLURM_{name}": value for name, value in job.items()} for _ in range(2)]
    port = str(free_port())
    processes = [
        begun(folder, *arguments, **task, SLURM_PROCID=str(i), SLURM_LOCALID=str(i), MASTER_PORT=port)
        for i, task in enumerate(tasks)
    ]
    return [ended(process) for process in processes]


def seen(folder: Path, step: str) -> dict[int, Counter[str]]:
    """How often all processes together saw each image in each epoch."""
    epochs: dict[int, Counter[str]] = {}
    for file in sorted(folder.glob("records-*.jsonl")):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            if record["step"] == step:
                epochs.setdefault(record["epoch"], Counter()).update(record["images"])
    return epochs


def logged(folder: Path) -> dict[str, list[float]]:
    with open(folder / "metrics.csv", newline="") as text:
        rows = list(csv.DictReader(text))
    return {
        name: [float(row[name]) for row in rows if row[name]] for name in ("train_loss", "val_loss", "val_accuracy")
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training by one process."""
    folder = tmp_path_factory.mktemp("alone")
    status, _, said = ended(begun(folder, "train", "plain.yaml"))
    assert (status, said) == (0, "")
    return folder


@pytest.mark.parametrize("start", [by_itself, by_torchrun, by_srun])
def test_two_processes_do_what_one_does(start: Any, alone: Path, tmp_path: Path) -> None:
    results = start(tmp_path, "train", "plain.yaml")
    assert [status for status, _, _ in results] == [0] * len(results)
    if start is not by_torchrun:  # which says things of its own
        assert [said for _, _, said in results] == [""] * len(results)
    assert [("trained on digits" in out, out.count("epoch 3/3")) for _, out, _ in results[:1]] == [(True, 1)]
    assert [out for _, out, _ in results[1:]] == [""] * (len(results) - 1)

    # every image once an epoch, those of one process's epoch, and neither process with all of them
    for step in ("training_step", "validation_step"):
        assert sorted(seen(tmp_path, step)) == [0, 1, 2]
        assert seen(tmp_path, step) == seen(alone, step)
    shares = [len((tmp_path / f"records-{i}.jsonl").read_text()) for i in range(2)]
    assert max(shares) < 0.55 * sum(shares)

    # the same metrics, but for the order in which numbers are added up
    mine, theirs = (logged(folder / "runs" / "plain") for folder in (tmp_path, alone))
    assert mine["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-5)
    assert mine["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-5)
    assert mine["val_accuracy"] == theirs["val_accuracy"]
    a, b = (checkpoints.load(folder / "runs" / "plain" / "checkpoints" / "last.ckpt") for folder in (tmp_path, alone))
    for name, tensor in a["state_dict"].items():
        assert torch.allclose(tensor, b["state_dict"][name], atol=1e-5), name
    a, b = (json.loads((folder / "runs" / "plain" / "results.json").read_text()) for folder in (tmp_path, alone))
    assert a["test_accuracy"] == b["test_accuracy"]
    assert a["images_per_second"] * a["seconds"] == pytest.approx(3 * 1100)

    # one run, and only the first process writes there
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["plain"]
    assert len((tmp_path / "writes-0.txt").read_text().splitlines()) > 10
    assert (tmp_path / "writes-1.txt").read_text() == ""
    files = [
        {path.name.split(".")[0] for path in (folder / "runs" / "plain").iterdir()} for folder in (tmp_path, alone)
    ]
    drawn = {"augmentation", "curves", "mistakes", "reliability"} if start is by_torchrun else set()
    assert files[0] - drawn == files[1]  # only torchrun's processes draw pictures


TIMES = ("seconds", "images_per_second")


def check_validation(folder: Path) -> None:
    """What two processes said of the validation images is what one says, by the same weights and running statistics."""
    run = run_folders.find("noisy", folder / "runs")
    job = prepare(load(str(run.folder / "spec.yaml")), folder, num_classes_given=True)
    found, metrics = evaluate(load_network(run).module, job.validation), logged(run.folder)
    assert found.accuracy == pytest.approx(max(metrics["val_accuracy"]), abs=1e-6)
    best = metrics["val_accuracy"].index(max(metrics["val_accuracy"]))
    assert found.loss == pytest.approx(metrics["val_loss"][best], rel=1e-5)


def assert_saved(process: Command, signal: str, status: int) -> None:
    """A signal ended a process, which saved before, and one of those that trained said so."""
    ended_by, _, said = ended(process)
    begin = f"stopped by {signal}: saved "
    assert (ended_by, said[: len(begin)], said.splitlines(True)[1:]) == (
        status,
        begin,
        ["  help: resume it: archspec train --resume runs/noisy\n"],
    )


def test_processes_stop_together_and_go_on(tmp_path: Path) -> None:
    """A signal to one, a signal to all, and the death of one; then the same weights as without all that.

    Each is sent by a process to itself, or to all, in a certain step: what waits outside for the right moment comes too
    late on a machine that has other work.
    """
    assert [status for status, _, _ in by_srun(tmp_path / "whole", "train", "noisy.yaml")] == [0, 0]
    check_validation(tmp_path / "whole")
    folder, again = tmp_path / "stopped", ("train", "--resume", "noisy", "--devices", "2")
    run = folder / "runs" / "noisy"

    process = begun(folder, "train", "noisy.yaml", "--devices", "2", SIGNAL="0:30:SIGTERM")
    assert_saved(process, "SIGTERM", 143)
    assert_saved(begun(folder, *again, SIGNAL="0:30:SIGINT:all"), "SIGINT", 130)
    assert_saved(begun(folder, *again, SIGNAL="1:30:SIGTERM"), "SIGTERM", 143)
    status, _, said = ended(begun(folder, *again, SIGNAL="1:30:SIGKILL"))
    assert (status, said) == (
        2,
        "error: another process of this training ended; its error, if any, is printed above\n"
        "  help: resume from the last checkpoint: archspec train --resume RUN\n",
    )

    assert [(status, said) for status, _, said in by_srun(folder, *again)] == [(0, ""), (0, "")]
    assert (folder / "writes-1.txt").read_text() == ""
    a, b = (json.loads((path / "results.json").read_text()) for path in (run, tmp_path / "whole" / "runs" / "noisy"))
    assert {name: a[name] for name in a if name not in TIMES} == {name: b[name] for name in b if name not in TIMES}
    a, b = (
        checkpoints.load(path / "runs" / "noisy" / "checkpoints" / "last.ckpt") for path in (folder, tmp_path / "whole")
    )
    assert all(torch.equal(tensor, b["state_dict"][name]) for name, tensor in a["state_dict"].items())
    assert (run / "metrics.csv").read_text() == (tmp_path / "whole" / "runs" / "noisy" / "metrics.csv").read_text()


def test_ddp_of_one_process_trains_a_network_parts_of_which_get_no_gradient(tmp_path: Path) -> None:
    branch = ["relu", {"save": "trunk"}, {"conv": {"out": 2, "kernel": 1}}, {"output": "features"}, {"load": "trunk"}]
    network = [PLAIN["network"][0], *branch, *PLAIN["network"][2:]]  # type: ignore[index]
    tmp_path.joinpath("branch.yaml").write_text(yaml.safe_dump(PLAIN | {"network": network}))
    process = begun(tmp_path, "train", "branch.yaml", "--strategy", "ddp", "--epochs", "1", script="")
    status, out, said = ended(process)
    assert (status, said) == (0, "")
    assert "epoch 1/1" in out


def test_a_loss_that_is_not_finite_in_one_process_ends_all(tmp_path: Path) -> None:
    process = begun(tmp_path, "train", "plain.yaml", "--devices", "2", SPOIL="1:5")
    status, _, said = ended(process)
    assert (status, said) == (
        2,
        "error: the training loss is not finite in step 5 (epoch 1, batch 5 of 11): the training diverges\n"
        "  help: lower the learning rate, --set train.optimizer.lr=0.01 for example; there was no checkpoint yet\n",
    )


TORCHRUN = {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (
            ["--devices", "2", "--set", "train.batch_size=63"],
            {},
            "error: a batch of 63 cannot be shared equally among 2 processes\n  help: --set train.batch_size=64\n",
        ),
        (
            ["--devices", "2", "--set", "train.validation=1"],
            {},
            "error: a validation set of 1 cannot be divided among 2 processes\n"
            "  help: --set train.validation=2, or train on fewer devices\n",
        ),
        (
            ["--devices", "3"],
            TORCHRUN,
            "error: --devices 3, but torchrun started 2\n  help: leave --devices out: what torchrun started is used\n",
        ),
        (
            ["--num-nodes", "2"],
            TORCHRUN,
            "error: --num-nodes 2, but torchrun started 1\n"
            "  help: leave --num-nodes out: what torchrun started is used\n",
        ),
        (["--devices", "3"], TORCHRUN | {"RANK": "1"}, ""),  # the first process says it for all
        (
            ["--strategy", "fsdp"],
            {},
            "error: --strategy fsdp: it needs GPUs, and this runs on the CPU\n  help: --strategy ddp\n",
        ),
        (
            ["--accelerator", "gpu"],
            {},
            "error: --accelerator gpu: there is no GPU here\n  help: leave it out to use the CPU\n",
        ),
        (
            ["--devices", "none"],
            {},
            "Usage: python -m archspec train [OPTIONS] [SPEC]...\n"
            "Try 'python -m archspec train --help' for help.\n\n"
            "Error: Invalid value for '--devices': `none` is neither a number from 1 on nor `auto`.\n",
        ),
    ],
)
def test_errors_are_reported_once(
    arguments: list[str], environment: dict[str, str], message: str, tmp_path: Path
) -> None:
    environment = environment | {"CUDA_VISIBLE_DEVICES": ""}
    process = begun(tmp_path, "train", "plain.yaml", *arguments, script="", **environment)
    assert ended(process) == (2, "", message)
    assert not (tmp_path / "runs").exists()


@given(
    count=strategies.integers(1, 500),
    batch=strategies.integers(2, 40),
    size=strategies.integers(1, 5),
    epoch=strategies.integers(0, 3),
)
def test_processes_share_out_what_one_would_take(count: int, batch: int, size: int, epoch: int) -> None:
    whole = Batches(count, batch * size, seed=7)
    parts = [Batches(count, batch * size, seed=7, rank=rank, size=size) for rank in range(size)]
    for one in (whole, *parts):
        one.set_epoch(epoch)
    # of each shuffled batch, all have as many
    for one, *shared in zip(whole, *parts, strict=True):
        assert [len(share) for share in shared] == [batch] * size
        assert sorted(chain(*shared)) == sorted(one)
    # the seeds by which they augment differ
    seeded = [Batches(count, batch * size, 7, seeded=True, rank=rank, size=size) for rank in range(size)]
    for drawn in zip(*seeded, strict=True):
        assert len({seed for seed, _ in drawn}) == size
    if count < size:
        return
    divided = [list(Batches(count, batch, None, rank=rank, size=size)) for rank in range(size)]
    assert len({len(batches) for batches in divided}) == 1
    assert all(0 < len(positions) <= batch for batches in divided for positions in batches)
    assert sorted(chain(*(positions for batches in divided for positions in batches))) == list(range(count))

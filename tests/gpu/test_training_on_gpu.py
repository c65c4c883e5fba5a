"""Trainings on a GPU through the command line: what is learnt, stopped and resumed, and used again without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import ROOT
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor

from trainer.runs import checkpoints

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

SMALL = {
    "archspec": 1,
    "name": "Small",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": [
        {"conv": {"out": 16, "kernel": 3, "padding": 1}},
        "batch_norm",
        "relu",
        {"max_pool": {"kernel": 2}},
        {"conv": {"out": 32, "kernel": 3, "padding": 1}},
        "batch_norm",
        "relu",
        {"aux": {"name": "side", "weight": 0.3, "body": ["global_avg_pool", "flatten", {"linear": "=num_classes"}]}},
        "flatten",
        {"dropout": 0.2},
        {"linear": "=num_classes"},
    ],
    "train": {
        "epochs": 3,
        "validation": 0.2,
        "batch_size": 100,
        "augment": [{"random_resized_crop": {"scale": [0.6, 1.0]}}, {"mixup": {}}],
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
        "schedule": "cosine",
        "warmup": {"steps": 5},
    },
}
BATCHES = 11  # of an epoch of 1,150 images
HIDDEN = {"CUDA_VISIBLE_DEVICES": ""}


def said(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a command of Python says, in a folder that holds `small.yaml`."""
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"} | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
    )


def ended(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    """The exit status of a command and what it said on stderr, the warnings of NCCL's C++ left out."""
    lines = [line for line in done.stderr.splitlines(True) if not line.startswith(("[W", "[rank"))]
    return done.returncode, "".join(lines)


def archspec(folder: Path, *arguments: str, **environment: str) -> str:
    """The output of a command of ours, in which nothing is wrong."""
    done = said(folder, "-m", "archspec", *arguments, **environment)
    assert ended(done) == (0, "")
    return done.stdout


def evaluation(folder: Path, run: str, **environment: str) -> Any:
    (result,) = json.loads(archspec(folder, "test", run, "--format", "json", **environment))["results"]
    return result


def read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--set train.precision=bf16-mixed",
        "--set train.precision=16-mixed",
        "--set train.channels_last=true",
        "--compile",
        "--compile --set train.precision=bf16-mixed",
        "--compile --set train.accumulate=2 --set train.ema={decay:0.9} --set train.clip={norm:5}",
    ],
    ids=lambda options: options.replace("--set train.", "") or "defaults",
)
def test_a_training_learns_and_its_run_works_without_a_gpu(options: str, tmp_path: Path) -> None:
    # YAML wants a space after the colon, which would end the word in the list above
    words = [word.replace(":", ": ") for word in options.split()]
    archspec(tmp_path, "train", "digits", "--epochs", "6", *words)
    run = tmp_path / "runs" / "digits"
    assert read(run / "environment.json")["machine"]["accelerator"] == "gpu"
    result = read(run / "results.json")
    assert result["test_accuracy"] > 0.9

    for environment in ({}, HIDDEN):  # on the GPU again, and on a CPU, which rounds otherwise
        again = evaluation(tmp_path, "digits", **environment)
        assert again["test_accuracy"] == pytest.approx(result["test_accuracy"], abs=1.5 / 360)
        assert again["test_loss"] == pytest.approx(result["test_loss"], rel=0.02)


def test_predictions_are_those_of_a_cpu(tmp_path: Path) -> None:
    archspec(tmp_path, "train", "small.yaml")
    for number, image in enumerate(load_digits().images[:5]):
        Image.fromarray((image * 15.9).astype("uint8")).save(tmp_path / f"{number}.png")
    command = ["predict", "small", *(f"{number}.png" for number in range(5)), "--format", "json"]
    here, elsewhere = (json.loads(archspec(tmp_path, *command, **given)) for given in ({}, HIDDEN))
    likeliest = [[image["top"][0] for image in answer["results"]] for answer in (here, elsewhere)]
    assert [one["class"] for one in likeliest[0]] == [one["class"] for one in likeliest[1]]
    assert [one["probability"] for one in likeliest[0]] == pytest.approx(
        [one["probability"] for one in likeliest[1]], abs=0.01
    )


def weights(folder: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = checkpoints.load(folder / "runs" / "small" / "checkpoints" / "last.ckpt")["state_dict"]
    return found


@pytest.mark.parametrize(
    ("strategy", "precision"), [("auto", "32-true"), ("auto", "bf16-mixed"), ("ddp", "32-true"), ("fsdp", "32-true")]
)
def test_stopped_and_killed_and_resumed_it_ends_as_if_it_had_not_been(
    strategy: str, precision: str, tmp_path: Path
) -> None:
    """With kernels that give the same bits each time: stopped in a step, killed in another, against a whole training."""
    recorder = str(ROOT / "tests" / "recorder.py")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    start = ["train", "small.yaml", "--strategy", strategy, "--set", f"train.precision={precision}"]
    resume = ["train", "--resume", "small", "--strategy", strategy]
    for folder in (whole, parts):
        folder.mkdir()
    done = said(whole, recorder, *start, DETERMINISTIC="1")
    assert ended(done) == (0, "")

    stopped = said(parts, recorder, *start, DETERMINISTIC="1", SIGNAL=f"0:{BATCHES + 4}:SIGTERM")
    assert ended(stopped) == (
        143,
        "stopped by SIGTERM: saved epoch 2, after batch 4\n  help: resume it: archspec train --resume runs/small\n",
    )
    killed = said(parts, recorder, *resume, "--save-steps", "3", DETERMINISTIC="1", SIGNAL="0:9:SIGKILL")
    assert killed.returncode == -9
    done = said(parts, recorder, *resume, DETERMINISTIC="1")
    assert ended(done) == (0, "")

    expected, found = weights(whole), weights(parts)
    assert found.keys() == expected.keys()
    assert [name for name, tensor in expected.items() if not torch.equal(found[name], tensor)] == []
    results = [read(folder / "runs" / "small" / "results.json") for folder in (whole, parts)]
    for name in ("seconds", "images_per_second"):
        for one in results:
            del one[name]
    assert results[0] == results[1]
    # the checkpoint is whole: another strategy, or none, reads it
    assert evaluation(parts, "small")["test_accuracy"] == pytest.approx(results[1]["test_accuracy"], abs=1e-6)


def test_images_that_are_streamed_reach_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from archspec.spec import from_dict
    from trainer.input import splits
    from trainer.runs.job import prepare
    from trainer.session import train

    monkeypatch.setattr(splits, "MEMORY_LIMIT", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        folder = tmp_path / "digits" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15.9).astype("uint8")).save(folder / f"{number}.png")
    spec = SMALL | {"train": SMALL["train"] | {"data": str(tmp_path / "digits"), "epochs": 5, "augment": []}}  # type: ignore[operator]
    job = prepare(from_dict(spec, "small"), tmp_path)
    assert type(job.train).__name__ == "Stream"
    assert train(job, tmp_path / "runs").metrics["test_accuracy"] > 0.9


def test_more_processes_than_gpus_are_refused(tmp_path: Path) -> None:
    count = torch.cuda.device_count()
    done = said(tmp_path, "-m", "archspec", "train", "small.yaml", "--devices", str(count + 1))
    there = "there is 1 GPU" if count == 1 else f"there are {count} GPUs"
    assert ended(done) == (
        2,
        f"error: {count + 1} processes on this machine, but {there} to be seen\n  help: --devices {count}\n",
    )

"""Before its first step, a training says what a step needs of memory, and whether there is so much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import archspec
from archspec.recipe.optimizers import OPTIMIZERS
from trainer.processes.devices import Devices
from trainer.runs import memory_need
from trainer.runs.job import Job, prepare

SPEC = {
    "archspec": 1,
    "name": "Small",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": [{"conv": {"out": 8, "kernel": 3}}, "relu", "flatten", {"linear": "=num_classes"}],
}
PARAMETERS = 8 * 9 + 8 + 8 * 36 * 10 + 10
IMAGE = 64 + 2 * 8 * 36 + 10
"""Values of an image, of what a convolution and a relu give, and of the logits."""


def job(folder: Path, **recipe: Any) -> Job:
    train = {"batch_size": 100, "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}} | recipe
    return prepare(archspec.from_dict(SPEC | {"train": train}), folder)


def test_a_step_needs_parameters_gradients_state_and_activations(tmp_path: Path) -> None:
    need = memory_need.estimate(job(tmp_path), Devices("cpu"))
    least = 4 * (3 * PARAMETERS + 100 * IMAGE)  # weights, gradients, momentum; then, the gradients of activations
    assert least <= need.needed <= least + 4 * 100 * 2 * 8 * 36
    adam = memory_need.estimate(job(tmp_path, optimizer={"name": "adamw"}), Devices("cpu"))
    assert adam.needed >= need.needed + 4 * PARAMETERS
    averaged = memory_need.estimate(job(tmp_path, ema={"decay": 0.9}), Devices("cpu"))
    assert averaged.needed == need.needed + 4 * PARAMETERS
    two = memory_need.estimate(job(tmp_path), Devices("cpu", devices=2))
    assert (two.batch, two.needed > need.needed) == (50, True)  # both processes in one memory


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_need_of_every_optimizer_is_known(name: str, tmp_path: Path) -> None:
    assert (
        memory_need.estimate(job(tmp_path, optimizer={"name": name, "lr": 0.1}), Devices("cpu")).needed > 4 * PARAMETERS
    )


def test_a_step_that_fits_is_told_in_a_line_and_one_that_does_not_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_need, "free_memory", lambda: 2_000_000_000)
    fits = memory_need.estimate(job(tmp_path), Devices("cpu"))
    assert fits.warning() is None
    monkeypatch.setattr(memory_need, "free_memory", lambda: 300_000)
    scarce = memory_need.estimate(job(tmp_path), Devices("cpu"))
    assert scarce.needed == fits.needed
    assert (
        fits.line()
        == f"a step with 100 images needs about {fits.needed / 1000:.0f} KB; 2.000 GB are free on this machine"
    )
    assert scarce.warning() == (
        f"memory will hardly suffice: a step with 100 images needs about {fits.needed / 1000:.0f} KB; "
        "300 KB are free on this machine\n  help: a batch of 64 would fit: --set train.batch_size=64"
    )
    assert memory_need.estimate(job(tmp_path, batch_size=64), Devices("cpu")).warning() is None
    monkeypatch.setattr(memory_need, "free_memory", lambda: 1000)
    assert str(memory_need.estimate(job(tmp_path), Devices("cpu")).warning()).endswith(
        "help: not even one image would fit: take a smaller network or input, or `recompute: true` at a node"
    )
    monkeypatch.setattr(memory_need, "free_memory", lambda: None)
    unknown = memory_need.estimate(job(tmp_path), Devices("cpu"))
    assert (unknown.warning(), unknown.line()) == (None, fits.line().partition(";")[0])


MEMINFO = "MemTotal:  900 kB\nMemFree:  100 kB\nMemAvailable:     500 kB\n"


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 512_000),
        ({"memory.max": "max\n", "memory.current": "5\n"}, 512_000),
        (
            {"memory.max": "400000\n", "memory.current": "100000\n", "memory.stat": "anon 1\ninactive_file 50000\n"},
            350_000,
        ),
        ({"memory.max": "400000\n", "memory.current": "500000\n"}, 0),
        ({"memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.usage_in_bytes": "7"}, 512_000),
        ({"memory/memory.limit_in_bytes": "300000", "memory/memory.usage_in_bytes": "7"}, 299_993),
    ],
)
def test_what_is_free_is_what_system_and_container_leave(files: dict[str, str], free: int, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory_need.free_memory(tmp_path, tmp_path) == free


@pytest.mark.gpu
def test_on_a_gpu_its_own_memory_counts(tmp_path: Path) -> None:
    need = memory_need.estimate(job(tmp_path), Devices("gpu"))
    assert need.where == torch.cuda.get_device_name()
    assert need.free == pytest.approx(torch.cuda.mem_get_info()[0], rel=0.01)


def test_rows_of_a_table_are_no_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_need, "free_memory", lambda: 1000)
    table = archspec.load("iris", set=["train.batch_size=16"])
    need = memory_need.estimate(prepare(table, tmp_path), Devices("cpu"))
    assert need.line().startswith("a step with 16 samples needs about ")
    assert str(need.warning()).endswith(
        "help: not even one sample would fit: take a smaller network or input, or `recompute: true` at a node"
    )

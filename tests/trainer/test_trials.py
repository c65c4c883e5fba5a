"""Trials: a learning rate is suggested, the parts of a step are timed, a batch is fitted; no training is changed."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

import archspec
from archspec.cli import main
from archspec.foundation.errors import UsageError
from archspec.views.memory import training_memory
from trainer.processes.group import SINGLE_PROCESS
from trainer.runs.job import Job, prepare
from trainer.session import make_module
from trainer.steps.compute import training_loader
from trainer.trial import profile as profiling
from trainer.trial.batch_size import fit_batch, largest_batch, planned
from trainer.trial.lr_find import RangeTest, find_rate
from trainer.trial.profile import Stopwatch, profile

LINEAR: dict[str, Any] = {
    "archspec": 1,
    "name": "Linear",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": {"body": ["flatten", {"linear": 16}, "relu"], "head": {"linear": "=num_classes"}},
}


def job(folder: Path, **recipe: Any) -> Job:
    written = {"validation": 0.2, "batch_size": 100, "epochs": 1, "optimizer": {"name": "sgd", "lr": 0.1}} | recipe
    return prepare(archspec.from_dict(LINEAR | {"train": written}), folder)


def said(arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, str]:
    monkeypatch.setattr("sys.argv", ["archspec", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code, capsys.readouterr().err


# --- the learning rate ------------------------------------------------------------------------------------------------


def test_a_range_test_is_a_training_whose_rate_rises(tmp_path: Path) -> None:
    """Held against a loop of torch's alone, with two parts of which one learns ten times as fast."""
    recipe = {"lr_scale": {"head": 10}, "schedule": "cosine", "warmup": {"steps": 3}, "monitor": "val_loss"}
    here = job(tmp_path, **recipe)
    found = find_rate(here, SINGLE_PROCESS)
    factor = 10 ** (8 / 99)
    assert list(found.rates) == pytest.approx([1e-7 * factor**step for step in range(len(found.rates))])

    torch.manual_seed(here.recipe.seed)
    network = make_module(here).network
    body, head = (
        [one for name, one in network.named_parameters() if name.startswith(part)] for part in ("body", "head")
    )
    optimizer = torch.optim.SGD([{"params": body}, {"params": head}], lr=0.1)
    loader = training_loader(here.train, here.recipe, torch.device("cpu"), group=SINGLE_PROCESS, workers=None)
    mean, std = here.statistics or (0, 1)
    losses: list[float] = []
    for epoch in range(9):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        for images, labels in loader:
            if len(losses) == len(found.rates):
                break
            rate = found.rates[len(losses)]
            optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = rate / 10, rate
            loss = functional.cross_entropy(network((images / 255 - mean) / std), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    count = 85  # later ones are chaotic
    assert len(found.losses) > count
    assert list(found.losses[:count]) == pytest.approx(losses[:count], rel=1e-3)
    assert found.rates[10] < (found.suggestion or 0) < found.least


def test_the_rate_is_suggested_where_the_average_falls_fastest(tmp_path: Path) -> None:
    rates = [10 ** (-6 + step / 10) for step in range(60)]
    falling = [2 - 1.5 / (1 + math.exp(-(step - 30) / 3)) for step in range(50)]
    smooth = [*falling, *(0.5 * 1.5**step for step in range(10))]
    found = RangeTest(rates, smooth, smooth)
    assert found.suggestion == rates[30]
    assert found.least == rates[50]
    assert RangeTest(rates, smooth, [2.0] * 60).suggestion is None
    assert RangeTest(rates[:11], smooth, smooth[:11]).suggestion is None
    files = found.write(tmp_path)
    assert [file.name for file in files] == ["lr_find.csv", "lr_find.png", "lr_find.svg"]
    rows = list(csv.DictReader(files[0].open()))
    assert float(rows[30]["lr"]) == rates[30]
    assert files[1].stat().st_size > 5000


def test_a_network_whose_loss_is_not_finite_has_no_rate(tmp_path: Path) -> None:
    network = ["flatten", {"linear": 16}, {"linear": 16}, {"linear": "=num_classes"}]
    spec = LINEAR | {"network": network, "init": {"linear": {"weight": 1e18}}, "train": {"batch_size": 100}}
    with pytest.raises(UsageError) as caught:
        find_rate(prepare(archspec.from_dict(spec), tmp_path), SINGLE_PROCESS)
    assert str(caught.value) == (
        "the loss is not finite after 0 steps at a learning rate of at most 1.0e-07\n"
        "  help: look at the initial weights (`init`), and at what the network's last layer gives"
    )


@pytest.mark.slow
def test_the_command_suggests_a_rate_and_leaves_a_table_and_pictures(run: Any, tmp_path: Path) -> None:
    done = run("train", "digits", "--lr-find", "--set", "train.batch_size=128")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Digits, 308,074 parameters, on digits: the learning rate rose from 1.0e-07 to ")
    assert lines[1].endswith(
        f"where the loss falls fastest: --set train.optimizer.lr={lines[1].split()[1].rstrip(',')}"
    )
    assert lines[2].startswith("  at most     ")
    assert lines[2].endswith(", where the loss is least, and rises beyond")
    files = [Path("runs/digits-lr-find") / f"lr_find.{suffix}" for suffix in ("csv", "png", "svg")]
    assert lines[3:] == [f"  files       {', '.join(map(str, files))}"]
    assert sorted(tmp_path.rglob("*.*")) == sorted(tmp_path / file for file in files)


# --- where time goes --------------------------------------------------------------------------------------------------


def test_each_part_of_a_step_has_its_own_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only what is meant to take time moves on."""
    clock = {"now": 0.0}
    monkeypatch.setattr(profiling, "time_at", lambda device: clock["now"])
    watch = Stopwatch.watch

    def slowed(function: Any, seconds: float) -> Any:
        def slow(*arguments: Any, **named: Any) -> Any:
            clock["now"] += seconds
            return function(*arguments, **named)

        return slow

    def slow_parts(self: Stopwatch, module: Any) -> None:
        module.network.forward = slowed(module.network.forward, 0.03)
        module.loss.forward = slowed(module.loss.forward, 0.01)
        module.augmentation = slowed(module.augmentation, 0.005)
        module.normalize = slowed(module.normalize, 0.0025)
        module.backward = slowed(module.backward, 0.05)
        module.configure_optimizers = stepping(module.configure_optimizers)
        watch(self, module)

    def stepping(configure: Any) -> Any:
        def configured() -> Any:
            optimizer = configure()
            optimizer.zero_grad = slowed(optimizer.zero_grad, 0.02)
            return optimizer

        return configured

    monkeypatch.setattr(Stopwatch, "watch", slow_parts)
    found = profile(job(tmp_path), SINGLE_PROCESS)
    assert found.batches == 10  # all but the first of 11
    assert found.seconds == pytest.approx(
        {
            **dict.fromkeys(("data", "transfer", "other"), 0),
            **{"augment": 0.005, "prepare": 0.0025, "forward": 0.03, "loss": 0.01, "backward": 0.05, "optimizer": 0.02},
        }
    )
    found.write(tmp_path / "profile.csv")
    rows = list(csv.reader((tmp_path / "profile.csv").open()))
    assert rows[0] == ["part", "milliseconds", "share"]
    assert [float(one) for one in rows[5][1:]] == pytest.approx([30, 3 / 11.75])


def test_the_command_shows_where_time_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["archspec", "train", "digits", "--profile", "--set", "train.batch_size=400"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code in (0, None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Digits, 308,074 parameters, on digits, on CPU"
    assert lines[1].startswith("  a batch of 400 takes ")
    names = ["data", "transfer", "augment", "prepare", "forward", "loss", "backward", "optimizer", "other"]
    assert [line.split()[0] for line in lines[2:-1]] == names
    assert sum(float(line.split()[3].rstrip("%")) for line in lines[2:-1]) == pytest.approx(100, abs=0.6)
    assert lines[-1] == "  the table: runs/digits-profile/profile.csv"
    assert [one.name for one in Path("runs/digits-profile").iterdir()] == ["profile.csv"]


# --- a batch that fits ------------------------------------------------------------------------------------------------


def test_the_planned_batch_is_the_largest_that_memory_suffices_for(tmp_path: Path) -> None:
    here = job(tmp_path, optimizer={"name": "adam", "lr": 0.1})
    peaks = {size: training_memory(here.spec.plan, size, "adam", {"lr": 0.1}, "32").peak for size in range(1, 400)}
    for memory in (peaks[100], peaks[100] - 1, peaks[5], peaks[303]):
        most = max(size for size, peak in peaks.items() if peak <= memory)
        assert planned(here, memory) == (most // 8 * 8 or most)
    assert planned(here, 1) == 1
    assert planned(here, 2**40) == len(here.train) // 8 * 8


def test_a_batch_that_does_not_fit_after_all_is_made_smaller() -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= 5

    assert largest_batch(64, fits) == 4
    assert tried == [64, 48, 32, 24, 16, 8, 6, 4]
    with pytest.raises(UsageError) as caught:
        largest_batch(3, lambda size: False)
    assert str(caught.value) == (
        "not even a batch of one image fits into the GPU's memory\n"
        "  help: recompute parts of the network in the backward pass (`recompute: true` at a node)"
    )


def test_a_batch_is_fitted_to_a_gpu(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UsageError) as caught:
        fit_batch(job(tmp_path), SINGLE_PROCESS)
    assert str(caught.value) == (
        "--batch-size auto fills the memory of a GPU, and this training runs on a CPU\n"
        "  help: say how many images a batch has, --batch-size 64 for example"
    )


@pytest.mark.gpu
def test_a_fitted_batch_trains(tmp_path: Path) -> None:
    assert fit_batch(job(tmp_path), SINGLE_PROCESS) == len(job(tmp_path).train) // 8 * 8


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--lr-find", "--profile"],
            "error: --lr-find and --profile each stop before the training\n  help: give one of them\n",
        ),
        (
            ["--lr-find", "--accelerator", "cpu", "--devices", "2"],
            "error: --lr-find tries out one process, and 2 are asked for\n"
            "  help: leave --devices and --num-nodes out, and set the share of one process: "
            "--set train.batch_size=32\n",
        ),
        (
            ["--batch-size", "auto", "--accelerator", "cpu", "--devices", "2"],
            "error: --batch-size auto tries out one process, and 2 are asked for\n"
            "  help: leave --devices and --num-nodes out, and set the share of one process: "
            "--set train.batch_size=32\n",
        ),
    ],
)
def test_what_cannot_be_tried_is_said(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(["train", "digits", *arguments], capsys, monkeypatch) == (2, message)


def test_a_batch_size_is_a_number_or_auto(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, error = said(["train", "digits", "--batch-size", "many"], capsys, monkeypatch)
    assert (code, error.splitlines()[-1]) == (
        2,
        "Error: Invalid value for '--batch-size': `many` is neither a number from 1 on nor `auto`.",
    )

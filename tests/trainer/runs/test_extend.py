"""`archspec train --from RUN --epochs N`: as if the run had been that long from the beginning, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kills import Killed, assert_alike, killed_at
from test_resume import SPEC

from archspec.spec import from_dict
from trainer.runs import folders as run_folders
from trainer.runs.job import prepare
from trainer.session import Options, extend_run, train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_pictures")]

STEADY: dict[str, Any] = {
    "epochs": 2,
    "validation": 0.2,
    "batch_size": 100,
    "augment": [{"random_resized_crop": {"scale": [0.6, 1.0]}}],
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
}
RECIPES: dict[str, dict[str, Any]] = {
    "at a constant rate, frozen for a while": STEADY | {"freeze": {"0": 3}},
    "by steps, warmed up": STEADY
    | {"schedule": {"name": "multi_step", "milestones": [1, 3]}, "warmup": {"steps": 5}, "decay": "weights"},
    "exponentially": STEADY | {"schedule": {"name": "exponential", "gamma": 0.5}, "warmup": {"epochs": 1}},
    "patiently": STEADY | {"early_stopping": {"patience": 9}, "optimizer": "adamw"},
}


def job(recipe: dict[str, Any]) -> Any:
    return prepare(from_dict(SPEC | {"train": recipe}, "small"), Path())


@pytest.mark.parametrize("name", RECIPES)
def test_a_longer_run_ends_as_one_that_was_long_from_the_beginning(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = Path(train(job(RECIPES[name] | {"epochs": 4}), Path("whole"), Options(pictures=False)).folder)
    train(job(RECIPES[name]), Path("runs"), Options(pictures=False))
    said: list[str] = []
    short = run_folders.find("small", Path("runs"))
    result = extend_run(short, 4, None, Path("runs"), Options(pictures=False), said.append)
    assert (result.folder, result.epochs, said) == ("runs/small-2", 4, [])
    assert_alike(whole, Path(result.folder))
    keys = [run_folders.find(str(one), Path()).environment["key"] for one in (whole, "runs/small-2")]
    assert keys[0] == keys[1]
    again = extend_run(short, 4, None, Path("runs"), Options(pictures=False), said.append)
    assert (again.folder, said) == ("runs/small-2", ["already trained: this is the result of runs/small-2"])
    assert run_folders.find("small", Path("runs")).result == short.result


def test_a_run_that_was_killed_goes_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole = Path(train(job(STEADY | {"epochs": 4}), Path("whole"), Options(pictures=False)).folder)
    with monkeypatch.context() as patch:
        killed_at(15, patch)
        with pytest.raises(Killed):
            train(job(STEADY), Path("runs"), Options(save_steps=3, pictures=False))
    run = run_folders.find("small", Path("runs"))
    result = extend_run(run, 4, None, Path("runs"), Options(pictures=False), print)
    assert_alike(whole, Path(result.folder))


def test_what_would_have_gone_otherwise_is_refused(run: Callable, tmp_path: Path) -> None:
    for name, recipe in (
        ("cosine", STEADY | {"schedule": "cosine"}),
        ("counted", {key: value for key, value in STEADY.items() if key != "epochs"} | {"steps": 5}),
        ("stopped", STEADY | {"epochs": 9, "early_stopping": {"patience": 1, "min_delta": 0.9}}),
        ("plain", STEADY),
    ):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(SPEC | {"train": recipe}, sort_keys=False))
    done = run("train", "./cosine.yaml", "./counted.yaml", "./stopped.yaml", "./plain.yaml")
    assert done.returncode == 0
    for name, epochs, says in (
        (
            "cosine",
            "9",
            "the run runs/cosine cannot go on: its schedule `cosine` came to its end in 2 epochs\n"
            "  help: start anew from its weights: archspec train ./cosine.yaml --weights runs/cosine --epochs 9\n",
        ),
        (
            "counted",
            "9",
            "the run runs/counted lasts 5 steps, not a number of epochs\n"
            "  help: start anew from its weights: archspec train ./counted.yaml --weights runs/counted --epochs 9\n",
        ),
        (
            "stopped",
            "20",
            "the run runs/stopped cannot go on: it ended after 2 epochs, as it no longer improved\n"
            "  help: start anew from its weights: archspec train ./stopped.yaml --weights runs/stopped --epochs 20\n",
        ),
        (
            "plain",
            "2",
            "the run runs/plain is of 2 epochs: --epochs is their number in all, and not greater\n"
            "  help: --epochs 4 for example\n",
        ),
    ):
        done = run("train", "--from", name, "--epochs", epochs)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {says}")
    done = run("train", "--from", "plain")
    says = "error: --from goes on with a run for more epochs: --epochs says for how many in all\n"
    assert (done.returncode, done.stderr) == (2, says)
    done = run("train", "--from", "plain", "--epochs", "4", "--set", "train.seed=1")
    says = "error: --from keeps the settings of the run, and cannot be combined with --set\n"
    assert (done.returncode, done.stderr) == (2, f"{says}  help: leave that out, or train anew without --from\n")
    done = run("train", "--from", "plain", "--epochs", "3")
    assert (done.returncode, done.stderr) == (0, "")
    assert "epoch 3/3 " in done.stdout
    assert "epoch 2/3 " not in done.stdout

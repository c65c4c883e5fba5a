"""A run goes on from its own checkpoints alone, and its score is that of the weights that were tested."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from archspec.foundation.errors import UsageError
from archspec.spec import from_dict
from trainer.runs import checkpoints, folders
from trainer.runs.evaluation import evaluate, load_network
from trainer.runs.job import load_job, prepare
from trainer.runs.prediction import predict
from trainer.session import Options, resume_run, train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_cache", "without_pictures")]

QUIET = Options(pictures=False)
SPEC: dict[str, Any] = {
    "archspec": 1,
    "name": "Linear",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": ["flatten", {"linear": "=num_classes"}],
    "train": {"epochs": 3, "validation": 0.2, "batch_size": 100},
}


def trained(out: Path, name: str = "net", *, finished: bool = False, **recipe: Any) -> Path:
    """A run's folder, its results moved away unless it is to be a finished one."""
    job = prepare(from_dict(SPEC | {"train": SPEC["train"] | recipe}, name), out)
    with pytest.MonkeyPatch.context() as patch:
        if not finished:
            patch.setattr(checkpoints, "remove_previous", lambda _: None)
        folder = Path(train(job, out, QUIET).folder)
    if not finished:
        (folder / "results.json").unlink()
    return folder


def resumed(folder: Path) -> tuple[Any, list[str]]:
    notes: list[str] = []
    run = folders.read(folder)
    assert run is not None
    return resume_run(run, None, QUIET, notes.append), notes


# --- the best epoch --------------------------------------------------------------------------------------------------


def test_of_epochs_with_the_same_accuracy_the_one_of_the_least_loss_is_best(tmp_path: Path) -> None:
    folder = trained(tmp_path, finished=True, validation=10, epochs=12, optimizer={"name": "adamw", "lr": 0.01})
    with open(folder / "metrics.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["val_accuracy"]]
    scores = [(float(row["val_accuracy"]), -float(row["val_loss"]), int(row["epoch"]) + 1) for row in rows]
    most = max(scores)
    assert sum(score[0] == most[0] for score in scores) > 1  # some do tie
    assert min(score[2] for score in scores if score[0] == most[0]) != most[2]  # and the first of them is another one
    assert json.loads((folder / "results.json").read_text())["best_epoch"] == most[2]
    assert checkpoints.load(folder / "checkpoints" / "best.ckpt")["epoch"] + 1 == most[2]


def test_the_best_weights_can_be_chosen_by_the_loss(tmp_path: Path) -> None:
    recipe = {"validation": 10, "epochs": 12, "optimizer": {"name": "adamw", "lr": 0.03}}
    folder = trained(tmp_path, finished=True, monitor="val_loss", **recipe)
    with open(folder / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    best = min(rows, key=lambda row: float(row["val_loss"]))
    results = json.loads((folder / "results.json").read_text())
    assert results["best_epoch"] == int(best["epoch"]) + 1
    assert results["val_accuracy"] == pytest.approx(float(best["val_accuracy"]), abs=1e-6)
    with pytest.raises(UsageError) as caught:
        trained(tmp_path, monitor="val_acc")
    assert str(caught.value) == (
        "`train.monitor` is `val_acc`, which classification does not measure\n  help: did you mean `val_accuracy`?"
    )


def test_without_the_best_weights_the_last_are_tested_under_their_own_score(tmp_path: Path) -> None:
    folder = trained(tmp_path, optimizer={"name": "sgd", "lr": 0.001})
    (folder / "checkpoints" / "best.ckpt").unlink()
    result, notes = resumed(folder)
    best = folder / "checkpoints" / "best.ckpt"
    assert notes == [f"{best}, the best weights so far, is no longer there: the last weights are tested"]
    run = folders.read(folder)
    assert run is not None
    job, network = load_job(run, None), load_network(run)
    assert network.weights.name == "last.ckpt"
    with torch.inference_mode():
        for score, part in (("val_accuracy", job.validation), ("test_accuracy", job.test)):
            found = network.module(part.images).argmax(1) == part.labels  # type: ignore[union-attr]
            assert result.metrics[score] == pytest.approx(found.float().mean().item(), abs=1e-6)
    assert result.best_epoch == 3


def test_best_weights_that_are_gone_are_replaced_by_the_best_to_come(tmp_path: Path, capsys: Any) -> None:
    folder = trained(tmp_path, epochs=4)
    kept = folder / "checkpoints"
    os.replace(kept / "last.previous.ckpt", kept / "last.ckpt")  # as after the third epoch
    (kept / "best.ckpt").unlink()
    capsys.readouterr()
    result, notes = resumed(folder)
    assert capsys.readouterr().out.startswith("going on from epoch 4\nepoch 4/4  loss ")
    name = kept / "best.ckpt"
    assert notes == [f"{name}, the best weights so far, is no longer there: the best of the epochs to come are kept"]
    run = folders.read(folder)
    assert run is not None
    assert (load_network(run).weights.name, result.best_epoch) == ("best.ckpt", 4)
    again = evaluate(load_network(run).module, load_job(run, None).validation)
    assert again.metrics["accuracy"] == pytest.approx(result.metrics["val_accuracy"], abs=1e-6)


# --- files of others -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("difference", [{"seed": 7}, {"optimizer": {"name": "sgd", "lr": 0.1}}, {"validation": 0.3}])
def test_the_checkpoint_of_another_run_is_refused(difference: dict[str, Any], tmp_path: Path) -> None:
    own, other = trained(tmp_path / "own"), trained(tmp_path / "other", **difference)
    file = own / "checkpoints" / "last.ckpt"
    shutil.copy(other / "checkpoints" / "last.ckpt", file)
    before = file.read_bytes()
    with pytest.raises(UsageError) as caught:
        resumed(own)
    assert str(caught.value) == (
        f"the checkpoint {file} is another run's: its spec, recipe or data differ\n  help: put the run's own file back"
    )
    assert file.read_bytes() == before
    best = own / "checkpoints" / "best.ckpt"
    shutil.copy(other / "checkpoints" / "best.ckpt", best)
    run = folders.read(own)
    assert run is not None
    with pytest.raises(UsageError, match=f"the checkpoint {best} is another run's"):
        next(predict(run, [], 1))


def without(*path: str) -> Callable[[dict[str, Any]], Any]:
    def change(content: dict[str, Any]) -> Any:
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        return content

    return change


def replaced(value: Any, *path: Any) -> Callable[[dict[str, Any]], Any]:
    def change(content: Any) -> Any:
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return content

    return change


CRAFTED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "nothing": (lambda _: {}, "is none of a training: it lacks `state_dict`"),
    "a number": (lambda _: 3, "is none of a training: it lacks `state_dict`"),
    "no callbacks": (without("callbacks"), "is none of a training: it lacks `callbacks`"),
    "text for steps": (replaced("x", "global_step"), "is none of a training: it lacks `global_step`"),
    "no position": (without("callbacks", "Last"), "lacks the state of a part of its training"),
    "a position before all": (
        replaced(-1, "callbacks", "Last", "epoch"),
        "does not say where in its training it was taken",
    ),
    "no weights": (replaced({}, "state_dict"), "cannot be resumed from: "),
    "odd weights": (replaced({"mean": 3}, "state_dict"), "cannot be resumed from: "),
    "odd loops": (replaced({"fit_loop": 1}, "loops"), "cannot be resumed from: "),
    "an odd optimizer": (replaced([{"a": 1}], "optimizer_states"), "cannot be resumed from: "),
    "no optimizer": (replaced([], "optimizer_states"), "lacks the state of a part of its training"),
    "no random states": (replaced({}, "callbacks", "Randomness"), "lacks the state of a part of its training"),
    "odd random states": (replaced({"torch": 1}, "callbacks", "Randomness"), "cannot be resumed from: "),
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is stopped after two of three epochs."""
    folder = trained(tmp_path_factory.mktemp("stopped"))
    kept = folder / "checkpoints"
    os.replace(kept / "last.previous.ckpt", kept / "last.ckpt")
    return folder


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_checkpoint_with_a_right_checksum_is_refused_in_words(
    name: str, stopped: Path, tmp_path: Path
) -> None:
    change, words = CRAFTED[name]
    folder = shutil.copytree(stopped, tmp_path / "net")
    file = folder / "checkpoints" / "last.ckpt"
    checkpoints.save(change(checkpoints.load(file)), file)
    with pytest.raises(UsageError) as caught:
        resumed(folder)
    assert caught.value.message.startswith(f"the checkpoint {file} {words}")


def test_a_named_pipe_is_no_checkpoint(run: Callable, stopped: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(stopped, tmp_path / "net")
    for name in ("last", "last.previous", "best"):
        (folder / "checkpoints" / f"{name}.ckpt").unlink(missing_ok=True)
        os.mkfifo(folder / "checkpoints" / f"{name}.ckpt")
    done = run("train", "--resume", "net")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "note: the checkpoint net/checkpoints/last.ckpt is damaged; resuming from last.previous.ckpt\n"
        "note: the checkpoint net/checkpoints/last.previous.ckpt is damaged\n"
        "error: no checkpoint in net/checkpoints is intact enough to resume from\n"
        "  help: train anew: archspec train, with --force\n"
    )
    done = run("predict", "net", "image.png")
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "error: the checkpoint net/checkpoints/best.ckpt cannot be read: it is no regular file\n",
    )

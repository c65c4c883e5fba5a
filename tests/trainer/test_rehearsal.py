"""A dry run: all checks, the first steps, what the training will take; and nothing is left of it."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

import archspec
from archspec.foundation.errors import UsageError
from trainer.processes.group import SINGLE_PROCESS
from trainer.rehearsal import rehearse
from trainer.runs.job import prepare

pytestmark = pytest.mark.slow

LINEAR: dict[str, Any] = {
    "archspec": 1,
    "name": "Linear",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": ["flatten", {"linear": "=num_classes"}],
}


def job(folder: Path, recipe: dict[str, Any], network: Any = None) -> Any:
    spec = LINEAR | {"network": network or LINEAR["network"], "train": {"validation": 0.2, "batch_size": 100} | recipe}
    return prepare(archspec.from_dict(spec), folder)


def test_a_dry_run_says_what_a_training_takes_and_leaves_nothing(run: Any, tmp_path: Path) -> None:
    done = run("train", "digits", "--dry-run", "--epochs", "3")
    never = (
        "`train.schedule`: the milestones 20, 26 are never reached, the training has 3 epochs: the rate stays as it is"
    )
    assert (done.returncode, done.stderr) == (0, f"specs/digits.yaml:30:13: note: {never}\n")
    shown = re.sub(r"[\d.,]+ (ms|s|min|h|MB|GB|images/s)\b", r"N \1", done.stdout)
    shown = re.sub(r"about N (ms|s)", "about N s", re.sub(r"(first one|validation  +) ?N (ms|s)", r"\1 N s", shown))
    loss = re.search(r"first batch +([\d.]+)", done.stdout)
    assert loss is not None
    assert shown == (
        "Digits, 308,074 parameters, on digits, on CPU\n"
        f"  loss of the first batch   {loss[1]}\n"
        "  a batch of 64             N ms (N images/s); the first one N s\n"
        "  a validation               N s\n"
        "  memory                    N MB at most, all of the process; by the plan, a step N MB\n"
        "  the whole training        about N s: 51 batches, 3 validations\n"
        "nothing was written: without --dry-run, it is trained\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_its_first_loss_is_that_of_the_training(tmp_path: Path) -> None:
    """With all weights at zero, each class is as likely as the others, in half precision and accumulated too."""
    for recipe in ({}, {"precision": "bf16-mixed"}, {"accumulate": 4}, {"ema": {"decay": 0.9}}):
        spec = LINEAR | {"init": {"linear": {"weight": 0, "bias": 0}}, "train": {"batch_size": 100} | recipe}
        found = rehearse(prepare(archspec.from_dict(spec), tmp_path), SINGLE_PROCESS)
        assert found.loss == pytest.approx(math.log(10), rel=1e-3)


def test_it_counts_the_batches_and_validations_of_the_whole_training(tmp_path: Path) -> None:
    # 1,437 images, of which a fifth is for validation: 11 batches of 100 an epoch
    found = rehearse(job(tmp_path, {"epochs": 7}), SINGLE_PROCESS)
    assert (found.batches, found.validations) == (77, 7)
    found = rehearse(job(tmp_path, {"steps": 25}), SINGLE_PROCESS)
    assert (found.batches, found.validations) == (25, 3)
    found = rehearse(job(tmp_path, {"epochs": 2, "validation": 0}), SINGLE_PROCESS)
    assert (found.batches, found.validations, found.validation_seconds) == (28, 0, 0.0)
    assert found.seconds == pytest.approx(found.first_seconds + 27 * found.batch_seconds)
    assert found.memory_bytes > 50 << 20
    assert found.without_gradient == ()


def test_it_names_parameters_that_the_loss_does_not_depend_on(tmp_path: Path) -> None:
    branch = [{"save": "pixels"}, {"conv": {"out": 2, "kernel": 1}}, {"output": "features"}, {"load": "pixels"}]
    found = rehearse(job(tmp_path, {"epochs": 1}, [*branch, *LINEAR["network"]]), SINGLE_PROCESS)
    assert [name.rpartition(".")[2] for name in found.without_gradient] == ["weight", "bias"]


def test_a_first_loss_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    network = ["flatten", {"linear": 64}, {"linear": 64}, {"linear": "=num_classes"}]
    init = {"linear": {"weight": 9e18}}  # three times that overflows
    spec = LINEAR | {"network": network, "init": init, "train": {"batch_size": 100}}
    with pytest.raises(UsageError, match=r"^the loss of the first batch is nan\n"):
        rehearse(prepare(archspec.from_dict(spec), tmp_path), SINGLE_PROCESS)


def test_a_dry_run_of_several_processes_is_refused(run: Any) -> None:
    done = run("train", "digits", "--dry-run", "--devices", "2", "--accelerator", "cpu")
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "error: --dry-run tries out one process, and 2 are asked for\n"
        "  help: leave --devices and --num-nodes out, and set the share of one process: --set train.batch_size=32\n",
    )

"""Evaluate a trained network on a test set."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from archspec.foundation.errors import SpecError, UsageError, escape
from archspec.recipe.outputs import MAIN
from trainer import data
from trainer.input.datasets import InMemory
from trainer.input.images import fit_targets
from trainer.input.loaders import Stream, explain_dead_workers, loader
from trainer.runs import checkpoints
from trainer.runs.folders import Run
from trainer.runs.identity import notes_of_shared, own_images
from trainer.runs.job import Job, load_job, load_test
from trainer.runs.vectors import is_own_data
from trainer.steps.module import SpecModule
from trainer.tasks import Evaluation, Task


def weights_of(run: Run) -> Path:
    """The checkpoint to use of a run: its best, or without validation its last. Raises `UsageError`."""
    for name in ("best", "last"):
        if (file := run.folder / "checkpoints" / f"{name}.ckpt").exists():
            return file
    raise UsageError(
        f"the run {run.folder} has no weights yet", help=f"train it on: archspec train --resume {run.folder}"
    )


@dataclass(frozen=True)
class Trained:
    """A run's network with its weights, and what the checkpoint says of their validation."""

    module: SpecModule
    weights: Path
    score: float | None
    """The metric on the validation images; `None` where the weights are not those of the best epoch."""
    epoch: int | None
    """The epoch that they are of, counted from 1, if it is the best."""


def load_network(run: Run, device: torch.device | None = None) -> Trained:
    """A run's best weights, ready to evaluate images, on a GPU where there is one; without validation, its last.

    Raises `UsageError` where there are none, or they are damaged or another run's.
    """
    file = weights_of(run)
    content = _content(run, file)
    try:
        module = SpecModule(content["hyper_parameters"]["spec"])
        module.load_state_dict(content["state_dict"])
    except UsageError:
        raise
    except (SpecError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise checkpoints.Damaged(
            f"the checkpoint {file} holds no network and its weights: {' '.join(str(error).split())}",
            help="use a checkpoint that archspec wrote",
        ) from None
    module = module.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()
    best = content["callbacks"].get(checkpoints.BEST_KEY) if file.stem == "best" else None
    score, epoch = (best.get("score"), best.get("epoch")) if isinstance(best, dict) else (None, None)
    return Trained(module, file, None if score is None else float(score), epoch)


def _content(run: Run, file: Path) -> dict[str, Any]:
    """What a run's checkpoint holds; where it is not the best one, though there was one, that is said."""
    last = file.with_name("last.ckpt")
    if file == last and run.result is not None and run.result.metrics.get(run.task.metric.log_name) is not None:
        best = file.with_name("best.ckpt")
        note = f"note: {best}, the best weights, is not there: the last ones are taken, {last}"
        print(escape(note), file=sys.stderr, flush=True)
    try:
        return checkpoints.load_own(file, run.environment.get("key"))
    except checkpoints.Damaged as error:
        if error.help or file == last or not last.is_file():
            raise
        raise checkpoints.Damaged(
            error.message, help=f"move it away, and the last weights are taken, of {last}"
        ) from None


def evaluate(
    module: SpecModule,
    part: InMemory | Stream,
    *,
    batch_size: int = 256,
    progress: bool = False,
    workers: int | None = None,
) -> Evaluation:
    """Evaluate a network on all images of a split. Raises `UsageError` for a file that can no longer be read."""
    return evaluate_outputs(module, part, batch_size=batch_size, progress=progress, workers=workers)[MAIN]


def evaluate_outputs(
    module: SpecModule,
    part: InMemory | Stream,
    *,
    batch_size: int = 256,
    progress: bool = False,
    workers: int | None = None,
) -> dict[str, Evaluation]:
    """Evaluate each output that a network is trained by, the last one as `MAIN`, on all images of a split."""
    evaluators = {name: module.task.evaluator() for name in (MAIN, *module.outputs)}
    totals, count = dict.fromkeys(evaluators, 0.0), 0
    shown = track(
        loader(part, batch_size, workers=workers),
        "testing",
        console=Console(stderr=True),
        transient=True,
        disable=not progress,
    )
    with torch.inference_mode(), explain_dead_workers():
        for images, labels, *rows in shown:
            output, others = module.forward_all(*(one.to(module.device) for one in (images, *rows)))
            labels = fit_targets(labels.to(module.device), module.shape, module.recipe.resize)
            count += len(labels)
            for name, evaluator in evaluators.items():
                found = output if name == MAIN else others[name]
                totals[name] += float(module.loss(found, labels)) * len(labels)
                evaluator.update(found, labels)
    return {name: evaluator.compute(totals[name] / count) for name, evaluator in evaluators.items()}


def measured_of(found: Evaluation) -> dict[str, float]:
    """The value of each metric by its name, those that packages brought too."""
    return {**found.metrics, **getattr(found, "added", {})}


def test_values(task: Task, found: Evaluation) -> dict[str, float]:
    """The metrics of the test images and their mean loss, by the names under which runs keep them."""
    values = measured_of(found)
    measured = {one.test_name: values[one.name] for one in task.metrics if one.name in values}
    return measured | {"test_loss": found.loss}


def values_of_outputs(task: Task, found: Mapping[str, Evaluation]) -> dict[str, float]:
    """`test_values` of the main output, and of each other by its name: `test_NAME_accuracy`."""
    values = test_values(task, found[MAIN])
    for name, one in found.items():
        if name != MAIN:
            own = test_values(task, one)
            values |= {f"test_{name}_{key.removeprefix('test_')}": value for key, value in own.items()}
    return values


def test(run: Run, data_folder: Path | None, source: str | None) -> dict[str, Any]:
    """The metrics and mean loss of a run's weights on the test set of its data. Raises `UsageError`.

    `source` is another folder of images: its test set, or all its images if it has no parts. Where the run's own lie
    there, now or as they did, those of them are meant that were kept for the test.
    """
    data.check_name(source)
    trained = load_network(run)
    module, notes = trained.module, list[str]()
    if source is None or is_own_data(run, module.recipe, source):
        name, images = _test_set(run, load_job(run, data_folder, source=source))
    elif run.has_images and (own := own_images(run, data_folder, source)) is not None:
        name, images = _test_set(run, own)
    else:
        name, images = source, load_test(run, source, module.shape, module.output, module.recipe.resize, data_folder)
        notes = notes_of_shared(run, module.recipe, data_folder, images)
    found = evaluate_outputs(module, images, batch_size=module.task.evaluation_batch(module.recipe))
    values = values_of_outputs(module.task, found)
    return (
        {"data": name, "weights": trained.weights.name, "images": found[MAIN].count}
        | values
        | ({"notes": notes} if notes else {})
        | ({"outputs": list(module.outputs)} if module.outputs else {})
    )


def _test_set(run: Run, job: Job) -> tuple[str, InMemory | Stream]:
    trained_on = run.recorded("data")  # a path as it was given, where that leads to the same folder from here
    same = Path(trained_on).resolve() == Path(job.data.name).resolve()
    return trained_on if same else job.data.name, job.test

"""Evaluate a trained network on a test set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from archspec.foundation.errors import SpecError, UsageError
from trainer.input.datasets import InMemory
from trainer.input.images import fit_targets
from trainer.input.loaders import Stream, explain_dead_workers, loader
from trainer.runs import checkpoints
from trainer.runs.folders import Run
from trainer.runs.job import load_job, load_test
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
    content = checkpoints.load_own(file, run.environment.get("key"))
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


def evaluate(
    module: SpecModule,
    part: InMemory | Stream,
    *,
    batch_size: int = 256,
    progress: bool = False,
    workers: int | None = None,
) -> Evaluation:
    """Evaluate a network on all images of a split. Raises `UsageError` for a file that can no longer be read."""
    evaluator = module.task.evaluator()
    total, count = 0.0, 0
    shown = track(
        loader(part, batch_size, workers=workers),
        "testing",
        console=Console(stderr=True),
        transient=True,
        disable=not progress,
    )
    with torch.inference_mode(), explain_dead_workers():
        for images, labels in shown:
            output = module(images.to(module.device))
            labels = fit_targets(labels.to(module.device), module.shape, module.recipe.resize)
            total += float(module.loss(output, labels)) * len(labels)
            count += len(labels)
            evaluator.update(output, labels)
    return evaluator.compute(total / count)


def test_values(task: Task, found: Evaluation) -> dict[str, float]:
    """The metrics of the test images and their mean loss, by the names under which runs keep them."""
    measured = {one.test_name: found.metrics[one.name] for one in task.metrics if one.name in found.metrics}
    return measured | {"test_loss": found.loss}


def test(run: Run, data_folder: Path | None, source: str | None) -> dict[str, Any]:
    """The metrics and mean loss of a run's weights on the test set of its data. Raises `UsageError`.

    `source` is another folder of images: its test set, or all its images if it has no parts.
    """
    trained = load_network(run)
    module = trained.module
    if source is None:
        name, images = _test_set(run, data_folder)
    else:
        name, images = source, load_test(run, source, module.shape, module.output, module.recipe.resize, data_folder)
    found = evaluate(module, images, batch_size=module.task.evaluation_batch(module.recipe))
    return {"data": name, "weights": trained.weights.name, "images": found.count, **test_values(module.task, found)}


def _test_set(run: Run, data_folder: Path | None) -> tuple[str, InMemory | Stream]:
    job = load_job(run, data_folder)
    trained_on = run.recorded("data")  # a path as it was given, where that leads to the same folder from here
    same = Path(trained_on).resolve() == Path(job.data.name).resolve()
    return trained_on if same else job.data.name, job.test

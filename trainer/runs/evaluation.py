"""Use a trained network: evaluate it on a test set, and predict what image files show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from archspec.foundation.errors import UsageError
from trainer.input.datasets import InMemory
from trainer.input.files import Unreadable, decode, ignore_pillow_warnings
from trainer.input.images import fit_targets
from trainer.input.loaders import Stream, loader
from trainer.input.splits import Faults
from trainer.runs import checkpoints
from trainer.runs.folders import Run
from trainer.runs.job import load_job
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


def load_network(run: Run, device: torch.device | None = None) -> SpecModule:
    """A run's network with its weights, ready to evaluate images, on a GPU where there is one. Raises `UsageError`."""
    content = checkpoints.load(weights_of(run))
    module = SpecModule(content["hyper_parameters"]["spec"])
    module.load_state_dict(content["state_dict"])
    return module.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()


def evaluate(
    module: SpecModule, part: InMemory | Stream, *, batch_size: int = 256, progress: bool = False
) -> Evaluation:
    """Evaluate a network on all images of a split. Raises `UsageError` for a file that can no longer be read."""
    evaluator = module.task.evaluator()
    total, count = 0.0, 0
    shown = track(
        loader(part, batch_size), "testing", console=Console(stderr=True), transient=True, disable=not progress
    )
    with torch.inference_mode():
        for images, labels in shown:
            output = module(images.to(module.device))
            labels = fit_targets(labels.to(module.device), module.shape)
            total += float(module.loss(output, labels)) * len(labels)
            count += len(labels)
            evaluator.update(output, labels)
    return evaluator.compute(total / count)


def test_values(task: Task, found: Evaluation) -> dict[str, float]:
    """The metrics of the test images and their mean loss, by the names under which runs keep them."""
    return {one.test_name: found.metrics[one.name] for one in task.metrics} | {"test_loss": found.loss}


def test(run: Run, data_folder: Path | None) -> dict[str, Any]:
    """The metrics and mean loss of a run's weights on the test set of its data. Raises `UsageError`."""
    weights, module = weights_of(run), load_network(run)
    job = load_job(run, data_folder)
    found = evaluate(module, job.test, batch_size=job.task.evaluation_batch(job.recipe))
    return {
        "data": job.data.name,
        "weights": weights.name,
        "images": found.count,
        **test_values(job.task, found),
    }


def predict(
    run: Run, images: Sequence[Path], top: int, save: Path | None = None
) -> tuple[list[dict[str, Any]], Faults]:
    """The predictions for image files, of a classifier the likeliest classes; and what cannot be read, with the reason.

    Predictions that are images, as masks are, are written into the folder `save`. Raises `UsageError` where the run has
    no sound weights, or predicts no images.
    """
    module = load_network(run)
    names = run.environment.get("classes")
    results: list[dict[str, Any]] = []
    unreadable: Faults = []
    for file in images:
        try:
            with ignore_pillow_warnings():
                image = decode(file)
        except Unreadable as error:
            unreadable.append((file, str(error)))
            continue
        with torch.inference_mode():
            output = module(image[None].to(module.device))[0]
        result = {"image": str(file), **module.task.predict(output, names, top)}
        if save is not None:
            result["saved"] = str(_save(module.task, output, image, save, file.stem))
        results.append(result)
    return results, unreadable


def _save(task: Task, output: Tensor, image: Tensor, folder: Path, stem: str) -> Path:
    """Write a prediction as a PNG file that is not there yet, of the image's size. Raises `UsageError`."""
    picture = task.picture(output, (image.shape[-2], image.shape[-1]))
    if picture is None:
        raise UsageError(f"{task.name} predicts no images that could be saved", help="leave --save out")
    number = 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            file = folder / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png")
            try:
                with open(file, "xb") as target:
                    picture.save(target, "PNG")
                return file
            except FileExistsError:
                number += 1
    except OSError as error:
        raise UsageError(
            f"cannot write into {folder}: {error.strerror}", help="choose another folder by --save"
        ) from None

"""Use a trained network: evaluate it on a test set, and predict the classes of image files."""

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
from trainer.input.loaders import Stream, loader
from trainer.input.splits import Faults
from trainer.runs import checkpoints
from trainer.runs.folders import Run
from trainer.runs.job import EVALUATION_BATCH, load_job
from trainer.steps.module import SpecModule


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


def evaluate(module: SpecModule, part: InMemory | Stream, *, progress: bool = False) -> Any:
    """Evaluate a network on all images of a split. Raises `UsageError` for a file that can no longer be read."""
    predictions: list[list[Tensor]] = []
    total = 0.0
    shown = track(
        loader(part, EVALUATION_BATCH), "testing", console=Console(stderr=True), transient=True, disable=not progress
    )
    with torch.inference_mode():
        for images, labels in shown:
            logits, labels = module(images.to(module.device)), labels.to(module.device)
            total += float(module.loss(logits, labels)) * len(labels)
            predictions.append([one.cpu() for one in (*module.task.predictions(logits), labels)])
    *predicted, labels = (torch.cat(part) for part in zip(*predictions, strict=True))
    return module.task.summarize(predicted, labels, total / len(labels))


def test(run: Run, data_folder: Path | None) -> dict[str, Any]:
    """The accuracy (a share) and mean loss of a run's weights on the test set of its data. Raises `UsageError`."""
    weights, module = weights_of(run), load_network(run)
    job = load_job(run, data_folder)
    evaluation = evaluate(module, job.test)
    return {
        "data": job.data.name,
        "weights": weights.name,
        "images": len(evaluation.labels),
        "test_accuracy": evaluation.accuracy,
        "test_loss": evaluation.loss,
    }


def predict(run: Run, images: Sequence[Path], top: int) -> tuple[list[dict[str, Any]], Faults]:
    """The likeliest classes of image files and their probabilities; and the files that cannot be read, with the reason.

    Raises `UsageError` where the run has no sound weights.
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
        results.append({"image": str(file), "top": module.task.predict(output, names, top)})
    return results, unreadable

"""Trained networks put to use: tested again, and asked about single images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchvision.transforms.v2 import functional

from archspec.errors import UsageError
from archspec.spec import load
from trainer import checkpoints
from trainer.loaders import loader
from trainer.module import SpecModule
from trainer.run import EVALUATION_BATCH, prepare
from trainer.runs import Run


def weights_of(run: Run) -> Path:
    """The checkpoint to use of a run: its best, or without validation its last. Raises `UsageError`."""
    for name in ("best", "last"):
        if (file := run.folder / "checkpoints" / f"{name}.ckpt").exists():
            return file
    raise UsageError(
        f"the run {run.folder} has no weights yet\n  help: train it on: archspec train --resume {run.folder}"
    )


def network_of(run: Run) -> SpecModule:
    """A run's network with its weights, ready to evaluate images, on a GPU where there is one. Raises `UsageError`."""
    content = checkpoints.load(weights_of(run))
    module = SpecModule(content["hyper_parameters"]["spec"])
    module.load_state_dict(content["state_dict"])
    return module.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def tested(run: Run, data_folder: Path | None) -> dict[str, Any]:
    """The accuracy (a share) and mean loss of a run's weights on the test set of its data. Raises `UsageError`."""
    weights, module = weights_of(run), network_of(run)
    folder = data_folder or Path(run.environment["data_folder"])
    skip = bool(run.environment.get("skip_unreadable"))
    job = prepare(load(str(run.folder / "spec.yaml")), folder, num_classes_given=True, skip_unreadable=skip)
    right, loss, count = 0, 0.0, 0
    with torch.inference_mode():
        for images, labels in loader(job.test, EVALUATION_BATCH):
            logits, labels = module(images.to(module.device)), labels.to(module.device)
            right += int((logits.argmax(1) == labels).sum())
            loss += float(cross_entropy(logits, labels, reduction="sum"))
            count += len(labels)
    return {
        "data": job.data.name,
        "weights": weights.name,
        "images": count,
        "test_accuracy": right / count,
        "test_loss": loss / count,
    }


Unreadable = list[tuple[Path, str]]


def predicted(run: Run, images: Sequence[Path], top: int) -> tuple[list[dict[str, Any]], Unreadable]:
    """The likeliest classes of image files and their probabilities, and the files that cannot be read, with the reason.

    Raises `UsageError` where the run has no sound weights.
    """
    module = network_of(run)
    names = run.environment.get("classes")
    results: list[dict[str, Any]] = []
    unreadable: Unreadable = []
    for file in images:
        try:
            image = _read(file, module.shape[0])
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            unreadable.append((file, _reason(error)))
            continue
        with torch.inference_mode():
            probabilities = module(image[None].to(module.device))[0].float().softmax(0).cpu()
        likeliest = probabilities.topk(min(top, len(probabilities)))
        results.append(
            {
                "image": str(file),
                "top": [
                    {"class": names[index] if names else str(index), "index": index, "probability": value}
                    for value, index in zip(likeliest.values.tolist(), likeliest.indices.tolist(), strict=True)
                ],
            }
        )
    return results, unreadable


def _read(file: Path, channels: int) -> Tensor:
    """An image file as uint8 `(channels, H, W)`."""
    with Image.open(file) as image:
        image.load()
        return functional.pil_to_tensor(image.convert("L" if channels == 1 else "RGB"))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is no image"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__

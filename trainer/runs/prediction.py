"""Predict what image files show by a trained network: classes, or masks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from archspec.foundation.errors import UsageError
from trainer.data._listing import LEFT_OUT
from trainer.input.files import SUFFIXES, Files, Unreadable, decode
from trainer.runs.evaluation import load_network
from trainer.runs.folders import Run
from trainer.steps.module import SpecModule
from trainer.tasks._several import rows_of

BATCH = 64
"""How many images are predicted at once."""


def find_images(paths: Sequence[Path]) -> list[Path]:
    """The files that are named, and in place of a folder the images in it and in its subfolders, in order.

    Hidden files and folders, and those without an image's suffix, are left out. Raises `UsageError` where a folder has
    no images.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(_images_below(path))
        if not inside:
            raise UsageError(f"no image is in the folder {path}", help=f"images end in {' '.join(sorted(SUFFIXES))}")
        found += inside
    return found


def _images_below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".") and name != LEFT_OUT]
        for name in files:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                yield Path(place, name)


def predict(
    run: Run, images: Sequence[Path], top: int, save: Path | None = None, *, progress: bool = False
) -> Iterator[tuple[Path, Any]]:
    """Each image file with what the run's network predicts (`Task.predict`), or why it cannot be read (a text).

    Files are decoded as for training and testing, and predicted in batches. Predictions that are images, as masks are,
    are written into the folder `save`. Raises `UsageError` where the run has no sound weights, or predicts no images.
    """
    module = load_network(run).module
    names = run.environment.get("classes")
    files = Files(Path(), tuple(map(str, images)), torch.zeros(len(images), dtype=torch.int64))
    decoded = track(
        files.decoded(module.shape, module.recipe.resize),
        "predicting",
        total=len(images),
        console=Console(stderr=True),
        transient=True,
        disable=not progress,
    )
    held: list[tuple[Path, Tensor | Unreadable]] = []
    for file, found in zip(images, decoded, strict=True):
        held.append((file, found if isinstance(found, Unreadable) else found[0]))
        if len(held) == BATCH or len(held) == len(images):
            yield from _predicted(module, held, names, top, save)
            held = []
    yield from _predicted(module, held, names, top, save)


def _predicted(
    module: SpecModule,
    held: Sequence[tuple[Path, Tensor | Unreadable]],
    names: Sequence[str] | None,
    top: int,
    save: Path | None,
) -> Iterator[tuple[Path, Any]]:
    readable = [image for _, image in held if isinstance(image, Tensor)]
    outputs: Iterator[Any] = iter(())
    if readable:
        with torch.inference_mode():
            outputs = rows_of(module(torch.stack(readable).to(module.device)))
    for file, image in held:
        if isinstance(image, Unreadable):
            yield file, str(image)
        else:
            output = next(outputs)
            answer = module.task.predict(output, names, top)
            yield file, answer if save is None else answer | {"saved": str(_save(module, output, file, save))}


def _save(module: SpecModule, output: Tensor, image: Path, folder: Path) -> Path:
    """Write a prediction as a PNG file that is not there yet, of the image's size. Raises `UsageError`."""
    height, width = decode(image).shape[-2:]
    picture = module.task.picture(output, (height, width), module.shape)
    if picture is None:
        raise UsageError(f"{module.task.name} predicts no images that could be saved", help="leave --save out")
    content = BytesIO()
    picture.save(content, "PNG")
    return write_new(folder, image.stem, ".png", content.getvalue())


def write_new(folder: Path, stem: str, suffix: str, content: bytes) -> Path:
    """Write a prediction's file into a folder, over no other one: its name gets a number. Raises `UsageError`."""
    number = 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            file = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
            try:
                with open(file, "xb") as target:
                    target.write(content)
                return file
            except FileExistsError:
                number += 1
    except OSError as error:
        raise UsageError(
            f"cannot write into {folder}: {error.strerror}", help="choose another folder by --save"
        ) from None

"""Data sets, a file each. A file that is put here is found; each defines `load`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from archspec.foundation.errors import UsageError, did_you_mean, listed

if TYPE_CHECKING:
    from trainer.input.files import Files


@dataclass(frozen=True)
class Labelled:
    """Images as uint8 `(N, C, H, W)` and their classes as int64 `(N,)`, in memory."""

    images: Tensor
    labels: Tensor

    @property
    def channels(self) -> int:
        return self.images.shape[1]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | list[int]) -> tuple[Tensor, Tensor]:
        """The images and labels at some positions, as one batch."""
        return self.images[index], self.labels[index]

    def at(self, index: Tensor) -> Labelled:
        return Labelled(*self[index])


@dataclass(frozen=True)
class DataSet:
    """A training set and a test set; the validation set is split from the training set, unless there is one."""

    name: str
    class_names: tuple[str, ...]
    train: Labelled | Files
    test: Labelled | Files
    validation: Labelled | Files | None = None
    stamp: str | None = None
    """What tells these files in this state from all others (`trainer.input.cache`); none where there are no files."""
    notes: tuple[str, ...] = ()
    """What a person should know of it, a line each."""

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)


def names() -> list[str]:
    """The names of the data sets there are."""
    return sorted(
        file[:-3] for file in os.listdir(os.path.dirname(__file__)) if file.endswith(".py") and not file.startswith("_")
    )


def load(name: str, folder: Path, *, download: bool = False) -> DataSet:
    """A data set by its name, or a folder of images by its path (`./photos`; see `trainer.data.folder`).

    Those that lie in files are looked for in `folder`, and fetched to there if they are missing and `download` says so.
    Raises `UsageError`.
    """
    if name in names():
        module = importlib.import_module(f"trainer.data.{name}")
        return cast(Callable[..., DataSet], module.load)(folder, download=download)
    path = Path(name).expanduser()
    if len(path.parts) > 1 or name != path.name or path.is_dir():
        from trainer.data import folder as images

        return replace(images.load(path), name=name)
    hint = did_you_mean(name, names()) or f"there are {listed(names())}; a folder of images is given by its path"
    raise UsageError(f"there is no data set `{name}`", help=hint)


def labelled(images: object, labels: object) -> Labelled:
    """Arrays `(N, H, W)`, or `(N, H, W, C)` with the channels last, of values 0 to 255, and their classes."""
    tensor = torch.as_tensor(images)
    tensor = tensor.unsqueeze(1) if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2)
    return Labelled(tensor.to(torch.uint8).contiguous(), torch.as_tensor(labels).to(torch.int64))

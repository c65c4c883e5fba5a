"""What a data set is: images with their targets, classes for example, in memory or in files."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.input.files import Files

LABEL_SETS = "label sets"
"""Targets float32 `(N, labels)`: 1 for each label that an image has, 0 for the others."""
NUMBERS = "numbers"
"""Targets float32 `(N, numbers)`."""
IMAGES = "images"
"""Targets uint8 `(N, C, H, W)`, of the height and width of the images or a multiple of them."""


@dataclass(frozen=True)
class InMemory:
    """Images as uint8 `(N, C, H, W)` and their targets in memory: classes as int64 `(N,)`, for example.

    Sets of labels and numbers are floats `(N, K)`, masks uint8 `(N, H, W)`, target images uint8 `(N, C, H, W)`.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...] = ()
    """The paths of the files that they were read from, if they were."""

    @property
    def channels(self) -> int:
        return self.images.shape[1]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | list[int]) -> tuple[Tensor, Tensor]:
        """The images and labels at some positions, as one batch."""
        return self.images[index], self.labels[index]

    def at(self, index: Tensor) -> InMemory:
        names = tuple(self.names[i] for i in torch.arange(len(self))[index].tolist()) if self.names else ()
        return InMemory(*self[index], names)

    def measured_targets(self) -> Tensor:
        """The targets that a task takes measures of before the first step."""
        return self.labels

    @property
    def files(self) -> tuple[str, ...]:
        """What tells its images apart: their files, or their numbers."""
        return self.names or tuple(map(str, range(len(self))))


@dataclass(frozen=True)
class DataSet:
    """A training set and a test set; the validation set is split from the training set, unless there is one."""

    name: str
    class_names: tuple[str, ...]
    """Of the classes or labels, or what the numbers, or the channels of target images, are called."""
    train: InMemory | Files
    test: InMemory | Files
    validation: InMemory | Files | None = None
    files_fingerprint: str | None = None
    """Identifies the files and their state (`trainer.input.cache`); `None` where there are no files."""
    notes: tuple[str, ...] = ()
    """Notes for the user, a line each."""
    targets: str = "classes"
    """What is known of each image: the kind of targets that a task learns."""

    @property
    def classes(self) -> int:
        """How many classes there are, or labels, or numbers."""
        return len(self.class_names)


def in_memory(images: object, labels: object) -> InMemory:
    """Arrays `(N, H, W)`, or `(N, H, W, C)` with the channels last, of values 0 to 255, and their classes."""
    tensor = torch.as_tensor(images)
    tensor = tensor.unsqueeze(1) if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2)
    return InMemory(tensor.to(torch.uint8).contiguous(), torch.as_tensor(labels).to(torch.int64))

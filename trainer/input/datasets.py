"""What a data set is: images, or vectors and sequences, with their targets, in memory or in files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from trainer.input.files import Files

LABEL_SETS = "label sets"
"""Targets float32 `(N, labels)`: 1 for each label that an image has, 0 for the others."""
TARGETS = "targets of several outputs"
"""Targets float32 `(N, T)`: of each output in turn the number of the class, or the numbers."""
NUMBERS = "numbers"
"""Targets float32 `(N, numbers)`."""
IMAGES = "images"
"""Targets uint8 `(N, C, H, W)`, of the height and width of the images or a multiple of them."""


@dataclass(frozen=True)
class InMemory:
    """Images as uint8 `(N, C, H, W)` and their targets in memory: classes as int64 `(N,)`, for example.

    Samples that are no images are floats: vectors `(N, features)`, or sequences `(N, tokens, features)`; for several
    inputs, vectors of the features of one after those of the other. Sets of labels
    and numbers are floats `(N, K)`, masks uint8 `(N, H, W)`, target images uint8 `(N, C, H, W)`.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...] = ()
    """The paths of the files that they were read from, if they were; of a table, the numbers of the rows."""
    rows: Tensor | None = None
    """The numbers beside each image that a network takes too, float32 `(N, features)`, if it does."""

    @property
    def channels(self) -> int:
        return self.images.shape[1]

    @property
    def are_images(self) -> bool:
        return self.images.dtype == torch.uint8

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | list[int]) -> tuple[Tensor, ...]:
        """The images and labels at some positions, as one batch, and the rows beside them where there are any."""
        beside = () if self.rows is None else (self.rows[index],)
        return self.images[index], self.labels[index], *beside

    def at(self, index: Tensor) -> InMemory:
        names = tuple(self.names[i] for i in torch.arange(len(self))[index].tolist()) if self.names else ()
        images, labels, *rows = self[index]
        return InMemory(images, labels, names, *rows)

    def measured_targets(self) -> Tensor:
        """The targets that a task takes measures of before the first step."""
        return self.labels

    @property
    def files(self) -> tuple[str, ...]:
        """What tells its images apart: their files, or their numbers."""
        return self.names or tuple(map(str, range(len(self))))


@dataclass(frozen=True)
class Form:
    """What the columns of a table are: features, in the order in which a network takes them, and targets."""

    columns: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    """Of a column that becomes a feature for each of its values: these, in order."""
    targets: tuple[str, ...]
    classes: tuple[str, ...] | None
    """The values of the target in order; `None` where the targets are numbers."""
    ignored: tuple[str, ...] = ()
    heads: tuple[Form, ...] = ()
    """Of outputs with targets of their own: each one's `targets` and `classes`, in order."""
    output: str = ""
    """The output that these are of."""
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of a network of several inputs: the columns of each that takes rows, which lie in `columns` one input after the
    other."""
    image: str = ""
    """The column of the paths of images, where a network takes these beside rows."""

    @property
    def names(self) -> tuple[str, ...]:
        """What classes or numbers are called; those of several outputs `OUTPUT=name`."""
        own = self.classes or self.targets
        return tuple(f"{one.output}={name}" for one in self.heads for name in one.names) or own

    @property
    def features(self) -> tuple[str, ...]:
        """What each feature is called: its column, or `city=Paris`."""
        return self.features_in(self.columns)

    def features_in(self, columns: Iterable[str]) -> tuple[str, ...]:
        """What the features of some columns are called."""
        parts = ([f"{one}={value}" for value in self.categories.get(one, ())] or [one] for one in columns)
        return tuple(name for part in parts for name in part)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types, of which `from_dict` makes the same."""
        return {
            "columns": list(self.columns),
            "categories": {name: list(values) for name, values in self.categories.items()},
            "targets": list(self.targets),
            "classes": None if self.classes is None else list(self.classes),
            "ignored": list(self.ignored),
            "heads": [one.to_dict() for one in self.heads],
            "output": self.output,
            "inputs": {name: list(columns) for name, columns in self.inputs.items()},
            "image": self.image,
        }

    @classmethod
    def from_dict(cls, made: Mapping[str, Any]) -> Form:
        return cls(
            tuple(made["columns"]),
            {name: tuple(values) for name, values in made["categories"].items()},
            tuple(made["targets"]),
            None if made["classes"] is None else tuple(made["classes"]),
            tuple(made["ignored"]),
            tuple(map(cls.from_dict, made.get("heads", ()))),
            made.get("output", ""),
            {name: tuple(columns) for name, columns in made.get("inputs", {}).items()},
            made.get("image", ""),
        )


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
    form: Form | None = None
    """What the columns of a table are; `None` where the data are none."""

    @property
    def samples(self) -> tuple[int, ...] | None:
        """The shape of a sample that is no image: of a vector, or a sequence."""
        if isinstance(self.train, Files) or self.train.are_images:
            return None
        return tuple(self.train.images.shape[1:])

    @property
    def has_rows(self) -> bool:
        """Whether its samples are of a table or arrays, alone or beside images."""
        return self.samples is not None or (self.form is not None and bool(self.form.image))

    @property
    def known_form(self) -> Form:
        """What the columns are, or where there are none, what the targets are."""
        return self.form or Form((), {}, ("target",), self.class_names if self.targets == "classes" else None)

    def worded(self, message: str) -> str:
        """A message about images as one about samples, where these are none; what stands in backquotes is kept."""
        if self.samples is None:
            return message
        parts = message.split("`")
        parts[::2] = [_IMAGES.sub(r"sample\1", part) for part in parts[::2]]
        return "`".join(parts)

    @property
    def classes(self) -> int:
        """How many classes there are, or labels, or numbers."""
        return len(self.class_names)


_IMAGES = re.compile(r"(?<![\w./-])image(s?)(?![\w./-])")


def in_memory(images: object, labels: object) -> InMemory:
    """Arrays `(N, H, W)`, or `(N, H, W, C)` with the channels last, of values 0 to 255, and their classes."""
    tensor = torch.as_tensor(images)
    tensor = tensor.unsqueeze(1) if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2)
    return InMemory(tensor.to(torch.uint8).contiguous(), torch.as_tensor(labels).to(torch.int64))

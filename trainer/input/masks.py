"""Images with a mask each, which says the class of every pixel."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from archspec.foundation.shapes import Shape
from archspec.recipe import Resize
from trainer.input.files import Files, Unreadable, decode, describe_failure
from trainer.input.images import fit_masks, fit_to_input
from trainer.input.resizing import STRETCH

IGNORED = 255
"""What a mask says of pixels whose class is unknown: they count neither in losses nor in metrics."""
SUFFIXES = {".bmp", ".gif", ".pgm", ".png", ".ppm", ".tif", ".tiff"}
"""What the names of mask files end in: formats that keep each value."""


@dataclass(frozen=True)
class Legend:
    """What the values or colours of mask files mean: of each the class, or `IGNORED`.

    Without either, a value is the number of its class.
    """

    classes: int
    values: dict[int, int] = field(default_factory=dict)
    colours: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def read(self, file: Path, name: str) -> Tensor:
        """A mask as classes, uint8 `(H, W)`. Raises `Unreadable`, whose reason calls the mask by this name."""
        pixels = read_mask(file, name, colours=bool(self.colours))
        if pixels.ndim == 3:
            return self._of_colours(pixels, name)
        table = np.full(256, -1)
        table[IGNORED] = IGNORED
        for value, number in (self.values or {number: number for number in range(self.classes)}).items():
            table[value] = number
        classes = table[pixels]
        if (classes < 0).any():
            row, column = np.argwhere(classes < 0)[0]
            known = (
                f"none of the {len(self.values)} in classes.txt"
                if self.values
                else f"not one of {self.classes} classes"
            )
            raise Unreadable(
                f"its mask {name} has the value {pixels[row, column]} at row {row}, column {column}, {known}"
            )
        return torch.from_numpy(classes.astype(np.uint8))

    def _of_colours(self, pixels: np.ndarray[Any, Any], name: str) -> Tensor:
        codes = (pixels.astype(np.int64) << np.array([16, 8, 0])).sum(2)
        known = {(red << 16) + (green << 8) + blue: number for (red, green, blue), number in self.colours.items()}
        found, where = np.unique(codes, return_inverse=True)
        classes = np.array([known.get(code, -1) for code in found.tolist()])[where].reshape(codes.shape)
        if (classes < 0).any():
            row, column = np.argwhere(classes < 0)[0]
            colour = " ".join(map(str, pixels[row, column]))
            place = f"row {row}, column {column}"
            raise Unreadable(f"its mask {name} has the colour {colour} at {place}, which classes.txt does not list")
        return torch.from_numpy(classes.astype(np.uint8))


def read_mask(file: Path, name: str, *, colours: bool = False) -> np.ndarray[Any, Any]:
    """The values of a mask file, `(H, W)`, of a palette the indices; or its colours, `(H, W, 3)`.

    Raises `Unreadable`, whose reason calls the mask by `name`.
    """
    try:
        with Image.open(file) as image:
            image.load()
            if colours:
                return np.array(image.convert("RGB"))
            if image.mode in ("1", "L", "P"):
                return np.array(image).astype(np.uint8)
            if image.mode.startswith("I"):
                wide = np.asarray(image).astype(np.int64)
                if wide.min() < 0 or wide.max() > 255:
                    raise Unreadable(f"its mask {name} has values from {wide.min()} to {wide.max()}, not 0 to 255")
                return wide.astype(np.uint8)
            what = "in colour" if image.mode not in ("LA", "F") else f"of the mode {image.mode}"
    except Unreadable:
        raise
    except MemoryError:
        raise
    except Exception as error:
        raise Unreadable(f"its mask {name} cannot be read: {describe_failure(error)}") from error
    raise Unreadable(f"its mask {name} is {what}: classes.txt has to say what the colours mean, `NAME R G B` a line")


@dataclass(frozen=True)
class MaskFiles(Files):
    """Image files below a folder and the files of their masks."""

    masks: tuple[str, ...] = ()
    legend: Legend = field(default_factory=lambda: Legend(0))

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.paths, *self.masks)

    def at(self, index: Tensor) -> MaskFiles:
        chosen = index.tolist()
        paths, masks = tuple(self.paths[i] for i in chosen), tuple(self.masks[i] for i in chosen)
        return replace(self, paths=paths, masks=masks)

    def decode(self, position: int) -> tuple[Tensor, Tensor]:
        """An image, uint8 `(C, H, W)`, and its mask, uint8 `(H, W)`. Raises `Unreadable`."""
        image = decode(self.file(position))
        mask = self.legend.read(self.root / self.masks[position], self.masks[position])
        if mask.shape != image.shape[-2:]:
            raise Unreadable(
                f"its mask {self.masks[position]} is {mask.shape[0]}×{mask.shape[1]}, the image "
                f"{image.shape[-2]}×{image.shape[-1]}"
            )
        return image, mask

    def fitted(self, position: int, shape: Shape, resize: Resize = STRETCH) -> tuple[Tensor, Tensor]:
        image, mask = self.decode(position)
        return fit_to_input(image[None], shape, resize)[0], fit_masks(mask[None], shape, resize)[0]

    def empty_targets(self, shape: Shape) -> Tensor:
        return torch.empty((len(self), *shape[1:]), dtype=torch.uint8)

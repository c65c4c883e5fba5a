"""Images with a target image each: the same without noise, larger, or how far away everything is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from archspec.foundation.shapes import Shape
from archspec.recipe import Resize
from trainer.input.files import Files, Unreadable, decode
from trainer.input.images import fit_to_input
from trainer.input.resizing import STRETCH

GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
"""Pillow's modes of images without colour."""
MEASURED = 500
"""Of how many target images in files the mean and standard deviation are taken at most."""


@dataclass(frozen=True)
class ImagePairs(Files):
    """Image files below a folder and the files of their target images, of so many channels."""

    targets: tuple[str, ...] = ()
    channels_of_targets: int = 3
    target_shape: Shape | None = None
    """Channels, height and width of targets as a network gives them; `None` until the network is known."""

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.paths, *self.targets)

    def at(self, index: Tensor) -> ImagePairs:
        chosen = index.tolist()
        paths, targets = tuple(self.paths[i] for i in chosen), tuple(self.targets[i] for i in chosen)
        return replace(self, paths=paths, targets=targets, labels=self.labels[index])

    def decode(self, position: int) -> tuple[Tensor, Tensor]:
        """An image and its target, uint8 `(C, H, W)`, each of its own size. Raises `Unreadable`."""
        image = decode(self.file(position))
        name = self.targets[position]
        try:
            target = decode(self.root / name)
        except Unreadable as error:
            raise Unreadable(f"its target {name} cannot be read: {error}") from None
        if len(target) > self.channels_of_targets:
            raise Unreadable(f"its target {name} is in colour, and the first target is grey")
        (height, width), (rows, columns) = image.shape[-2:], target.shape[-2:]
        if rows % height or columns % width or rows // height != columns // width:
            raise Unreadable(f"its target {name} is {rows}×{columns}, no multiple of the image's {height}×{width}")
        return image, target

    def fitted(self, position: int, shape: Shape, resize: Resize = STRETCH) -> tuple[Tensor, Tensor]:
        image, target = self.decode(position)
        return fit_to_input(image[None], shape, resize)[0], fit_target(target, shape, self.shape_for(shape), resize)

    def empty_targets(self, shape: Shape) -> Tensor:
        return torch.empty((len(self), *self.shape_for(shape)), dtype=torch.uint8)

    def shape_for(self, shape: Shape) -> Shape:
        """The shape of targets for a network of this input."""
        return self.target_shape or (self.channels_of_targets, *shape[1:])

    def measured_targets(self) -> Tensor:
        """Up to `MEASURED` targets, evenly spaced, uint8 `(N, C, H, W)`; those that cannot be read are left out."""
        assert self.target_shape is not None
        scale = max(1, -(-len(self) // MEASURED))
        found = []
        for position in range(0, len(self), scale):
            try:
                target = self.decode(position)[1]
            except Unreadable:
                continue
            found.append(fit_to_input(target[None], self.target_shape)[0])
        return torch.stack(found)


def fit_target(target: Tensor, shape: Shape, target_shape: Shape, resize: Resize = STRETCH) -> Tensor:
    """Fit a target image `(C, H, W)` to `target_shape`, as its image is fitted to a network's input `shape`."""
    return fit_to_input(target[None], target_shape, enlarged(resize, shape, target_shape))[0]


def enlarged(resize: Resize, shape: Sequence[int], target_shape: Sequence[int]) -> Resize:
    """How targets are brought to their size, which is a multiple of the input's."""
    if "size" not in resize.arguments:
        return resize
    scale = target_shape[1] // shape[1]
    return Resize(resize.name, {**resize.arguments, "size": resize.arguments["size"] * scale})

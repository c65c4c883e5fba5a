"""A recipe's augmentations as torchvision's transforms of one image, for images that stream from files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from archspec.foundation.shapes import Shape
from archspec.recipe import AppliedAugmentation, Resize
from trainer.input.augment_batch import Range
from trainer.input.resizing import STRETCH, bring_to_size

FLIPS = {"horizontal_flip", "vertical_flip"}


def transform(
    augment: Sequence[AppliedAugmentation], shape: Shape, resize: Resize = STRETCH
) -> Callable[[Tensor], Tensor]:
    """What changes a uint8 image `(C, H, W)` of any size into one of `shape`, by random numbers of torch's generator.

    `random_resized_crop` cuts from the image as it lies in its file, where nothing but flips stands before it;
    otherwise the image is resized first, as it is for testing. mixup and cutmix are left to the batch.
    """
    steps = [_TRANSFORMS[one.name](shape[1:], **one.arguments) for one in augment if one.name in _TRANSFORMS]
    if not cuts_first(augment):
        steps.insert(0, partial(bring_to_size, size=shape[1:], resize=resize))
    made: Callable[[Tensor], Tensor] = v2.Compose(steps)
    return made


def cuts_first(augment: Sequence[AppliedAugmentation]) -> bool:
    """Whether `random_resized_crop` cuts from the image as it lies in its file: nothing but flips stands before it."""
    return [one.name for one in augment if one.name not in FLIPS][:1] == ["random_resized_crop"]


class _Noise(v2.RandomErasing):  # type: ignore[misc]
    """Random erasing with noise of whole values: torchvision's own is normally distributed, for normalised images."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        params: dict[str, Any] = super().make_params(flat_inputs)
        if params["v"] is not None:
            size = (flat_inputs[0].shape[0], params["h"], params["w"])
            params["v"] = torch.randint(256, size, dtype=torch.uint8)
        return params


def _resized_crop(size: Sequence[int], scale: Range, ratio: Range) -> Any:
    return v2.RandomResizedCrop(size, sorted(scale), sorted(ratio), antialias=True)


def _padded_crop(size: Sequence[int], padding: int, mode: str) -> Any:
    return v2.RandomCrop(size, padding, padding_mode=mode)


def _rotation(size: Sequence[int], degrees: float | Range, interpolation: str) -> Any:
    bounds = sorted(degrees) if isinstance(degrees, Sequence) else degrees
    return v2.RandomRotation(bounds, InterpolationMode(interpolation), fill=None)


def _color_jitter(size: Sequence[int], **ranges: float | Range) -> Any:
    return v2.ColorJitter(**{name: sorted(r) if isinstance(r, Sequence) else r for name, r in ranges.items()})


def _erasing(size: Sequence[int], p: float, scale: Range, ratio: Range, value: int | str) -> Any:
    if value == "random":
        return _Noise(p, sorted(scale), sorted(ratio))
    return v2.RandomErasing(p, sorted(scale), sorted(ratio), value)


def _unsized(kind: Callable[..., Any], size: Sequence[int], **arguments: Any) -> Any:
    return kind(**arguments)


_TRANSFORMS: dict[str, Callable[..., Any]] = {
    "horizontal_flip": partial(_unsized, v2.RandomHorizontalFlip),
    "vertical_flip": partial(_unsized, v2.RandomVerticalFlip),
    "random_resized_crop": _resized_crop,
    "padded_crop": _padded_crop,
    "rotation": _rotation,
    "color_jitter": _color_jitter,
    "erasing": _erasing,
    "rand_augment": partial(_unsized, v2.RandAugment),
    "trivial_augment": partial(_unsized, v2.TrivialAugmentWide),
}

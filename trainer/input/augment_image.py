"""A recipe's augmentations as torchvision's transforms of one image, for images that stream from files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from archspec.foundation.shapes import Shape
from archspec.recipe import AppliedAugmentation, Resize
from trainer.input.augment_batch import FLIPS, Augmentation, Range
from trainer.input.images import fit_to_input
from trainer.input.pairs import fit_target
from trainer.input.resizing import STRETCH, bring_to_size


def transform(
    augment: Sequence[AppliedAugmentation], shape: Shape, resize: Resize = STRETCH, target_shape: Shape | None = None
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """What changes a uint8 image `(C, H, W)` of any size into one of `shape`, by random numbers of torch's generator.

    It takes the image's target too. A mask, uint8 `(H, W)`, moves with its image, and is `IGNORED` where nothing of it
    is left; a target image, uint8 `(C, H, W)`, becomes one of `target_shape`; other targets stay.

    `random_resized_crop` cuts from the image as it lies in its file, where nothing but flips stands before it;
    otherwise the image is resized first, as it is for testing. mixup and cutmix are left to the batch.
    """
    known = [one for one in augment if not one.kind.mixes]
    steps = [
        _Drawn(one, shape[1:]) if one.kind.added else _TRANSFORMS[one.name](shape[1:], **one.arguments) for one in known
    ]
    moves = [one.kind.added.moves if one.kind.added else one.name in _MOVES for one in known]
    cuts = cuts_first(augment)
    fit = [] if cuts else [_Fit(shape[1:], resize)]
    compose = v2.Compose([*fit, *steps])

    def change(image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        if target_shape is not None:
            return with_image(image, target, target_shape)
        if target.ndim != 2:
            return compose(image), target
        # inverted, so that what comes in from outside, 0, is `IGNORED`
        image, mask = tv_tensors.Image(image), tv_tensors.Mask(~target)
        image, mask = moved(*(fit[0](image, mask) if fit else (image, mask)))
        return image.as_subclass(Tensor), ~mask.as_subclass(Tensor)

    def moved(image: Any, target: Any) -> tuple[Any, Any]:
        for step, moving in zip(steps, moves, strict=True):
            image, target = step(image, target) if moving else (step(image), target)
        return image, target

    def with_image(image: Tensor, target: Tensor, wanted: Shape) -> tuple[Tensor, Tensor]:
        if cuts:  # both are cut alike, from what has one size
            target = fit_to_input(target[None], (wanted[0], *image.shape[-2:]))[0]
        else:
            image = bring_to_size(image[None], shape[1:], resize)[0]
            target = fit_target(target, shape, wanted, resize)
        image, target = moved(tv_tensors.Image(image), tv_tensors.Image(target))
        return image.as_subclass(Tensor), target.as_subclass(Tensor)

    return change


def _nearest(mask: Tensor, size: Sequence[int]) -> Any:
    resized = functional.resize(mask.as_subclass(Tensor)[None], list(size), InterpolationMode.NEAREST_EXACT)
    return tv_tensors.Mask(resized[0])


class _Fit(v2.Transform):  # type: ignore[misc]
    """Brings images and masks to a size as everywhere."""

    def __init__(self, size: Sequence[int], resize: Resize) -> None:
        super().__init__()
        self.size, self.resize = size, resize

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if isinstance(inpt, tv_tensors.Mask):  # which is inverted
            mask = bring_to_size(~inpt.as_subclass(Tensor)[None, None], self.size, self.resize, masks=True)
            return tv_tensors.Mask(~mask[0, 0])
        made = bring_to_size(inpt.as_subclass(Tensor)[None], self.size, self.resize)[0]
        return tv_tensors.Image(made) if isinstance(inpt, tv_tensors.Image) else made


class _Crop(v2.RandomResizedCrop):  # type: ignore[misc]
    """Resizes masks by pixels' centres, as images are; torchvision's own is off by up to half a pixel."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if isinstance(inpt, tv_tensors.Mask):
            return _nearest(functional.crop(inpt, **params), self.size)
        return super().transform(inpt, params)


class _Drawn:
    """An augmentation that torchvision has for images alone, or not at all, as whole batches have it."""

    def __init__(
        self, one: AppliedAugmentation, size: Sequence[int], alone: Callable[[Any], Any] | None = None
    ) -> None:
        self.alone = alone
        self.both = Augmentation([one], (3, *size), 0)

    def __call__(self, image: Tensor, target: Tensor | None = None) -> Any:
        if target is None and self.alone is not None:
            return self.alone(image)
        if target is None:
            made = self.both(image.as_subclass(Tensor)[None], torch.zeros(1, dtype=torch.int64))[0][0]
            return tv_tensors.Image(made) if isinstance(image, tv_tensors.Image) else made
        plain = target.as_subclass(Tensor)[None]
        if isinstance(target, tv_tensors.Image):
            images, targets = self.both(image.as_subclass(Tensor)[None], plain)
            return tv_tensors.Image(images[0]), tv_tensors.Image(targets[0])
        images, masks = self.both(image.as_subclass(Tensor)[None], ~plain)
        return tv_tensors.Image(images[0]), tv_tensors.Mask(~masks[0])


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
    return _Crop(size, sorted(scale), sorted(ratio), antialias=True)


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


def _drawn(name: str, kind: Callable[..., Any], size: Sequence[int], **arguments: Any) -> Any:
    return _Drawn(AppliedAugmentation(name, arguments), size, kind(**arguments))


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
    "rand_augment": partial(_drawn, "rand_augment", v2.RandAugment),
    "trivial_augment": partial(_drawn, "trivial_augment", v2.TrivialAugmentWide),
}
_MOVES = _TRANSFORMS.keys() - {"color_jitter", "erasing"}
"""Those that move what is in an image."""

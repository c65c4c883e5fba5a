"""Operations on batches: torchvision's results, image by image, for the same parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional
from waves import COUNT, far, photos

from trainer.input import augment_batch, color, geometry

SHAPES = [(3, 32, 32), (1, 28, 28), (3, 20, 33)]


def spread(low: float, high: float) -> Tensor:
    return torch.linspace(low, high, COUNT)


def one_by_one(transform: Callable[..., Tensor], images: Tensor, *parameters: Tensor) -> Tensor:
    rows = zip(*(one.tolist() for one in parameters), strict=True) if parameters else ((),) * len(images)
    return torch.stack([transform(image, *row) for image, row in zip(images, rows, strict=True)])


def unequal(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours != theirs).float().mean())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("dim", "theirs"), [(-1, functional.horizontal_flip), (-2, functional.vertical_flip)])
def test_flips_are_torchvisions(shape: tuple[int, int, int], dim: int, theirs: Callable[[Tensor], Tensor]) -> None:
    images, chosen = photos(shape), torch.arange(COUNT) % 3 == 0
    expected = one_by_one(lambda image, mirror: theirs(image) if mirror else image, images, chosen)
    assert torch.equal(geometry.flip(images, chosen, dim), expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
def test_padded_crops_are_torchvisions(shape: tuple[int, int, int], mode: str) -> None:
    images = photos(shape)
    top, left = torch.arange(COUNT) % 9, torch.arange(COUNT) * 7 % 9

    def theirs(image: Tensor, top: int, left: int) -> Tensor:
        return functional.crop(functional.pad(image, [4], padding_mode=mode), top, left, *shape[1:])

    ours = geometry.crop(geometry.pad(images, 4, mode), top, left, (shape[1], shape[2]))
    assert torch.equal(ours, one_by_one(theirs, images, top, left))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_resized_crops_are_torchvisions(shape: tuple[int, int, int]) -> None:
    images = photos(shape)
    height, width = spread(1, shape[1]).long(), spread(shape[2], 1).long()
    top, left = (shape[1] - height) // 2, shape[2] - width

    def theirs(image: Tensor, *place: int) -> Tensor:
        return functional.resized_crop(image, *place, list(shape[1:]), InterpolationMode.BILINEAR, antialias=True)

    ours = geometry.resized_crop(images, top, left, height, width)
    assert far(ours, one_by_one(theirs, images, top, left, height, width)) <= 1
    whole = torch.zeros(COUNT).long()
    assert torch.equal(geometry.resized_crop(images, whole, whole, whole + shape[1], whole + shape[2]), images)


def test_a_batch_worked_on_in_parts_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    images, zero = photos(), torch.zeros(COUNT).long()
    sizes = 5 + torch.arange(COUNT)
    together = geometry.resized_crop(images, zero, zero, sizes, sizes)
    monkeypatch.setattr(geometry, "CHUNK_VALUES", 10 * 3 * 32 * 32)
    assert torch.equal(geometry.resized_crop(images, zero, zero, sizes, sizes), together)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_rotations_are_torchvisions(shape: tuple[int, int, int], mode: str) -> None:
    images, degrees = photos(shape), spread(-170, 171)
    theirs = one_by_one(lambda image, angle: functional.rotate(image, angle, InterpolationMode(mode)), images, degrees)
    ours = geometry.rotate(images, degrees, mode)
    if mode == "nearest":  # but for pixels that lie midway between two
        assert unequal(ours, theirs) < 1e-3
    else:
        assert far(ours, theirs) <= 1


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("ours", "theirs", "low", "high", "distance"),
    [
        (color.brightness, functional.adjust_brightness, 0, 2.5, 0),
        (color.saturation, functional.adjust_saturation, 0, 2.5, 1),
        (color.contrast, functional.adjust_contrast, 0, 2.5, 1),
        (color.sharpness, functional.adjust_sharpness, 0, 2.5, 1),
        (color.hue, functional.adjust_hue, -0.5, 0.5, 1),
        (color.solarize, functional.solarize, 0, 255, 0),
    ],
)
def test_changes_of_colour_are_torchvisions(
    shape: tuple[int, int, int], ours: Any, theirs: Any, low: float, high: float, distance: int
) -> None:
    images, factors = photos(shape), spread(low, high)
    images[0, :, :4] = 255
    images[1] = 0
    assert far(ours(images, factors), one_by_one(theirs, images, factors)) <= distance


def test_posterizing_is_torchvisions() -> None:
    images, bits = photos(), torch.arange(COUNT) % 9
    assert torch.equal(color.posterize(images, bits), one_by_one(functional.posterize, images, bits))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("number", range(14))
def test_operations_and_magnitudes_are_torchvisions(number: int, shape: tuple[int, int, int], wide: bool) -> None:
    theirs = v2.TrivialAugmentWide() if wide else v2.RandAugment()
    name = list(theirs._AUGMENTATION_SPACE)[number]
    shift = (32.0, 32.0) if wide else (150 / 331 * shape[1], 150 / 331 * shape[2])
    operation, start, end, signed = augment_batch._operations(shift, wide=wide)[number]
    levels, their_signed = theirs._AUGMENTATION_SPACE[name]
    assert signed == their_signed
    magnitudes = levels(31, *shape[1:])
    images = photos(shape, 31)
    ours = torch.linspace(start, end, 31)
    if magnitudes is None:
        assert torch.equal(ours, torch.zeros(31))
        magnitudes = ours
    for sign in (1, -1) if signed else (1,):
        expected = one_by_one(
            lambda image, by: theirs._apply_image_or_video_transform(
                image, name, by, InterpolationMode.NEAREST, theirs._fill
            ),
            images,
            sign * magnitudes,
        )
        if name in ("ShearX", "ShearY", "Rotate"):
            assert unequal(operation(images, sign * ours), expected) < 0.01  # 90° lies midway between pixels
        else:
            distance = 1 if name in ("Color", "Contrast", "Sharpness") else 0
            assert far(operation(images, sign * ours), expected) <= distance

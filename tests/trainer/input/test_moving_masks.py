"""Masks move with their images: one draw for both, in whole batches and for single images of a stream."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from archspec.recipe import AUGMENTATIONS, AppliedAugmentation
from trainer.input.augment_batch import _MOVES, Augmentation
from trainer.input.augment_image import transform
from trainer.input.masks import IGNORED

SIZE = (20, 28)
EXACT = {
    "horizontal_flip": {},
    "vertical_flip": {},
    "padded_crop": {"padding": 5},
    "rotation": {"degrees": 40, "interpolation": "nearest"},
}
BENT = {"random_resized_crop": {"scale": [0.2, 1.0]}}
COLOURS = {"color_jitter": {"brightness": 0.5, "hue": 0.1}, "erasing": {"p": 1.0}}


def ramps(count: int) -> tuple[Tensor, Tensor]:
    """Images whose first channel grows by 4 a row or a column, from 100, and masks that are copies of it."""
    rows, columns = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    planes = torch.stack([100 + 4 * (rows if number % 2 else columns) for number in range(count)]).byte()
    return torch.stack([planes, planes, planes], 1), planes


def changed(name: str, arguments: dict, count: int, streamed: bool) -> tuple[Tensor, Tensor]:
    images, masks = ramps(count)
    augment = [AppliedAugmentation(name, arguments)]
    torch.manual_seed(3)
    if not streamed:
        return Augmentation(augment, (3, *SIZE), 0)(images, masks)
    change = transform(augment, (3, *SIZE))
    pairs = [change(image, mask) for image, mask in zip(images, masks, strict=True)]
    made = tuple(torch.stack(part) for part in zip(*pairs, strict=True))
    assert {type(one) for one in made} == {Tensor}
    return made[0], made[1]


def test_every_augmentation_is_one_that_is_tried_here() -> None:
    auto = {"rand_augment", "trivial_augment"}
    mixing = {name for name, one in AUGMENTATIONS.items() if one.mixes}
    assert EXACT.keys() | BENT.keys() | COLOURS.keys() | auto | mixing == AUGMENTATIONS.keys()
    assert _MOVES.keys() == EXACT.keys() | BENT.keys() | auto


@pytest.mark.parametrize("streamed", [False, True], ids=["batch", "stream"])
@pytest.mark.parametrize("name", EXACT)
def test_a_mask_that_is_a_copy_of_a_channel_stays_one(name: str, streamed: bool) -> None:
    images, masks = changed(name, EXACT[name], 60, streamed)
    known = masks != IGNORED
    assert torch.equal(images[:, 0][known], masks[known])
    assert not images[:, 0][~known].any()  # what came in from outside is black, and its class unknown
    assert bool(known.flatten(1).float().mean(1).ge(0.4).all())
    assert len(torch.unique(masks.flatten(1), dim=0)) > 2  # they do change
    if name in ("rotation", "padded_crop"):
        assert not known.all()


@pytest.mark.parametrize("streamed", [False, True], ids=["batch", "stream"])
def test_a_crop_takes_of_the_mask_the_pixel_that_lies_nearest(streamed: bool) -> None:
    """Images are interpolated: on a ramp, by no more than half a pixel, 2 of its steps of 4, or what is left of one."""
    images, masks = changed("random_resized_crop", BENT["random_resized_crop"], 200, streamed)
    difference = (images[:, 0].int() - masks.int()).abs()
    assert int(difference.max()) <= 3
    assert float(difference.float().mean()) < 1.5
    assert set(masks.unique().tolist()) <= set(range(100, 100 + 4 * max(SIZE), 4))  # no class is made up


@pytest.mark.parametrize("streamed", [False, True], ids=["batch", "stream"])
@pytest.mark.parametrize("name", COLOURS)
def test_changes_of_colour_leave_masks_alone(name: str, streamed: bool) -> None:
    images, masks = changed(name, COLOURS[name], 20, streamed)
    assert torch.equal(masks, ramps(20)[1])
    assert not torch.equal(images, ramps(20)[0])


@pytest.mark.parametrize("streamed", [False, True], ids=["batch", "stream"])
@pytest.mark.parametrize("name", ["rand_augment", "trivial_augment"])
def test_of_drawn_operations_masks_follow_those_that_move(name: str, streamed: bool) -> None:
    """Where an operation changed no colour, the copy is still one, and no image has a mask of another's place."""
    images, masks = changed(name, {}, 300, streamed)
    before = ramps(300)[1]
    known = masks != IGNORED
    moved = [number for number in range(300) if not torch.equal(masks[number], before[number])]
    copies = [number for number in moved if torch.equal(images[number, 0][known[number]], masks[number][known[number]])]
    assert len(moved) > 60
    # with two operations, a move may be joined by a change of colour
    assert len(copies) > (0.3 if name == "rand_augment" else 0.95) * len(moved)
    assert any(torch.equal(masks[number], before[number]) for number in range(300))


def test_the_images_draws_are_those_without_masks() -> None:
    """So what a recipe does to images does not depend on the task."""
    images, masks = ramps(16)
    for name, arguments in (EXACT | BENT | COLOURS | {"rand_augment": {}}).items():
        both = []
        for targets in (masks, torch.zeros(16, dtype=torch.int64)):
            torch.manual_seed(7)
            both.append(Augmentation([AppliedAugmentation(name, arguments)], (3, *SIZE), 2)(images, targets)[0])
        assert torch.equal(*both), name

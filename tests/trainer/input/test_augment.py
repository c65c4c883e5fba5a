"""Augmentation by whole batches: a draw of its own for each image, from torchvision's distributions."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional
from waves import COUNT, far, labels, photos

from archspec.foundation.errors import UsageError
from archspec.foundation.schemas import validator
from archspec.recipe.augmentations import AUGMENTATIONS, SCHEMA, AppliedAugmentation
from trainer.input import augment_batch, geometry
from trainer.input.augment_batch import Augmentation

NAMES = list(AUGMENTATIONS)
TORCHVISIONS: dict[str, Any] = {
    "horizontal_flip": v2.RandomHorizontalFlip,
    "vertical_flip": v2.RandomVerticalFlip,
    "random_resized_crop": v2.RandomResizedCrop,
    "erasing": v2.RandomErasing,
    "rand_augment": v2.RandAugment,
    "trivial_augment": v2.TrivialAugmentWide,
    "mixup": v2.MixUp,
    "cutmix": v2.CutMix,
}


def augmentation(written: list[Any], shape: Any, classes: int) -> Augmentation:
    """Of a recipe's `augment` as it is written."""
    return Augmentation([AppliedAugmentation.from_data(one) for one in written], shape, classes)


# --- each image has its own draw -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_equal_images_of_a_batch_are_augmented_unequally(name: str) -> None:
    image = photos(count=1)
    others = photos(count=2)[1:]
    # for the mixing ones, equal images between other ones
    images = torch.cat([image, others]).repeat(32, 1, 1, 1) if AUGMENTATIONS[name].mixes else image.repeat(64, 1, 1, 1)
    arguments = {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}}
    torch.manual_seed(0)
    result, _ = augmentation([{name: arguments.get(name, {})}], (3, 32, 32), 10)(images, labels(64))
    kinds = {tuple(one.flatten().tolist()) for one in result[::2]}
    assert len(kinds) == 2 if name.endswith("_flip") else len(kinds) > 10
    assert result.shape == images.shape
    assert result.dtype == torch.uint8


@pytest.mark.parametrize("name", NAMES)
def test_draws_come_from_the_generator_given_or_from_torchs(name: str) -> None:
    images, classes = photos(), labels()
    changed = augmentation([name, "color_jitter", {"color_jitter": {"brightness": 0.5}}], (3, 32, 32), 10)

    def drawn(generator: torch.Generator | None) -> Tensor:
        result, soft = changed(images, classes, generator)
        return torch.cat([result.flatten().float(), soft.flatten().float()])

    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = drawn(torch.Generator().manual_seed(5))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, drawn(torch.Generator().manual_seed(5)))
    assert not torch.equal(first, drawn(torch.Generator().manual_seed(6)))
    torch.manual_seed(5)
    assert torch.equal(first, drawn(None))


def test_images_given_stay_as_they_were() -> None:
    images, classes = photos(), labels()
    before = images.clone()
    augmentation([{one: {}} for one in NAMES], (3, 32, 32), 10)(images, classes)
    assert torch.equal(images, before)
    assert torch.equal(classes, labels())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 9), (1, 1, 1), (3, 2, 2)], ids=str)
def test_small_and_grey_images_are_augmented(name: str, shape: tuple[int, int, int]) -> None:
    for count in (1, 5):
        result, _ = augmentation([name], shape, 10)(photos(shape, count), labels(count))
        assert tuple(result.shape) == (count, *shape)


def test_augmentation_is_in_full_precision_under_autocast() -> None:
    images, classes = photos(), labels()
    changed = augmentation(
        ["random_resized_crop", {"color_jitter": {"saturation": 0.5}}, "rotation", "mixup"], (3, 32, 32), 10
    )
    expected, _ = changed(images, classes, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        ours, _ = changed(images, classes, torch.Generator().manual_seed(0))
    assert torch.equal(ours, expected)


# --- the distributions are torchvision's ---------------------------------------------------------------------------


def quantiles(values: Tensor) -> Tensor:
    return values.double().quantile(torch.linspace(0.1, 0.9, 9).double())


@pytest.mark.parametrize(
    ("scale", "ratio", "size"),
    [((0.8, 1.0), (0.9, 1.1), (32, 32)), ((0.08, 1.0), (3 / 4, 4 / 3), (32, 32)), ((0.9, 1.0), (1.0, 1.0), (16, 48))],
)
def test_crops_are_drawn_as_torchvision_draws_them(
    scale: tuple[float, float], ratio: tuple[float, float], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    count, drawn = 4000, {}

    def watched(images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor, mode: str) -> Tensor:
        drawn.update(top=top, left=left, height=height, width=width)
        return images

    monkeypatch.setattr(geometry, "resized_crop", watched)
    torch.manual_seed(0)
    images = torch.zeros(count, 1, *size, dtype=torch.uint8)
    augmentation([{"random_resized_crop": {"scale": scale, "ratio": ratio}}], (1, *size), 10)(images, labels(count))
    transform = v2.RandomResizedCrop(size, scale, ratio)
    theirs = [transform.make_params([images[0]]) for _ in range(count)]
    for key, ours in drawn.items():
        expected = torch.tensor([one[key] for one in theirs])
        assert (quantiles(ours) - quantiles(expected)).abs().max() <= 1
        assert ours.double().mean().item() == pytest.approx(expected.double().mean().item(), rel=0.05, abs=0.1)
        assert abs(ours.min() - expected.min()) <= 1
        assert abs(ours.max() - expected.max()) <= 1


def test_erased_rectangles_are_drawn_as_torchvision_draws_them() -> None:
    count = 4000
    images = torch.full((count, 1, 32, 32), 200, dtype=torch.uint8)
    torch.manual_seed(0)
    result, _ = augmentation([{"erasing": {"p": 1.0, "value": 0}}], (1, 32, 32), 10)(images, labels(count))
    gone = result == 0
    transform = v2.RandomErasing(p=1.0)
    theirs = [transform.make_params([images[0]]) for _ in range(count)]
    for key, ours in {"h": gone.any(3).sum((1, 2)), "w": gone.any(2).sum((1, 2))}.items():
        expected = torch.tensor([one[key] for one in theirs])
        assert (quantiles(ours) - quantiles(expected)).abs().max() <= 1
    assert torch.equal(gone.sum((1, 2, 3)), gone.any(3).sum((1, 2)) * gone.any(2).sum((1, 2)))
    assert 0.45 < float((_erased(images, 0.5) == 0).flatten(1).any(1).float().mean()) < 0.55


def _erased(images: Tensor, p: float) -> Tensor:
    return augmentation([{"erasing": {"p": p, "value": 0}}], (1, 32, 32), 10)(images, labels(len(images)))[0]


def test_erasing_with_noise_leaves_the_rest() -> None:
    images = photos(count=200)
    result, _ = augmentation([{"erasing": {"p": 1.0}}], (3, 32, 32), 10)(images, labels(200))
    changed = (result != images).any(1)
    assert 0.02 < float(changed.float().mean()) < 0.33
    assert len(result[changed[:, None].expand_as(result)].unique()) > 250


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_a_flip_happens_with_its_probability(p: float) -> None:
    images = photos(count=1).repeat(3000, 1, 1, 1)
    result, _ = augmentation([{"horizontal_flip": {"p": p}}], (3, 32, 32), 10)(images, labels(3000))
    share = (result != images).flatten(1).any(1).float().mean().item()
    assert share == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 3000))


def test_padded_crops_reach_every_place_alike() -> None:
    images = torch.zeros(8100, 1, 9, 9, dtype=torch.uint8)
    images[:, :, 4, 4] = 255
    result, _ = augmentation(["padded_crop"], (1, 9, 9), 10)(images, labels(8100))
    counts = (result == 255).sum((0, 1))
    assert counts.sum() == 8100
    assert 50 < counts.min() <= counts.max() < 160


def test_each_operation_is_chosen_alike() -> None:
    torch.manual_seed(0)
    draw = augment_batch.BatchRandom(torch.zeros(14_000, 1), None)
    counts = draw.integers(14).bincount(minlength=14)
    assert 850 < counts.min() <= counts.max() < 1150


def test_magnitudes_are_drawn_alike_and_of_either_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Tensor] = []

    def watched(images: Tensor, magnitude: Tensor) -> Tensor:
        drawn.append(magnitude)
        return images

    images, classes = torch.zeros(6200, 1, 2, 2, dtype=torch.uint8), labels(6200)
    for name, signed in (("trivial_augment", True), ("trivial_augment", False), ("rand_augment", True)):
        monkeypatch.setattr(
            augment_batch, "_operations", lambda _, wide, masks, signed=signed: [(watched, 0.0, 30.0, signed)]
        )
        drawn.clear()
        augmentation([name], (1, 2, 2), 10)(images, classes)
        sizes = drawn[0].abs().round().long().bincount(minlength=31)
        if name == "rand_augment":
            assert (len(drawn), sizes[9]) == (2, 6200)
        else:
            assert 130 < sizes.min() <= sizes.max() < 280
        assert (0.45 < (drawn[0] < 0).float().mean() < 0.55) if signed else (drawn[0] >= 0).all()


def test_a_rectangle_as_large_as_the_image_is_not_erased() -> None:
    whole = {"erasing": {"p": 1.0, "scale": [1.0, 1.0], "ratio": [1.0, 1.0]}}
    images = photos((3, 8, 8))
    result, _ = augmentation([whole], (3, 8, 8), 10)(images, labels())
    assert torch.equal(result, images)  # as torchvision has it


def test_colours_are_jittered_within_their_ranges_and_in_every_order() -> None:
    images = torch.full((2000, 1, 4, 4), 100, dtype=torch.uint8)
    result, _ = augmentation([{"color_jitter": {"brightness": 0.4}}], (1, 4, 4), 10)(images, labels(2000))
    assert (result.min(), result.max()) == (60, 139)
    narrow, _ = augmentation([{"color_jitter": {"brightness": [1.5, 1.2]}}], (1, 4, 4), 10)(images, labels(2000))
    assert 120 <= narrow.min() <= narrow.max() <= 150
    # at these factors the order decides the result: brightness may saturate before the contrast is lowered, or after
    image = photos(count=1).repeat(200, 1, 1, 1)
    fixed = {"brightness": [3.0, 3.0], "contrast": [0.5, 0.5], "saturation": [0.0, 0.0]}
    jittered, _ = augmentation([{"color_jitter": fixed}], (3, 32, 32), 10)(image, labels(200))
    changes = [
        lambda i: functional.adjust_brightness(i, 3.0),
        lambda i: functional.adjust_contrast(i, 0.5),
        lambda i: functional.adjust_saturation(i, 0.0),
    ]
    expected = []
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        one = image[0]
        for number in order:
            one = changes[number](one)
        expected.append(one)
    nearest = [min(range(6), key=lambda k: far(one, expected[k])) for one in jittered]
    assert all(far(one, expected[k]) <= 4 for one, k in zip(jittered, nearest, strict=True))
    assert len(set(nearest)) >= 4


# --- mixed labels --------------------------------------------------------------------------------------------------


def flat(count: int = COUNT) -> Tensor:
    """Images of one value each, 10 times the image's number."""
    return (torch.arange(count) * 10).to(torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32)


def test_mixup_mixes_labels_as_it_mixes_images() -> None:
    images, classes = flat(), torch.arange(COUNT)
    mixed, soft = augmentation(["mixup"], (3, 32, 32), COUNT)(images, classes)
    assert soft.shape == (COUNT, COUNT)
    assert soft.sum(1).numpy() == pytest.approx(1, abs=1e-6)
    # the expected value of 10 × label is what the pixels show
    assert (soft @ (torch.arange(COUNT) * 10.0)).numpy() == pytest.approx(mixed[:, 0, 0, 0].numpy(), abs=0.51)
    assert len({round(value, 3) for value in soft.amax(1).tolist()}) > 15


def test_mixup_and_cutmix_are_torchvisions_with_its_shares() -> None:
    images, classes = photos(), labels()
    for name, transform in {"mixup": v2.MixUp(num_classes=10), "cutmix": v2.CutMix(num_classes=10)}.items():
        mixed, soft = augmentation([name], (3, 32, 32), 10)(images, classes)
        for i in range(COUNT):
            share = soft[i, classes[i]].item()
            pair = images[[i - 1, i]]
            if name == "mixup":
                params: dict[str, Any] = {"lam": share}
            else:
                pasted = (mixed[i] != images[i]).any(0)
                rows, columns = pasted.any(1).nonzero(), pasted.any(0).nonzero()
                box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else (0, 0, 0, 0)
                assert (1 - share) * 1024 >= int(pasted.sum()) - 0.01
                params = {"box": tuple(map(int, box)), "lam_adjusted": share}
            two = classes[[i - 1, i]]
            params |= {"labels": two, "batch_size": 2}
            theirs = transform.transform(pair.float(), params)[1]
            assert (mixed[i].float() - theirs).abs().max() <= 0.501
            assert transform.transform(two, params)[1].numpy() == pytest.approx(soft[i].numpy(), abs=1e-6)


def test_cutmix_labels_are_shares_of_the_area() -> None:
    images, classes = flat(), torch.arange(COUNT)
    mixed, soft = augmentation(["cutmix"], (3, 32, 32), COUNT)(images, classes)
    kept = (mixed == images)[:, 0].float().mean((1, 2))
    assert soft[range(COUNT), range(COUNT)].numpy() == pytest.approx(kept.numpy(), abs=1e-6)
    assert kept.min() < 0.7


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_unmixed_images_keep_their_labels(name: str) -> None:
    images, classes = photos(), labels()
    mixed, soft = augmentation([{name: {"p": 0.0}}], (3, 32, 32), 10)(images, classes)
    assert torch.equal(mixed, images)
    assert torch.equal(soft, torch.nn.functional.one_hot(classes, 10).float())
    mixed, soft = augmentation([{name: {"p": 0.5}}], (3, 32, 32), 10)(photos(count=1000), labels(1000))
    assert 0.4 < (soft.amax(1) == 1).float().mean() < 0.65


def test_soft_labels_are_mixed_too() -> None:
    soft = torch.rand(COUNT, 10).softmax(1)
    _, mixed = augmentation(["cutmix", "mixup"], (3, 32, 32), 10)(photos(), soft)
    assert mixed.sum(1).numpy() == pytest.approx(1, abs=1e-6)


def test_mixing_ratios_are_beta_distributed() -> None:
    torch.manual_seed(0)
    for alpha in (0.1, 1.0, 4.0):
        ours = augment_batch.BatchRandom(torch.zeros(20_000, 1), None).beta(alpha)
        theirs = torch.distributions.Beta(alpha, alpha).sample((20_000,))
        assert (quantiles(ours) - quantiles(theirs)).abs().max() < 0.05


def test_mixing_comes_last() -> None:
    images, classes = flat(), torch.arange(COUNT)
    order = augmentation(["mixup", {"color_jitter": {"brightness": [0.0, 0.0]}}], (3, 32, 32), COUNT)
    mixed, soft = order(images, classes)
    assert mixed.max() == 0
    assert soft.shape == (COUNT, COUNT)


# --- names, defaults, errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TORCHVISIONS)
def test_defaults_are_torchvisions(name: str) -> None:
    theirs = inspect.signature(TORCHVISIONS[name]).parameters
    for argument in AUGMENTATIONS[name].signature.arguments:
        if (name, argument.name) in {("erasing", "value"), ("mixup", "p"), ("cutmix", "p")}:
            continue
        assert argument.default == theirs[argument.name].default


@pytest.mark.parametrize("name", NAMES)
def test_a_name_alone_stands_for_its_defaults(name: str) -> None:
    alone = AppliedAugmentation.from_data(name)
    assert alone == AppliedAugmentation.from_data({name: {}})
    assert alone.to_dict() == {name: {}}
    written = {key: list(value) if isinstance(value, tuple) else value for key, value in alone.arguments.items()}
    assert list(written) == [argument.name for argument in AUGMENTATIONS[name].signature.arguments]
    assert validator(SCHEMA).is_valid({alone.name: written})
    assert validator(SCHEMA).is_valid(name)


@pytest.mark.parametrize(
    "wrong",
    ["shear", {"shear": {}}, {}, {"mixup": {}, "cutmix": {}}, {"mixup": {"alpha": 0}}, {"erasing": {"value": 256}},
     {"random_resized_crop": {"scale": [0.5, 1.1]}}, {"rotation": {"degrees": 181}}, {"padded_crop": {"padding": 0}}],
)  # fmt: skip
def test_what_is_no_augmentation_is_refused(wrong: Any) -> None:
    assert not validator(SCHEMA).is_valid(wrong)


@pytest.mark.parametrize(
    ("written", "shape", "message"),
    [
        (
            {"padded_crop": {"padding": 8, "mode": "reflect"}},
            (1, 8, 28),
            "`padded_crop` cannot mirror 8 pixels at the edges of images of 8×28\n"
            "  help: give it a padding of at most 7, or another mode",
        ),
        (
            {"rand_augment": {"magnitude": 31}},
            (3, 32, 32),
            "`rand_augment` has no magnitude 31: its 31 magnitudes count from 0\n"
            "  help: give it a magnitude of at most 30",
        ),
        (
            "horizontal_flip",
            (4, 32, 32),
            "`horizontal_flip` works on images of 1 or 3 channels, not on an input of 4\n"
            "  help: leave augmentation out: --set 'train.augment=[]'",
        ),
    ],
)
def test_arguments_that_do_not_fit_the_images_are_said(written: Any, shape: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        augmentation([written], shape, 10)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", NAMES)
def test_grey_images_shown_in_colour_are_augmented(name: str) -> None:
    """`fit_to_input` repeats a grey channel without a copy."""
    images = photos((1, 12, 12)).expand(-1, 3, -1, -1)
    result, _ = augmentation([name], (3, 12, 12), 10)(images, labels(), torch.Generator().manual_seed(0))
    expected, _ = augmentation([name], (3, 12, 12), 10)(images.clone(), labels(), torch.Generator().manual_seed(0))
    assert torch.equal(result, expected)

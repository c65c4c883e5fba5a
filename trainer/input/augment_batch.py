"""A recipe's augmentations on whole batches, on their device: each image has random numbers of its own.

The distributions are those of torchvision's transforms of the same names, which sample only once for a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import Shape
from archspec.recipe import AUGMENTATIONS, AppliedAugmentation
from trainer.input import color, geometry
from trainer.undocumented import sample_dirichlet

Range = tuple[float, float]
Operation = Callable[[Tensor, Tensor], Tensor]
Row = tuple[Operation, float, float, bool]
"""An operation, its first and last magnitude, and whether the magnitude is of either sign."""

MAX_TRIES = 10
"""How many rectangles are sampled until one fits, as in torchvision."""


class BatchRandom:
    """Random numbers, one for each image of a batch, on its device."""

    def __init__(self, images: Tensor, generator: Generator | None) -> None:
        self.count = len(images)
        self.device = images.device
        self.generator = generator

    def uniform(self, low: float = 0.0, high: float = 1.0, times: int | None = None) -> Tensor:
        """Numbers from `low` to `high`, `(N,)` or `(N, times)`."""
        shape = (self.count,) if times is None else (self.count, times)
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.device)

    def bernoulli(self, p: float) -> Tensor:
        """A boolean `(N,)`, true with probability `p`."""
        return self.uniform() < p

    def integers(self, bound: Tensor | int) -> Tensor:
        """Whole numbers from 0 to `bound` - 1, int64 `(N,)`; a tensor gives each image its own bound."""
        drawn = (self.uniform() * bound).long()  # rounding could reach the bound
        return drawn.minimum(bound - 1) if isinstance(bound, Tensor) else drawn.clamp(max=bound - 1)

    def noise(self, images: Tensor) -> Tensor:
        return torch.randint(256, images.shape, dtype=torch.uint8, device=self.device, generator=self.generator)

    def beta(self, alpha: float) -> Tensor:
        """Beta(alpha, alpha), `(N,)`."""
        both = torch.full((self.count, 2), alpha, device=self.device)
        return sample_dirichlet(both, self.generator)[:, 0]


class Recorded(BatchRandom):
    """Random numbers that are drawn once and given twice: for images, then (`again`) for their masks."""

    def __init__(self, images: Tensor, generator: Generator | None) -> None:
        super().__init__(images, generator)
        self.drawn: list[Tensor] = []
        self.given: list[Tensor] | None = None

    def again(self) -> Recorded:
        """From here on, what was drawn so far, in the same order."""
        self.given = self.drawn[::-1]
        return self

    def uniform(self, low: float = 0.0, high: float = 1.0, times: int | None = None) -> Tensor:
        if self.given is not None:
            return self.given.pop()
        self.drawn.append(super().uniform(low, high, times))
        return self.drawn[-1]


class Augmentation:
    """A recipe's `augment` list, in its order; mixup and cutmix come last, wherever they stand.

    Raises `UsageError` where an argument does not fit the images' size `shape[1:]` or another argument.
    """

    def __init__(self, augment: Sequence[AppliedAugmentation], shape: Shape, classes: int) -> None:
        _check(augment, shape)
        self.classes = classes
        changes = [one for one in augment if not one.kind.mixes]
        self._changes = [_change(one) for one in changes]
        self._moves = [_move(one) for one in changes]
        self._moves_of_images = [_move(one, images=True) for one in changes]
        self._mixes = [partial(_MIXES[one.name], **one.arguments) for one in augment if one.name in _MIXES]

    def __call__(self, images: Tensor, labels: Tensor, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """uint8 images `(N, C, H, W)` of one or three channels, and their labels: int64 `(N,)` or soft `(N, classes)`.

        Labels stay as they are unless images are mixed, and are soft then: floats, each class's probability. Masks,
        uint8 `(N, H, W)`, and target images, uint8 `(N, C, H, W)`, move with their images, by the same random numbers;
        what comes in from outside is `IGNORED` in masks.
        The generator, if one is given, is of the images' device.
        """
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            if labels.ndim == 3:
                return self._with_masks(images, labels, generator)
            if labels.ndim == 4:
                return self._moved(self._moves_of_images, images, labels, generator)
            random = BatchRandom(images, generator)
            for change in self._changes:
                images = change(images, random)
            if self._mixes and labels.ndim == 1:
                labels = torch.nn.functional.one_hot(labels, self.classes).float()
            for mix in self._mixes:
                images, labels = mix(images, labels, random)
        return images, labels

    def _with_masks(self, images: Tensor, masks: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
        # inverted, so that what comes in from outside, 0, is `IGNORED`
        images, inverted = self._moved(self._moves, images, ~masks[:, None], generator)
        return images, ~inverted[:, 0]

    def _moved(
        self,
        moves: Sequence[Callable[..., Tensor] | None],
        images: Tensor,
        targets: Tensor,
        generator: Generator | None,
    ) -> tuple[Tensor, Tensor]:
        assert not self._mixes, "neither masks nor target images are mixed"
        for change, move in zip(self._changes, moves, strict=True):
            random = Recorded(images, generator)
            images = change(images, random)
            if move is not None:
                targets = move(targets, random.again())
        return images, targets


def _check(augment: Sequence[AppliedAugmentation], shape: Shape) -> None:
    for one in augment:
        name, arguments = one.name, one.arguments
        if shape[0] not in (1, 3):
            raise UsageError(
                f"`{name}` works on images of 1 or 3 channels, not on an input of {shape[0]}",
                help="leave augmentation out: --set 'train.augment=[]'",
            )
        if name == "padded_crop" and arguments["mode"] == "reflect" and arguments["padding"] >= min(shape[1:]):
            raise UsageError(
                f"`padded_crop` cannot mirror {arguments['padding']} pixels at the edges of images of "
                f"{shape[1]}×{shape[2]}",
                help=f"give it a padding of at most {min(shape[1:]) - 1}, or another mode",
            )
        if name == "rand_augment" and arguments["magnitude"] >= arguments["num_magnitude_bins"]:
            raise UsageError(
                f"`rand_augment` has no magnitude {arguments['magnitude']}: its {arguments['num_magnitude_bins']} "
                f"magnitudes count from 0",
                help=f"give it a magnitude of at most {arguments['num_magnitude_bins'] - 1}",
            )


def _flip(images: Tensor, random: BatchRandom, p: float, dim: int) -> Tensor:
    return geometry.flip(images, random.bernoulli(p), dim)


def _resized_crop(
    images: Tensor, random: BatchRandom, scale: Range, ratio: Range, interpolation: str = "bilinear"
) -> Tensor:
    rows, columns = images.shape[-2:]
    height, width = _sizes(images, random, scale, ratio)
    fits = (width > 0) & (width <= columns) & (height > 0) & (height <= rows)
    # if none of the tries fits: the largest rectangle of a permitted ratio, in the middle
    least, most = sorted(ratio)
    whole = min(rows, round(columns / least)), min(columns, round(rows * most))
    any_fits, height, width = _first(fits, height, width, whole)
    top = torch.where(any_fits, random.integers(rows - height + 1), (rows - height) // 2)
    left = torch.where(any_fits, random.integers(columns - width + 1), (columns - width) // 2)
    return geometry.resized_crop(images, top, left, height, width, interpolation)


def _sizes(images: Tensor, random: BatchRandom, scale: Range, ratio: Range) -> tuple[Tensor, Tensor]:
    """Heights and widths of random rectangles, int64 `(N, TRIES)`; `ratio` is width over height."""
    area = images.shape[-2] * images.shape[-1] * random.uniform(min(scale), max(scale), MAX_TRIES)
    aspect = random.uniform(math.log(min(ratio)), math.log(max(ratio)), MAX_TRIES).exp()
    return (area / aspect).sqrt().round().long(), (area * aspect).sqrt().round().long()


def _first(fits: Tensor, heights: Tensor, widths: Tensor, otherwise: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """The first size that fits of each image's tries; whether there is one, its height and width, each `(N,)`."""
    any_fits, first = fits.any(1), fits.byte().argmax(1, keepdim=True)
    height, width = (
        torch.where(any_fits, sizes.gather(1, first)[:, 0], last)
        for sizes, last in zip((heights, widths), otherwise, strict=True)
    )
    return any_fits, height, width


def _padded_crop(images: Tensor, random: BatchRandom, padding: int, mode: str) -> Tensor:
    size = images.shape[-2], images.shape[-1]
    top, left = random.integers(2 * padding + 1), random.integers(2 * padding + 1)
    return geometry.crop(geometry.pad(images, padding, mode), top, left, size)


def _rotation(images: Tensor, random: BatchRandom, degrees: float | Range, interpolation: str) -> Tensor:
    return geometry.rotate(images, random.uniform(*_range(degrees)), interpolation)


def _range(value: float | Sequence[float], centre: float = 0.0, least: float = -math.inf) -> Range:
    """`[low, high]` as it is, a number as so much about `centre`, though not below `least`."""
    low, high = sorted(value) if isinstance(value, Sequence) else (centre - value, centre + value)
    return max(low, least), high


def _color_jitter(images: Tensor, random: BatchRandom, hue: float | Range, **factors: float | Range) -> Tensor:
    ranges: dict[Operation, Range] = {
        getattr(color, name): _range(factor, 1.0, 0.0) for name, factor in factors.items()
    } | {color.hue: _range(hue)}
    operations = [one for one, bounds in ranges.items() if bounds != ((0.0, 0.0) if one is color.hue else (1.0, 1.0))]
    if not operations:
        return images
    parameters = torch.stack([random.uniform(*ranges[one]) for one in operations], 1)
    order = random.uniform(times=len(operations)).argsort(1)
    for choice in order.unbind(1):
        images = _by_choice(images, choice, operations, parameters.gather(1, choice[:, None])[:, 0])
    return images


def _by_choice(images: Tensor, choice: Tensor, operations: Sequence[Operation], parameter: Tensor) -> Tensor:
    """Each image changed by the operation whose number `choice` gives, with its own parameter."""
    counts = torch.bincount(choice, minlength=len(operations)).tolist()
    result = images.clone()
    for operation, index in zip(operations, torch.split(choice.argsort(), counts), strict=True):
        if len(index):
            result[index] = operation(images[index], parameter[index])
    return result


def _erasing(images: Tensor, random: BatchRandom, p: float, scale: Range, ratio: Range, value: int | str) -> Tensor:
    rows, columns = images.shape[-2:]
    width, height = _sizes(images, random, scale, ratio)  # of erasing, the ratio is height over width
    _, height, width = _first((height < rows) & (width < columns), height, width, (0, 0))
    top, left = random.integers(rows - height + 1), random.integers(columns - width + 1)
    height = height * random.bernoulli(p)
    paint = random.noise(images) if value == "random" else torch.full_like(images, int(value))
    return torch.where(geometry.inside(top, left, height, width, (rows, columns)), paint, images)


def _rand_augment(
    images: Tensor,
    random: BatchRandom,
    num_ops: int,
    magnitude: int,
    num_magnitude_bins: int,
    masks: bool = False,
) -> Tensor:
    height, width = images.shape[-2:]
    table = _operations((150 / 331 * height, 150 / 331 * width), wide=False, masks=masks)
    for _ in range(num_ops):
        level = torch.full((len(images),), magnitude, device=images.device)
        images = _any_operation(images, random, table, level, num_magnitude_bins)
    return images


def _trivial_augment(images: Tensor, random: BatchRandom, num_magnitude_bins: int, masks: bool = False) -> Tensor:
    level = random.integers(num_magnitude_bins)
    return _any_operation(images, random, _operations((32, 32), wide=True, masks=masks), level, num_magnitude_bins)


def _any_operation(images: Tensor, random: BatchRandom, table: Sequence[Row], level: Tensor, bins: int) -> Tensor:
    """One of the operations for each image, at this level of its magnitudes."""
    choice = random.integers(len(table))
    magnitudes = torch.stack([torch.linspace(start, end, bins) for _, start, end, _ in table]).to(images.device)
    magnitude = magnitudes[choice, level]
    signed = torch.tensor([row[3] for row in table], device=images.device)[choice]
    magnitude = torch.where(random.bernoulli(0.5) & signed, -magnitude, magnitude)
    return _by_choice(images, choice, [row[0] for row in table], magnitude)


def _operations(shift: tuple[float, float], *, wide: bool, masks: bool = False) -> list[Row]:
    """The operations of RandAugment, or of TrivialAugment, whose ranges are `wide`.

    `shift` is the largest translation in pixels, vertical and horizontal. Those of colour leave `masks` as they are.
    """
    shear, turn, blend, bits = (0.99, 135.0, 0.99, 2.0) if wide else (0.3, 30.0, 0.9, 4.0)
    blends = (color.brightness, color.saturation, color.contrast, color.sharpness)
    operations: list[Row] = [
        (lambda images, _: images, 0.0, 0.0, False),
        (lambda images, by: geometry.affine(images, xy=by, x=by * images.shape[-2] / 2), 0.0, shear, True),
        (lambda images, by: geometry.affine(images, yx=by, y=by * images.shape[-1] / 2), 0.0, shear, True),
        (lambda images, by: geometry.affine(images, x=-by.trunc()), 0.0, shift[1], True),
        (lambda images, by: geometry.affine(images, y=-by.trunc()), 0.0, shift[0], True),
        (geometry.rotate, 0.0, turn, True),
        *((lambda images, by, change=one: change(images, 1 + by), 0.0, blend, True) for one in blends),
        (lambda images, kept: color.posterize(images, kept.round()), 8.0, bits, False),
        (lambda images, level: color.solarize(images, 255 * level), 1.0, 0.0, False),
        (lambda images, _: functional.autocontrast(images), 0.0, 0.0, False),
        (lambda images, _: functional.equalize(images), 0.0, 0.0, False),
    ]
    return [*operations[:6], *((operations[0][0], *row[1:]) for row in operations[6:])] if masks else operations


def _mixup(images: Tensor, labels: Tensor, random: BatchRandom, alpha: float, p: float) -> tuple[Tensor, Tensor]:
    """Blended with the image before it in the batch, whose order is random."""
    share = torch.where(random.bernoulli(p), random.beta(alpha), 1.0)
    kept = share[:, None, None, None]
    mixed = (images * kept).add_(images.roll(1, 0) * (1 - kept)).round_().to(torch.uint8)
    return mixed, _mixed_labels(labels, share)


def _cutmix(images: Tensor, labels: Tensor, random: BatchRandom, alpha: float, p: float) -> tuple[Tensor, Tensor]:
    """A rectangle about a random point is the image's before it in the batch, as far as it lies within the image."""
    rows, columns = images.shape[-2:]
    half = 0.5 * (1 - random.beta(alpha)).sqrt() * random.bernoulli(p)
    (top, height), (left, width) = (_stretch(random, half, size) for size in (rows, columns))
    pasted = geometry.inside(top, left, height, width, (rows, columns))
    return torch.where(pasted, images.roll(1, 0), images), _mixed_labels(labels, 1 - height * width / (rows * columns))


def _stretch(random: BatchRandom, half: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Start and length of a stretch about a random pixel; `half` of its length is a share of `size`."""
    middle, reach = random.integers(size), (half * size).long()
    start = (middle - reach).clamp(min=0)
    return start, (middle + reach).clamp(max=size) - start


def _mixed_labels(labels: Tensor, share: Tensor) -> Tensor:
    return labels * share[:, None] + labels.roll(1, 0) * (1 - share[:, None])


_CHANGES: dict[str, Callable[..., Tensor]] = {
    "horizontal_flip": partial(_flip, dim=-1),
    "vertical_flip": partial(_flip, dim=-2),
    "random_resized_crop": _resized_crop,
    "padded_crop": _padded_crop,
    "rotation": _rotation,
    "color_jitter": _color_jitter,
    "erasing": _erasing,
    "rand_augment": _rand_augment,
    "trivial_augment": _trivial_augment,
}
_MOVES: dict[str, dict[str, Any]] = {
    "horizontal_flip": {},
    "vertical_flip": {},
    "random_resized_crop": {"interpolation": "nearest"},
    "padded_crop": {},
    "rotation": {"interpolation": "nearest"},
    "rand_augment": {"masks": True},
    "trivial_augment": {"masks": True},
}
"""The changes that move what is in an image, and their arguments for masks."""
FLIPS = ("horizontal_flip", "vertical_flip")
"""Those that move images of different sizes alike."""
STILL = _CHANGES.keys() - _MOVES.keys()
"""The changes that leave everything where it is."""


def _change(one: AppliedAugmentation) -> Callable[..., Tensor]:
    """What an augmentation does to images."""
    return partial(_added, one) if one.kind.added else partial(_CHANGES[one.name], **one.arguments)


def _added(one: AppliedAugmentation, images: Tensor, random: BatchRandom, **options: bool) -> Tensor:
    """What a package's augmentation makes of images. Raises `UsageError` where it is of another form."""
    made = one.kind.added.change(images, random, one.arguments, **options)
    if not isinstance(made, Tensor) or (made.shape, made.dtype) != (images.shape, images.dtype):
        given = f"{made.dtype} {tuple(made.shape)}" if isinstance(made, Tensor) else type(made).__name__
        raise UsageError(
            f"the augmentation `{one.name}` of a package makes {given} of images {images.dtype} {tuple(images.shape)}",
            help="correct the package: it gives uint8 images of the same shape",
        )
    return made


def _move(one: AppliedAugmentation, *, images: bool = False) -> Callable[..., Tensor] | None:
    """What an augmentation does to masks, or to target images; `None` for nothing."""
    if (added := one.kind.added) is not None:
        return partial(_added, one, is_mask=not images) if added.moves else None
    if one.name not in _MOVES:
        return None
    arguments = {name: value for name, value in _MOVES[one.name].items() if not (images and name == "interpolation")}
    return partial(_CHANGES[one.name], **one.arguments | arguments)


_MIXES: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {"mixup": _mixup, "cutmix": _cutmix}
assert _CHANGES.keys() | _MIXES.keys() == {name for name, one in AUGMENTATIONS.items() if one.added is None}

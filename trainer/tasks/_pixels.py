"""What the segmentation of images computes and draws: counts of pixels, their scores, masks in colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer import drawing
from trainer.input.datasets import InMemory
from trainer.input.images import fit_targets, fit_to_input
from trainer.input.loaders import Stream
from trainer.input.masks import IGNORED
from trainer.tasks._confusion import ConfusionScore


def resized(output: Tensor, size: Sequence[int]) -> Tensor:
    """Logits `(N, classes, H, W)`, brought bilinearly to a height and width."""
    if tuple(output.shape[-2:]) == tuple(size):
        return output
    return functional.interpolate(output.float(), tuple(size), mode="bilinear", align_corners=False)


def predicted_masks(output: Tensor, size: Sequence[int]) -> Tensor:
    """The class of each pixel, int64 `(N, *size)`, by logits `(N, classes, H, W)`."""
    return resized(output, size).argmax(1)


def confusions(found: Tensor, masks: Tensor, classes: int) -> Tensor:
    """How often pixels of a class (row) are taken for a class (column), int64 `(N, classes, classes)`.

    Pixels that are `IGNORED` in `masks` `(N, H, W)` do not count.
    """
    count = len(masks)
    truth = masks.long()
    codes = truth * classes + found + torch.arange(count, device=masks.device)[:, None, None] * classes**2
    counted = torch.bincount(codes[truth != IGNORED], minlength=count * classes**2)
    return counted.reshape(count, classes, classes)


class PixelScore(ConfusionScore):
    """One of the scores of pixels, by logits `(N, classes, H, W)` and masks of any size."""

    def count(self, output: Tensor, targets: Tensor) -> Tensor:
        found = predicted_masks(output, targets.shape[1:])
        return confusions(found, targets, self.classes).sum(0)


class Resized(nn.Module):
    """A loss of logits that are brought to the size of the masks first."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, output: Tensor, masks: Tensor) -> Tensor:
        loss: Tensor = self.loss(resized(output, masks.shape[1:]), masks)
        return loss


def palette(count: int) -> Tensor:
    """The colours of Pascal VOC's masks for the first classes, uint8 `(count, 3)`; class 0 is black."""
    numbers = torch.arange(count)
    colours = torch.zeros(count, 3, dtype=torch.int64)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> channel) & 1) << (7 - bit)
        numbers = numbers >> 3
    return colours.byte()


DISTINCT = (
    *("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"),
    *("#882255", "#44AA99", "#999933", "#AA4499"),
)
"""Colours that remain apart for those who do not see all of them (Okabe and Ito; Tol), class 0 first."""


def colours_of(classes: int) -> Tensor:
    """The colour of each class in pictures, uint8 `(classes, 3)`."""
    if classes > len(DISTINCT):
        return palette(classes)
    return torch.tensor([[int(one[place : place + 2], 16) for place in (1, 3, 5)] for one in DISTINCT[:classes]]).byte()


def overlaid(image: Tensor, mask: Tensor, colours: Tensor) -> Tensor:
    """An image `(3, H, W)` below its mask `(H, W)`; class 0 is left as it is, and what is `IGNORED` is white."""
    painted = torch.cat([colours, torch.full((256 - len(colours), 3), 255)])[mask.long()].permute(2, 0, 1).float()
    mixed = 0.2 * image.float() + 0.8 * painted
    return torch.where(mask == 0, image.float(), mixed).round().byte()


def draw_masks(
    masks: Mapping[int, Tensor],
    scores: Sequence[float],
    part: InMemory | Stream,
    class_names: Sequence[str],
    file: Path,
    shown: int,
) -> None:
    """The first images and the worst, `shown` of each: the image, its mask, and the predicted one."""
    colours = colours_of(len(class_names))
    tiles, titles = [], []
    for position, mask in masks.items():
        images, targets = drawing.batch_at(part, [position])
        shape = (3, *mask.shape)
        image, truth = fit_to_input(images, shape)[0], fit_targets(targets, shape)[0]
        tiles += [image, overlaid(image, truth, colours), overlaid(image, mask, colours)]
        which = "first" if position < shown else "worst"
        (name,) = drawing.files_at(part, [position])
        titles += [f"{which}:\n{name}", "mask", f"predicted,\nIoU {scores[position]:.0%}"]
    legend = [
        (name, "#" + "".join(f"{value:02x}" for value in colour.tolist()))
        for name, colour in zip(class_names, colours, strict=True)
    ]
    title = "test images, their masks and the predicted ones"
    drawing.grid(torch.stack(tiles), titles, file, 6, title, legend[1 : 1 + drawing.NUMBERED])

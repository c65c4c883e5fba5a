"""What the regression of target images computes: values from 0 to 1, losses, scores of each image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import Metric
from torchmetrics.functional.image import structural_similarity_index_measure

from trainer import drawing
from trainer.input.datasets import InMemory
from trainer.input.loaders import Stream
from trainer.input.resizing import bring_to_size

WINDOW = 11
"""The height and width of the window of SSIM, in pixels."""
EXACT = 1e-10
"""The least squared error that PSNR knows: it is at most 100 dB."""


class InValues(nn.Module):
    """Makes values from 0 to 1 of a network's output: times `std`, plus `mean`, each `(C, 1, 1)`."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))

    def forward(self, output: Tensor) -> Tensor:
        return output.float() * self.std + self.mean


class OfImages(nn.Module):
    """A loss of values from 0 to 1 and targets uint8, both divided by `std` `(C, 1, 1)`, the targets' deviation."""

    std: Tensor

    def __init__(self, loss: nn.Module, channels: int) -> None:
        super().__init__()
        self.loss = loss
        self.register_buffer("std", torch.ones(channels, 1, 1))

    def forward(self, output: Tensor, targets: Tensor) -> Tensor:
        loss: Tensor = self.loss(output / self.std, targets / 255 / self.std)
        return loss


def image_scores(output: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """MAE, PSNR in dB, and SSIM of each image, floats `(N,)`, of values 0 to 1 and targets uint8 `(N, C, H, W)`.

    The output is cut to 0 to 1 first, as a file would be. SSIM has a Gaussian window of a deviation of 1.5 pixels
    (https://doi.org/10.1109/TIP.2003.819861), and is left out of images that are smaller than that.
    """
    found, meant = output.float().clamp(0, 1), targets / 255
    errors = found - meant
    scores = {
        "psnr": -10 * (errors**2).mean((1, 2, 3)).clamp(min=EXACT).log10(),
        "mae": errors.abs().mean((1, 2, 3)),
    }
    if min(targets.shape[2:]) >= WINDOW:
        similar = structural_similarity_index_measure(found, meant, data_range=1.0, reduction="none")
        assert isinstance(similar, Tensor)
        scores["ssim"] = similar
    return scores


class ImageScore(Metric):
    """The mean of one of the `image_scores` over all images, also those of other processes."""

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.add_state("total", torch.tensor(0.0), "sum")
        self.add_state("count", torch.tensor(0), "sum")

    def update(self, output: Tensor, targets: Tensor) -> None:
        self.total += image_scores(output, targets)[self.name].sum()
        self.count += len(targets)

    def compute(self) -> Tensor:
        return self.total / self.count


def as_pixels(output: Tensor) -> Tensor:
    """Values 0 to 1 as uint8, rounded; what lies outside is cut."""
    return (output.float() * 255).round().clamp(0, 255).byte()


def draw_answers(answers: Mapping[int, Tensor], psnr: Tensor, part: InMemory | Stream, file: Path, shown: int) -> None:
    """The first images and the worst, `shown` of each: the image, the answer uint8 `(C, H, W)`, the target."""
    tiles, titles = [], []
    for position, answer in answers.items():
        images, targets = drawing.batch_at(part, [position])
        size = answer.shape[1:]
        image = bring_to_size(images, size) if images.shape[-1] > size[-1] else functional.interpolate(images, size)
        tiles += [_coloured(one) for one in (image[0], answer, targets[0])]
        which = "first" if position < shown else "worst"
        (name,) = drawing.files_at(part, [position])
        titles += [f"{which}:\n{name}", f"answer,\n{psnr[position]:.1f} dB", "target"]
    title = "test images, the network's answers and what was meant"
    drawing.grid(torch.stack(tiles), titles, file, 6, title)


def _coloured(image: Tensor) -> Tensor:
    return image.expand(3, -1, -1)

"""From a data set's images to a network's input: size, channels and normalisation."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from archspec.errors import UsageError
from archspec.shapes import Shape, show


def fitted(images: Tensor, shape: Shape) -> Tensor:
    """Images `(N, C, H, W)` brought to a network's input: resized, grey repeated over colours, or colours made grey."""
    channels, *size = shape
    if images.shape[1] == 1 and channels == 3:
        images = images.expand(-1, 3, -1, -1)
    elif images.shape[1] == 3 and channels == 1:
        images = functional.rgb_to_grayscale(images)
    if list(images.shape[-2:]) != size:
        images = functional.resize(images, size, InterpolationMode.BILINEAR, antialias=True)
    return images


def check_fit(images: Tensor, shape: Shape, name: str) -> None:
    """Raises `UsageError` where a data set's images cannot be brought to a network's input."""
    if len(shape) != 3:
        raise UsageError(
            f"the data set `{name}` holds images, but the network's input is {show(shape)}\n"
            "  help: give the spec an input of channels, height and width"
        )
    channels = images.shape[1]
    if channels != shape[0] and {channels, shape[0]} != {1, 3}:
        raise UsageError(
            f"images of {channels} channel{'s' * (channels != 1)} (data set `{name}`) "
            f"do not fit an input of {shape[0]}\n"
            f"  help: set the input: --set 'input=[{channels}, {shape[1]}, {shape[2]}]'"
        )


def statistics(images: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """The mean and standard deviation of each channel as float `(C,)`, of values 0 to 1, as the network sees them."""
    channels = fitted(images, (shape[0], *images.shape[-2:])).transpose(0, 1).flatten(1)
    # sums of whole numbers: exact whatever the count, without a copy of all images in floating point
    counts = torch.stack([torch.bincount(channel, minlength=256) for channel in channels]).double()
    values = torch.arange(256).double() / 255
    mean = (counts * values).sum(1) / counts.sum(1)
    variance = (counts * (values - mean[:, None]) ** 2).sum(1) / counts.sum(1)
    return mean.float(), variance.sqrt().clamp(min=1e-6).float()

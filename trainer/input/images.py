"""Fit images to a network's input: size, channels and statistics for normalisation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms.v2 import functional

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import Shape, show
from archspec.language.inputs import show_inputs
from archspec.plan.plan import Plan
from archspec.recipe import Resize
from archspec.recipe.columns import image_among
from trainer.input.resizing import STRETCH, bring_to_size


def fit_to_input(images: Tensor, shape: Shape, resize: Resize = STRETCH) -> Tensor:
    """Fit images `(N, C, H, W)` to a network's input `shape`: resized, grey to colour or colour to grey.

    Images that fit already, since they were fitted before, are left as they are.
    """
    channels, *size = shape
    if images.shape[1] == 1 and channels == 3:
        images = images.expand(-1, 3, -1, -1)
    elif images.shape[1] == 3 and channels == 1:
        images = functional.rgb_to_grayscale(images)
    exported = torch.compiler.is_exporting() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if exported and resize == STRETCH:
        # what is traced must do for images of other sizes too, also where the example needs no resizing
        resized = images if images.device.type == "cpu" else images.float()
        resized = interpolate(resized, size, mode="bilinear", antialias=True)
        return resized if resized.dtype == images.dtype else resized.round_().to(images.dtype)
    return bring_to_size(images, size, resize)


def fit_masks(masks: Tensor, shape: Shape, resize: Resize = STRETCH) -> Tensor:
    """Fit masks `(N, H, W)` to a network's input `shape`: each pixel has the class of the one that lies nearest."""
    return bring_to_size(masks[:, None], shape[1:], resize, masks=True)[:, 0]


def fit_targets(targets: Tensor, shape: Shape, resize: Resize = STRETCH) -> Tensor:
    """Fit the targets of images to a network's input `shape`: masks `(N, H, W)` are resized, others stay."""
    return fit_masks(targets, shape, resize) if targets.ndim == 3 and targets.dtype == torch.uint8 else targets


def check_inputs(plan: Plan) -> None:
    """Raises `UsageError` where a network takes several inputs, unless these are rows, one image aside."""
    others = [one for one in plan.takes if len(one.shape) != 1]
    if len(plan.takes) > 1 and others and (len(others) > 1 or not image_among(plan.inputs)):
        raise UsageError(
            "archspec train trains networks of several inputs where all are rows, columns of a table, but for one "
            f"that may be an image; those of {plan.title} are {show_inputs(plan.takes)}",
            help="train it by a loop of your own, on `archspec.load(…).build()`; or stack what has one size as "
            "channels, and let branches begin with `channel_slice`",
        )


def check_fit(channels: int, shape: Shape, name: str) -> None:
    """Raises `UsageError` where a data set's images of `channels` cannot be fitted to a network's input."""
    if len(shape) != 3:
        raise UsageError(
            f"the data set `{name}` holds images, but the network's input is {show(shape)}",
            help="choose a table or arrays, --data table.csv for example; or give the spec an input of channels, "
            "height and width",
        )
    if channels != shape[0] and {channels, shape[0]} != {1, 3}:
        raise UsageError(
            f"images of {channels} channel{'s' * (channels != 1)} (data set `{name}`) "
            f"do not fit an input of {shape[0]}",
            help=f"set the input: --set 'input=[{channels}, {shape[1]}, {shape[2]}]'",
        )


def histogram(images: Tensor, shape: Shape) -> Tensor:
    """How often each value from 0 to 255 stands in each channel, int64 `(C, 256)`, as the network sees the channels."""
    channels = fit_to_input(images, (shape[0], *images.shape[-2:])).transpose(0, 1).flatten(1)
    return torch.stack([torch.bincount(channel, minlength=256) for channel in channels])


def moments(counts: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and standard deviation of values 0 to 1, float `(C,)`, of a histogram `(C, 256)` of 0 to 255.

    Counts of whole numbers are exact however many there are, without a copy of all images in floating point.
    """
    weights, values = counts.double(), torch.arange(256).double() / 255
    total = weights.sum(1)
    mean = (weights * values).sum(1) / total
    variance = (weights * (values - mean[:, None]) ** 2).sum(1) / total
    return mean.float(), variance.sqrt().clamp(min=1e-6).float()


def statistics(images: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """The mean and standard deviation of each channel as float `(C,)`, of values 0 to 1, as the network sees them."""
    return moments(histogram(images, shape))

"""Changes of colour of whole batches of images, each image by a factor of its own.

Images are uint8 `(N, C, H, W)` of one or three channels, parameters are tensors `(N,)`. Results are those of
torchvision's functional transforms, image by image; where two images are blended, within one grey level.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Each value times the image's factor."""
    return (images * _each(factor)).clamp_(0, 255).to(torch.uint8)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blends with the grey image: 0 is grey, 1 is the image as it is. Grey images stay as they are."""
    return images if images.shape[1] == 1 else _blended(images, _grey(images), factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blends with the mean grey value: 0 is that value everywhere, 1 is the image as it is."""
    return _blended(images, _grey(images).mean((1, 2, 3), keepdim=True), factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blends with a smoothed image: 0 is smooth, 1 is the image as it is. The outermost pixels stay."""
    channels, height, width = images.shape[1:]
    if min(height, width) <= 2:
        return images
    kernel = torch.ones(channels, 1, 3, 3, device=images.device)
    kernel[:, :, 1, 1] = 5
    smooth = functional.conv2d(images.float(), kernel / 13, groups=channels).round_()
    result = images.clone()
    result[:, :, 1:-1, 1:-1] = _blended(images[:, :, 1:-1, 1:-1], smooth, factor)
    return result


def hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turns the hue by `shift`, in turns from -0.5 to 0.5. Grey images stay as they are."""
    if images.shape[1] == 1:
        return images
    colours = images.float()
    red, green, blue = colours.unbind(1)
    value, least = colours.amax(1), colours.amin(1)
    chroma = value - least
    span = chroma.clamp(min=1)  # whole numbers: it is 0 only where all three are equal, and no hue is needed
    sixth = torch.where(
        value == red,
        (green - blue) / span,
        torch.where(value == green, 2 + (blue - red) / span, 4 + (red - green) / span),
    )
    turned = sixth + 6 * shift[:, None, None]
    # how far a channel lies below the value: as its distance from the hue grows, from nothing to the chroma
    distance = (turned[:, None] + torch.tensor([5.0, 3.0, 1.0], device=images.device)[:, None, None]) % 6
    below = torch.minimum(distance, 4 - distance).clamp_(0, 1)
    return (value[:, None] - chroma[:, None] * below).round_().clamp_(0, 255).to(torch.uint8)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keeps the `bits` highest bits of each value, from 0 to 8."""
    kept = 256 - 2 ** (8 - bits.long())
    return images & _each(kept).to(torch.uint8)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Inverts the values from `threshold` on."""
    return torch.where(images >= _each(threshold), 255 - images, images)


def _grey(images: Tensor) -> Tensor:
    """Luminance as whole floats `(N, 1, H, W)`."""
    if images.shape[1] == 1:
        return images.float()
    red, green, blue = images.unbind(1)
    return (red * 0.2989 + green * 0.587 + blue * 0.114).floor_()[:, None]


def _blended(images: Tensor, others: Tensor, factor: Tensor) -> Tensor:
    share = _each(factor)
    return (images * share).add_(others * (1 - share)).clamp_(0, 255).to(torch.uint8)


def _each(parameter: Tensor) -> Tensor:
    return parameter[:, None, None, None]

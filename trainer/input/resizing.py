"""How images are brought to a network's height and width: stretched, cropped or padded, as the recipe says."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from archspec.recipe import Resize

STRETCH = Resize("stretch")
IGNORED = 255
"""The class of pixels of masks that count for nothing."""
MARGIN = (8, 7)
"""By what `crop` enlarges the input's sides where its `size` is not given: 256 pixels of 224."""


def bring_to_size(images: Tensor, size: Sequence[int], resize: Resize = STRETCH, *, masks: bool = False) -> Tensor:
    """Images `(N, C, H, W)` of a height and width `size`. Resizing is antialiased; masks take the nearest pixel.

    Images that have that size already are left as they are. `crop` is torchvision's `Resize` and `CenterCrop`: the
    shorter side becomes `size`, the longer one keeps the ratio, and the centre is cut out. Where the input is not
    square, the image is made so large that it covers the input with the same margin.
    """
    if list(images.shape[-2:]) == list(size):
        return images
    assert resize.name != "weights", "what weights know is looked up before"
    arguments = dict(resize.arguments)
    interpolation = InterpolationMode(arguments.get("interpolation", "bilinear"))
    interpolation = InterpolationMode.NEAREST_EXACT if masks else interpolation
    height, width = images.shape[-2:]
    if resize.name == "crop":
        shorter = min(size)
        wanted = arguments.get("size", round(shorter * MARGIN[0] / MARGIN[1]))
        box = [wanted * side // shorter for side in size]
        covering = _cover((height, width), box)
        return functional.center_crop(_resized(images, covering, interpolation), list(size))  # type: ignore[no-any-return]
    if resize.name == "pad":
        fitting = _fit((height, width), size)
        images = _resized(images, fitting, interpolation)
        top, left = ((whole - part) // 2 for whole, part in zip(size, fitting, strict=True))
        rest = [left, top, size[1] - fitting[1] - left, size[0] - fitting[0] - top]
        return functional.pad(images, rest, fill=IGNORED if masks else arguments.get("fill", 0))  # type: ignore[no-any-return]
    return _resized(images, size, interpolation)


def _resized(images: Tensor, size: Sequence[int], interpolation: InterpolationMode) -> Tensor:
    if list(images.shape[-2:]) == list(size):
        return images
    return functional.resize(images, list(size), interpolation, antialias=True)  # type: ignore[no-any-return]


def _cover(image: Sequence[int], box: Sequence[int]) -> list[int]:
    """The size of an image that covers a box, touching two sides of it; the other side is rounded down."""
    (height, width), (rows, columns) = image, box
    if height * columns <= width * rows:
        return [rows, width * rows // height]
    return [height * columns // width, columns]


def _fit(image: Sequence[int], box: Sequence[int]) -> list[int]:
    """The size of an image that fits into a box, touching two sides of it; the other side is rounded."""
    (height, width), (rows, columns) = image, box
    if height * columns >= width * rows:
        return [rows, max(1, round(width * rows / height))]
    return [max(1, round(height * columns / width)), columns]

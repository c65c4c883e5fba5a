"""Flips, crops and affine maps of whole batches of images, each image by parameters of its own.

Images are uint8 `(N, C, H, W)` throughout and stay on their device. A parameter is a tensor `(N,)`. Nothing loops over
images. Results are those of torchvision's functional transforms, image by image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

CHUNK_VALUES = 2**17
"""How many values are processed at once on a CPU."""


def flip(images: Tensor, chosen: Tensor, dim: int) -> Tensor:
    """Images mirrored along `dim` (-1: left to right) where `chosen`, a boolean `(N,)`, says so."""
    bits = (chosen * 255).to(torch.uint8)[:, None, None, None]
    # what differs, where it is chosen: several times as fast on bytes as `torch.where`
    return images.flip(dim).bitwise_xor_(images).bitwise_and_(bits).bitwise_xor_(images)


def pad(images: Tensor, padding: int, mode: str) -> Tensor:
    """Images with `padding` pixels more on each side: black (`constant`), the `edge` repeated, or a mirror (`reflect`).

    `reflect` needs a padding less than height and width.
    """
    if mode == "constant":
        return functional.pad(images, (padding,) * 4)
    for dim in (-2, -1):
        size = images.shape[dim]
        index = torch.arange(-padding, size + padding, device=images.device)
        index = index.clamp(0, size - 1) if mode == "edge" else (size - 1) - (index.abs() - (size - 1)).abs()
        images = images.index_select(dim, index)
    return images


def crop(images: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]) -> Tensor:
    """The part of `size` (height, width) of each image whose upper left corner is at `top`, `left` (pixels)."""
    count, channels, rows, columns = images.shape
    plane = torch.arange(count * channels, device=images.device).view(count, channels, 1) * (rows * columns)
    first = plane + (top * columns + left)[:, None, None] + torch.arange(size[0], device=images.device) * columns
    # every stretch of a row's length there is, of which the wanted ones are copied whole
    stretches = images.contiguous().view(-1).unfold(0, size[1], 1)
    return stretches.index_select(0, first.view(-1)).view(count, channels, *size)


def resized_crop(
    images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor, mode: str = "bilinear"
) -> Tensor:
    """A rectangle of each image, brought to the size of the whole, by `mode` `nearest` or `bilinear`. All in pixels."""
    rows, columns = images.shape[-2:]

    def sampled(part: Tensor, x: Tensor, y: Tensor) -> Tensor:
        grid = torch.empty(len(part), rows, columns, 2, device=part.device)
        grid[..., 0] = x[:, None, :]
        grid[..., 1] = y[:, :, None]
        return _grid_sample(part, grid, mode)

    # positions are held within the rectangle: its edge is repeated, what lies beyond is not seen
    return _in_chunks(sampled, images, _positions(left, width, columns), _positions(top, height, rows))


def _positions(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Where each of `size` pixels lies that a stretch of `length` is resized to, `(N, size)`, from -1 to 1."""
    steps = (torch.arange(size, device=start.device) + 0.5) / size
    within = (steps * length[:, None] - 0.5).clamp(min=0).minimum((length - 1)[:, None])
    return (within + (start[:, None] + 0.5)) * (2 / size) - 1


def rotate(images: Tensor, degrees: Tensor, mode: str = "nearest") -> Tensor:
    """Images turned about their centres, counter-clockwise; what comes in from outside is black."""
    angle = degrees.float().deg2rad()
    return affine(images, angle.cos(), -angle.sin(), angle.sin(), angle.cos(), mode=mode)


def affine(
    images: Tensor,
    xx: Tensor | float = 1.0,
    xy: Tensor | float = 0.0,
    yx: Tensor | float = 0.0,
    yy: Tensor | float = 1.0,
    x: Tensor | float = 0.0,
    y: Tensor | float = 0.0,
    mode: str = "nearest",
) -> Tensor:
    """Images whose pixel at (u, v) is taken from (xx u + xy v + x, yx u + yy v + y), in pixels from the centre.

    `mode` is `nearest` or `bilinear`; what lies outside is black.
    """
    height, width = images.shape[-2:]
    entries = (xx, xy * height / width, x * 2 / width, yx * width / height, yy, y * 2 / height)
    columns = [torch.as_tensor(one, dtype=torch.float32, device=images.device).expand(len(images)) for one in entries]
    theta = torch.stack(columns, 1).view(-1, 2, 3)

    def sampled(part: Tensor, map: Tensor) -> Tensor:
        grid = functional.affine_grid(map, [len(part), 1, height, width], align_corners=False)
        return _grid_sample(part, grid, mode)

    return _in_chunks(sampled, images, theta)


def _grid_sample(images: Tensor, grid: Tensor, mode: str) -> Tensor:
    sampled = functional.grid_sample(images.float(), grid, mode, padding_mode="zeros", align_corners=False)
    return sampled.round_().to(torch.uint8)


def _in_chunks(operation: Callable[..., Tensor], images: Tensor, *parameters: Tensor) -> Tensor:
    """An operation on a batch; on a CPU on some images at a time, whose floats fit its cache: twice as fast."""
    if images.device.type != "cpu":
        return operation(images, *parameters)
    count = max(8, CHUNK_VALUES // images[0].numel())
    parts = zip(*(torch.split(tensor, count) for tensor in (images, *parameters)), strict=True)
    return torch.cat([operation(*part) for part in parts])


def inside(top: Tensor, left: Tensor, height: Tensor, width: Tensor, size: tuple[int, int]) -> Tensor:
    """A boolean `(N, 1, H, W)`: which pixels lie within each rectangle."""
    rows, columns = (torch.arange(length, device=top.device) for length in size)
    vertical = (rows >= top[:, None]) & (rows < (top + height)[:, None])
    horizontal = (columns >= left[:, None]) & (columns < (left + width)[:, None])
    return (vertical[:, :, None] & horizontal[:, None, :])[:, None]

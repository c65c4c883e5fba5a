"""Tensors converted to a network of another input: another size, or another number of channels."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from archspec.foundation.errors import escape_line
from archspec.weights.tensors import format_tensor


def adapt_tensor(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], input_shape: tuple[int, ...] | None = None
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """`state` with the tensors converted that can be, for a network that holds `own`, and a note on each.

    - Position embeddings `(1, N, features)` and tables of relative position biases `((2h−1)·(2w−1), heads)` are
      interpolated, bicubic: as timm's `resample_abs_pos_embed` (with antialias) and
      `resize_rel_pos_bias_table_simple`. Tokens before those of the image are kept.
    - The first convolution gets its input channels repeated and scaled, or summed for one: timm's `adapt_input_conv`.

    Grids are square; that of position embeddings may also have the sides of `input_shape` `(C, H, W)`.
    """
    found, notes = dict(state), []
    first = next((name for name, tensor in own.items() if tensor.dim() == 4), None)
    for name, tensor in own.items():
        value = state.get(name)
        if value is None or value.shape == tensor.shape or not value.is_floating_point():
            continue
        new = None
        if name == first:
            new = _channels(value, tensor.shape)
        elif value.dim() == 3 and value.shape[::2] == tensor.shape[::2] and value.shape[0] == 1:
            new = _positions(value, tensor.shape[1], input_shape)
        elif name.endswith("bias_table") and value.dim() == 2 and value.shape[1:] == tensor.shape[1:]:
            new = _table(value, tensor.shape[0])
        if new is not None:
            found[name] = new
            notes.append(f"{escape_line(name)} was {'converted' if name == first else 'interpolated'}: "
                         f"{format_tensor(value)} became {format_tensor(new)}")  # fmt: skip
    return found, tuple(notes)


def _channels(weight: Tensor, shape: torch.Size) -> Tensor | None:
    """The weight `(out, in, height, width)` of a convolution for other input channels."""
    if weight.dim() != 4 or weight.shape[0] != shape[0] or weight.shape[2:] != shape[2:]:
        return None
    count, channels = weight.shape[1], shape[1]
    values = weight.float()
    if channels == 1:
        values = values.sum(1, keepdim=True)
    else:
        values = values.repeat(1, math.ceil(channels / count), 1, 1)[:, :channels] * (count / channels)
    return values.to(weight.dtype)


def _positions(weight: Tensor, count: int, input_shape: tuple[int, ...] | None) -> Tensor | None:
    """Position embeddings of `count` tokens."""
    for prefix in (0, 1, 2):
        old, new = _grid(weight.shape[1] - prefix), _grid(count - prefix, input_shape)
        if old and new:
            image = weight[:, prefix:].float().reshape(1, *old, -1).permute(0, 3, 1, 2)
            image = functional.interpolate(image, size=new, mode="bicubic", antialias=True)
            tokens = image.permute(0, 2, 3, 1).flatten(1, 2).to(weight.dtype)
            return torch.cat([weight[:, :prefix], tokens], 1)
    return None


def _table(weight: Tensor, count: int) -> Tensor | None:
    """The biases of relative positions in a window of another size."""
    old, new = _grid(weight.shape[0]), _grid(count)
    if not old or not new:
        return None
    image = weight.float().t().reshape(1, -1, *old)
    image = functional.interpolate(image, size=new, mode="bicubic", align_corners=False)
    return image.flatten(2)[0].t().to(weight.dtype)


def _grid(count: int, input_shape: tuple[int, ...] | None = None) -> tuple[int, int] | None:
    """Height and width of a grid of so many places, with the sides of the input or square."""
    if count < 1:
        return None
    height, width = input_shape[-2:] if input_shape is not None and len(input_shape) == 3 else (1, 1)
    rows = math.isqrt(count * height // width)
    for one in (rows, rows + 1):
        if one and count % one == 0 and one * width == count // one * height:
            return one, count // one
    return None

"""Shapes of one sample (no batch axis), and the arithmetic of windows that slide over them."""

from __future__ import annotations

from collections.abc import Sequence

Shape = tuple[int, ...]
"""`(channels, height, width)` of a feature map, `(features,)` of a vector, `(tokens, features)` of a token sequence."""


def show(shape: Sequence[int]) -> str:
    """A shape as people write it: `64×56×56`."""
    return "×".join(map(str, shape)) if shape else "scalar"


def height_width(value: int | Sequence[int]) -> tuple[int, int]:
    """An integer for both axes, or a list of two, as `(height, width)`."""
    if isinstance(value, int):
        return value, value
    height, width = value
    return height, width


def window_count(size: int, kernel: int, stride: int, padding: int, dilation: int, *, ceil: bool = False) -> int:
    """How many windows fit along one axis of `size` pixels; 0 or less if none does.

    This is the rule of `torch.nn.Conv2d` and the pooling layers.

    Args:
        size: The length of the axis in pixels.
        kernel: The window's length in taps.
        stride: Pixels from one window to the next.
        padding: Pixels added at each end.
        dilation: Pixels from one tap to the next.
        ceil: Whether a window that reaches past the end counts too, provided that it begins inside the input or its
            left padding.

    Example:
        ```python
        window_count(224, kernel=7, stride=2, padding=3, dilation=1)  # 112
        ```
    """
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (count - 1) * stride >= size + padding:
        count -= 1
    return count


def sees_padding_only(size: int, stride: int, padding: int, dilation: int, count: int) -> bool:
    """Whether one of an axis' `count` windows sees none of its `size` pixels, only padding.

    The padding of a side is less than the kernel, so only a window that begins in it can step over the whole input.
    """
    if dilation <= size:
        return False
    return any((i * stride - padding) % dilation >= size for i in range(min(count, -(-padding // stride))))

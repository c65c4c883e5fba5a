"""Padding `same` with a stride: zeros so that ⌈size / stride⌉ windows fit, the odd one at the end, as in TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.foundation.shapes import Shape

Steps = Sequence[int]
"""A number for each axis of positions."""


def counts(size: Shape, stride: Steps) -> Shape:
    """How many windows there are along each axis."""
    return tuple(-(-one // step) for one, step in zip(size, stride, strict=True))


def totals(size: Shape, kernel: Steps, stride: Steps, dilation: Steps) -> Shape:
    """The positions added along each axis, both ends together.

    This is `max((⌈size / stride⌉ − 1)·stride + dilation·(kernel − 1) + 1 − size, 0)`, of the notes on padding in
    TensorFlow's documentation (https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2).
    """
    axes = zip(size, kernel, stride, dilation, strict=True)
    return tuple(max(spread * (taps - 1) - (one - 1) % step, 0) for one, taps, step, spread in axes)

"""What a layer keeps from its forward pass for its backward pass."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kept:
    """What a layer keeps for its backward pass beside its own parameters and buffers, on a CPU.

    Example:
        ```python
        Kept(input=True, once=2 * channels)  # batch_norm: its input, and a mean and a deviation for each channel
        ```
    """

    input: bool = False
    """Whether it keeps the tensor that it takes."""
    output: bool = False
    """Whether it keeps the tensor that it gives."""
    values: int = 0
    """Further floating-point values, for each sample."""
    indices: int = 0
    """Further integers of eight bytes, for each sample."""
    once: int = 0
    """Further floating-point values that do not grow with the batch."""
    mixed: int = 0
    """Further values of 16 bits that mixed precision keeps, for each sample: the other half of those of `values` that
    have 32 bits there, such as what a softmax gives, and copies of these in 16."""
    passing: int | None = None
    """The most values that an evaluation holds at once beside its input and output, for each sample, where this is not
    `values`: what is kept for training, an evaluation may let go before its end."""
    view: bool = False
    """Whether what it gives lies in the memory of what it takes, and is no tensor of its own."""


def normalized(statistics: int) -> Kept:
    """What a normalisation keeps: its input, and statistics of each sample, which are of 32 bits in mixed precision."""
    return Kept(input=True, values=statistics, mixed=statistics)


def is_sound(kept: Kept, limit: int) -> bool:
    """Whether its figures are whole numbers from 0 to below a limit."""
    figures = (kept.values, kept.indices, kept.once, kept.mixed, kept.passing or 0)
    flags = (kept.input, kept.output, kept.view)
    return all(type(one) is int and 0 <= one < limit for one in figures) and set(map(type, flags)) == {bool}


NOTHING = Kept()
INPUT = Kept(input=True)
OUTPUT = Kept(output=True)
VIEW = Kept(view=True)

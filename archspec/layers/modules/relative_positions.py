"""Relative positions within a window."""

from __future__ import annotations

import torch
from torch import Tensor


def relative_positions(height: int, width: int) -> Tensor:
    """For each pair of a window's positions, the row of the table of biases that holds
    theirs.
    """
    rows, columns = torch.meshgrid(
        torch.arange(height), torch.arange(width), indexing="ij"
    )
    down = rows.flatten()[:, None] - rows.flatten() + height - 1
    right = columns.flatten()[:, None] - columns.flatten() + width - 1
    return (down * (2 * width - 1) + right).flatten()

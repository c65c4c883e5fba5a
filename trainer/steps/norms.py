"""Normalisation layers that a batch gives one value to normalise: torch refuses them in training."""

from __future__ import annotations

from math import prod

from archspec.foundation.errors import UsageError, escape_line
from archspec.foundation.shapes import show
from archspec.plan.plan import Plan

BATCH_NORMS = ("batch_norm", "batch_norm_1d", "batch_norm_3d")
"""The layers that normalise over the batch; `check` refuses those that normalise a single value within an image."""


def check_norms(plan: Plan, batch_size: int, processes: int = 1) -> None:
    """Raises `UsageError` where a layer normalises a single value in batches that processes share."""
    for layer in plan.layers:
        if layer.layer.primitive not in BATCH_NORMS or batch_size // processes * prod(layer.input[1:]) != 1:
            continue
        called = next((frame.mark for frame in layer.calls if frame.mark and not frame.mark.in_library), None)
        mark = called if layer.layer.mark.in_library and called else layer.layer.mark
        raise UsageError(
            escape_line(
                f"the layer `{layer.path}` ({mark}) would normalise one value for each channel in training: its "
                f"input is {show(layer.input)}, and a batch is one image{' for each process' if processes > 1 else ''}"
            ),
            help=f"train with more images a batch, `--set train.batch_size={2 * processes}` for example; or leave out "
            f"that `{layer.layer.primitive}`",
        )

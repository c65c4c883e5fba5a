"""How images and weights lie in memory where a recipe leaves it open: by the plan and the device."""

from __future__ import annotations

from dataclasses import replace

import torch

from archspec.plan.plan import Plan
from archspec.recipe import Recipe
from trainer.input.vectors import takes_images

CONVOLUTIONS = ("conv", "conv_transpose")


def choose_layout(recipe: Recipe, plan: Plan, accelerator: str = "auto") -> Recipe:
    """The recipe with `channels_last` true or false, and `exact`, which is then said by it, left out.

    Channels come last in networks of images whose multiply-accumulates are those of convolutions for the most part: on
    a CPU always, whose vectorised kernels run along the channels, on a GPU in 16 bits, as its tensor cores take them.
    (PyTorch: "Channels Last Memory Format in PyTorch", https://pytorch.org/tutorials/intermediate/memory_format_tutorial.html.)
    It rounds otherwise, so `exact` keeps channels first.
    """
    last = recipe.channels_last
    if last == "auto":
        quicker = recipe.precision != "32-true" or not _on_gpu(accelerator)
        last = quicker and not recipe.exact and convolves_images(plan)
    return replace(recipe, channels_last=last, exact=False)


def convolves_images(plan: Plan) -> bool:
    """Whether a network takes images, and more than half of its multiply-accumulates are those of convolutions."""
    convolved = sum(layer.macs for layer in plan.layers if layer.layer.primitive in CONVOLUTIONS)
    return takes_images(plan.input) and 2 * convolved > plan.macs


def _on_gpu(accelerator: str) -> bool:
    return accelerator != "cpu" and (torch.cuda.is_available() or torch.backends.mps.is_available())

"""How images and weights lie in memory where a recipe leaves it open: by the plan and the device."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import height_width
from archspec.plan.plan import Plan
from archspec.recipe import Recipe
from trainer.input.vectors import sample_shape, takes_images

CONVOLUTIONS = ("conv", "conv_transpose")
UNSAFE_BELOW = 16
"""On a CPU with AVX-512, torch 2.10 to 2.15 write past their memory in the backward pass of strided 1×1 convolutions of
fewer channels than these, where channels come last: the process dies. More channels, and groups, are sound."""


def choose_layout(recipe: Recipe, plan: Plan, accelerator: str = "auto") -> Recipe:
    """The recipe with `channels_last` true or false, and `exact`, which is then said by it, left out.

    Channels come last in networks of images whose multiply-accumulates are those of convolutions for the most part: on
    a CPU always, whose vectorised kernels run along the channels, on a GPU in 16 bits, as its tensor cores take them.
    (PyTorch: "Channels Last Memory Format in PyTorch", https://pytorch.org/tutorials/intermediate/memory_format_tutorial.html.)
    It rounds otherwise, so `exact` keeps channels first. Raises `UsageError` where channels last are asked for and a
    layer's backward pass would write past its memory (`UNSAFE_BELOW`).
    """
    last, gpu = recipe.channels_last, _on_gpu(accelerator)
    unsafe = None if gpu else unsafe_layer(plan)
    if last == "auto":
        quicker = recipe.precision != "32-true" or not gpu
        last = quicker and not recipe.exact and unsafe is None and convolves_images(plan)
    elif last and unsafe:
        raise UsageError(
            f"channels_last: torch's backward pass of `{unsafe}`, a 1×1 convolution with a stride, writes past its "
            f"memory on a CPU, where channels come last and are fewer than {UNSAFE_BELOW}",
            help="leave it out, or --set train.channels_last=auto",
        )
    return replace(recipe, channels_last=last, exact=False)


def unsafe_layer(plan: Plan) -> str | None:
    """The path of the first layer that cannot be trained with channels last on a CPU."""
    for layer in plan.layers:
        if layer.layer.primitive in ("conv", "ws_conv"):
            arguments = layer.layer.arguments
            kernel, stride = height_width(arguments["kernel"]), height_width(arguments["stride"])
            if _is_unsafe(kernel, stride, layer.input[0], arguments["groups"]):
                return layer.path
    return None


def has_unsafe_layer(network: nn.Module) -> bool:
    """Whether a module cannot be trained with channels last on a CPU."""
    return any(
        isinstance(one, nn.Conv2d) and _is_unsafe(one.kernel_size, one.stride, one.in_channels, one.groups)
        for one in network.modules()
    )


def _is_unsafe(kernel: tuple[int, ...], stride: tuple[int, ...], channels: int, groups: int) -> bool:
    return max(kernel) == 1 and max(stride) > 1 and channels < UNSAFE_BELOW and groups == 1


def convolves_images(plan: Plan) -> bool:
    """Whether a network takes images, and more than half of its multiply-accumulates are those of convolutions."""
    convolved = sum(layer.macs for layer in plan.layers if layer.layer.primitive in CONVOLUTIONS)
    return takes_images(sample_shape(plan)) and 2 * convolved > plan.macs


def _on_gpu(accelerator: str) -> bool:
    return accelerator != "cpu" and (torch.cuda.is_available() or torch.backends.mps.is_available())

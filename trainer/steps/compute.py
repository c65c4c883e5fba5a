"""How and where a network is computed in a training: compiled or not, with images moved to the device."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe
from trainer.input.datasets import InMemory
from trainer.input.loaders import Stream, loader
from trainer.processes.group import ProcessGroup
from trainer.steps.layout import has_unsafe_layer


def optimize_execution(network: nn.Module, recipe: Recipe, device: torch.device) -> None:
    """Apply channels-last max pooling on a CPU (same results, faster), and compile the network if the recipe says so.

    Raises `UsageError` where `torch.compile` lacks a C++ compiler.
    """
    if device.type == "cpu":
        from trainer.steps.pooling import pool_with_channels_last

        pool_with_channels_last(network)
    if recipe.compile:
        _check_compiler(device)
        # CUDA graphs reuse the memory of gradients, which accumulation still needs for the next batch
        graphs = device.type == "cuda" and recipe.accumulate == 1
        # compiled for a CPU, convolutions have their channels last, unless it is told not to
        keeps = {"layout_optimization": False} if device.type == "cpu" and has_unsafe_layer(network) else None
        # else the smaller last batch has all batches computed by code for any size, which is slower
        network.compile(dynamic=False, mode="reduce-overhead" if graphs else None, options=keeps)


def _check_compiler(device: torch.device) -> None:
    if device.type == "cpu" and not any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++"))):
        raise UsageError(
            "to compile a network for the CPU, torch needs a C++ compiler, and finds none",
            help="install g++, or name another one by the environment variable CXX, or train without --compile",
        )


def move_to_device(split: InMemory | Stream, device: torch.device) -> InMemory | Stream:
    """Images in memory, moved to a GPU once for all batches if they fill no more than a quarter of its free memory."""
    if isinstance(split, Stream) or device.type != "cuda":
        return split
    if split.images.nbytes > torch.cuda.mem_get_info(device)[0] // 4:
        return split
    rows = None if split.rows is None else split.rows.to(device)
    return replace(split, images=split.images.to(device), labels=split.labels.to(device), rows=rows)


def training_loader(
    split: InMemory | Stream, recipe: Recipe, device: torch.device, *, group: ProcessGroup, workers: int | None
) -> DataLoader[Any]:
    """The batches that a recipe trains with, in the order of its seed."""
    shown = move_to_device(split, device)
    balanced = recipe.sampler == "balanced"
    return loader(shown, recipe.batch_size, shuffle_by=recipe.seed, balanced=balanced, group=group, workers=workers)

"""The module that is exported: a network, and what a trained run does before and after it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from archspec.exports._format import Model, Options
from archspec.foundation.errors import UsageError


def make_module(model: Model, options: Options) -> nn.Module:
    """A model's network, with its normalisation where that is asked for, and with a run's answer where it has one.

    Raises `UsageError` where the normalisation is not known.
    """
    if options.normalize and (model.images.mean is None or model.images.std is None):
        raise UsageError(
            f"--normalize needs a mean and a standard deviation, and {model.weights} of {model.plan.title} give none",
            help="export a run, weights that know them (torchvision:NAME), or say them in the spec: "
            "`train: {normalize: {mean: […], std: […]}}`",
        )
    network = model.make()
    if not options.normalize and model.answer is None:
        return network
    before = Normalize(model.images.mean or (), model.images.std or ()) if options.normalize else None
    return Exported(before, network, model.answer).eval()


class Normalize(nn.Module):
    """Normalises images, uint8 `(N, C, …)` from 0 to 255, as `archspec train` does."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, images: Tensor) -> Tensor:
        shape = (-1, *[1] * (images.ndim - 2))
        return (images.to(self.mean.dtype) / 255 - self.mean.view(shape)) / self.std.view(shape)


class Exported(nn.Module):
    """A network between what comes before and after it in a trained run."""

    def __init__(self, normalize: nn.Module | None, network: nn.Module, answer: nn.Module | None) -> None:
        super().__init__()
        self.normalize = normalize
        self.network = network
        self.answer = answer

    def forward(self, images: Tensor) -> Any:
        output = self.network(images if self.normalize is None else self.normalize(images))
        if self.answer is None:
            return output
        if isinstance(output, tuple):  # beside named outputs
            return (self.answer(output[0]), *output[1:])
        return self.answer(output)

"""The module that is exported: a network, and what a trained run does before and after it."""

from __future__ import annotations

from collections.abc import Mapping
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
    if not options.normalize and model.answer is None and not model.answers:
        return network
    before = Normalize(model) if options.normalize else None
    return Exported(before, network, model.answer, model.answers).eval()


class Normalize(nn.Module):
    """Normalises images, uint8 `(N, C, H, W)` from 0 to 255, or rows and sequences, floats, as training does."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        images = model.images
        several = len(model.shapes) > 1
        self.sizes = [shape[0] for shape in model.shapes] if several else None
        """Of several inputs, which are rows, or images: the numbers of their features, or channels."""
        self.shapes = [[-1, *(1 for _ in shape[1:])] for shape in model.shapes]
        """What the mean and the standard deviation of each are brought to."""
        if not several:
            self.shapes = [[-1 if axis == images.axis else 1 for axis in range(len(model.plan.input))]]
        held = [-1] if several else self.shapes[0]
        self.register_buffer("mean", torch.tensor(images.mean).view(held))
        self.register_buffer("std", torch.tensor(images.std).view(held))
        self.are_images = [len(shape) == 3 for shape in model.shapes]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        values = [
            one.to(self.mean.dtype) / 255 if is_image else one
            for one, is_image in zip(inputs, self.are_images, strict=True)
        ]
        return tuple((one - mean) / std for one, mean, std in zip(values, *self.moments(), strict=True))

    def moments(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The mean and standard deviation of each input."""
        if self.sizes is None:
            return (self.mean,), (self.std,)
        both = (torch.split(one, self.sizes) for one in (self.mean, self.std))
        mean, std = (tuple(one.view(shape) for one, shape in zip(parts, self.shapes, strict=True)) for parts in both)
        return mean, std

    def typical(self, normal: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Rows or sequences that are normalised to these values."""
        return tuple(one * std + mean for one, mean, std in zip(normal, *self.moments(), strict=True))


class Exported(nn.Module):
    """A network between what comes before and after it in a trained run."""

    def __init__(
        self,
        normalize: nn.Module | None,
        network: nn.Module,
        answer: nn.Module | None,
        answers: Mapping[str, nn.Module],
    ) -> None:
        super().__init__()
        self.normalize = normalize
        self.network = network
        self.answer = answer
        # an output's name may be that of an attribute, so places stand for names
        self.names = tuple(answers)
        self.answers = nn.ModuleList(answers.values())

    def forward(self, *inputs: Tensor) -> Any:
        output = self.network(*(inputs if self.normalize is None else self.normalize(*inputs)))
        own, others = output if isinstance(output, tuple) else (output, None)
        if self.answer is not None:
            own = self.answer(own)
        if others is None:
            return own
        answered = {name: answer(others[name]) for name, answer in zip(self.names, self.answers, strict=True)}
        return own, {name: answered.get(name, one) for name, one in others.items()}

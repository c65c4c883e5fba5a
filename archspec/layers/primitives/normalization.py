"""Normalisation layers."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from archspec.foundation.arguments import Argument, boolean, integer, number
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape
from archspec.layers.kept import Kept
from archspec.layers.primitive import Arguments, Primitive, traced
from archspec.layers.reach import LOCAL, WHOLE, Reach

if TYPE_CHECKING:
    from torch import nn

NO_CHANNELS = "it takes no channels: they follow from the tensor"
EPS = Argument("eps", number(above=0, below=1), 1e-5, "added to the variance", NO_CHANNELS)
AFFINE = Argument("affine", boolean(), True, "scale and shift the result by learned values")


class _Norm(Primitive):
    weights = ("weight", "bias")

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        return {"weight": (shape[0],), "bias": (shape[0],)} if arguments["affine"] else {}

    def channels(self, shape: Shape) -> int:
        """The channels of a feature map or vector. Raises `Fault` for anything else."""
        if len(shape) not in (1, 3):
            raise self.refuse(shape, "a feature map or a vector")
        return shape[0]


class BatchNorm(_Norm):
    name = "batch_norm"
    doc = "Normalises each channel over the batch and all positions."
    source = "https://arxiv.org/abs/1502.03167"
    rule = "unchanged: C×H×W or F"
    pointwise = True
    arguments = (
        EPS,
        Argument("momentum", number(0, 1), 0.1, "weight of the newest batch in the running statistics"),
        AFFINE,
    )
    examples = ("batch_norm", "batch_norm: {eps: 1e-3, momentum: 0.01}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        self.channels(shape)
        return shape

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, once=2 * shape[0])

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torch import nn

        kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
        return kind(shape[0], arguments["eps"], arguments["momentum"], arguments["affine"])


class GroupNorm(_Norm):
    name = "group_norm"
    doc = "Normalises each sample over groups of channels and all positions."
    source = "https://arxiv.org/abs/1803.08494"
    rule = "unchanged: C×H×W or F; `groups` divides the channels"
    arguments = (
        Argument("groups", integer(1), 32, "groups of channels"),
        EPS,
        AFFINE,
    )
    examples = ("group_norm: 4", "group_norm: {groups: 8, eps: 1e-6}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, groups = self.channels(shape), arguments["groups"]
        if channels % groups:
            raise Fault("input-shape", f"`groups` ({groups}) of `group_norm` does not divide its {channels} channels")
        positions = shape[1] * shape[2] if len(shape) == 3 else 1
        if channels // groups * positions == 1:
            raise Fault("input-shape", "`group_norm` would normalise single values: each group is one number")
        return shape

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, values=2 * arguments["groups"])

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torch import nn

        return nn.GroupNorm(arguments["groups"], shape[0], arguments["eps"], arguments["affine"])


class LayerNorm(Primitive):
    name = "layer_norm"
    doc = "Normalises each sample over all of a feature map or vector, and each token over its features."
    source = "https://arxiv.org/abs/1607.06450"
    rule = "unchanged"
    arguments = (EPS, AFFINE)
    weights = ("weight", "bias")
    examples = ("layer_norm", "layer_norm: {eps: 1e-6}")

    def _normalized(self, shape: Shape) -> Shape:
        return shape[1:] if len(shape) == 2 else shape

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        normalized = self._normalized(shape)
        return {"weight": normalized, "bias": normalized} if arguments["affine"] else {}

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return LOCAL if len(shape) == 2 else WHOLE

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, values=2 * (shape[0] if len(shape) == 2 else 1))

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torch import nn

        return nn.LayerNorm(self._normalized(shape), arguments["eps"], arguments["affine"])


class LayerNorm2d(_Norm):
    name = "layer_norm_2d"
    doc = "Normalises the channels of each position of a feature map."
    source = "https://arxiv.org/abs/2201.03545"
    rule = "unchanged: C×H×W"
    pointwise = True
    arguments = (EPS, AFFINE)
    examples = ("layer_norm_2d", "layer_norm_2d: {eps: 1e-6}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        self.feature_map(shape)
        return shape

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, values=2 * shape[1] * shape[2])

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torch import Tensor, nn
        from torch.nn.functional import layer_norm

        class LayerNorm2d(nn.LayerNorm):
            def forward(self, input: Tensor) -> Tensor:
                last = input.permute(0, 2, 3, 1)
                return layer_norm(last, self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)

        return traced(LayerNorm2d(shape[0], arguments["eps"], arguments["affine"]))


class InstanceNorm(_Norm):
    name = "instance_norm"
    doc = "Normalises each channel of each sample over all positions."
    source = "https://arxiv.org/abs/1607.08022"
    rule = "unchanged: C×H×W, of more than one position"
    arguments = (
        EPS,
        Argument("affine", boolean(), False, "scale and shift the result by learned values"),
    )
    examples = ("instance_norm", "instance_norm: {affine: true}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        _, height, width = self.feature_map(shape)
        if height * width == 1:
            raise self.refuse(shape, "more than one position in each channel")
        return shape

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, values=(3 if arguments["affine"] else 2) * shape[0])

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torch import nn

        return nn.InstanceNorm2d(shape[0], arguments["eps"], affine=arguments["affine"])


class LocalResponseNorm(Primitive):
    name = "local_response_norm"
    doc = "Divides each value by a power of the mean square over neighbouring channels (AlexNet)."
    source = "https://proceedings.neurips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html"
    rule = "unchanged: C×H×W"
    pointwise = True
    arguments = (
        Argument("size", integer(1, 1023), 5, "neighbouring channels, the channel itself included"),
        Argument("alpha", number(above=0), 1e-4, "factor of the mean square"),
        Argument("beta", number(above=0), 0.75, "power"),
        Argument("k", number(0), 1.0, "added to the mean square"),
    )
    examples = ("local_response_norm", "local_response_norm: {size: 5, k: 2.0}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        self.feature_map(shape)
        return shape

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        channels, height, width = shape
        padded = channels + arguments["size"] - 1
        return Kept(input=True, values=(padded + 2 * channels) * height * width)

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torch import nn

        return nn.LocalResponseNorm(arguments["size"], arguments["alpha"], arguments["beta"], arguments["k"])


class GlobalResponseNorm(Primitive):
    name = "global_response_norm"
    doc = "Adds to each channel itself times its norm over all positions, relative to the mean norm of the channels."
    source = "https://arxiv.org/abs/2301.00808"
    rule = "unchanged: C×H×W"
    arguments = (Argument("eps", number(above=0), 1e-6, "added to the mean of the norms"),)
    weights = ("weight", "bias")
    examples = ("global_response_norm",)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        return self.feature_map(shape)

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        return {"weight": (shape[0],), "bias": (shape[0],)}

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, values=prod(shape) + 2 * shape[0] + 1)

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        import torch
        from torch import Tensor, nn

        eps: float = arguments["eps"]

        class GlobalResponseNorm(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.weight = nn.Parameter(torch.zeros(shape[0]))
                self.bias = nn.Parameter(torch.zeros(shape[0]))

            def forward(self, input: Tensor) -> Tensor:
                norm = torch.linalg.vector_norm(input, dim=(2, 3), keepdim=True)
                relative = norm / (norm.mean(dim=1, keepdim=True) + eps)
                scaled: Tensor = self.weight.view(1, -1, 1, 1) * (input * relative)
                return input + self.bias.view(1, -1, 1, 1) + scaled

        return traced(GlobalResponseNorm())

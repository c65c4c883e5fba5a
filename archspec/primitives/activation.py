"""Activation functions: element by element, without parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from archspec.arguments import Argument, choice, number
from archspec.primitive import Arguments, Primitive
from archspec.shapes import Shape

if TYPE_CHECKING:
    from torch import nn


class _Activation(Primitive):
    rule = "unchanged"
    torch_class: ClassVar[str]
    """Its class in `torch.nn`, whose arguments have the same names."""

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torch import nn

        module: nn.Module = getattr(nn, self.torch_class)(**arguments)
        return module


class Relu(_Activation):
    name = "relu"
    torch_class = "ReLU"
    doc = "The larger of 0 and x."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html"
    examples = ("relu",)


class LeakyRelu(_Activation):
    name = "leaky_relu"
    torch_class = "LeakyReLU"
    doc = "x where it is positive, a small multiple of x elsewhere."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html"
    arguments = (Argument("negative_slope", number(), 0.01, "factor of negative values"),)
    examples = ("leaky_relu", "leaky_relu: 0.1")


class Gelu(_Activation):
    name = "gelu"
    torch_class = "GELU"
    doc = "x times the normal distribution function of x."
    source = "https://arxiv.org/abs/1606.08415"
    arguments = (Argument("approximate", choice("none", "tanh"), "none", "exact, or by a tanh"),)
    examples = ("gelu", "gelu: tanh")


class Silu(_Activation):
    name = "silu"
    torch_class = "SiLU"
    doc = "x times the sigmoid of x."
    source = "https://arxiv.org/abs/1702.03118"
    examples = ("silu",)


class Elu(_Activation):
    name = "elu"
    torch_class = "ELU"
    doc = "x where it is positive, alpha·(exp(x) − 1) elsewhere."
    source = "https://arxiv.org/abs/1511.07289"
    arguments = (Argument("alpha", number(), 1.0, "negative limit"),)
    examples = ("elu", "elu: 0.5")


class Tanh(_Activation):
    name = "tanh"
    torch_class = "Tanh"
    doc = "The hyperbolic tangent."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanh.html"
    examples = ("tanh",)


class Sigmoid(_Activation):
    name = "sigmoid"
    torch_class = "Sigmoid"
    doc = "1 / (1 + exp(−x))."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html"
    examples = ("sigmoid",)


class Softmax(Primitive):
    name = "softmax"
    doc = "Exponentials that sum to 1: over the channels of a feature map, the features of a vector or token."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html"
    rule = "unchanged"
    examples = ("softmax",)

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torch import nn

        return nn.Softmax(dim=2 if len(shape) == 2 else 1)

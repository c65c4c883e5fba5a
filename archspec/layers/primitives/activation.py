"""Activation functions: element by element, without parameters."""

from __future__ import annotations

from typing import ClassVar

from archspec.foundation.arguments import Argument, boolean, choice, either, integer, number
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import INPUT, OUTPUT, Kept
from archspec.layers.primitive import Arguments, Called
from archspec.layers.reach import Reach, along


class _Activation(Called):
    rule = "unchanged"
    pointwise = True
    torch_class: ClassVar[str]
    """Its class in `torch.nn`, whose arguments have the same names."""
    keeps_output: ClassVar[bool] = False
    """Whether its derivative is computed from what it gives, not from what it takes."""

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return OUTPUT if self.keeps_output else INPUT

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call(f"nn.{self.torch_class}", **arguments)


class Relu(_Activation):
    name = "relu"
    torch_class = "ReLU"
    keeps_output = True
    doc = "The larger of 0 and x."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html"
    examples = ("relu",)


class Relu6(_Activation):
    name = "relu6"
    torch_class = "ReLU6"
    doc = "x held between 0 and 6."
    source = "https://arxiv.org/abs/1704.04861"
    examples = ("relu6",)


class LeakyRelu(_Activation):
    name = "leaky_relu"
    torch_class = "LeakyReLU"
    doc = "x where it is positive, a small multiple of x elsewhere."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html"
    arguments = (Argument("negative_slope", number(-1, below=1), 0.01, "factor of negative values"),)
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


class Hardswish(_Activation):
    name = "hardswish"
    torch_class = "Hardswish"
    doc = "x times `hardsigmoid` of x."
    source = "https://arxiv.org/abs/1905.02244"
    examples = ("hardswish",)


class Hardsigmoid(_Activation):
    name = "hardsigmoid"
    torch_class = "Hardsigmoid"
    doc = "x / 6 + 1/2, held between 0 and 1."
    source = "https://arxiv.org/abs/1905.02244"
    examples = ("hardsigmoid",)


class Mish(_Activation):
    name = "mish"
    torch_class = "Mish"
    doc = "x times the hyperbolic tangent of log(1 + exp(x))."
    source = "https://arxiv.org/abs/1908.08681"
    examples = ("mish",)


class Elu(_Activation):
    name = "elu"
    torch_class = "ELU"
    doc = "x where it is positive, alpha·(exp(x) − 1) elsewhere."
    source = "https://arxiv.org/abs/1511.07289"
    arguments = (Argument("alpha", number(above=0), 1.0, "negative limit"),)
    examples = ("elu", "elu: 0.5")


class Tanh(_Activation):
    name = "tanh"
    torch_class = "Tanh"
    keeps_output = True
    doc = "The hyperbolic tangent."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanh.html"
    examples = ("tanh",)


class Sigmoid(_Activation):
    name = "sigmoid"
    torch_class = "Sigmoid"
    keeps_output = True
    doc = "1 / (1 + exp(−x))."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html"
    examples = ("sigmoid",)


class Prelu(Called):
    name = "prelu"
    doc = "x where it is positive, a learned multiple of x elsewhere."
    source = "https://arxiv.org/abs/1502.01852"
    rule = "unchanged; with a slope for each channel, C×H×W or F"
    pointwise = True
    arguments = (
        Argument("shared", boolean(), True, "one slope for all channels", "for a slope of each channel, write `false`"),
        Argument("init", number(-1, 1), 0.25, "the slope to begin with"),
    )
    weights = ("weight",)
    examples = ("prelu", "prelu: {shared: false}")

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        return {"weight": (1 if arguments["shared"] else shape[0],)}

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        if not arguments["shared"] and len(shape) == 2:
            raise self.refuse(shape, "a feature map or a vector, for a slope for each channel")
        return shape

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return INPUT

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        channels = 1 if arguments["shared"] else shape[0]
        return call("nn.PReLU", num_parameters=channels, init=arguments["init"])


class Softmax(Called):
    name = "softmax"
    doc = "Exponentials that sum to 1: over the channels of a feature map, the features of a vector or token."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html"
    rule = "unchanged"
    arguments = (
        Argument("axis", either(integer(0, 3), {"type": "null"}), None, "another axis, from 0; none: as above"),
    )
    examples = ("softmax", "softmax: 2")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        if self._axis(arguments, shape) >= len(shape):
            raise self.refuse(shape, f"more than {arguments['axis']} axes")
        return shape

    def remark(self, arguments: Arguments, shape: Shape) -> str | None:
        if shape[self._axis(arguments, shape)] > 1:
            return None
        return "`softmax` over a single value gives 1, whatever comes in: for one value, `sigmoid` may be meant"

    def _axis(self, arguments: Arguments, shape: Shape) -> int:
        axis: int | None = arguments["axis"]
        return (1 if len(shape) == 2 else 0) if axis is None else axis

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return along(self._axis(arguments, shape), shape)

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return OUTPUT

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.Softmax", dim=self._axis(arguments, shape) + 1)

"""Normalisation layers."""

from __future__ import annotations

from math import prod

from archspec.foundation.arguments import Argument, boolean, integer, number
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import Kept, normalized
from archspec.layers.primitive import Arguments, Called
from archspec.layers.reach import LOCAL, WHOLE, Reach

NO_CHANNELS = "it takes no channels: they follow from the tensor"
EPS = Argument("eps", number(above=0, below=1), 1e-5, "added to the variance", NO_CHANNELS)
AFFINE = Argument("affine", boolean(), True, "scale and shift the result by learned values")


def momentum() -> Argument:
    return Argument("momentum", number(0, 1), 0.1, "weight of the newest batch in the running statistics")


def remark_momentum(arguments: Arguments) -> str | None:
    """What is to be said of a momentum that comes from another library, or that leaves the statistics as they began."""
    value, eps = arguments["momentum"], arguments["eps"]
    if eps >= 0.05:
        return f"`eps`, which is added to the variance, is {eps} here: a momentum is written `momentum: {eps}`"
    if value == 0:
        return "with a `momentum` of 0, the running statistics stay 0 and 1: evaluation would not normalise"
    if 0.9 <= value < 1:
        other = f"{1 - value:.4f}".rstrip("0")
        return f"`momentum` is the weight of the newest batch, as in torch: TensorFlow's {value} is {other} here"
    return None


def statistics(channels: int) -> int:
    """The bytes of a running mean and variance of each channel, and of the number of batches that they are of."""
    return 2 * 4 * channels + 8


def remark_single(name: str) -> str:
    return f"`{name}` normalises single values here: what it gives does not depend on what comes in"


class _Norm(Called):
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
        momentum(),
        AFFINE,
    )
    examples = ("batch_norm", "batch_norm: {eps: 1e-3, momentum: 0.01}")

    def remark(self, arguments: Arguments, shape: Shape) -> str | None:
        return remark_momentum(arguments)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        self.channels(shape)
        return shape

    def buffers(self, arguments: Arguments, shape: Shape) -> int:
        return statistics(shape[0])

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, once=2 * shape[0])

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call(f"nn.BatchNorm{2 if len(shape) == 3 else 1}d", shape[0], **arguments)


class GroupNorm(_Norm):
    name = "group_norm"
    doc = "Normalises each sample over groups of channels and all positions."
    source = "https://arxiv.org/abs/1803.08494"
    rule = "unchanged: C×H×W or F; `groups` divides the channels"
    arguments = (
        Argument("groups", integer(1), 32, "groups of channels", NO_CHANNELS),
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
        return normalized(2 * arguments["groups"])

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        named = {name: arguments[name] for name in ("eps", "affine")}
        return call("nn.GroupNorm", arguments["groups"], shape[0], **named)


class LayerNorm(Called):
    name = "layer_norm"
    doc = "Normalises each sample over all of a feature map or vector, and each token over its features."
    source = "https://arxiv.org/abs/1607.06450"
    rule = "unchanged"
    arguments = (EPS, AFFINE)
    weights = ("weight", "bias")
    examples = ("layer_norm", "layer_norm: {eps: 1e-6}")

    def remark(self, arguments: Arguments, shape: Shape) -> str | None:
        return remark_single(self.name) if prod(self._normalized(shape)) == 1 else None

    def _normalized(self, shape: Shape) -> Shape:
        return shape[1:] if len(shape) == 2 else shape

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        normalized = self._normalized(shape)
        return {"weight": normalized, "bias": normalized} if arguments["affine"] else {}

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return LOCAL if len(shape) == 2 else WHOLE

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return normalized(2 * (shape[0] if len(shape) == 2 else 1))

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        size = self._normalized(shape)
        named = {"eps": arguments["eps"], "elementwise_affine": arguments["affine"]}
        return call("nn.LayerNorm", size[0] if len(size) == 1 else size, **named)


class LayerNorm2d(_Norm):
    name = "layer_norm_2d"
    doc = "Normalises the channels of each position of a feature map."
    source = "https://arxiv.org/abs/2201.03545"
    rule = "unchanged: C×H×W"
    channels_last = True
    pointwise = True
    arguments = (EPS, AFFINE)
    examples = ("layer_norm_2d", "layer_norm_2d: {eps: 1e-6}")

    def remark(self, arguments: Arguments, shape: Shape) -> str | None:
        return remark_single(self.name) if shape[0] == 1 else None

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        self.feature_map(shape)
        return shape

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return normalized(2 * shape[1] * shape[2])

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("LayerNorm2d", shape[0], eps=arguments["eps"], elementwise_affine=arguments["affine"])


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
        return normalized(3 * shape[0]) if arguments["affine"] else Kept(input=True, values=2 * shape[0])

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.InstanceNorm2d", shape[0], **arguments)


class LocalResponseNorm(Called):
    name = "local_response_norm"
    widens = True
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

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.LocalResponseNorm", **arguments)


class GlobalResponseNorm(Called):
    name = "global_response_norm"
    widens = True
    doc = "Adds to each channel itself times its norm over all positions, relative to the mean norm of the channels."
    source = "https://arxiv.org/abs/2301.00808"
    rule = "unchanged: C×H×W"
    arguments = (Argument("eps", number(above=0, below=1), 1e-6, "added to the mean of the norms", NO_CHANNELS),)
    weights = ("weight", "bias")
    examples = ("global_response_norm",)

    def remark(self, arguments: Arguments, shape: Shape) -> str | None:
        if shape[0] > 1:
            return None
        return f"`{self.name}` compares channels, and here is one: it multiplies by a learned number"

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        return self.feature_map(shape)

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        return {"weight": (shape[0],), "bias": (shape[0],)}

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, values=prod(shape) + 2 * shape[0] + 1)

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("GlobalResponseNorm", shape[0], eps=arguments["eps"])

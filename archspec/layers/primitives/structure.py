"""Layers that move or keep values and learn nothing."""

from __future__ import annotations

from itertools import permutations
from math import prod
from typing import TYPE_CHECKING

from archspec.foundation.arguments import Argument, Schema, either, integer, number, pair
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, height_width, show
from archspec.layers.calls import Call, call
from archspec.layers.kept import INPUT, NOTHING, VIEW, Kept
from archspec.layers.primitive import Arguments, Called
from archspec.layers.reach import Reach, windows

if TYPE_CHECKING:
    from torch import nn


class Identity(Called):
    name = "identity"
    doc = "The input, unchanged."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Identity.html"
    rule = "unchanged"
    pointwise = True
    examples = ("identity",)

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return VIEW

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.Identity")


class Flatten(Called):
    name = "flatten"
    doc = "All values of a sample as one vector."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Flatten.html"
    rule = "C×H×W → C·H·W"
    examples = ("flatten",)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        return (prod(shape),)

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return Reach(layout=((0,),))

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return VIEW

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.Flatten")


class Subsample(Called):
    name = "subsample"
    doc = "Every stride-th row and column; new channels, after the old ones, hold zeros (ResNet's shortcut A)."
    source = "https://arxiv.org/abs/1512.03385"
    rule = "C×H×W → out×⌈H / stride⌉×⌈W / stride⌉"
    arguments = (
        Argument("out", integer(1), doc="output channels, at least as many as the input has"),
        Argument("stride", pair(1), 2, "step between the rows and columns that are kept"),
    )
    examples = ("subsample: {out: 16}", "subsample: {out: 8, stride: [2, 1]}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, height, width = self.feature_map(shape)
        out, (vertical, horizontal) = arguments["out"], height_width(arguments["stride"])
        if out < channels:
            raise Fault("input-shape", f"`subsample` cannot make {out} channels of {channels}: it only adds channels")
        return out, -(-height // vertical), -(-width // horizontal)

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        strides = height_width(arguments["stride"])
        return Reach({axis: windows(1, stride) for axis, stride in enumerate(strides, 1)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        windows = shape[0] * prod(output[1:])
        return Kept(input=True, indices=windows)

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        # a window of one pixel takes every stride-th value as it is; the third axis of ZeroPad3d is the channels
        pick = call("nn.MaxPool2d", kernel_size=1, stride=height_width(arguments["stride"]))
        return call("nn.Sequential", pick, call("nn.ZeroPad3d", (0, 0, 0, 0, 0, arguments["out"] - shape[0])))


_REST: Schema = {"type": "integer", "enum": [-1]}


class Reshape(Called):
    name = "reshape"
    doc = "The same values in the same order, in another shape."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.reshape.html"
    rule = "any → shape; one size may be −1: what the others leave"
    arguments = (
        Argument(
            "shape",
            {"type": "array", "items": either(integer(1), _REST), "minItems": 1, "maxItems": 3},
            doc="the sizes of a sample, at most one of them −1",
        ),
    )
    fixed_size = True
    examples = ("reshape: [16, -1]", "reshape: [2, 32, 32]")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        sizes, total = list(arguments["shape"]), prod(shape)
        if -1 in sizes:
            known = prod(size for size in sizes if size != -1)
            if sizes.count(-1) > 1 or total % known:
                raise self.refuse(shape, f"a multiple of {known} values and at most one size of −1")
            sizes[sizes.index(-1)] = total // known
        if prod(sizes) != total:
            raise self.refuse(shape, f"{prod(sizes)} values for the shape {show(sizes)}")
        return tuple(sizes)

    def remark(self, arguments: Arguments, shape: Shape) -> str | None:
        before, after = ([size for size in one if size > 1] for one in (shape, self.output(arguments, shape)))
        cure = "`permute` swaps them" if sorted(before) == sorted(after) and before != after else None
        if len(shape) == 3 and len(after) == 2 and before[:1] == after[1:] and after != before:
            cure = "`tokens` makes a token of each position"
        if len(shape) == 2 and len(after) == 3 and before[1:] == after[:1] and before[0] == prod(after[1:]):
            cure = "`feature_map` makes a position of each token"
        if cure is None or before[0] == prod(before[1:]):
            return None
        return f"`reshape` keeps the order of values, and mixes the axes of its input here ({show(shape)}): {cure}"

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return VIEW

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.Sequential", call("nn.Flatten"), call("nn.Unflatten", 1, self.output(arguments, shape)))


WITHOUT_BATCH = "axes are counted from 0, without the batch: `permute: [1, 2, 0]` puts the channels last"
_ORDERS: Schema = {
    "type": "array",
    "items": {"type": "integer"},
    "enum": [list(order) for n in (2, 3) for order in permutations(range(n)) if list(order) != sorted(order)],
}


class Permute(Called):
    name = "permute"
    doc = "The axes of a sample in another order."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.permute.html"
    rule = "the axes of the input, in the order given; 0 is the first"
    arguments = (Argument("axes", _ORDERS, doc="which axis of the input comes first, second, …", cure=WITHOUT_BATCH),)
    examples = ("permute: [1, 2, 0]",)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        axes = arguments["axes"]
        if len(axes) != len(shape):
            raise self.refuse(shape, f"{len(axes)} axes")
        return tuple(shape[axis] for axis in axes)

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return Reach(layout=tuple((axis,) for axis in arguments["axes"]))

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return VIEW

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("Permute", 0, *(axis + 1 for axis in arguments["axes"]))

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torchvision.ops import Permute

        module: nn.Module = Permute([0, *(axis + 1 for axis in arguments["axes"])])
        return module


class ChannelShuffle(Called):
    name = "channel_shuffle"
    doc = "Deals the channels of several groups out in turns, so that the groups mix."
    source = "https://arxiv.org/abs/1707.01083"
    rule = "unchanged: C×H×W; `groups` divides the channels"
    pointwise = True
    arguments = (Argument("groups", integer(1), doc="groups of channels"),)
    examples = ("channel_shuffle: 2",)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, groups = self.feature_map(shape)[0], arguments["groups"]
        if channels % groups:
            message = f"`groups` ({groups}) of `channel_shuffle` does not divide its {channels} channels"
            raise Fault("input-shape", message)
        return shape

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.ChannelShuffle", arguments["groups"])


class ChannelSlice(Called):
    name = "channel_slice"
    doc = "The channels from `start` up to but not including `stop`."
    source = "https://arxiv.org/abs/1807.11164"
    rule = "C×H×W → (stop − start)×H×W; F → stop − start"
    pointwise = True
    arguments = (
        Argument("start", integer(0), 0, "the first channel that is kept"),
        Argument("stop", either(integer(1), {"type": "null"}), None, "the channel to stop before; none: the end"),
    )
    examples = ("channel_slice: {stop: 4}", "channel_slice: {start: 4}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        start, stop = self._bounds(arguments, shape)
        return stop - start, *shape[1:]

    def _bounds(self, arguments: Arguments, shape: Shape) -> tuple[int, int]:
        if len(shape) == 2:
            raise self.refuse(shape, "a feature map or a vector")
        start, stop = arguments["start"], shape[0] if arguments["stop"] is None else arguments["stop"]
        if not start < stop <= shape[0]:
            raise Fault("input-shape", f"`channel_slice` from {start} to {stop} is not within its {shape[0]} channels")
        return start, stop

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return VIEW

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        start, stop = self._bounds(arguments, shape)
        return call("ChannelSlice", start) if stop == shape[0] else call("ChannelSlice", start, stop)


class Scale(Called):
    name = "scale"
    doc = "Multiplies by a constant."
    source = "https://arxiv.org/abs/1602.07261"
    rule = "unchanged"
    pointwise = True
    arguments = (Argument("factor", number(), doc="the constant"),)
    examples = ("scale: 0.1",)

    def remark(self, arguments: Arguments, shape: Shape) -> str | None:
        return None if arguments["factor"] else "`scale` by 0 gives 0, whatever comes in"

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("Scale", arguments["factor"])


class LayerScale(Called):
    name = "layer_scale"
    widens = True
    doc = "Multiplies each channel of a feature map, or each feature, by a learned value."
    source = "https://arxiv.org/abs/2103.17239"
    rule = "unchanged"
    pointwise = True
    arguments = (Argument("value", number(-1, 1), 1e-6, "the factors to begin with"),)
    weights = ("weight",)
    examples = ("layer_scale", "layer_scale: 0.1")

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        return {"weight": (shape[0], *[1] * (len(shape) - 1)) if len(shape) > 2 else (shape[-1],)}

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return INPUT

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        size = self.parameters(arguments, shape)["weight"]
        named = {} if len(size) == 3 else {"spatial_axes": len(size) - 1}
        return call("LayerScale", size[0], arguments["value"], **named)

"""Normalisation of sequences with channels first (channels×length) and of volumes (channels×depth×height×width)."""

from __future__ import annotations

from math import prod

from archspec.foundation.arguments import Argument, boolean, integer
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import Kept, normalized
from archspec.layers.on_axes import OnAxes
from archspec.layers.primitive import Arguments
from archspec.layers.primitives.normalization import (
    AFFINE,
    EPS,
    NO_CHANNELS,
    momentum,
    remark_momentum,
    remark_single,
    statistics,
)


class _Norm(OnAxes):
    weights = ("weight", "bias")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        self.sizes(shape)
        return shape

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        return {"weight": (shape[0],), "bias": (shape[0],)} if arguments["affine"] else {}


class _BatchNorm(_Norm):
    pointwise = True
    torch_class = "BatchNorm"
    source = "https://arxiv.org/abs/1502.03167"
    arguments = (EPS, momentum(), AFFINE)

    def remark(self, arguments: Arguments, shape: Shape) -> str | None:
        return remark_momentum(arguments)

    def buffers(self, arguments: Arguments, shape: Shape) -> int:
        return statistics(shape[0])

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, once=2 * shape[0])

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call(self.kind(), shape[0], **arguments)


class _GroupNorm(_Norm):
    source = "https://arxiv.org/abs/1803.08494"
    arguments = (Argument("groups", integer(1), 32, "groups of channels", NO_CHANNELS), EPS, AFFINE)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        size, groups = self.sizes(shape), arguments["groups"]
        if shape[0] % groups:
            message = f"`groups` ({groups}) of `{self.name}` does not divide its {shape[0]} channels"
            raise Fault("input-shape", message)
        if shape[0] // groups * prod(size) == 1:
            raise Fault("input-shape", f"`{self.name}` would normalise single values: each group is one number")
        return shape

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return normalized(2 * arguments["groups"])

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        named = {name: arguments[name] for name in ("eps", "affine")}
        return call("nn.GroupNorm", arguments["groups"], shape[0], **named)


class _InstanceNorm(_Norm):
    torch_class = "InstanceNorm"
    source = "https://arxiv.org/abs/1607.08022"
    arguments = (EPS, Argument("affine", boolean(), False, "scale and shift the result by learned values"))

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        if prod(self.sizes(shape)) == 1:
            raise self.refuse(shape, "more than one position in each channel")
        return shape

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return normalized(3 * shape[0]) if arguments["affine"] else Kept(input=True, values=2 * shape[0])

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        named = {name: arguments[name] for name in ("eps", "affine")}
        return call(self.kind(), shape[0], **named)


class _LayerNorm(_Norm):
    source = "https://arxiv.org/abs/1607.06450"
    pointwise = True
    arguments = (EPS, AFFINE)

    def remark(self, arguments: Arguments, shape: Shape) -> str | None:
        return remark_single(self.name) if shape[0] == 1 else None

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return normalized(2 * prod(shape[1:]))

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        named = {"eps": arguments["eps"], "elementwise_affine": arguments["affine"]}
        return call("ChannelNorm", shape[0], **named)


class BatchNorm1d(_BatchNorm):
    name, axes = "batch_norm_1d", 1
    doc = "Normalises each channel of a sequence over the batch and all positions."
    rule = "unchanged: C×L"
    examples = ("batch_norm_1d",)
    example_input = (8, 32)


class BatchNorm3d(_BatchNorm):
    name, axes = "batch_norm_3d", 3
    doc = "Normalises each channel of a volume over the batch and all positions."
    rule = "unchanged: C×D×H×W"
    examples = ("batch_norm_3d",)
    example_input = (4, 8, 8, 8)


class GroupNorm1d(_GroupNorm):
    name, axes = "group_norm_1d", 1
    doc = "Normalises each sample of a sequence over groups of channels and all positions."
    rule = "unchanged: C×L; `groups` divides the channels"
    examples = ("group_norm_1d: 2",)
    example_input = (8, 32)


class GroupNorm3d(_GroupNorm):
    name, axes = "group_norm_3d", 3
    doc = "Normalises each sample of a volume over groups of channels and all positions."
    rule = "unchanged: C×D×H×W; `groups` divides the channels"
    examples = ("group_norm_3d: 2",)
    example_input = (4, 8, 8, 8)


class InstanceNorm1d(_InstanceNorm):
    name, axes = "instance_norm_1d", 1
    doc = "Normalises each channel of each sample of a sequence over all positions."
    rule = "unchanged: C×L"
    examples = ("instance_norm_1d", "instance_norm_1d: {affine: true}")
    example_input = (8, 32)


class InstanceNorm3d(_InstanceNorm):
    name, axes = "instance_norm_3d", 3
    doc = "Normalises each channel of each sample of a volume over all positions."
    rule = "unchanged: C×D×H×W"
    examples = ("instance_norm_3d", "instance_norm_3d: {affine: true}")
    example_input = (4, 8, 8, 8)


class LayerNorm1d(_LayerNorm):
    name, axes = "layer_norm_1d", 1
    doc = "Normalises the channels of each position of a sequence."
    rule = "unchanged: C×L"
    examples = ("layer_norm_1d",)
    example_input = (8, 32)


class LayerNorm3d(_LayerNorm):
    name, axes = "layer_norm_3d", 3
    doc = "Normalises the channels of each position of a volume."
    rule = "unchanged: C×D×H×W"
    examples = ("layer_norm_3d",)
    example_input = (4, 8, 8, 8)

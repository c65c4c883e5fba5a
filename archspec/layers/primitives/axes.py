"""Layers along one axis of a sample: what it is reduced to, a part of it, and its length made one."""

from __future__ import annotations

from math import prod

from archspec.foundation.arguments import Argument, boolean, choice, either, integer, number
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import VIEW, Kept
from archspec.layers.primitive import Arguments, Called
from archspec.layers.reach import AxisReach, Reach, along

POSITIONS = "`slice: {start: 0, stop: 8}` keeps the positions 0 to 7; `=shape_in[0] - 1` is the last one of axis 0"
FROM_0 = "axes are counted from 0, without the batch: `=len(shape_in) - 1` is the last"
AXIS = Argument("axis", integer(0, 3), 0, "the axis; 0 is the first", FROM_0)


class Reduce(Called):
    name = "reduce"
    doc = "The mean, sum, largest or smallest value, or Euclidean norm, along one axis."
    source = "https://docs.pytorch.org/docs/stable/torch.html#reduction-ops"
    rule = "the axis becomes 1; it is left out where `keep` is false"
    arguments = (
        Argument("by", choice("mean", "sum", "max", "min", "norm"), doc="what is taken"),
        Argument("axis", integer(0, 3), doc="the axis that it is taken along; 0 is the first", cure=FROM_0),
        Argument("keep", boolean(), True, "keep the axis, with a size of 1"),
    )
    examples = ("reduce: {by: mean, axis: 1}", "reduce: {by: max, axis: 0, keep: false}", "reduce: {by: norm, axis: 2}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        axis = arguments["axis"]
        if axis >= len(shape):
            raise self.refuse(shape, f"more than {axis} axes")
        if len(shape) == 1 and not arguments["keep"]:
            raise self.refuse(shape, "a second axis that is left", "leave `keep: false` out")
        return *shape[:axis], *([1] if arguments["keep"] else []), *shape[axis + 1 :]

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        axis = arguments["axis"]
        kept = [(one,) if one != axis else () for one in range(len(shape)) if one != axis or arguments["keep"]]
        return Reach(layout=tuple(kept))

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        both = arguments["by"] not in ("mean", "sum")
        return Kept(input=both, output=both)

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        named = {} if arguments["keep"] else {"keep": False}
        return call("Reduce", arguments["by"], arguments["axis"] + 1, **named)


class Slice(Called):
    name = "slice"
    doc = "The positions of one axis from `start` up to but not including `stop`, or every `step`-th of them."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.narrow.html"
    rule = "the axis becomes ⌈(stop − start) / step⌉"
    arguments = (
        Argument("start", integer(0), 0, "the first position that is kept", POSITIONS),
        Argument("stop", either(integer(1), {"type": "null"}), None, "the position to stop before; none: the end"),
        AXIS,
        Argument("step", integer(1), 1, "step between the positions that are kept"),
    )
    examples = ("slice: {stop: 4}", "slice: {start: 1, axis: 2, step: 2}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        axis, start = arguments["axis"], arguments["start"]
        if axis >= len(shape):
            raise self.refuse(shape, f"more than {axis} axes")
        stop = shape[axis] if arguments["stop"] is None else arguments["stop"]
        if not start < stop <= shape[axis]:
            message = f"`slice` from {start} to {stop} is not within axis {axis} of its input, which is {shape[axis]}"
            raise Fault("input-shape", message)
        return *shape[:axis], -(-(stop - start) // arguments["step"]), *shape[axis + 1 :]

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        start = arguments["start"]
        return Reach({arguments["axis"]: AxisReach((start,), (start,), arguments["step"])})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return VIEW

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        named = {"step": arguments["step"]} if arguments["step"] > 1 else {}
        return call("Slice", arguments["axis"] + 1, arguments["start"], arguments["stop"], **named)


class L2Normalize(Called):
    name = "l2_normalize"
    doc = "Divides by the Euclidean norm along one axis, so that what lies along it has the length 1."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.normalize.html"
    rule = "unchanged"
    arguments = (AXIS, Argument("eps", number(above=0), 1e-12, "the least norm that is divided by"))
    examples = ("l2_normalize", "l2_normalize: {axis: 2}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        if arguments["axis"] >= len(shape):
            raise self.refuse(shape, f"more than {arguments['axis']} axes")
        return shape

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return along(arguments["axis"], shape)

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return Kept(input=True, values=2 * (prod(shape) // shape[arguments["axis"]]))

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("L2Normalize", arguments["axis"] + 1, arguments["eps"])

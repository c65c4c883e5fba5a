"""Padding of feature maps, sequences with channels first and volumes."""

from __future__ import annotations

from archspec.foundation.arguments import Argument, Schema, choice, either, integer, number
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import INPUT, NOTHING, Kept
from archspec.layers.on_axes import EXAMPLE_INPUTS, TORCH, OnAxes, Sides, flat, sizes_for
from archspec.layers.primitive import Arguments
from archspec.layers.reach import AxisReach, Reach, windows

_FORMS = {
    1: "for both sides, or [left, right]",
    2: "for all sides, [vertical, horizontal], or [left, right, top, bottom]",
    3: "for all sides, one for each axis, or [left, right, top, bottom, front, back]",
}
"""How many positions are added; those of each side as torch has them, the last axis first."""
_KINDS = {"reflect": "Reflection", "replicate": "Replication", "circular": "Circular"}


def _sides(axes: int) -> Schema:
    return {"type": "array", "items": integer(0), "minItems": 2 * axes, "maxItems": 2 * axes}


def _arguments(axes: int) -> tuple[Argument, ...]:
    return (
        Argument("size", either(sizes_for(axes, 0), _sides(axes)), doc=f"how many: {_FORMS[axes]}"),
        Argument("mode", choice("constant", *_KINDS), "constant", "what they hold"),
        Argument("value", number(), 0.0, "what they hold in mode `constant`"),
    )


class _Pad(OnAxes):
    source = f"{TORCH}functional.pad.html"

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        sides, mode = self.sides(arguments), arguments["mode"]
        for size, both in zip(self.sizes(shape), sides, strict=True):
            most = {"reflect": size - 1, "circular": size}.get(mode, max(both))
            if max(both) > most:
                message = f"`{self.name}` can {'reflect' if mode == 'reflect' else 'repeat'} at most {most} of {size}"
                raise Fault("input-shape", f"{message}, not {max(both)}", help="use `mode: replicate`")
        return shape[0], *(size + sum(both) for size, both in zip(shape[1:], sides, strict=True))

    def sides(self, arguments: Arguments) -> Sides:
        """What is added before and after each axis, the first axis first."""
        size = arguments["size"]
        if not isinstance(size, int) and len(size) == 2 * self.axes:
            return tuple((size[i], size[i + 1]) for i in reversed(range(0, 2 * self.axes, 2)))
        return tuple((one, one) for one in self.each(size))

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        mode: str = arguments["mode"]
        sides = list(enumerate(self.sides(arguments), 1))
        if mode == "constant":
            return Reach({i: windows(1, 1, before) for i, (before, _) in sides})
        return Reach({i: _filled(mode, shape[i], *both) for i, both in sides})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return INPUT if arguments["mode"] in ("reflect", "replicate") else NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        sides = flat(self.sides(arguments))
        if arguments["mode"] == "constant":
            return call(f"nn.ConstantPad{self.axes}d", sides, value=arguments["value"])
        return call(f"nn.{_KINDS[arguments['mode']]}Pad{self.axes}d", sides)


class Pad(_Pad):
    name, axes = "pad", 2
    doc = "Rows and columns added around a feature map."
    rule = "C×H×W → C×(H + top + bottom)×(W + left + right)"
    arguments = _arguments(2)
    examples = ("pad: 1", "pad: {size: [0, 1, 0, 1], mode: replicate}")


class Pad1d(_Pad):
    name, axes = "pad_1d", 1
    doc = "Positions added around a sequence with channels first."
    rule = "C×L → C×(L + left + right)"
    arguments = _arguments(1)
    examples = ("pad_1d: 1", "pad_1d: [2, 0]", "pad_1d: {size: 3, mode: reflect}", "pad_1d: {size: 2, mode: circular}")
    example_input = EXAMPLE_INPUTS[1]


class Pad3d(_Pad):
    name, axes = "pad_3d", 3
    doc = "Positions added around a volume."
    rule = "C×D×H×W → C×(D + front + back)×(H + top + bottom)×(W + left + right)"
    arguments = _arguments(3)
    examples = (
        "pad_3d: [0, 1, 1]",
        "pad_3d: {size: [1, 1, 1, 1, 2, 0], mode: replicate}",
        "pad_3d: {size: 2, mode: reflect}",
        "pad_3d: {size: 1, value: -1.5}",
    )
    example_input = EXAMPLE_INPUTS[3]


def _filled(mode: str, size: int, before: int, after: int) -> AxisReach:
    """Padding by copies of positions within the input."""
    places = range(-before, size + after)
    if mode == "reflect":
        found = tuple(size - 1 - abs(size - 1 - abs(at)) for at in places)
    elif mode == "replicate":
        found = tuple(min(max(at, 0), size - 1) for at in places)
    else:
        found = tuple(at % size for at in places)
    return AxisReach(found, found, size)

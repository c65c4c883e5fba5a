"""Feature maps made larger, smaller or wider without learning: upsampling, padding, and space against channels."""

from __future__ import annotations

from archspec.foundation.arguments import Argument, boolean, choice, either, integer, number, pair
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, height_width
from archspec.layers.calls import Call, call
from archspec.layers.kept import INPUT, NOTHING, Kept
from archspec.layers.primitive import Arguments, Called
from archspec.layers.reach import AxisReach, Reach, interpolated, repeated, windows


class Upsample(Called):
    name = "upsample"
    doc = "A feature map enlarged by interpolation."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.Upsample.html"
    rule = "C×H×W → C×scale·H×scale·W, or C×size"
    arguments = (
        Argument("scale", pair(1), 2, "how many times as large"),
        Argument(
            "size", either(pair(1), {"type": "null"}), None, "height and width of the output, in place of `scale`"
        ),
        Argument("mode", choice("nearest", "bilinear", "bicubic"), "nearest", "how values are interpolated"),
        Argument("align_corners", boolean(), False, "keep the values of the corners; not with `nearest`"),
    )
    examples = ("upsample", "upsample: {size: [20, 24], mode: bilinear}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, *size = self.feature_map(shape)
        if arguments["align_corners"] and arguments["mode"] == "nearest":
            help = "add `mode: bilinear`, or leave `align_corners` out"
            raise Fault("input-shape", "`upsample` has no corners to align in mode `nearest`", help=help)
        if arguments["size"] is not None:
            return channels, *height_width(arguments["size"])
        return channels, *(n * factor for n, factor in zip(size, height_width(arguments["scale"]), strict=True))

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        taps = {"nearest": 1, "bilinear": 2, "bicubic": 4}[arguments["mode"]]
        corners = arguments["align_corners"]
        return Reach({i: interpolated(shape[i], output[i], taps, corners=corners) for i in (1, 2)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        size = arguments["size"]
        factor = tuple(map(float, height_width(arguments["scale"]))) if size is None else None
        return call(
            "nn.Upsample",
            size=None if size is None else height_width(size),
            scale_factor=factor,
            mode=arguments["mode"],
            align_corners=None if arguments["mode"] == "nearest" else arguments["align_corners"],
        )


class Pad(Called):
    name = "pad"
    doc = "Rows and columns added around a feature map."
    source = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html"
    rule = "C×H×W → C×(H + top + bottom)×(W + left + right)"
    arguments = (
        Argument(
            "size",
            either(pair(0), {"type": "array", "items": integer(0), "minItems": 4, "maxItems": 4}),
            doc="how many: for all sides, [vertical, horizontal], or [left, right, top, bottom]",
        ),
        Argument("mode", choice("constant", "reflect", "replicate", "circular"), "constant", "what they hold"),
        Argument("value", number(), 0.0, "what they hold in mode `constant`"),
    )
    examples = ("pad: 1", "pad: {size: [0, 1, 0, 1], mode: replicate}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, height, width = self.feature_map(shape)
        left, right, top, bottom = self._sides(arguments)
        mode = arguments["mode"]
        for size, *sides in ((height, top, bottom), (width, left, right)):
            most = {"reflect": size - 1, "circular": size}.get(mode, max(sides))
            if max(sides) > most:
                message = f"`pad` can {'reflect' if mode == 'reflect' else 'repeat'} at most {most} of {size}"
                raise Fault("input-shape", f"{message}, not {max(sides)}", help="use `mode: replicate`")
        return channels, height + top + bottom, width + left + right

    def _sides(self, arguments: Arguments) -> tuple[int, int, int, int]:
        size = arguments["size"]
        if isinstance(size, (list, tuple)) and len(size) == 4:
            left, right, top, bottom = size
            return left, right, top, bottom
        vertical, horizontal = height_width(size)
        return horizontal, horizontal, vertical, vertical

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        left, right, top, bottom = self._sides(arguments)
        if arguments["mode"] != "constant":
            mode: str = arguments["mode"]
            return Reach({1: _filled(mode, shape[1], top, bottom), 2: _filled(mode, shape[2], left, right)})
        return Reach({1: windows(1, 1, top), 2: windows(1, 1, left)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return INPUT if arguments["mode"] in ("reflect", "replicate") else NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        sides = self._sides(arguments)
        if arguments["mode"] == "constant":
            return call("nn.ConstantPad2d", sides, value=arguments["value"])
        kinds = {"reflect": "Reflection", "replicate": "Replication", "circular": "Circular"}
        return call(f"nn.{kinds[arguments['mode']]}Pad2d", sides)


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


class PixelShuffle(Called):
    name = "pixel_shuffle"
    doc = "Channels laid out as a finer grid of positions."
    source = "https://arxiv.org/abs/1609.05158"
    rule = "C×H×W → C/factor²×factor·H×factor·W"
    arguments = (Argument("factor", integer(1), doc="how many times as large; its square divides the channels"),)
    examples = ("pixel_shuffle: 2",)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, height, width = self.feature_map(shape)
        factor = arguments["factor"]
        if channels % factor**2:
            message = f"`pixel_shuffle` by {factor} needs a multiple of {factor**2} channels, not {channels}"
            raise Fault("input-shape", message)
        return channels // factor**2, factor * height, factor * width

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        factor = arguments["factor"]
        return Reach({1: repeated(factor), 2: repeated(factor)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("nn.PixelShuffle", arguments["factor"])


class PatchMerging(Called):
    name = "patch_merging"
    doc = "The four positions of each 2×2 patch, joined on their channels; an odd size is filled up with zeros (Swin)."
    source = "https://arxiv.org/abs/2103.14030"
    rule = "C×H×W → 4·C×⌈H / 2⌉×⌈W / 2⌉"
    fixed_size = True
    examples = ("patch_merging",)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, height, width = self.feature_map(shape)
        return 4 * channels, -(-height // 2), -(-width // 2)

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return Reach({1: windows(2, 2), 2: windows(2, 2)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("PatchMerging", shape[1], shape[2])

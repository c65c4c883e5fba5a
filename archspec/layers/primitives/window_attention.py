"""Self-attention within windows of a feature map, which may be shifted (Swin)."""

from __future__ import annotations

from archspec.foundation.arguments import Argument, choice, integer, pair
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, height_width
from archspec.layers.calls import Call, call
from archspec.layers.kept import Kept
from archspec.layers.primitive import Arguments, Called
from archspec.layers.primitives.attention import LARGEST, check_heads
from archspec.layers.reach import Reach, blocks


class WindowAttention(Called):
    name = "window_attention"
    doc = "Multi-head self-attention within each window of a feature map, biased by relative position (Swin)."
    source = "https://arxiv.org/abs/2103.14030"
    rule = "unchanged: C×H×W, filled up with zeros to whole windows; `heads` divides the channels"
    arguments = (
        Argument("heads", integer(1), doc="independent heads, each with its share of the channels"),
        Argument("window", pair(1, LARGEST), 7, "height and width of the windows"),
        Argument("shift", pair(0), 0, "how far the windows are moved; not at all along an axis that one window fills"),
        Argument("version", choice("v1", "v2"), "v1", "v2: by cosines, and with biases that a small network computes"),
    )
    weights = (
        "bias_table",
        "bias_network.0.weight",
        "bias_network.0.bias",
        "bias_network.2.weight",
        "qkv.weight",
        "qkv.bias",
        "temperature",
        "out.weight",
        "out.bias",
    )
    channels_last = True
    fixed_size = True
    examples = ("window_attention: {heads: 2}", "window_attention: {heads: 4, window: 8, shift: 4, version: v2}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, *_ = self.feature_map(shape)
        check_heads(self.name, arguments["heads"], channels)
        window, shift = height_width(arguments["window"]), height_width(arguments["shift"])
        if any(s >= w for s, w in zip(shift, window, strict=True)):
            raise Fault("input-shape", f"`shift` of `window_attention` must be less than its window: {shift}, {window}")
        if arguments["version"] == "v2" and min(window) < 2:
            raise Fault("input-shape", "`window_attention` in version v2 needs windows of at least 2×2")
        return shape

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        channels, heads = shape[0], arguments["heads"]
        height, width = height_width(arguments["window"])
        shapes: dict[str, Shape] = {"qkv.weight": (3 * channels, channels), "qkv.bias": (3 * channels,)}
        shapes |= {"out.weight": (channels, channels), "out.bias": (channels,)}
        if arguments["version"] == "v1":
            return {"bias_table": ((2 * height - 1) * (2 * width - 1), heads)} | shapes
        network = {"bias_network.0.weight": (HIDDEN, 2), "bias_network.0.bias": (HIDDEN,)}
        return {"temperature": (heads, 1, 1)} | shapes | network | {"bias_network.2.weight": (heads, HIDDEN)}

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        channels, heads = shape[0], arguments["heads"]
        height, width = height_width(arguments["window"])
        size, count = height * width, _Windows(arguments, shape).count
        macs = count * (4 * size * channels**2 + 2 * size**2 * channels)
        if arguments["version"] == "v2":
            macs += (2 * height - 1) * (2 * width - 1) * HIDDEN * (2 + heads)
        return macs

    def buffers(self, arguments: Arguments, shape: Shape) -> int:
        windows = _Windows(arguments, shape)
        masks = windows.count if any(windows.shift) else 0
        laid = (8 + 4 * masks) * windows.size**2  # the positions of biases, and masks
        if arguments["version"] == "v1":
            return laid
        height, width = height_width(arguments["window"])
        return laid + 8 * (2 * height - 1) * (2 * width - 1) + 3 * shape[0]  # distances, and where biases are of keys

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        laid = _Windows(arguments, shape)
        return Reach({i: blocks(*axis) for i, axis in enumerate(zip(laid.window, laid.shift, strict=True), 1)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        channels, heads, windows = shape[0], arguments["heads"], _Windows(arguments, shape)
        positions = windows.count * windows.size
        matches, heights = heads * positions * windows.size, height_width(arguments["window"])
        if arguments["version"] == "v1":
            # with one head, key and value are kept where they lie, in one tensor with the query
            return Kept(values=(5 if heads > 1 else 6) * positions * channels + matches, mixed=2 * matches)
        table = (2 * heights[0] - 1) * (2 * heights[1] - 1)
        biases = table * HIDDEN + heads * (windows.size**2 + 1)
        tensors = 8 if heads > 1 else 7
        values = positions * (tensors * channels + 4 * heads) + 2 * matches
        return Kept(values=values, once=biases, mixed=2 * matches, passing=6 * positions * channels + matches)

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        name = "WindowAttention" if arguments["version"] == "v1" else "WindowAttentionV2"
        window, shift = height_width(arguments["window"]), height_width(arguments["shift"])
        moved = {"shift": shift} if any(shift) else {}
        return call(name, *shape, arguments["heads"], window, **moved)


HIDDEN = 512
"""The width of the network that computes v2's biases."""


class _Windows:
    """How a feature map is laid out in windows, which may be moved: from one to the other and back."""

    def __init__(self, arguments: Arguments, shape: Shape) -> None:
        self.channels, self.height, self.width = shape
        self.window = height_width(arguments["window"])
        self.size = self.window[0] * self.window[1]
        self.rows, self.columns = (-(-n // one) for n, one in zip(shape[1:], self.window, strict=True))
        self.count = self.rows * self.columns
        self.padded = (self.rows * self.window[0], self.columns * self.window[1])
        moved = zip(height_width(arguments["shift"]), (self.rows, self.columns), strict=True)
        self.shift = tuple(shift if count > 1 else 0 for shift, count in moved)

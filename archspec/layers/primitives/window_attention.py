"""Self-attention within windows of a feature map, which may be shifted (Swin)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from archspec.foundation.arguments import Argument, choice, integer, pair
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, height_width
from archspec.layers.kept import Kept
from archspec.layers.primitive import Arguments, Primitive, traced
from archspec.layers.primitives.attention import LARGEST, check_heads, relative_positions
from archspec.layers.reach import Reach, blocks

if TYPE_CHECKING:
    from torch import Tensor, nn


class WindowAttention(Primitive):
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
        return (8 + 4 * masks) * windows.size**2

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        laid = _Windows(arguments, shape)
        return Reach({i: blocks(*axis) for i, axis in enumerate(zip(laid.window, laid.shift, strict=True), 1)})

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        channels, heads, windows = shape[0], arguments["heads"], _Windows(arguments, shape)
        positions = windows.count * windows.size
        matches, heights = heads * positions * windows.size, height_width(arguments["window"])
        if arguments["version"] == "v1":
            # with one head, key and value are kept where they lie, in one tensor with the query
            return Kept(values=(5 if heads > 1 else 6) * positions * channels + matches)
        table = (2 * heights[0] - 1) * (2 * heights[1] - 1)
        biases = table * HIDDEN + heads * (windows.size**2 + 1)
        tensors = 8 if heads > 1 else 7
        return Kept(values=positions * (tensors * channels + 4 * heads) + 2 * matches, once=biases)

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        return traced(_window_attention(arguments, shape))


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

    def split(self, images: Tensor) -> Tensor:
        """`(N, C, H, W)` → `(N·windows, positions, C)`."""
        import torch
        from torch.nn.functional import pad

        x = images.permute(0, 2, 3, 1)
        x = pad(x, (0, 0, 0, self.padded[1] - self.width, 0, self.padded[0] - self.height))
        if any(self.shift):
            x = torch.roll(x, (-self.shift[0], -self.shift[1]), (1, 2))
        x = x.reshape(-1, self.rows, self.window[0], self.columns, self.window[1], self.channels)
        return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, self.size, self.channels)

    def join(self, x: Tensor) -> Tensor:
        """`(N·windows, positions, C)` → `(N, C, H, W)`."""
        import torch

        x = x.view(-1, self.rows, self.columns, *self.window, self.channels)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(-1, *self.padded, self.channels)
        if any(self.shift):
            x = torch.roll(x, self.shift, (1, 2))
        return x[:, : self.height, : self.width].contiguous().permute(0, 3, 1, 2)

    def mask(self) -> Tensor:
        """−100 where two positions of a moved window come from opposite ends of the map, else 0."""
        import torch

        regions = []
        for size, one, moved in zip(self.padded, self.window, self.shift, strict=True):
            region = torch.zeros(size)
            if moved:
                region[-one:-moved] = 1
                region[-moved:] = 2
            regions.append(region)
        region = (regions[0][:, None] * 3 + regions[1]).view(self.rows, self.window[0], self.columns, self.window[1])
        region = region.permute(0, 2, 1, 3).reshape(self.count, 1, -1)
        return (region != region.transpose(1, 2)).float().mul(-100.0)[:, None]


def _window_attention(arguments: Arguments, shape: Shape) -> nn.Module:
    import torch
    from torch import nn
    from torch.nn.functional import linear, normalize

    channels, heads, cosine = shape[0], arguments["heads"], arguments["version"] == "v2"
    windows = _Windows(arguments, shape)
    size = windows.size

    class WindowAttention(nn.Module):
        position: Tensor
        offsets: Tensor
        keys: Tensor
        mask: Tensor

        def __init__(self) -> None:
            super().__init__()
            if cosine:
                self.temperature = nn.Parameter(torch.log(10 * torch.ones(heads, 1, 1)))
            else:
                table = torch.empty((2 * windows.window[0] - 1) * (2 * windows.window[1] - 1), heads)
                self.bias_table = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))
            self.qkv = nn.Linear(channels, 3 * channels)
            self.out = nn.Linear(channels, channels)
            self.register_buffer("position", relative_positions(windows.window), persistent=False)
            if cosine:
                self.bias_network = nn.Sequential(nn.Linear(2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, heads, bias=False))
                self.register_buffer("offsets", _log_offsets(windows.window), persistent=False)
                # keys have no bias: it would be the same for all of them
                keys = torch.tensor([False, True, False]).repeat_interleave(channels)
                self.register_buffer("keys", keys, persistent=False)
                with torch.no_grad():
                    self.qkv.bias.masked_fill_(self.keys, 0)
            if any(windows.shift):
                self.register_buffer("mask", windows.mask(), persistent=False)

        def bias(self) -> Tensor:
            table = self.bias_network(self.offsets).view(-1, heads) if cosine else self.bias_table
            bias: Tensor = table[self.position].view(size, size, heads).permute(2, 0, 1).contiguous()
            return 16 * torch.sigmoid(bias) if cosine else bias

        def forward(self, input: Tensor) -> Tensor:
            bias = self.bias()
            x = windows.split(input)
            qkv_bias = self.qkv.bias.clone().masked_fill_(self.keys, 0) if cosine else self.qkv.bias
            qkv = linear(x, self.qkv.weight, qkv_bias)
            query, key, value = qkv.reshape(-1, size, 3, heads, channels // heads).permute(2, 0, 3, 1, 4).unbind(0)
            if cosine:
                match = normalize(query, dim=-1) @ normalize(key, dim=-1).transpose(-2, -1)
                match = match * torch.clamp(self.temperature, max=math.log(100.0)).exp()
            else:
                match = (query * (channels // heads) ** -0.5) @ key.transpose(-2, -1)
            match = match + bias
            if any(windows.shift):
                match = match.view(-1, windows.count, heads, size, size) + self.mask
                match = match.view(-1, heads, size, size)
            return windows.join(self.out((match.softmax(-1) @ value).transpose(1, 2).reshape(-1, size, channels)))

    return WindowAttention()


def _log_offsets(window: tuple[int, int]) -> Tensor:
    """The distances between positions, `(2·height − 1, 2·width − 1, 2)`, on a logarithmic scale from −1 to 1."""
    import torch

    axes = [torch.arange(-(size - 1), size, dtype=torch.float32) / (size - 1) * 8 for size in window]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    return torch.sign(offsets) * torch.log2(torch.abs(offsets) + 1.0) / 3.0

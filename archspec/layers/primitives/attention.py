"""Self-attention over all tokens of a sequence, or along several axes of a feature map."""

from __future__ import annotations

from math import prod

from archspec.foundation.arguments import Argument, boolean, choice, integer, number
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import Kept
from archspec.layers.primitive import Arguments, Called
from archspec.layers.reach import WHOLE, Reach, blocks

LARGEST = 64
"""The largest window: its positions are counted in pairs of pairs, so one of 64 takes 128 MiB by itself."""


class Attention(Called):
    name = "attention"
    doc = "Multi-head self-attention: each token takes from all tokens, weighed by how well they match."
    source = "https://arxiv.org/abs/1706.03762"
    rule = "unchanged: T×F; `heads` divides the features"
    arguments = (
        Argument("heads", integer(1), doc="independent heads, each with its share of the features"),
        Argument("dropout", number(0, below=1), 0.0, "dropout of the attention weights"),
        Argument("causal", boolean(), False, "each token takes from itself and those before it alone"),
    )
    weights = ("heads.in_proj_weight", "heads.in_proj_bias", "heads.out_proj.weight", "heads.out_proj.bias")
    examples = ("attention: 4", "attention: {heads: 2, dropout: 0.1}", "attention: {heads: 4, causal: true}")
    example_input = (16, 8)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        if len(shape) != 2:
            raise self.refuse(
                shape, "tokens (tokens×features)", "put `- tokens` before it" if len(shape) == 3 else None
            )
        check_heads(self.name, arguments["heads"], shape[1])
        return shape

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        width = shape[1]
        shapes = ((3 * width, width), (3 * width,), (width, width), (width,))
        return dict(zip(self.weights, shapes, strict=True))

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        tokens, width = shape
        return 4 * tokens * width**2 + 2 * tokens**2 * width

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        tokens, width = shape
        if arguments["dropout"]:  # then the matches are kept themselves: before, after and as factors of it
            matches = 3 * tokens * arguments["heads"] * tokens
            return Kept(values=7 * tokens * width + matches, mixed=tokens * width + matches)
        sums = tokens * arguments["heads"]
        return Kept(values=5 * tokens * width + sums, mixed=sums)

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        more = {name: arguments[name] for name in ("dropout", "causal") if arguments[name]}
        return call("Attention", shape[1], arguments["heads"], **more)


def check_heads(name: str, heads: int, width: int) -> None:
    """Raises `Fault` where the heads cannot share the features equally."""
    if width % heads:
        raise Fault("input-shape", f"`heads` ({heads}) of `{name}` does not divide its {width} features")


class MultiAxisAttention(Called):
    name = "multi_axis_attention"
    doc = "Multi-head self-attention within windows, or among positions spread evenly over the feature map (MaxViT)."
    source = "https://arxiv.org/abs/2204.01697"
    rule = "unchanged: C×H×W; `size` divides H and W, `head_size` divides C"
    arguments = (
        Argument("size", integer(1, LARGEST), 7, "height and width of a window, or of a grid"),
        Argument(
            "by", choice("window", "grid"), "window", "who attends: neighbours, or positions spread over the whole map"
        ),
        Argument("head_size", integer(1), 32, "channels of each head"),
    )
    weights = ("qkv.weight", "qkv.bias", "bias_table", "out.weight", "out.bias")
    channels_last = True
    fixed_size = True
    examples = (
        "multi_axis_attention: {size: 4, head_size: 8}",
        "multi_axis_attention: {size: 4, by: grid, head_size: 4}",
    )

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, height, width = self.feature_map(shape)
        for name, one, sizes in (
            ("size", arguments["size"], (height, width)),
            ("head_size", arguments["head_size"], (channels,)),
        ):
            if any(size % one for size in sizes):
                what = "channels" if name == "head_size" else "height and width"
                raise self.refuse(shape, f"{what} that its `{name}` ({one}) divides")
        return shape

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        channels = shape[0]
        table = ((2 * arguments["size"] - 1) ** 2, channels // arguments["head_size"])
        shapes = ((3 * channels, channels), (3 * channels,), table, (channels, channels), (channels,))
        return dict(zip(self.weights, shapes, strict=True))

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        channels, height, width = shape
        size: int = arguments["size"]
        return height * width * (4 * channels**2 + 2 * size**2 * channels)

    def buffers(self, arguments: Arguments, shape: Shape) -> int:
        size: int = arguments["size"]
        return 8 * size**4  # of relative positions, for each pair

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        size = arguments["size"]
        return Reach({1: blocks(size), 2: blocks(size)}) if arguments["by"] == "window" else WHOLE

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        channels, height, width = shape
        heads = channels // arguments["head_size"]
        matches = heads * height * width * arguments["size"] ** 2
        # with one head, query and value are kept where they lie, in one tensor with the key
        return Kept(values=(5 if heads > 1 else 6) * prod(shape) + matches, mixed=2 * matches)

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("MultiAxisAttention", *shape, **dict(arguments))

"""Self-attention over all tokens of a sequence, or along several axes of a feature map."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from archspec.foundation.arguments import Argument, choice, integer, number
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape
from archspec.layers.kept import Kept
from archspec.layers.primitive import Arguments, Primitive, traced
from archspec.layers.reach import WHOLE, Reach, blocks

if TYPE_CHECKING:
    from torch import Tensor, nn


LARGEST = 64
"""The largest window: its positions are counted in pairs of pairs, so one of 64 takes 128 MiB by itself."""


class Attention(Primitive):
    name = "attention"
    doc = "Multi-head self-attention: each token takes from all tokens, weighed by how well they match."
    source = "https://arxiv.org/abs/1706.03762"
    rule = "unchanged: T×F; `heads` divides the features"
    arguments = (
        Argument("heads", integer(1), doc="independent heads, each with its share of the features"),
        Argument("dropout", number(0, below=1), 0.0, "dropout of the attention weights"),
    )
    weights = ("heads.in_proj_weight", "heads.in_proj_bias", "heads.out_proj.weight", "heads.out_proj.bias")
    examples = ("attention: 4",)
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
            return Kept(values=tokens * (7 * width + 3 * arguments["heads"] * tokens))
        return Kept(values=tokens * (5 * width + arguments["heads"]))

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        from torch import nn

        class Attention(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.heads = nn.MultiheadAttention(shape[1], arguments["heads"], arguments["dropout"], batch_first=True)

            def forward(self, input: Tensor) -> Tensor:
                output: Tensor = self.heads(input, input, input, need_weights=False)[0]
                return output

        return traced(Attention())


def check_heads(name: str, heads: int, width: int) -> None:
    """Raises `Fault` where the heads cannot share the features equally."""
    if width % heads:
        raise Fault("input-shape", f"`heads` ({heads}) of `{name}` does not divide its {width} features")


def relative_positions(window: tuple[int, int]) -> Tensor:
    """For each pair of a window's positions, the row of the table of biases that holds theirs; one after the other."""
    import torch

    rows, columns = torch.meshgrid(*map(torch.arange, window), indexing="ij")
    down = rows.flatten()[:, None] - rows.flatten() + window[0] - 1
    right = columns.flatten()[:, None] - columns.flatten() + window[1] - 1
    return (down * (2 * window[1] - 1) + right).flatten()


class MultiAxisAttention(Primitive):
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
        return Kept(values=(5 if heads > 1 else 6) * prod(shape) + matches)

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        return traced(_multi_axis_attention(arguments, shape))


def _multi_axis_attention(arguments: Arguments, shape: Shape) -> nn.Module:
    import torch
    from torch import nn

    channels, height, width = shape
    size, head_size = arguments["size"], arguments["head_size"]
    heads, count, groups = channels // head_size, size**2, height * width // size**2
    if arguments["by"] == "window":
        split, order = (height // size, size, width // size, size), (0, 1, 3, 2, 4, 5)
    else:
        split, order = (size, height // size, size, width // size), (0, 2, 4, 1, 3, 5)
    back = tuple(sorted(range(6), key=order.__getitem__))
    laid_out = (1, *split, channels)
    ordered = tuple(laid_out[axis] for axis in order[1:])

    class MultiAxisAttention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(channels, 3 * channels)
            self.bias_table = nn.Parameter(nn.init.trunc_normal_(torch.empty((2 * size - 1) ** 2, heads), std=0.02))
            self.out = nn.Linear(channels, channels)
            self.position: Tensor
            self.register_buffer("position", relative_positions((size, size)), persistent=False)

        def forward(self, input: Tensor) -> Tensor:
            x = input.permute(0, 2, 3, 1).reshape(-1, *split, channels).permute(order)
            qkv = self.qkv(x.reshape(-1, groups, count, channels)).reshape(-1, groups, count, 3, heads, head_size)
            query, key, value = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)
            bias = self.bias_table[self.position].view(count, count, heads).permute(2, 0, 1).contiguous()
            match = query @ (key * channels**-0.5).transpose(-2, -1) + bias
            x = (match.softmax(-1) @ value).transpose(2, 3).reshape(-1, groups, count, channels)
            x = torch.reshape(self.out(x), (-1, *ordered)).permute(back)
            return x.reshape(-1, height, width, channels).permute(0, 3, 1, 2)

    return MultiAxisAttention()

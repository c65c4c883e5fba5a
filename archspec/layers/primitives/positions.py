"""Where tokens stand: rotations of queries and keys, and biases of their scores, for the merge `attend`."""

from __future__ import annotations

from math import prod

from archspec.foundation.arguments import Argument, either, integer, number, pair
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, height_width, show
from archspec.layers.calls import Call, call
from archspec.layers.kept import NOTHING, Kept
from archspec.layers.primitive import Arguments, Called

SIZE = Argument(
    "size",
    either(pair(1), {"type": "null"}),
    None,
    "height and width of the feature map whose positions the tokens are, row by row; none: a sequence",
)


class _OfTokens(Called):
    fixed_size = True
    example_input = (16, 8)

    def tokens(self, arguments: Arguments, shape: Shape) -> tuple[int, int]:
        """The input as tokens and features. Raises `Fault` where it is no token sequence, or not of its size."""
        if len(shape) != 2:
            help = "put `- tokens` before it" if len(shape) == 3 else None
            raise self.refuse(shape, "tokens (tokens×features)", help)
        if arguments["size"] is not None and prod(size := height_width(arguments["size"])) != shape[0]:
            message = f"`{self.name}` cannot lay out {shape[0]} tokens as {show(size)}"
            raise Fault("input-shape", message)
        return shape[0], shape[1]


class RotaryPositions(_OfTokens):
    name = "rotary_positions"
    widens = True
    doc = "Turns pairs of features by angles that grow with the token's position, for queries and keys (RoFormer)."
    source = "https://arxiv.org/abs/2104.09864"
    rule = "unchanged: T×F; twice the heads divide the features, four times with `size`"
    pointwise = True
    arguments = (
        Argument("heads", integer(1), 1, "heads, whose features are turned alike"),
        SIZE,
        Argument("base", number(above=1), 10000.0, "the angle of pair i of d features is position · base^(−2·i / d)"),
    )
    examples = ("rotary_positions: 2", "rotary_positions: {heads: 2, size: [2, 8]}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        tokens, width = self.tokens(arguments, shape)
        parts = arguments["heads"] * (2 if arguments["size"] is None else 4)
        if width % parts:
            whose = "pairs of each head" if arguments["size"] is None else "pairs for rows and for columns of each head"
            raise Fault("input-shape", f"the {whose} ({parts}) of `{self.name}` do not divide its {width} features")
        return tokens, width

    def buffers(self, arguments: Arguments, shape: Shape) -> int:
        heads: int = arguments["heads"]
        return 4 * shape[0] * shape[1] // heads  # a cosine and a sine for each pair

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        size = (shape[0],) if arguments["size"] is None else height_width(arguments["size"])
        return call("RotaryPositions", shape[1], size, arguments["heads"], arguments["base"])


class RelativePositionBias(_OfTokens):
    name = "relative_position_bias"
    widens = True
    doc = "A learned bias for each head and pair of tokens, by how far these are apart: the last branch of `attend`."
    source = "https://arxiv.org/abs/2103.14030"
    rule = "T×F → heads×T×T"
    arguments = (
        Argument("heads", integer(1), doc="heads, each with biases of its own"),
        SIZE,
        Argument("std", number(0, 1), 0.02, "standard deviation of the initial values"),
    )
    weights = ("weight",)
    examples = ("relative_position_bias: 4", "relative_position_bias: {heads: 2, size: [2, 8]}")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        tokens, _ = self.tokens(arguments, shape)
        return arguments["heads"], tokens, tokens

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        return {"weight": (prod(2 * one - 1 for one in self._size(arguments, shape)), arguments["heads"])}

    def _size(self, arguments: Arguments, shape: Shape) -> tuple[int, int]:
        return (1, shape[0]) if arguments["size"] is None else height_width(arguments["size"])

    def buffers(self, arguments: Arguments, shape: Shape) -> int:
        return 8 * shape[0] ** 2

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("RelativePositionBias", arguments["heads"], *self._size(arguments, shape), std=arguments["std"])

"""Token sequences: how feature maps become some and again feature maps, and what is added to them."""

from __future__ import annotations

from archspec.foundation.arguments import Argument, integer, number, pair
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, height_width, show
from archspec.layers.calls import Call, call
from archspec.layers.kept import NOTHING, VIEW, Kept
from archspec.layers.primitive import Arguments, Called
from archspec.layers.reach import Reach

NO_SIZES = "it takes no sizes: they follow from the tensor"


class _OnTokens(Called):
    example_input = (16, 8)

    def tokens(self, shape: Shape) -> tuple[int, int]:
        """The input as tokens and features. Raises `Fault` where it is no token sequence."""
        if len(shape) != 2:
            raise self.refuse(
                shape, "tokens (tokens×features)", "put `- tokens` before it" if len(shape) == 3 else None
            )
        return shape[0], shape[1]


class Tokens(Called):
    name = "tokens"
    doc = "A feature map as a sequence of tokens, one for each position, row by row."
    source = "https://arxiv.org/abs/2010.11929"
    rule = "C×H×W → H·W×C"
    examples = ("tokens",)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        channels, height, width = self.feature_map(shape)
        return height * width, channels

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return Reach(layout=((1, 2), ()))

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return VIEW

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("Tokens")


class FeatureMap(_OnTokens):
    name = "feature_map"
    doc = "A sequence of tokens as a feature map, filled row by row."
    source = "https://arxiv.org/abs/2103.14030"
    rule = "H·W×C → C×H×W"
    arguments = (Argument("size", pair(1), doc="height and width"),)
    channels_last = True
    fixed_size = True
    examples = ("feature_map: 4", "feature_map: [2, 8]")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        count, features = self.tokens(shape)
        height, width = height_width(arguments["size"])
        if height * width != count:
            raise Fault("input-shape", f"`feature_map` cannot lay out {count} tokens as {show((height, width))}")
        return features, height, width

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return Reach(split=True)

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return VIEW

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("FeatureMap", *self.output(arguments, shape))


class ClassToken(_OnTokens):
    name = "class_token"
    widens = True
    doc = "A learned token put before the others, to stand for the whole image."
    source = "https://arxiv.org/abs/2010.11929"
    rule = "T×F → T+1×F"
    weights = ("weight",)
    examples = ("class_token",)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        count, features = self.tokens(shape)
        return count + 1, features

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        return {"weight": (1, 1, shape[1])}

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return Reach()

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("ClassToken", shape[1])


class PositionEmbedding(_OnTokens):
    name = "position_embedding"
    widens = True
    doc = "Adds a learned vector to each token, by its position."
    source = "https://arxiv.org/abs/2010.11929"
    rule = "unchanged: T×F"
    pointwise = True
    arguments = (Argument("std", number(0, 1), 0.02, "standard deviation of the initial values", NO_SIZES),)
    weights = ("weight",)
    examples = ("position_embedding",)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        return self.tokens(shape)

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        return {"weight": (1, *shape)}

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return NOTHING

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("PositionEmbedding", *shape, std=arguments["std"])


class Token(_OnTokens):
    name = "token"
    doc = "One token of a sequence, as a vector."
    source = "https://arxiv.org/abs/2010.11929"
    rule = "T×F → F"
    arguments = (Argument("index", integer(0), 0, "which one, from 0", "the last one is `token: =c_in - 1`"),)
    examples = ("token", "token: 3")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        count, features = self.tokens(shape)
        if arguments["index"] >= count:
            raise Fault("input-shape", f"there is no token {arguments['index']} among {count}, counted from 0")
        return (features,)

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        return Reach(layout=((1,),))

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        return VIEW

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        return call("Token", arguments["index"])

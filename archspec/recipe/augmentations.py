"""The augmentations that a recipe can list: their names, arguments and defaults, known without torch.

Names, arguments and their meaning are those of torchvision's transforms. `trainer.input.augment_batch` and
`trainer.input.augment_image` carry them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archspec.foundation.arguments import Argument, Schema, Signature, choice, either, integer, number


@dataclass(frozen=True)
class Augmentation:
    """One augmentation: a line about it, its arguments, and where it was published."""

    doc: str
    signature: Signature
    source: str = ""
    mixes: bool = False
    """Whether it mixes images with one another, and their labels."""
    added: Any = None
    """What carries it out, where an installed package brought it (`archspec.recipe.added`)."""


def _two(item: Schema) -> Schema:
    return {"type": "array", "items": item, "minItems": 2, "maxItems": 2}


def _or_two(one: Schema, item: Schema) -> Schema:
    return either(one, _two(item))


_P = number(0, 1)
_SCALE = _two(number(above=0, maximum=1))
_RATIO = _two(number(above=0))
_FACTOR = _or_two(number(0), number(0))
_BINS = Argument("num_magnitude_bins", integer(2), 31, "into how many magnitudes each range is divided")
_ALPHA = Argument("alpha", number(above=0), 1.0, "both parameters of the beta distribution of the mixing ratio")


def _define(
    name: str, doc: str, *arguments: Argument, source: str = "", mixes: bool = False
) -> dict[str, Augmentation]:
    return {name: Augmentation(doc, Signature(name, arguments), source, mixes)}


AUGMENTATIONS: dict[str, Augmentation] = (
    _define(
        "horizontal_flip",
        "Mirrors an image left to right with probability p.",
        Argument("p", _P, 0.5, "the probability"),
    )
    | _define(
        "vertical_flip",
        "Mirrors an image top to bottom with probability p.",
        Argument("p", _P, 0.5, "the probability"),
    )
    | _define(
        "random_resized_crop",
        "Cuts a rectangle out and resizes it to the input's size.",
        Argument("scale", _SCALE, (0.08, 1.0), "its share of the area, `[low, high]`"),
        Argument("ratio", _RATIO, (3 / 4, 4 / 3), "its width over its height, `[low, high]`"),
        source="https://arxiv.org/abs/1409.4842",
    )
    | _define(
        "padded_crop",
        "Pads an image on all sides and cuts a part of the input's size out.",
        Argument("padding", integer(1), 4, "in pixels, on each side"),
        Argument("mode", choice("constant", "edge", "reflect"), "constant", "black, the edge repeated, or mirrored"),
        source="https://arxiv.org/abs/1512.03385",
    )
    | _define(
        "rotation",
        "Turns an image about its centre; what comes in from outside is black.",
        Argument("degrees", _or_two(number(0, 180), number(-360, 360)), 15, "the largest angle, or `[low, high]`"),
        Argument("interpolation", choice("nearest", "bilinear"), "bilinear", "how pixels are resampled"),
    )
    | _define(
        "color_jitter",
        "Changes brightness, contrast, saturation and hue, in a random order.",
        Argument("brightness", _FACTOR, 0, "factors from 1 - x to 1 + x, or `[low, high]`"),
        Argument("contrast", _FACTOR, 0, "as brightness"),
        Argument("saturation", _FACTOR, 0, "as brightness"),
        Argument("hue", _or_two(number(0, 0.5), number(-0.5, 0.5)), 0, "shifts from -x to x turns, or `[low, high]`"),
    )
    | _define(
        "erasing",
        "Paints over a rectangle with probability p.",
        Argument("p", _P, 0.5, "the probability"),
        Argument("scale", _SCALE, (0.02, 0.33), "its share of the area, `[low, high]`"),
        Argument("ratio", _RATIO, (0.3, 3.3), "its height over its width, `[low, high]`"),
        Argument("value", either(integer(0, 255), choice("random")), "random", "a grey level, or noise"),
        source="https://arxiv.org/abs/1708.04896",
    )
    | _define(
        "rand_augment",
        "Applies num_ops of 14 operations drawn at random, all at one magnitude.",
        Argument("num_ops", integer(1), 2, "how many, one after the other"),
        Argument("magnitude", integer(0), 9, "below num_magnitude_bins"),
        _BINS,
        source="https://arxiv.org/abs/1909.13719",
    )
    | _define(
        "trivial_augment",
        "Applies one of 14 operations at a random magnitude from wide ranges.",
        _BINS,
        source="https://arxiv.org/abs/2103.10158",
    )
    | _define(
        "mixup",
        "Blends an image with another of the batch, and their labels alike, with probability p.",
        _ALPHA,
        Argument("p", _P, 1.0, "the probability"),
        source="https://arxiv.org/abs/1710.09412",
        mixes=True,
    )
    | _define(
        "cutmix",
        "Pastes a rectangle of another image of the batch in, and mixes labels by area, with probability p.",
        _ALPHA,
        Argument("p", _P, 1.0, "the probability"),
        source="https://arxiv.org/abs/1905.04899",
        mixes=True,
    )
)

SCHEMA: Schema = either(
    choice(*AUGMENTATIONS),
    {
        "type": "object",
        "properties": {name: one.signature.schema for name, one in AUGMENTATIONS.items()},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    },
)
"""One entry of a recipe's `augment`: `{name: {arguments}}`, or a name alone."""


def add(name: str, one: Augmentation) -> None:
    """Let recipes list an augmentation of a package."""
    AUGMENTATIONS[name] = one
    bare, written = SCHEMA["anyOf"]
    bare["enum"].append(name)
    written["properties"][name] = one.signature.schema


@dataclass(frozen=True)
class AppliedAugmentation:
    """One entry of a recipe's `augment`: an augmentation by its name, and those of its arguments that are given."""

    name: str
    given: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_data(cls, written: str | Mapping[str, Mapping[str, Any]]) -> AppliedAugmentation:
        """Of an entry as it is written, which fits `SCHEMA`: a name alone, or `{name: {arguments}}`."""
        return cls(written) if isinstance(written, str) else cls(*next(iter(written.items())))

    def to_dict(self) -> dict[str, Any]:
        """The entry as `{name: {given arguments}}`."""
        return {self.name: dict(self.given)}

    @property
    def kind(self) -> Augmentation:
        return AUGMENTATIONS[self.name]

    @property
    def arguments(self) -> dict[str, Any]:
        """All of its arguments, those that are not given by their defaults."""
        return {one.name: one.default for one in self.kind.signature.arguments} | dict(self.given)

"""What a recipe says of images, their size and normalisation, held to the input of a network."""

from __future__ import annotations

from collections.abc import Iterator

from archspec.foundation.errors import Fault, join_words
from archspec.foundation.shapes import Shape, show
from archspec.foundation.source import Value
from archspec.recipe.places import place
from archspec.recipe.recipe import Recipe
from archspec.recipe.sections import Moments

IMAGENET = Moments((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""The mean and standard deviation of ImageNet's training images, as torchvision's published weights expect them."""


def faults_in(train: Value | None, recipe: Recipe, input: Shape) -> Iterator[Fault]:
    """What is wrong with the images of a recipe, whose section is `train`, for a network's input."""
    if len(input) != 3:
        yield from _of_images_alone(train, recipe, input)
        return
    moments = IMAGENET if recipe.normalize == "imagenet" else recipe.normalize
    if isinstance(moments, Moments) and {len(moments.mean), len(moments.std)} != {input[0]}:
        lengths = f"`train.normalize` gives {len(moments.mean)} for `mean` and {len(moments.std)} for `std`"
        counts = "ImageNet's mean and standard deviation are of 3" if moments is IMAGENET else lengths
        yield Fault(
            "out-of-range",
            f"the input {show(input)} has {input[0]} channel{'s' * (input[0] != 1)}; {counts}",
            place(train, "normalize"),
            help="`normalize: data` takes those of the training images",
        )
    size = recipe.resize.arguments.get("size")
    if size is not None and size < min(input[1:], default=0):
        yield Fault(
            "out-of-range",
            f"`train.resize` brings the shorter side to {size} pixels, of which {show(input)} cannot be cut out",
            place(train, "resize"),
            help=f"its `size` is {min(input[1:])} or more",
        )


def _of_images_alone(train: Value | None, recipe: Recipe, input: Shape) -> Iterator[Fault]:
    """What a recipe says of images, for a network that takes none."""
    names = join_words(one.name for one in recipe.augment)
    moments = recipe.normalize == "imagenet" or isinstance(recipe.normalize, Moments)
    for key, said, what, cure in (
        ("augment", bool(recipe.augment), f"changes images ({names})", "leave it out"),
        ("resize", recipe.resize != Recipe.resize, "says how images are resized", "leave it out"),
        (
            "normalize",
            moments,
            "gives the mean and standard deviation of the channels of images",
            "`normalize: data`, the default, standardises each feature by the training samples",
        ),
    ):
        if said:
            yield Fault(
                "out-of-range",
                f"`train.{key}` {what}, but the input of the network, {show(input)}, is no image",
                place(train, key),
                help=cure,
            )

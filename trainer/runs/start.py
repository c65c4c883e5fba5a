"""The weights that a training starts from: loaded before anything is trained, and described to the user."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from archspec.foundation.errors import UsageError, escape_line, join_words
from archspec.plan.plan import Plan
from archspec.recipe import LrScale, Moments, Recipe, Resize
from archspec.recipe.images import IMAGENET
from archspec.recipe.parts import lies_in, parts_below
from archspec.spec import Spec
from archspec.weights import Loaded
from archspec.weights.origins import load_from, metadata_of
from trainer.input.vectors import moments_shape, sample_shape, takes_images


@dataclass(frozen=True)
class Start:
    """The weights that a training starts from, and what is known of the images that they were trained with."""

    origin: str
    """What the recipe calls them."""
    digest: str
    """Identifies the tensors that were loaded."""
    moments: Moments | None
    resize: Resize | None
    """How images of the network's input size were made; `None` where it is not known."""
    classes: tuple[str, ...] = ()
    loaded: Loaded | None = None
    """What was loaded; `None` of a run that has its own weights by now."""
    tensors: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    """The loaded tensors, by the names of the network's `state_dict`."""

    @torch.no_grad()
    def put_into(self, network: nn.Module) -> None:
        """Write the loaded tensors into a network."""
        own = network.state_dict()
        for name, tensor in self.tensors.items():
            own[name].copy_(tensor)

    def record(self) -> dict[str, Any]:
        """What a run keeps of them (JSON types), of which `recorded` makes the same without tensors."""
        return {
            "origin": self.origin,
            "digest": self.digest,
            "moments": self.moments and self.moments.to_dict(),
            "loaded": self.loaded and self.loaded.to_dict(),
        }

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> Start:
        moments = record["moments"]
        return cls(record["origin"], record["digest"], moments and Moments.from_dict(moments), None)


def load_start(spec: Spec) -> Start | None:
    """The weights that a spec's recipe names, loaded into a network of the spec; `None` where it names none.

    Raises `UsageError` where they cannot be had, do not fit, or leave out what is frozen.
    """
    recipe, plan = spec.recipe, spec.plan
    if recipe.weights is None:
        return None
    known = metadata_of(recipe.weights)  # first: it is quick
    with torch.random.fork_rng(devices=[]):
        network = spec.build()
    loaded = load_from(recipe.weights, network, plan.input, partial=recipe.partial, adapt=recipe.adapt)
    _check_frozen(recipe, loaded)
    state = network.state_dict()
    tensors = {name: state[name] for name in loaded.names}
    moments = Moments.from_dict(known) if {"mean", "std"} <= known.keys() else None
    if moments is not None and {len(moments.mean), len(moments.std)} != {prod(moments_shape(plan))}:
        moments = None
    return Start(
        recipe.weights,
        _digest(tensors),
        moments,
        _resize_of(known, sample_shape(plan)),
        tuple(map(str, known.get("classes", ()))),
        loaded,
        tensors,
    )


def _check_frozen(recipe: Recipe, loaded: Loaded) -> None:
    """Raises `UsageError` where a frozen part would keep initial weights."""
    lacking = [one.name for one in loaded.skipped if one.reason != "unknown"]
    frozen = [name for name in lacking if recipe.freeze and recipe.freeze.holds(name, 0)]
    if frozen:
        more = f", and {len(frozen) - 3} more" if len(frozen) > 3 else ""
        raise UsageError(
            f"{recipe.weights} lacks weights of parts that `train.freeze` keeps as they are: "
            f"{join_words(map(escape_line, frozen[:3]))}{more}",
            help="freeze no more than what is loaded: the others have initial weights, drawn at random",
        )


def _resize_of(known: Mapping[str, Any], input: tuple[int, ...]) -> Resize | None:
    """How images are brought to a network's input as the weights know it, whose own input may have had another size."""
    if "resize" not in known or "name" not in known["resize"]:
        return None
    resize = Resize.from_dict(known["resize"])
    if "size" in resize.arguments and len(input) == 3 and len(known.get("input", ())) >= 2:
        scaled = round(resize.arguments["size"] * min(input[1:]) / min(known["input"][-2:]))
        resize = Resize(resize.name, {**resize.arguments, "size": scaled})
    return resize


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


# --- images as the weights know them ----------------------------------------------------------------------------------


def with_resize(recipe: Recipe, start: Start | None) -> Recipe:
    """The recipe with `resize: weights` in plain words. Raises `UsageError` where the weights do not say it."""
    if recipe.resize.name != "weights" or start is None:
        return recipe
    if start.resize is None:
        raise UsageError(
            f"{start.origin} does not say how images were brought to the network's input",
            help="say it in the recipe, `resize: {name: crop, size: 256}` for example",
        )
    return replace(recipe, resize=start.resize)


def known_moments(recipe: Recipe, start: Start | None) -> Moments | None:
    """The mean and standard deviation that a recipe gives or its weights know; `None` where images are to say them, or
    none are wanted. Raises `UsageError` where the weights are to say them and do not."""
    if isinstance(recipe.normalize, Moments):
        return recipe.normalize
    if recipe.normalize == "imagenet":
        return IMAGENET
    if recipe.normalize == "weights" and (start is None or start.moments is None):
        raise UsageError(
            f"{recipe.weights} does not say the mean and standard deviation of its images, or has other channels",
            help="`normalize: imagenet`, or `{mean: […], std: […]}`, gives them; `data` takes the training images'",
        )
    return start.moments if start is not None and recipe.normalize in (True, "weights") else None


# --- said before the first step ---------------------------------------------------------------------------------------


def described(plan: Plan, recipe: Recipe, start: Start | None, classes: Sequence[str]) -> Iterator[str]:
    """Lines on what a training starts from: what was loaded and what not, what is frozen, at what rates parts learn."""
    rows = [*_weights(start, classes), *_frozen(plan, recipe, start), *_rates(plan, recipe)]
    if start is not None:
        resized = f"{_resized(recipe.resize)}; " if takes_images(sample_shape(plan)) else ""
        rows.append(("images", f"{resized}{_normalized(recipe, start)}"))
    if len(plan.input) == 2 and recipe.normalize is not False:
        axis = "first" if len(moments_shape(plan)) > 1 else "last"
        rows.append(("samples", f"standardised for each of {plan.input[axis == 'last']} features, their {axis} axis"))
    width = max((len(word) for word, _ in rows), default=0)
    for word, text in rows:
        yield f"  {word.ljust(width)}  {text}"


Row = tuple[str, str]


def _weights(start: Start | None, classes: Sequence[str]) -> Iterator[Row]:
    if start is None or start.loaded is None:
        return
    first, *more = start.loaded.render().splitlines()
    yield "weights", first.removeprefix("weights loaded from ")
    for line in more:
        word, _, rest = line.strip().partition(": ")
        yield word, rest
    lacking = [one for one in start.loaded.skipped if one.reason != "unknown"]
    if not lacking and len(start.classes) == len(classes) and start.classes != tuple(classes):
        number = next(i for i, (old, new) in enumerate(zip(start.classes, classes, strict=True)) if old != new)
        yield (
            "note",
            f"the weights know other classes: number {number} is `{escape_line(start.classes[number])}` to them, "
            f"`{escape_line(classes[number])}` here",
        )


def _frozen(plan: Plan, recipe: Recipe, start: Start | None) -> Iterator[Row]:
    if recipe.freeze is None:
        return
    for path, epochs in recipe.freeze.parts.items():
        count = sum(layer.params for layer in plan.layers if lies_in(layer.path, path))
        until = f", trained from epoch {epochs + 1} on" if epochs is not None else ""
        yield "frozen", f"{path}, {count:,} of {plan.params:,} parameters{until}"
    if start is None:
        yield "note", "there are no `weights`: what is frozen keeps initial weights, drawn at random"


def _rates(plan: Plan, recipe: Recipe) -> Iterator[Row]:
    if recipe.lr_scale is None:
        return
    names = [f"{layer.path}.{name}" for layer in plan.layers for name, _ in layer.layer.parameters]
    said = []
    for path, one in recipe.lr_scale.given.items():
        if not isinstance(one, Mapping):
            said.append(f"{path} ×{one:g}")
            continue
        factors = LrScale({path: one}).factors(names)
        parts = {part: factors[next(n for n in names if lies_in(n, part))] for part in parts_below(path, names)}
        said += [f"{part} ×{factor:.3g}" for part, factor in parts.items()]
    yield "rates", ", ".join(said)


def _resized(resize: Resize) -> str:
    arguments = ", ".join(f"{key} {value}" for key, value in resize.arguments.items())
    return f"resize {resize.name}" + (f" ({arguments})" if arguments else "")


def _normalized(recipe: Recipe, start: Start) -> str:
    if recipe.normalize is False:
        return "not normalised"
    whose = "as given" if isinstance(recipe.normalize, Moments) else "as the weights were trained"
    whose = "by ImageNet's mean and standard deviation" if recipe.normalize == "imagenet" else whose
    if known_moments(recipe, start) is None:
        whose = "by the training images' mean and standard deviation"
    return f"normalised {whose}"

"""Vectors and sequences: which of their axes are features, and how these are standardised."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.shapes import Shape, show
from archspec.layers.registry import primitives
from archspec.plan.plan import Plan
from archspec.recipe.columns import image_among
from trainer.input.datasets import Form


def takes_images(shape: Shape) -> bool:
    """Whether a network of this input takes images: channels, height and width."""
    return len(shape) == 3


def sample_shape(plan: Plan) -> Shape:
    """The shape of a sample: that of the network's input; of several, that of the image among them, or where all are
    rows, their features side by side."""
    if len(plan.takes) == 1:
        return plan.input
    image = image_among(plan.inputs)
    return plan.inputs[image] if image else (sum(row_sizes(plan)),)


def row_sizes(plan: Plan) -> list[int]:
    """How many features each of several inputs takes that are rows, in their order."""
    return [one.shape[0] for one in plan.takes if len(one.shape) == 1] if len(plan.takes) > 1 else []


def moments_shape(plan: Plan) -> tuple[int, ...]:
    """The shape of the mean and of the standard deviation that a network's input is standardised by.

    Of images it is that of their channels `(C,)`. Vectors `(F,)` and tokens `(T, F)` have one for each feature, `(F,)`,
    several vectors one for the features of all;
    sequences and volumes whose first layer takes channels first one for each channel, `(C, 1)` and `(C, 1, 1, 1)`.
    """
    shape = sample_shape(plan)
    if takes_images(shape):
        return shape[:1]
    if len(shape) == 1 or (len(shape) == 2 and not _channels_first(plan)):
        return shape[-1:]
    return shape[0], *(1 for _ in shape[1:])


def _channels_first(plan: Plan) -> bool:
    """Whether a network takes a sequence with channels first, as the first layer says to which that matters."""
    swapped = False
    for layer in plan.layers:
        if layer.input not in (plan.input, plan.input[::-1]):
            break
        if layer.layer.primitive == "permute":
            swapped = not swapped
        elif getattr(primitives()[layer.layer.primitive], "axes", 2) != 2:
            return not swapped
        elif layer.layer.primitive in ("linear", "attention", "position_embedding", "class_token", "token"):
            return swapped
    return swapped


def statistics(samples: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The mean and standard deviation of samples `(N, …)` for each feature, floats of `moments_shape`.

    A feature that never varies has the standard deviation 1, so that it becomes 0.
    """
    axes = [*range(samples.ndim - 1)] if len(shape) == 1 else [0, *range(2, samples.ndim)]
    exact = samples.double()
    mean = exact.mean(axes)
    std = exact.std(axes, correction=0)
    std[std <= 1e-12 * mean.abs()] = 1
    return mean.float().reshape(tuple(shape)), std.float().clamp(min=1e-30).reshape(tuple(shape))


def standardized(samples: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Samples `(N, …)` less their mean, divided by their standard deviation, both of `moments_shape`."""
    return (samples - mean) / std


def check_shape(found: tuple[int, ...], plan: Plan, name: str, form: Form | None = None) -> None:
    """Raises `UsageError` where a data set's samples do not have the shape of a network's input, or inputs."""
    if form is not None and form.inputs:
        check_rows(plan, name, form)
        return
    if found == plan.input:
        return
    features = form.features if form else ()
    listed = f": {join_words(features)}" if 0 < len(features) <= 12 else ""
    what = f"{found[0]} feature{'s' * (found[0] != 1)}{listed}" if len(found) == 1 else f"samples of {show(found)}"
    cure = f"write `input: [{', '.join(map(str, found))}]`"
    if found[::-1] == plan.input:
        cure += f", or begin the network in `permute: [1, 0]` with that input to have {show(plan.input)} there"
    elif len(found) == 1 and len(plan.input) == 1:
        cure += "; or `input: [=features]` with `vars: {features: 4}`, which then follows the data set"
    raise UsageError(f"the data set `{name}` has {what}, but the network's input is {show(plan.input)}", help=cure)


def check_rows(plan: Plan, name: str, form: Form) -> None:
    """Raises `UsageError` where the columns of a table that inputs take are not as many as the inputs' features."""
    counts = {input: len(form.features_in(columns)) for input, columns in form.inputs.items()}
    for one in plan.takes:
        count = counts.get(one.name)
        if count is not None and one.shape != (count,):
            features = form.features_in(form.inputs[one.name])
            listed = f": {join_words(features)}" if count <= 12 else ""
            fitting = [[counts[taken.name]] if taken.name in counts else [*taken.shape] for taken in plan.takes]
            shapes = ", ".join(f"{taken.name}: {shape}" for taken, shape in zip(plan.takes, fitting, strict=True))
            raise UsageError(
                f"the data set `{name}` has {count} feature{'s' * (count != 1)} for the input `{one.name}`{listed}; "
                f"the network's is {show(one.shape)}",
                help=f"write `input: {{{shapes}}}`",
            )

"""The memory that a network needs to be run and to be trained, known without torch.

What is counted are the tensors that torch makes on a CPU, each from the operation that makes it to the last that uses
it, in the order of execution: an inference, or a step of training (forward, backward, optimizer). The scratch space of
a kernel (cuDNN's, oneDNN's), an allocator's rounding and the runtime's own memory are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.shapes import Shape
from archspec.foundation.spelling import did_you_mean
from archspec.layers.registry import primitives
from archspec.plan.plan import Plan
from archspec.views.liveness import Backward, Forward, Sizes


@dataclass(frozen=True, slots=True)
class Precision:
    """How many bytes a value takes."""

    parameter: int
    activation: int


PRECISIONS: Mapping[str, Precision] = {
    "32": Precision(4, 4),
    "64": Precision(8, 8),
    "bf16": Precision(2, 2),
    "16": Precision(2, 2),
    "bf16-mixed": Precision(4, 2),
    "16-mixed": Precision(4, 2),
}
"""By the names that a recipe gives them; `mixed` keeps parameters in 32 bits and a copy of the weights in 16."""


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """The bytes that a step of training needs."""

    parameters: int
    buffers: int
    gradients: int
    optimizer: int
    """The optimizer's state."""
    input: int
    """The batch."""
    kept: int
    """What the forward pass keeps for the backward pass, the batch included where a layer keeps it."""
    peak: int
    """The most at any moment, all of the above included."""
    when: str
    """Where the peak is: `forward`, `backward` or `optimizer`."""
    unknown: tuple[str, ...]
    """Primitives of plugins that do not say what they keep: their inputs and outputs are counted."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        names = ("parameters", "buffers", "gradients", "optimizer", "input", "kept", "peak", "when")
        return {name: getattr(self, name) for name in names} | {"unknown": list(self.unknown)}


def inference_memory(plan: Plan, batch: int = 1, precision: str = "32", *, threads: int = 0) -> int:
    """The peak of an inference of a batch, in bytes: parameters, buffers, the batch and the activations.

    In 16 bits on a CPU, each of its `threads` needs memory of its own.

    Raises:
        UsageError: There is no such precision.
    """
    held = _parameters(plan, precision) + _buffers(plan)  # of auxiliary classifiers too
    plan = plan.without_aux()
    sizes = _sizes(plan, batch, precision, threads=threads)
    return held + sizes.inputs + Forward(plan.graph, sizes).peak


def training_memory(
    plan: Plan,
    batch: int = 1,
    optimizer: str = "sgd",
    arguments: Mapping[str, Any] | None = None,
    precision: str = "32",
    *,
    accumulates: bool = False,
    channels_last: bool = False,
    threads: int = 0,
) -> TrainingMemory:
    """What a step of training needs, after the first one.

    Args:
        plan: The plan, with its auxiliary classifiers if they are trained.
        batch: The samples of a step.
        optimizer: An optimizer of recipes, by name.
        arguments: Its arguments, those that differ from torch's defaults.
        precision: A name of `PRECISIONS`.
        accumulates: Whether gradients of several batches are added up for one step.
        channels_last: Whether images and weights lie in memory with their channels last (`torch.channels_last`).
        threads: The threads of a CPU, each of which needs memory of its own in 16 bits.

    Raises:
        UsageError: There is no such optimizer or precision.
    """
    sizes = _sizes(plan, batch, precision, channels_last=channels_last, threads=threads)
    parameters, buffers = _parameters(plan, precision), _buffers(plan)
    state, temporary = _optimizer(plan, optimizer, arguments or {}, _precision(precision).parameter)
    kept = sizes.kept(plan)
    copies = _copies(plan, precision)
    forward = Forward(plan.graph, sizes, kept)
    backward = Backward(plan, sizes, kept, forward.left + copies, accumulates=accumulates)
    still = parameters + buffers + state + sizes.inputs
    there = parameters if accumulates else 0  # gradients of the batch before
    peaks = {
        "forward": still + there + copies + forward.peak,
        "backward": still + there + backward.peak,
        "optimizer": still + parameters + temporary,
    }
    when = max(peaks, key=peaks.__getitem__)
    whole = kept_bytes(plan, batch, precision) + copies
    figures = (parameters, buffers, parameters, state, sizes.inputs, whole, peaks[when])
    return TrainingMemory(*figures, when, kept.unknown)


def kept_bytes(plan: Plan, batch: int = 1, precision: str = "32") -> int:
    """The bytes of all tensors that torch saves in the forward pass of a batch, beside parameters and buffers."""
    sizes = _sizes(plan, batch, precision)
    kept = sizes.kept(plan)
    whole = {id for ids in kept.tensors.values() for id in ids}
    return sum(map(sizes.tensor, whole)) + sum(map(sizes.extra, kept.extras.values()))


def _sizes(plan: Plan, batch: int, precision: str, *, channels_last: bool = False, threads: int = 0) -> Sizes:
    value, mixed = _precision(precision).activation, precision.endswith("-mixed")
    return Sizes(plan.graph, batch, value, mixed=mixed, channels_last=channels_last, threads=threads)


def _precision(name: str) -> Precision:
    name = name.removesuffix("-true")
    if name not in PRECISIONS:
        hint = did_you_mean(name, PRECISIONS) or f"there are {join_words(list(PRECISIONS))}"
        raise UsageError(f"there is no precision `{name}`", help=hint)
    return PRECISIONS[name]


def _parameters(plan: Plan, precision: str) -> int:
    return plan.params * _precision(precision).parameter


def _copies(plan: Plan, precision: str) -> int:
    """What a mixed precision copies of the parameters."""
    return plan.params * 2 if precision.endswith("-mixed") else 0


def _buffers(plan: Plan) -> int:
    layers = [node.layer for node in plan.layers if node.module == node.path]
    return sum(primitives()[one.primitive].buffers(one.arguments, one.input) for one in layers)


_STATES: Mapping[str, int] = {
    "adadelta": 2,
    "adagrad": 1,
    "adam": 2,
    "adamax": 2,
    "adamw": 2,
    "asgd": 1,
    "nadam": 2,
    "radam": 2,
    "rmsprop": 1,
    "rprop": 2,
    "sgd": 0,
}
"""The tensors of a parameter's shape that an optimizer keeps for it."""


def _optimizer(plan: Plan, name: str, arguments: Mapping[str, Any], size: int) -> tuple[int, int]:
    """The bytes of an optimizer's state, and those that it needs for the largest parameter while it steps."""
    own = [node.layer for node in plan.layers if node.module == node.path]
    shapes = [shape for layer in own for _, shape in layer.parameters]
    largest = max(map(prod, shapes), default=0)
    if name == "adafactor":
        return size * sum(map(_factored, shapes)), 2 * size * largest
    if name not in _STATES:
        known = sorted([*_STATES, "adafactor"])
        hint = did_you_mean(name, known) or f"there are {join_words(known)}"
        raise UsageError(f"there is no optimizer `{name}`", help=hint)
    extra = sum(bool(arguments.get(one)) for one in ("momentum", "amsgrad", "centered"))
    plain = name == "sgd" and not arguments.get("weight_decay") and not arguments.get("nesterov")
    return size * (_STATES[name] + extra) * plan.params, 0 if plain else 2 * size * largest


def _factored(shape: Shape) -> int:
    """Adafactor keeps means of rows and columns of a matrix' squares, or all squares of a vector."""
    if len(shape) < 2:
        return prod(shape)
    *stack, rows, columns = shape
    return prod(stack) * (rows + columns)

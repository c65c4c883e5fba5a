"""What the formats of traced graphs share: what is left open, the trace by `torch.export`, and the proof."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from archspec.exports._format import Model, Options, Written
from archspec.exports._proving.metadata import input_facts, input_values, metadata
from archspec.exports._proving.module import Exported, make_module
from archspec.exports._proving.prove import (
    Candidate,
    Inputs,
    ProofFailed,
    count_samples,
    drawing,
    prove,
    randomize_copies,
)
from archspec.exports._sizes import find_other_size
from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import Shape, show

UNNAMED = "images"
"""What the one input of a graph is called where the spec gives it no name."""

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


Axes = tuple[str | None, ...]


@dataclass(frozen=True)
class Traced:
    """A network as `torch.export` traces it."""

    program: ExportedProgram
    open: str
    """What it leaves open: `size`, `batch` or `none`."""
    inputs: tuple[str, ...]
    """The names of its inputs."""
    axes: tuple[Axes, ...]
    """Of each input the names of the axes that are open; `None` for one that is not."""
    outputs: tuple[str, ...]
    """The names of its outputs."""
    metadata: dict[str, str]
    module: nn.Module


def write_graph(model: Model, path: str, options: Options, make: Callable[[Traced], Candidate]) -> Written:
    """Trace a network, have a candidate made of the trace, and prove its file. Raises `UsageError`."""
    other, reason = (None, "") if options.dynamic in ("batch", "none") else find_other_size(model.spec)
    if options.dynamic == "size" and other is None:
        raise UsageError(
            f"{model.plan.title} takes no other size: {reason}", help="--dynamic batch leaves the batch open alone"
        )
    options.say("building the network")
    module = make_module(model, options)
    shapes = model.shapes
    choices = [options.dynamic] if options.dynamic else ["size", "batch"] if other else ["batch"]
    for choice in choices:
        try:
            with quiet():
                proof, open = _attempt(model, path, options, make, module, choice, other)
        except UsageError as error:
            if choice == choices[-1]:
                raise
            reason = error.message
        else:
            break
    sizes = f"size is {show(shapes[0][1:])}" if len(shapes) == 1 else "sizes are those of the spec"
    fixed = f"the {sizes} alone: {reason}" if open == "batch" and reason else ""
    values = input_values(model, options)
    shown = [
        " × ".join(axis or str(size) for axis, size in zip(_axes(open, shape), (1, *shape), strict=True))
        for shape in shapes
    ]
    named = (
        [f"input: {shown[0]}"]
        if len(shown) == 1
        else [f"{name}: {one}" for name, one in zip(model.plan.inputs, shown, strict=True)]
    )
    lines = [f"{one}, {values}" for one in named] + ([fixed] if fixed else [])
    facts = {**input_facts(model), "input_values": values, "dynamic": open, "fixed_because": reason or None}
    return Written(proof, tuple(lines), facts)


def _attempt(
    model: Model,
    path: str,
    options: Options,
    make: Callable[[Traced], Candidate],
    module: nn.Module,
    open: str,
    other: tuple[Shape, ...] | None,
) -> tuple[Any, str]:
    """The proof of a file with something left open. Raises `UsageError`."""
    shapes = model.shapes
    options.say("tracing it")
    draw = drawing(module)
    calmer = randomize_copies(module, draw(count_samples(shapes), shapes, 0))
    random = next(calmer)
    count = 1 if open == "none" else 2
    axes = tuple(_axes(open, shape) for shape in shapes)
    program = _trace(model, random, draw(count, shapes, 0), axes)
    inputs = tuple(one.name or UNNAMED for one in model.plan.takes)
    outputs = ("output", *model.plan.outputs)
    options.say("translating it")
    candidate = make(Traced(program, open, inputs, axes, outputs, metadata(model, options), random))
    options.say("proving it")
    batches = [(count, shapes), (count if open == "none" else 3, shapes)]
    if open == "size" and other is not None:
        batches.append((2, other))
    return prove(candidate, path, module, chain([random], calmer), batches, draw), open


def _axes(open: str, shape: Shape) -> Axes:
    if open == "none":
        return (None, *[None] * len(shape))
    names = AXES.get(len(shape) - 1) if open == "size" else None
    return ("batch", None, *(names or [None] * (len(shape) - 1)))


def _trace(model: Model, module: nn.Module, inputs: Inputs, axes: Sequence[Axes]) -> ExportedProgram:
    left = list(dict.fromkeys(name for one in axes for name in one if name))
    dynamic: Any = tuple({axis: torch.export.Dim.DYNAMIC for axis, name in enumerate(one) if name} for one in axes)
    if isinstance(module, Exported):  # it takes any number of inputs
        dynamic = (dynamic,)
    try:
        return torch.export.export(module, inputs, dynamic_shapes=dynamic if left else None, strict=False)
    except Exception as error:  # of many kinds
        what = (str(error).strip() or type(error).__name__).splitlines()[0]
        cure = "--dynamic none fixes it" if left == ["batch"] else None
        raise UsageError(
            f"torch.export cannot trace {model.plan.title} with {', '.join(left) or 'nothing'} open: {what}", help=cure
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Mute what torch and onnxscript log and warn of: nobody can do anything about it, and the proof decides."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


__all__ = ["ProofFailed", "Traced", "quiet", "write_graph"]

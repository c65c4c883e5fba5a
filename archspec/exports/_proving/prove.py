"""Proof of a written file: it is read back, run, and compared with the module that it was made of."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from archspec.exports._proof import Proof
from archspec.exports._proving.module import Exported, Normalize
from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import Shape, show

Shapes = tuple[Shape, ...]
"""The shapes of one sample, one for each input."""
Batches = Sequence[tuple[int, Shapes]]
"""How many samples, of which shapes."""
Inputs = tuple[Tensor, ...]
"""A batch for each input."""
Draw = Callable[[int, Shapes, int], Inputs]
"""Draws batches of so many samples, of these shapes, by a seed."""
Run = Callable[..., Sequence[Tensor]]
"""Runs a written file on a batch for each input."""


ROUNDINGS = 10
"""Outputs may differ by this multiple of the network's own rounding error, where that is more than the tolerance."""
FURTHEST = 1e-2
"""How far outputs may differ at most, whatever the network's rounding."""
GAINS = (1.0, 0.25, 0.06)
"""Factors of random matrices, one after the other: the smaller, the less a deep network makes of a rounding error."""


class Candidate(Protocol):
    """A network in another format, with weights that can be exchanged."""

    runner: str
    """What runs its files, with its version."""
    tolerance: float
    """How far outputs may differ, as a share of the largest absolute value of each; 0: not in one bit.

    Where the network's own outputs are further from what it gives in double precision, it is `ROUNDINGS` times that.
    """

    def write(self, path: str, state: Mapping[str, Tensor]) -> None:
        """Write its file with these weights; an older file of this name is replaced."""

    def read(self, path: str) -> tuple[Run, Mapping[str, Tensor]]:
        """Read a file as a function of a batch for each input, and the weights in it by name."""


class ProofFailed(UsageError):
    """A written file does not compute what the network does."""


class Unsteady(ProofFailed):
    """A network makes so much of its rounding errors that nothing can be told from them."""


def prove(
    candidate: Candidate,
    path: str,
    module: nn.Module,
    randoms: Iterable[nn.Module],
    batches: Batches,
    draw: Draw | None = None,
) -> Proof:
    """Write a network's file, and prove it: with random weights first, then with its own, which it keeps.

    Args:
        candidate: The network in the other format.
        path: The file.
        module: The network, in evaluation.
        randoms: What `randomize_copies` makes of it: each is tried where those before it make too much of rounding.
        batches: The batches to compare.
        draw: What draws inputs for it; without it, they are normal floats.

    Raises:
        ProofFailed: The file is not the network's.
    """
    draw = draw or example
    batched = [draw(count, shapes, 1 + seed) for seed, (count, shapes) in enumerate(batches)]
    for random in randoms:
        try:
            by_random = _compare_at_all(candidate, path, random, batched)
        except Unsteady as error:
            unsteady = error
        else:
            break
    else:
        raise unsteady
    largest, allowed = map(max, by_random, _compare_at_all(candidate, path, module, batched))
    return Proof(candidate.runner, largest, allowed, tuple(batches), ("random weights", "its own"))


def _compare_at_all(
    candidate: Candidate, path: str, module: nn.Module, batched: Sequence[Inputs]
) -> tuple[float, float]:
    """Write a file with a module's weights and compare both: the largest difference, and what is allowed."""
    state = module.state_dict()
    candidate.write(path, state)
    run, kept = candidate.read(path)
    _compare_weights(module, state, kept)
    differences, allowed = zip(*(_compare(module, run, one, candidate.tolerance) for one in batched), strict=True)
    return max(differences), max(allowed)


def example(count: int, shapes: Shapes, seed: int) -> Inputs:
    """Random batches `(count, *shape)` of normal floats."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn((count, *shape), generator=generator) for shape in shapes)


def drawing(module: nn.Module) -> Draw:
    """What draws inputs for an exported module: normal floats, bytes from 0 to 255, or rows in their own units."""
    normalize = module.normalize if isinstance(module, Exported) else None
    if not isinstance(normalize, Normalize):
        return example

    def draw(count: int, shapes: Shapes, seed: int) -> Inputs:
        generator = torch.Generator().manual_seed(seed)
        rows = iter(normalize.typical(example(count, shapes, seed)))
        images = normalize.are_images
        return tuple(
            torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator) if is_image else row
            for shape, row, is_image in zip(shapes, rows, images, strict=True)
        )

    return draw


def count_samples(shapes: Shapes) -> int:
    """How many samples give statistics of a norm that are no accident, also where a map is small."""
    return 16 if sum(math.prod(shape) for shape in shapes) < 100_000 else 4


def randomize_copies(module: nn.Module, samples: Inputs) -> Iterator[nn.Module]:
    """Copies of a module, which takes these samples, with random weights, and statistics near those of the samples.

    Each makes less of rounding errors than the one before.
    """
    from archspec.exports._proving.random_weights import randomize

    for gain in GAINS:
        other = copy.deepcopy(module)
        randomize(other, samples, gain)
        yield other


def tensors_of(output: Any) -> list[Tensor]:
    """The tensors of an output: the main one, then the named ones."""
    return [one for one in pytree.tree_leaves(output) if isinstance(one, Tensor)]


def _compare_weights(module: nn.Module, own: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> None:
    """Raises `ProofFailed` where a parameter is missing, or a tensor is not equal bit for bit."""
    for name, _ in module.named_parameters():
        if name not in kept:
            raise ProofFailed(f"the written file is not the network's: it lacks the weights `{name}`")
    for name, tensor in kept.items():
        if name not in own or tensor.dtype != own[name].dtype or not torch.equal(tensor, own[name]):
            raise ProofFailed(f"the written file is not the network's: its weights `{name}` are not equal bit for bit")


def _compare(module: nn.Module, run: Run, inputs: Inputs, tolerance: float) -> tuple[float, float]:
    """The largest difference of the outputs, as a share of the largest value of each, and what is allowed.

    Raises `ProofFailed` where it is more.
    """
    where = f"for an input of {' with '.join(show(tuple(one.shape)) for one in inputs)}"
    try:
        with torch.no_grad():
            expected, found = tensors_of(module(*inputs)), list(run(*inputs))
    except Exception as error:  # of many kinds
        what = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ProofFailed(f"the written file does not run {where}: {what}") from None
    if [tuple(one.shape) for one in found] != [tuple(one.shape) for one in expected]:
        raise ProofFailed(f"the written file gives outputs of other shapes than the network {where}")
    if not all(one.isfinite().all() for one in expected):
        raise ProofFailed(f"nothing can be compared: the network's output is not finite {where}")
    difference = _difference(expected, found)
    if difference > tolerance > 0:
        rounding = ROUNDINGS * _rounding(module, inputs, expected)
        if rounding > FURTHEST:
            raise Unsteady(
                f"nothing can be proven {where}: the network makes so much of rounding errors that outputs may differ "
                f"by {rounding:.0e} of their largest value, and {FURTHEST:.0e} is allowed"
            )
        tolerance = max(tolerance, rounding)
    if not difference <= tolerance:
        raise ProofFailed(
            f"the written file does not compute what the network does: {where}, an output differs by "
            f"{difference:.1e} of its largest value, and {tolerance:.0e} is allowed"
        )
    return difference, tolerance


def _difference(expected: Sequence[Tensor], found: Sequence[Tensor]) -> float:
    """The largest difference of tensors, as a share of the largest value of each; infinite, where one is no number."""
    shares = [0.0]
    for mine, other in zip(expected, found, strict=True):
        share = (mine.double() - other.double()).abs().max() / mine.double().abs().max().clamp_min(1e-30)
        shares.append(float(share) if share.isfinite() else float("inf"))
    return max(shares)


def _rounding(module: nn.Module, inputs: Inputs, expected: Sequence[Tensor]) -> float:
    """How far a network's outputs are from those in double precision: deep ones make much of a rounding."""
    exact = copy.deepcopy(module).double()
    with torch.no_grad():
        doubled = [one.double() if one.is_floating_point() else one for one in inputs]
        return _difference(tensors_of(exact(*doubled)), expected)

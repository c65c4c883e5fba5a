"""Where in the source each element of a target's parameter is found: the same tensors, laid out otherwise.

An operation takes a parameter as it is, or seen, cut or put together otherwise. Two networks of one architecture take
the same elements in the same order, whatever the shapes of the parameters they are kept in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from archspec.weights.network import Network
from archspec.weights.trace import Operand, leaves, mutates, squeeze

_FIRST = 2.0**40
"""Elements of parameters are numbered from here on, constants lie below. Whole numbers up to 2**53 are exact."""


def shape_of(operand: Operand) -> tuple[int, ...]:
    """The shape of what an operation takes, its axes in the order of its kind."""
    if operand.parts:
        first, *rest = map(shape_of, operand.parts)
        return (first[0] + sum(one[0] for one in rest), *first[1:])
    return tuple(operand.value.shape)


def fits(source: Operand, target: Operand) -> bool:
    """Whether an operand can be the other: the same number of elements, in an order that is known."""
    theirs, ours = shape_of(source), shape_of(target)
    if source.value.dtype != target.value.dtype:
        return False
    if theirs == ours:
        return True
    if source.product and target.product:  # a linear layer is a convolution over the whole of its input
        return theirs[:1] == ours[:1] and math.prod(theirs) == math.prod(ours) and 2 in (len(theirs), len(ours))
    return sorted(theirs) == sorted(ours) and len(set(theirs)) == len(theirs)


@dataclass
class Piece:
    """Where the elements of one tensor of the target come from: one tensor of the source as it is, or elements of
    several and constants."""

    whole: str | None = None
    names: list[str] = field(default_factory=list)
    places: Tensor | None = None
    """For each element, the number of the source's tensor, and the element in it; −1 for 0."""

    @property
    def sources(self) -> list[str]:
        return [self.whole] if self.whole is not None else self.names

    def of(self, values: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """The tensor, of values of the source's."""
        if self.whole is not None:
            return values[self.whole].reshape(like.shape)
        assert self.places is not None
        found = torch.zeros(like.numel(), dtype=values[self.names[0]].dtype)
        for number, name in enumerate(self.names):
            here = self.places[0] == number
            found[here] = values[name].detach().cpu().reshape(-1)[self.places[1][here]]
        return found.reshape(like.shape)


class Layout:
    """The pieces found so far. `add` takes operands that stand for each other, one of each network."""

    def __init__(self, source: Network, target: Network) -> None:
        self.source, self.target = source, target
        self.pieces: dict[str, Piece] = {}

    def add(self, source: Operand, target: Operand) -> str | None:
        """Why the two cannot hold the same, or `None`."""
        entire = _entire(self.source, source) and _entire(self.target, target)
        if entire and (shape_of(source) == shape_of(target) or source.product):
            return self._whole(source.name, target.name)
        theirs, ours = _elements(self.source, source), _elements(self.target, target)
        if theirs.shape != ours.shape:
            if source.product:
                theirs = theirs.reshape(ours.shape)
            else:
                theirs = theirs.permute([list(theirs.shape).index(size) for size in ours.shape])
        if len(source.names) == len(target.names) == 1 and torch.equal(theirs, ours):
            shapes = self.source.tensors[source.name].shape, self.target.tensors[target.name].shape
            if shapes[0] == shapes[1]:
                return self._whole(source.name, target.name)
        return self._parts(source.names, theirs.reshape(-1), target.names, ours.reshape(-1))

    def _whole(self, source: str, target: str) -> str | None:
        old = self.pieces.get(target)
        if old is None:
            self.pieces[target] = Piece(source)
            return None
        if old.whole is not None:
            return None if old.whole == source else TWICE
        count = self.target.tensors[target].numel()
        return self._merge(target, Piece(None, [source], _in_order(count)))

    def _parts(self, names: tuple[str, ...], theirs: Tensor, targets: tuple[str, ...], ours: Tensor) -> str | None:
        starts = _starts(self.source, names)
        constant = ours < _FIRST
        if not torch.equal(ours[constant], theirs[constant]):
            return "the target has constants where the source has weights"
        if not ((theirs >= _FIRST) | (theirs == 0))[~constant].all():
            return "the source has constants where the target has weights"
        for name, start in zip(targets, _starts(self.target, targets), strict=True):
            count = self.target.tensors[name].numel()
            here = (ours >= start) & (ours < start + count)
            places = torch.full((2, count), -2)
            at, found = (ours[here] - start).long(), theirs[here]
            owners = torch.full_like(at, -1)
            elements = torch.zeros_like(at)
            for number, (one, first) in enumerate(zip(names, starts, strict=True)):
                inside = (found >= first) & (found < first + self.source.tensors[one].numel())
                owners[inside], elements[inside] = number, (found[inside] - first).long()
            places[0][at], places[1][at] = owners, elements
            if not (torch.equal(places[0][at], owners) and torch.equal(places[1][at], elements)):
                return "the target uses one element where the source has several"
            if (reason := self._merge(name, Piece(None, list(names), places))) is not None:
                return reason
        return None

    def _merge(self, name: str, piece: Piece) -> str | None:
        """Add to what is known of a tensor already, from another operation that takes it."""
        old = self.pieces.get(name)
        assert piece.places is not None
        if old is None:
            self.pieces[name] = piece
            return None
        if old.places is None:
            assert old.whole is not None
            old = Piece(None, [old.whole], _in_order(self.target.tensors[name].numel()))
        assert old.places is not None
        joint = [*old.names, *(one for one in piece.names if one not in old.names)]
        numbers = torch.tensor([*(joint.index(one) for one in piece.names), -2, -1])  # −2 and −1 stay what they are
        places = torch.stack([numbers[piece.places[0]], piece.places[1]])
        both = (old.places[0] != -2) & (places[0] != -2)
        if not torch.equal(old.places[:, both], places[:, both]):
            return TWICE
        self.pieces[name] = Piece(None, joint, torch.where(old.places == -2, places, old.places))
        return None


TWICE = "the target uses one tensor where the source has two"


def _in_order(count: int) -> Tensor:
    return torch.stack([torch.zeros(count, dtype=torch.long), torch.arange(count)])


def _entire(network: Network, operand: Operand) -> bool:
    """Whether it is one parameter, with all elements in their own order."""
    if operand.parts or not operand.own or len(operand.names) > 1:
        return False
    value, tensor = operand.value, network.tensors[operand.name]
    return value.numel() == tensor.numel() and value.is_contiguous() and tensor.is_contiguous()


def _starts(network: Network, names: tuple[str, ...]) -> list[float]:
    """The numbers of the first elements of tensors."""
    starts = []
    start = _FIRST
    for name in names:
        starts.append(start)
        start += network.tensors[name].numel()
    return starts


def _elements(network: Network, operand: Operand, names: tuple[str, ...] | None = None) -> Tensor:
    """What an operation takes, each element of a parameter as its number, constants as they are."""
    names = names or operand.names
    if operand.parts:
        return torch.cat([_elements(network, part, names) for part in operand.parts])
    numbers = {
        name: torch.arange(network.tensors[name].numel(), dtype=torch.float64).add_(start).reshape(shape)
        for name, start in zip(names, _starts(network, names), strict=True)
        for shape in [network.tensors[name].shape]
    }
    return _replay(network, operand, numbers)


def _replay(network: Network, operand: Operand, numbers: Mapping[str, Tensor]) -> Tensor:
    """Move numbers as the network moved the parameters before an operation took them."""
    follower = network.traced
    memory = follower.memory
    copies = {memory(tensor): (tensor, name) for name, tensor in follower.tensors.items()}
    needed, calls = {memory(operand.value)}, []
    for call in reversed(follower.program):
        func, args, kwargs, result = call
        inputs = [tensor for _, tensor in [*leaves(args), *leaves(list(kwargs.values()))]]
        outputs = [tensor for _, tensor in leaves((result,))]
        written = mutates(func) or not {memory(t) for t in outputs} <= {memory(t) for t in inputs}
        if written and any(memory(tensor) in needed for tensor in [*outputs, *inputs[: mutates(func)]]):
            calls.append(call)
            needed |= {memory(tensor) for tensor in inputs}
    held: dict[int, Tensor] = {}

    def real(value: Any) -> Any:
        """A tensor of the run as one with numbers: the same view of the same memory."""
        if isinstance(value, (list, tuple)):
            return type(value)(map(real, value))
        if isinstance(value, torch.device):
            return torch.device("cpu")
        if not isinstance(value, Tensor):
            return value
        key = memory(value)
        if key not in held:
            whole, name = copies.get(key, (value, None))
            number = numbers.get(name) if name is not None else None
            known = number if number is not None else network.tensors[name].detach().cpu() if name else value
            held[key] = torch.empty_strided(whole.shape, whole.stride(), dtype=known.dtype)
            if not known.is_meta:  # else it is data, of which no more than the shape is taken
                held[key].copy_(known)
        return held[key].as_strided(value.shape, value.stride(), value.storage_offset())

    for func, args, kwargs, result in reversed(calls):
        found = func(*real(args), **{key: real(value) for key, value in kwargs.items()})
        for (_, old), (_, new) in zip(leaves((result,)), leaves((found,)), strict=True):
            if memory(old) not in held:
                held[memory(old)] = torch.empty_strided(old.shape, old.stride(), dtype=new.dtype)
                held[memory(old)].copy_(new)
    return squeeze(real(operand.value)) if not operand.product else real(operand.value)

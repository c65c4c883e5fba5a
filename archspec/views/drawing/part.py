"""A part of a picture: what is a box while it is closed, and is opened when it is asked for its children."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

from archspec.foundation.errors import Mark
from archspec.foundation.shapes import Shape
from archspec.plan.graph import GraphItem, GraphWire
from archspec.views.drawing.labels import Line, cut


@dataclass(frozen=True, eq=False)
class Part:
    """A part of the network: a layer, a group that may be opened, a merge of branches, or a wire."""

    kind: str
    """`layer`, `group`, `merge`, `side`, `save`, `load`, `output`, or, for the network's own ends, `input`, `given` (an
    input beside the first) and `end`."""
    lines: tuple[Line, ...]
    """What its box says, while it is closed."""
    family: str
    """What it is coloured by: the family of a layer, `block` of a group."""
    path: str
    start: int
    """It is the nodes `Graph.nodes[start:stop]`, those of all its repeats."""
    stop: int
    input: Shape
    output: Shape
    params: int = 0
    macs: int = 0
    layers: int = 0
    count: int = 1
    """How many of its kind follow one another."""
    equal: bool = False
    """Whether these are equal in everything, so that its children are those of each."""
    cell: bool = False
    """Whether it is a convolution with what belongs to it: shown as one box unless one asks for more."""
    block: bool = False
    mark: Mark | None = None
    item: GraphItem | None = None
    make: Callable[[], list[Part]] | None = field(default=None, repr=False)
    branches: tuple[list[Part], ...] = ()
    """Of a merge."""

    @cached_property
    def children(self) -> list[Part]:
        """What it is made of, in the order of the data; empty where it cannot be opened."""
        return self.make() if self.make else []

    @property
    def title(self) -> str:
        return next((line.text for line in self.lines if not line.small), "")

    @property
    def key(self) -> str:
        """What it is known by from one picture to the next: its place, its name and how many there are."""
        return f"{self.path} {self.title} ×{self.count}"

    @property
    def is_pass(self) -> bool:
        """Whether it is a pass of a loop, which is called by its place."""
        last = self.path.rsplit(".", 1)[-1]
        return self.kind == "group" and not self.block and last.isdecimal() and self.title == cut(self.path)

    @property
    def small(self) -> bool:
        """Whether it is opened only where one asks how deep: a cell, or a run of parts that look the same."""
        return self.cell or (self.count > 1 and not self.equal)

    def __contains__(self, node: int) -> bool:
        return self.start <= node < self.stop


def sides(parts: list[Part]) -> list[Part]:
    """Parts of which those between the `save` and the `load` of one tensor stand beside the others.

    What follows the `load` goes on where the `save` was: what lies between leads to outputs alone.
    """
    for end, load in enumerate(parts):
        if load.kind != "load" or not isinstance(load.item, GraphWire):
            continue
        at = next((at for at in range(end) if parts[at].kind == "save" and parts[at].start == load.item.saved), None)
        if at is None:
            continue
        inner = parts[at + 1 : end]
        if inner:
            first, last = inner[0], inner[-1]
            side = Part(
                "side", (), "wire", first.path, first.start, last.stop, first.input, last.output,
                make=partial(list, inner),
            )  # fmt: skip
            return sides([*parts[: at + 1], side, *parts[end + 1 :]])
        return sides([*parts[:end], *parts[end + 1 :]])
    return parts

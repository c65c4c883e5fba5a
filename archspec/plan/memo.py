"""What is kept from one plan to the next: the parts that other values of variables do not change.

A part is kept once a whole network was elaborated without a fault, so none hides one. What it would have cost to
elaborate is counted each time that it is reused, so the limits are the same as without it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from archspec.foundation.frozen import Pairs, key_of
from archspec.foundation.shapes import Shape
from archspec.language.syntax import Again, Aux, Call, Invalid, SyntaxNode, Wire, iterate_expressions, iterate_nodes
from archspec.plan.binding import Context, Site
from archspec.plan.nodes import Node

MAX_PARTS = 50_000
"""Parts, and layers, that are kept before all are let go."""
MAX_HEIGHT = 50
"""How deep calls of blocks may be nested to be reused: a fresh elaboration finds whether they are too deep."""


@dataclass(slots=True, eq=False, repr=False)
class Part:
    """An elaborated part of a plan."""

    node: Node
    steps: int
    """Of elaboration, had it been elaborated alone."""
    work: int
    """Of its formulas."""
    blocks: frozenset[str] = frozenset()
    """Those that are called in it, and the one that it is the body of."""
    height: int = 0
    """Calls of blocks within one another."""
    outputs: tuple[Shape, ...] = ()
    """Of the body of a block that gives tensors by name: their shapes."""


@dataclass(slots=True, eq=False, repr=False)
class LayerFigures:
    """What a primitive says of its arguments and input."""

    output: Shape
    parameters: tuple[tuple[str, Shape], ...]
    params: int
    macs: int
    arguments: Pairs


@dataclass
class Memo:
    """The parts of one file's plans, as long as what its `defaults`, roles and `init` say is the same."""

    parts: dict[Any, Part] = field(default_factory=dict)
    layers: dict[Any, LayerFigures] = field(default_factory=dict)
    sites: dict[Any, Site | None] = field(default_factory=dict)
    names: dict[SyntaxNode, tuple[str, ...] | None] = field(default_factory=dict)

    def key(self, node: SyntaxNode, context: Context) -> Any:
        """What a node of the network gives one result for; `None` where it depends on more, or costs little."""
        if node not in self.names:
            self.names[node] = _free_names(node)
        names = self.names[node]
        if names is None:
            return None
        return node, context.shape, context.init.key, key_of(map(context.scope.get, names))

    def keep(self, parts: dict[Any, Part]) -> None:
        if len(self.parts) + len(parts) > MAX_PARTS:
            self.parts.clear()
        if len(self.layers) > MAX_PARTS:
            self.layers.clear()
        self.parts.update(parts)


def _free_names(node: SyntaxNode) -> tuple[str, ...] | None:
    """The names that a node's formulas use; `None`, where tensors or modules lead into or out of it."""
    if isinstance(node.body, Call) and node.repeat is None:
        return None
    nodes = list(iterate_nodes(node))
    if any(one.share is not None or isinstance(one.body, (Wire, Aux, Again, Invalid)) for one in nodes):
        return None
    if any(isinstance(one.body, Call) and (one.body.loads or one.body.saves) for one in nodes):
        return None
    return tuple(sorted({name for each in nodes for one in iterate_expressions(each) for name in one.names}))

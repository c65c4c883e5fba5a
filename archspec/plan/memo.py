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
MAX_SEEN = 20_000
"""Hashes, before all are forgotten."""
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
    programs: dict[Any, Any] = field(default_factory=dict)
    """Of nodes, by what stays the same in them: `programs` has them made once they come again."""
    programs_of_blocks: dict[Any, Any] = field(default_factory=dict)
    forms: dict[Any, object] = field(default_factory=dict)
    """What stands for the layers and blocks of programs in keys."""
    made: dict[Any, tuple[Node, int, int]] = field(default_factory=dict)
    """What programs have made of parts of nodes, with its steps and work."""
    seen: set[int] = field(default_factory=set)
    """The hashes of what programs were asked for."""

    def names_of(self, node: SyntaxNode) -> tuple[str, ...] | None:
        """The names that a node's formulas use; `None`, where tensors or modules lead into or out of it."""
        if node not in self.names:
            self.names[node] = _free_names(node)
        return self.names[node]

    def key(self, node: SyntaxNode, context: Context) -> Any:
        """What a node of the network gives one result for; `None` where it depends on more, or costs little."""
        names = self.names_of(node)
        if names is None or (isinstance(node.body, Call) and node.repeat is None):
            return None
        return node, context.shape, context.init.key, key_of(map(context.scope.get, names))

    def keep(self, parts: dict[Any, Part]) -> None:
        if len(self.parts) + len(parts) > MAX_PARTS:
            self.parts.clear()
        if len(self.layers) > MAX_PARTS:
            self.layers.clear()
        self.parts.update(parts)

    def comes_again(self, key: Any) -> bool:
        """Whether something was asked for before: what programs make is kept then, since most never is again."""
        one = hash(key)
        if one in self.seen:
            return True
        if len(self.seen) >= MAX_SEEN:
            self.seen.clear()
        self.seen.add(one)
        return False

    def keep_made(self, key: Any, made: tuple[Node, int, int]) -> None:
        if len(self.made) >= MAX_PARTS:
            self.made.clear()
        self.made[key] = made

    def forget_programs(self) -> None:
        for kept in (self.programs, self.programs_of_blocks, self.forms, self.made):
            kept.clear()


def _free_names(node: SyntaxNode) -> tuple[str, ...] | None:
    nodes = list(iterate_nodes(node))
    if any(one.share is not None or isinstance(one.body, (Wire, Aux, Again, Invalid)) for one in nodes):
        return None
    if any(isinstance(one.body, Call) and (one.body.loads or one.body.saves) for one in nodes):
        return None
    return tuple(sorted({name for each in nodes for one in iterate_expressions(each) for name in one.names}))

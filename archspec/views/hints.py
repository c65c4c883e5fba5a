"""What an editor shows at the end of a line: the shapes of what stands there, its parameters and MACs."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, replace

from archspec.foundation.errors import Mark
from archspec.foundation.figures import show_macs
from archspec.foundation.shapes import Shape, show
from archspec.plan.nodes import Group, Node
from archspec.plan.partial import PartialPart, PartialPlan
from archspec.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Hint:
    """The nodes of one line, in each place where they are executed: a loop or a block executes them more than once.

    Shapes, parameters and MACs are those of one sample.
    """

    line: int
    """From 1."""
    count: int
    """How often what begins the line is executed, or how often it is repeated."""
    first_input: Shape | None
    """What reaches the line first; `None` where that is not known."""
    first_output: Shape | None
    last_input: Shape | None
    last_output: Shape | None
    """The shape of what the line passes on; `None` where that is not known."""
    params: int
    """Of all executions together, those of shared layers each time."""
    macs: int
    unknown: int = 0
    """Nodes of which nothing is known, since an error stands in them or before them."""

    def __str__(self) -> str:
        """In one line, as `64×56×56 → 256×28×28 ×3, 1,234 parameters, 5.6 MMACs`."""
        shapes = [show(one) if one is not None else "?" for one in (self.first_input, self.last_output)]
        figures = [" → ".join(shapes) + (f" ×{self.count}" if self.count > 1 else "")]
        figures += [f"{self.params:,} parameters"] if self.params else []
        figures += [show_macs(self.macs)] if self.macs else []
        return ", ".join(figures)


def hints(plan: Plan | PartialPlan, lines: Container[int] | None = None) -> dict[int, Hint]:
    """The hints of a network's file by line; lines of the files that it extends, and of the library, have none.

    Args:
        plan: The network, or what is known of it.
        lines: The lines to make them for; `None`: all.
    """
    columns: dict[tuple[int, int], Hint] = {}
    made: Iterator[tuple[Mark, Node | PartialPart]]
    made = _nodes(plan.root, plan.file, 0) if isinstance(plan, Plan) else _of_parts(plan)
    for mark, node in made:
        if lines is None or mark.line in lines:
            at, hint = (mark.line, mark.column), _of_node(mark, node)
            columns[at] = _then(columns[at], hint) if at in columns else hint
    found: dict[int, Hint] = {}
    for (line, _), hint in sorted(columns.items(), key=lambda item: item[0]):
        found[line] = _beside(found[line], hint) if line in found else hint
    return found


def _of_parts(plan: PartialPlan) -> Iterator[tuple[Mark, Node | PartialPart]]:
    for part in plan.parts:
        if part.node is not None:
            yield from _nodes(part.node, plan.file, 0)
        elif part.mark.text.name == plan.file:
            yield part.mark, part


def _nodes(node: Node, file: str, around: int) -> Iterator[tuple[Mark, Node | PartialPart]]:
    """What stands in the file, outermost first; `around` is the line of what a node stands in."""
    mark, children = node.mark, node.children if isinstance(node, Group) else ()
    # a sequence begins where its first node does
    plain = isinstance(node, Group) and node.kind == "sequence"
    if mark.text.name == file and mark.line != around and not plain:
        around = mark.line
        yield mark, node
    for _, child in children:
        if not child.mark.in_library:
            yield from _nodes(child, file, around)


def _of_node(mark: Mark, node: Node | PartialPart) -> Hint:
    if isinstance(node, PartialPart):
        flow = (node.input, node.output)
        return Hint(mark.line, 1, *flow, *flow, 0, 0, unknown=1)
    output, count = node.output, 1
    if isinstance(node, Group):
        output = node.children[0][1].output if node.kind == "aux" else output
        count = len(node.children) if node.kind in ("for", "repeat") else 1
    return Hint(mark.line, count, node.input, output, node.input, output, node.params, node.macs)


def _then(one: Hint, other: Hint) -> Hint:
    """Of the same nodes, executed once more."""
    count = one.count + other.count
    return replace(_sum(one, other), count=count, last_input=other.last_input, last_output=other.last_output)


def _beside(one: Hint, other: Hint) -> Hint:
    """Of what stands in one line, with what stands further right."""
    return replace(_sum(one, other), first_output=other.first_output, last_output=other.last_output)


def _sum(one: Hint, other: Hint) -> Hint:
    return replace(
        one,
        params=one.params + other.params,
        macs=one.macs + other.macs,
        unknown=one.unknown + other.unknown,
    )

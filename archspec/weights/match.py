"""Which tensor of one network stands for which of another: matched along the data that flows through both.

A node of the target is one of the source where the data of both comes from nodes that are each other's already, and
both take tensors of the same kind and size. The order in which a network runs its branches plays no part. What remains
alike is told apart by what comes before and after it, and at last by order; the proof then judges.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from archspec.weights.layout import Layout, Piece, fits, shape_of
from archspec.weights.loaded import SHOWN, Skipped
from archspec.weights.network import Network
from archspec.weights.tensors import format_tensor
from archspec.weights.trace import Node, Operand, TransplantError

_DEPTH = 6
"""How far two nodes that are alike are followed, where the networks end differently."""


@dataclass
class Match:
    """Nodes that stand for each other, source and target, in the target's order, and what comes of it."""

    nodes: list[tuple[Node, Node]]
    pieces: dict[str, Piece]
    """Of each tensor of the target that is loaded, where its elements are."""
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether the networks as wholes must give equal outputs: nothing was left out."""
        return not self.skipped

    @property
    def names(self) -> Iterator[tuple[str, str]]:
        """Pairs of names, of the tensors whose results can be compared."""
        for source, target in self.nodes:
            for s, t in zip(source.operands, target.operands, strict=True):
                if not s.parts and not t.parts:
                    yield s.names[-1], t.names[-1]


def match(source: Network, target: Network, *, partial: bool = False) -> Match:
    """Raises `TransplantError` at the first node that has no counterpart, and where anything is left over; with
    `partial`, where nothing at all fits."""
    found = nodes_of(source, target, partial=partial)
    if partial:
        return _partial(source, target, found)
    return _strict(source, target, found)


def nodes_of(source: Network, target: Network, *, partial: bool = False) -> list[tuple[Node, Node]]:
    """The nodes that stand for each other, without looking at where their elements are: networks need hold no memory.

    Raises `TransplantError` at the first node of the target that has no counterpart; with `partial`, leaves it out.
    """
    return _Matcher(source, target, partial).run()


class _Matcher:
    def __init__(self, source: Network, target: Network, partial: bool) -> None:
        self.source, self.target, self.partial = source, target, partial
        self.pairs: dict[Node, Node] = {target.input: source.input}
        self.taken: set[Node] = set()
        self._colour()

    def _colour(self) -> None:
        self.index: dict[frozenset[Node], list[Node]] = {}
        for node in self.source.nodes:
            self.index.setdefault(frozenset(node.sources), []).append(node)
        self.order = {node: number for number, node in enumerate(self.source.nodes)}
        self.colours: dict[Node, list[int]] | None = None  # where they are asked for

    def run(self) -> list[tuple[Node, Node]]:
        number = 0
        found = []
        while number < len(self.target.nodes):
            node = self.target.nodes[number]
            other = self._counterpart(node)
            if other is None and self._fused(node):
                continue  # the node, or those of the source, are one with others now
            if other is None and self.partial:
                other = self._misfit(node)
            if other is not None:
                self.pairs[node] = other
                self.taken.add(other)
                found.append((other, node))
            elif not self.partial:
                raise self._refusal(node)
            number += 1
        return found

    def _alternatives(self, node: Node) -> list[Node]:
        """Nodes of the source whose data comes from the same nodes."""
        if not node.sources.keys() <= self.pairs.keys():
            return []
        place = frozenset(self.pairs[source] for source in node.sources)
        return [other for other in self.index.get(place, []) if other not in self.taken]

    def _counterpart(self, node: Node) -> Node | None:
        fitting = [other for other in self._alternatives(node) if _is_alike(other, node)]
        if len(fitting) > 1:
            fitting.sort(key=lambda other: (-self._likeness(other, node), self.order[other]))
        return fitting[0] if fitting else None

    def _likeness(self, source: Node, target: Node) -> int:
        """How much tells that two nodes are the same: what lies before them, and what comes after them."""
        if self.colours is None:
            self.colours = _colours(self.source) | _colours(self.target)
        before = {self.pairs[node]: tag for node, tag in target.sources.items()} == source.sources
        return 4 * before + sum(a == b for a, b in zip(self.colours[source], self.colours[target], strict=True))

    def _misfit(self, node: Node) -> Node | None:
        """What stands in the node's place, with other shapes."""
        alike = (o for o in self._alternatives(node) if _kind(o) == _kind(node) and _operations(o) == _operations(node))
        return next(alike, None)

    def _fused(self, node: Node) -> bool:
        """Put products of one input together where the other network has one product of all their outputs."""
        if node.kind != "product" or len(node.operands) != 1:
            return False
        size, *rest = shape_of(node.operands[0])
        others = [o for o in self._alternatives(node) if o.kind == "product" and len(o.operands) == 1]
        parts = [o for o in others if [*shape_of(o.operands[0])[1:]] == rest]
        if len(parts) > 1 and sum(shape_of(o.operands[0])[0] for o in parts) == size:
            _fuse(self.source, parts)
            self._colour()
            return True
        siblings = [
            n for n in self.target.nodes
            if n.kind == "product" and len(n.operands) == 1 and n not in self.pairs
            and n.sources.keys() == node.sources.keys() and [*shape_of(n.operands[0])[1:]] == rest
        ]  # fmt: skip
        total = sum(shape_of(n.operands[0])[0] for n in siblings)
        if len(siblings) > 1 and any(shape_of(o.operands[0]) == (total, *rest) for o in others):
            _fuse(self.target, siblings)
            self.colours = None
            return True
        return False

    def _refusal(self, node: Node) -> TransplantError:
        target, name = self.target, node.operands[0].names[0]
        number = 1 + next(i for i, operand in enumerate(target.operands) if operand is node.operands[0])
        others = sorted(self._alternatives(node), key=lambda other: _kind(other) != _kind(node))
        if not others:
            pairs = [(s, t) for t, s in self.pairs.items()]
            theirs, ours = (
                _list_left_over(self.source, _list_used(pairs, 0)),
                _list_left_over(target, _list_used(pairs, 1)),
            )
            if not theirs:
                return _refuse_rest(number - 1, ours)
            return TransplantError(
                f"cannot transplant: nothing in the source takes the data of number {number} in the order of use"
                f"\n    {target.describe(name)} in the target\n  in the source, the first that is left over is"
                f"\n    {theirs[0].strip().removeprefix('in the source: ')}",
                help="--partial (`partial=True`) loads what comes before",
            )
        other = others[0]
        operands = zip(other.operands, node.operands, strict=False)
        s, t = next(((s, t) for s, t in operands if not fits(s, t)), (other.operands[0], node.operands[0]))
        same = _kind(other) == _kind(node)
        return TransplantError(
            f"cannot transplant: number {number} in the order of use is\n    {self.source.describe(s.name)} in the "
            f"source\n    {target.describe(t.name if same else name)} in the target\n"
            f"  but their {'shapes or types' if same else 'operations'} differ",
            help=f"--partial (`partial=True`) {'leaves it out' if same else 'loads what comes before'}",
        )


def _kind(node: Node) -> tuple[str, int]:
    return node.kind, len(node.operands)


def _operations(node: Node) -> tuple[str, ...]:
    return tuple(operand.operation for operand in node.operands)


def _is_alike(source: Node, target: Node) -> bool:
    if _kind(source) != _kind(target):
        return False
    return all(fits(s, t) for s, t in zip(source.operands, target.operands, strict=True))


def _label(node: Node) -> int:
    shapes = [shape_of(operand) for operand in node.operands]
    return hash((node.kind, *((shape[:1], math.prod(shape)) for shape in shapes)))


def _colours(network: Network) -> dict[Node, list[int]]:
    """Numbers that are equal for nodes after which the same follows: to some depth, and to the end; with and without
    what lies between them."""
    nodes = [network.input, *network.nodes]
    network.link()
    labels = {node: _label(node) for node in nodes}
    found: dict[Node, list[int]] = {node: [] for node in nodes}
    for tagged in (False, True):
        colours = labels
        for _ in range(_DEPTH):
            colours = {node: _mix_colours(node, labels, colours, tagged) for node in nodes}
            for node, colour in colours.items():
                found[node].append(colour)
        whole: dict[Node, int] = {}
        for node in reversed(nodes):
            whole[node] = _mix_colours(node, labels, whole, tagged)
            found[node].append(whole[node])
    return found


def _mix_colours(node: Node, labels: dict[Node, int], colours: dict[Node, int], tagged: bool) -> int:
    after = sorted((colours[target], tag if tagged else 0) for target, tag in node.targets.items())
    return hash((labels[node], *after))


# --- networks that keep in several tensors what the other has in one -------------------------------------------------


def _fuse(network: Network, nodes: list[Node]) -> None:
    """Make one product of several of the same input: their outputs one below the other, as for query, key and value."""
    network.link()
    product = Node("product", (_join(nodes),), dict(nodes[0].sources), nodes[0].settings)
    members: dict[Node, Node] = dict.fromkeys(nodes, product)
    fused = [product]
    after = [list(node.targets) for node in nodes]
    adds = [targets[0] for targets in after if len(targets) == 1 and _is_bias(targets[0])]
    if len(adds) == len(nodes):
        bias = Node("add", (_join(adds),), {product: 0})
        members |= dict.fromkeys(adds, bias)
        fused.append(bias)
    first = min(network.nodes.index(node) for node in nodes)
    rest = [node for node in network.nodes if node not in members]
    before = sum(node not in members for node in network.nodes[:first])
    network.nodes[:] = [*rest[:before], *fused, *rest[before:]]
    for node in rest:
        sources: dict[Node, int] = {}
        for source, tag in node.sources.items():
            one = members.get(source, source)
            sources[one] = sources.get(one, 0) + tag
        node.sources = sources
    network.link()


def _is_bias(node: Node) -> bool:
    return node.kind == "add" and len(node.sources) == len(node.operands) == 1


def _join(nodes: list[Node]) -> Operand:
    parts = tuple(node.operands[0] for node in nodes)
    names = tuple(dict.fromkeys(name for part in parts for name in part.names))
    return Operand(names, parts[0].operation, parts[0].value, False, parts[0].product, parts)


# --- what comes of it ------------------------------------------------------------------------------------------------


def _list_used(nodes: list[tuple[Node, Node]], side: int) -> set[str]:
    return {name for pair in nodes for operand in pair[side].operands for name in operand.names}


def _list_left_over(network: Network, taken: set[str]) -> list[str]:
    """Lines that name what a network has beyond what was taken, in the order of use."""
    used = dict.fromkeys(name for operand in network.operands for name in operand.names)
    names = [*used, *(name for name in dict(network.module.named_parameters()) if name not in used)]
    lines = [network.describe(name) for name in names if name not in taken]
    more = [f"{len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return [f"    in the {network.side}: {line}" for line in lines[:SHOWN] + more]


def _refuse_rest(count: int, lines: list[str]) -> TransplantError:
    return TransplantError(
        f"cannot transplant: after {count} matching tensors some are left over\n" + "\n".join(lines),
        help="--partial (`partial=True`) leaves them out",
    )


def _strict(source: Network, target: Network, nodes: list[tuple[Node, Node]]) -> Match:
    rest = _list_left_over(source, _list_used(nodes, 0)) + _list_left_over(target, _list_used(nodes, 1))
    if rest:
        raise _refuse_rest(len(_list_used(nodes, 1)), rest)
    if not nodes:
        raise TransplantError("cannot transplant: neither network uses a parameter")
    layout = Layout(source, target)
    for s, t in _operands(nodes):
        if (reason := layout.add(s, t)) is not None:
            raise TransplantError(
                f"cannot transplant: {reason}\n    {source.describe(s.name)} in the source\n"
                f"    {target.describe(t.name)} in the target",
                help="--partial (`partial=True`) leaves it out",
            )
    return Match(nodes, layout.pieces)


def _operands(nodes: list[tuple[Node, Node]]) -> Iterator[tuple[Operand, Operand]]:
    for source, target in nodes:
        yield from zip(source.operands, target.operands, strict=True)


def _partial(source: Network, target: Network, nodes: list[tuple[Node, Node]]) -> Match:
    """What was matched, less layers of which a tensor does not fit."""
    layout = Layout(source, target)
    skipped: list[Skipped] = []
    misfits: set[str] = set()
    for s, t in _operands(nodes):
        if not fits(s, t):
            theirs, ours = source.tensors[s.name], target.tensors[t.name]
            reason = "dtype" if theirs.shape == ours.shape else "shape"
            detail = f"{format_tensor(theirs)} in the source (`{s.name}`), {format_tensor(ours)} in the network"
        elif (reason := "layer") and (detail := layout.add(s, t) or ""):
            pass
        else:
            continue
        skipped += [Skipped(name, reason, detail) for name in t.names]
        misfits |= {name.rpartition(".")[0] for name in t.names}
    unfit = {one.name for one in skipped}
    for name in _list_used(nodes, 1) - unfit:
        if name.rpartition(".")[0] in misfits:
            skipped.append(Skipped(name, "layer", "another tensor of its layer does not fit"))
    taken = _list_used(nodes, 0), _list_used(nodes, 1)
    for name in dict(target.module.named_parameters()):
        if name not in taken[1]:
            skipped.append(Skipped(name, "missing", "nothing in the source stands in its place"))
    left_out = {one.name for one in skipped}
    pieces = {name: piece for name, piece in layout.pieces.items() if name not in left_out}
    if not pieces:
        raise TransplantError(
            "cannot transplant: no layer of the source fits the network, along its data",
            help="take weights of a network that begins as this one does",
        )
    for name in dict(source.module.named_parameters()):
        if name not in taken[0]:
            skipped.append(Skipped(name, "unknown", "nothing in the network stands in its place"))
    order = {name: number for number, name in enumerate(target.tensors)}
    skipped.sort(key=lambda one: (one.reason == "unknown", one.reason == "missing", order.get(one.name, 0)))
    return Match(nodes, pieces, skipped)

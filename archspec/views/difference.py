"""What differs between two networks, by their plans: not the text of their specs, and not the names of their parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

from archspec.foundation.frozen import as_json, freeze
from archspec.foundation.shapes import Shape
from archspec.language.inputs import UNNAMED
from archspec.plan.graph import Graph, GraphInput, GraphLayer, GraphNode, GraphPart, GraphWire, join_path
from archspec.plan.nodes import Group, Layer, Node, Wire
from archspec.plan.plan import Plan

CHAINS = ("sequence", "for", "repeat")
"""The groups whose children follow one another."""


@dataclass(frozen=True)
class Change:
    """One difference between an old and a new network."""

    kind: str
    """`added`, `removed`, `moved`, `changed`, `resized` (the same layer on another input shape has other parameters) or
    `rewired` (it takes other tensors)."""
    what: str
    """The layer's, block's or merge's name."""
    old: str | None
    """Its path in the old network."""
    new: str | None
    """Its path in the new network."""
    arguments: tuple[tuple[str, Any, Any], ...] = ()
    """Of a changed node: arguments, each with its old and its new value."""
    params: int = 0
    """The parameters of an added or removed node; otherwise by how many they grew."""
    macs: int = 0
    """The MACs of an added or removed node; otherwise by how many they grew."""

    def to_dict(self) -> dict[str, Any]:
        """The change as JSON types."""
        arguments = {name: {"old": as_json(old), "new": as_json(new)} for name, old, new in self.arguments}
        return {
            "kind": self.kind,
            "what": self.what,
            "old": self.old,
            "new": self.new,
            "arguments": arguments,
            "params": self.params,
            "macs": self.macs,
        }


@dataclass(frozen=True)
class Weights:
    """Which parameters of the old network load into the new one by name and shape, by their names."""

    loaded: tuple[str, ...]
    misfits: tuple[tuple[str, Shape, Shape], ...]
    """Those of one name, with the old shape and the new one."""
    left_out: tuple[str, ...]
    """Those that the new network does not have."""
    fresh: tuple[str, ...]
    """Those that the old network does not have."""


@dataclass(frozen=True)
class Difference:
    """All that differs between two networks."""

    changes: tuple[Change, ...]
    """Empty where both compute the same: the same layers with the same arguments on the same tensors."""
    renamed: tuple[tuple[str, str], ...]
    """Where both compute the same: the layers that have another path, old and new."""
    weights: Weights


def compare(old: Plan, new: Plan) -> Difference:
    """What differs between two networks.

    Names of parts, blocks and saved tensors, variables, and where a file writes something are no differences; the order
    of branches is one. A layer that stands elsewhere and is otherwise equal has moved.
    """
    weights = _compare_weights(old, new)
    if _signature(old) == _signature(new):
        renamed = [(a.path, b.path) for a, b in zip(old.layers, new.layers, strict=True) if a.path != b.path]
        return Difference((), tuple(renamed), weights)
    comparison = _Comparison()
    comparison.inputs(old, new)
    comparison.node(old.root, new.root, "", "")
    changes = _join_moved(comparison.changes)
    return Difference(tuple(changes or _rewired(old, new)), (), weights)


def _signature(plan: Plan) -> list[Any]:
    """Equal for networks that compute the same, layer by layer in one order."""
    graph = plan.graph
    numbers: dict[int, int] = {}
    modules: dict[str, int] = {}  # the first node of each, whose weights others may share
    nodes: list[Any] = [*plan.takes]
    for node in graph.nodes:
        if not isinstance(node, GraphWire):
            numbers[node.id] = len(numbers)
            weights = modules.setdefault(node.module, node.id) if isinstance(node, GraphLayer) else node.id
            nodes.append(
                (_kind(node, graph), node.aux, numbers[weights], *(numbers[source] for source in node.sources))
            )
    outputs = [(one.name, one.weight, numbers[id]) for one, id in graph.named_outputs]
    return [*nodes, numbers[graph.output], sorted(outputs, key=str), [g.kind for g in graph.groups if g.recompute]]


def _kind(node: GraphNode, graph: Graph) -> Any:
    if isinstance(node, GraphPart):
        return node.kind, node.axis, node.start, node.stop
    if isinstance(node, GraphLayer):
        return _content(node.layer, {})
    attention = graph.groups[node.parent].node.attention if node.parent is not None else None
    return node.kind, node.output, attention


def _content(node: Node, known: dict[int, Any]) -> Any:
    """What a node is, whatever it is called and wherever it is written."""
    if id(node) not in known:
        if isinstance(node, Layer):
            content: Any = (node.primitive, freeze(as_json(node.arguments)), node.init, node.recompute)
        elif isinstance(node, Wire):
            content = (node.kind, node.name if node.kind == "output" else "")
        elif node.kind == "block" and not node.recompute:
            content = _content(node.children[0][1], known)
        else:
            kind = "sequence" if node.kind in CHAINS else node.kind
            own = (node.name, node.arguments["weight"]) if node.kind == "aux" else ()
            content = (
                kind,
                node.recompute,
                own,
                node.split,
                node.axis,
                node.attention,
                *(_content(child, known) for _, child in node.children),
            )
        known[id(node)] = ("shared", content) if node.share else content
    return known[id(node)]


def _label(node: Node) -> str:
    """What a node is called where it is added, removed or changed."""
    if isinstance(node, Group):
        return node.block or node.kind
    return node.primitive if isinstance(node, Layer) else node.kind


def _open(node: Node) -> Node:
    """What stands in a block's place."""
    while isinstance(node, Group) and node.kind == "block":
        node = node.children[0][1]
    return node


def _family(node: Node) -> str:
    """What two nodes must have in common to be compared part by part."""
    inner = _open(node)
    if isinstance(inner, Group):
        return "sequence" if inner.kind in CHAINS else inner.kind
    return inner.primitive if isinstance(inner, Layer) else inner.kind


class _Comparison:
    """Walks two trees side by side and lists their differences."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.contents: dict[int, Any] = {}

    def content(self, node: Node) -> Any:
        return _content(node, self.contents)

    def node(self, old: Node, new: Node, old_path: str, new_path: str) -> None:
        """Two nodes that stand in the place of each other."""
        if self.content(old) == self.content(new):
            self.resized(old, new, old_path, new_path)
            return
        label, recompute = _label(new), (old.recompute, new.recompute)
        first, second = _open(old), _open(new)
        if _family(first) != _family(second):
            self.removed(old, old_path)
            self.added(new, new_path)
            return
        arguments: list[tuple[str, Any, Any]] = [("recompute", *recompute)] if recompute[0] != recompute[1] else []
        if bool(old.share) != bool(new.share):
            arguments.append(("shared", bool(old.share), bool(new.share)))
        if isinstance(first, Layer) and isinstance(second, Layer):
            arguments += _changed_values(first.arguments, second.arguments)
            arguments += _changed_values(dict(first.init), dict(second.init), "init of ")
        elif isinstance(first, Wire) and isinstance(second, Wire):  # outputs of different names
            arguments.append(("name", first.name, second.name))
        elif isinstance(first, Group) and isinstance(second, Group):
            if first.kind == "aux":
                arguments += _changed_values(first.arguments, second.arguments)
            if first.is_merge:
                arguments += _changed_values(_beside(first), _beside(second))
            self.children(first, second, old_path, new_path)
        if arguments:
            change = Change("changed", label, old_path, new_path, tuple(arguments))
            if isinstance(first, Layer):
                params, macs = new.params - old.params, new.macs - old.macs
                change = Change("changed", label, old_path, new_path, tuple(arguments), params, macs)
            self.changes.append(change)

    def inputs(self, old: Plan, new: Plan) -> None:
        """What the networks take; where each takes one tensor, that stands in the place of the other's."""
        before, after = old.inputs, new.inputs
        if len(before) == len(after) == 1:
            ((name, shape),), ((other, size),) = before.items(), after.items()
            values = [("name", name, other), ("shape", shape, size)]
            if changed := tuple(value for value in values if value[1] != value[2]):
                self.changes.append(Change("changed", "input", "", "", changed))
            return
        for name in dict.fromkeys([*before, *after]):
            if name not in after:
                self.changes.append(Change("removed", "input", name, None))
            elif name not in before:
                self.changes.append(Change("added", "input", None, name))
            elif before[name] != after[name]:
                shapes = (("shape", before[name], after[name]),)
                self.changes.append(Change("changed", "input", name, name, shapes))

    def children(self, old: Group, new: Group, old_path: str, new_path: str) -> None:
        olds = [(join_path(old_path, key), key, child) for key, child in old.children]
        news = [(join_path(new_path, key), key, child) for key, child in new.children]
        for path, other, child in _reordered(olds, news):
            self.changes.append(
                Change(
                    "moved",
                    _label(child),
                    path,
                    other,
                )
            )
        for first, second in _align(olds, news, self.content):
            if first is None:
                assert second is not None
                self.added(second[2], second[0])
            elif second is None:
                self.removed(first[2], first[0])
            else:
                self.node(first[2], second[2], first[0], second[0])

    def resized(self, old: Node, new: Node, old_path: str, new_path: str) -> None:
        """The layers of two equal nodes whose parameters differ, since their inputs have other shapes."""
        first, second = _open(old), _open(new)
        if isinstance(first, Group) and isinstance(second, Group):
            for (key, before), (other, after) in zip(first.children, second.children, strict=True):
                if before is not after:
                    self.resized(before, after, join_path(old_path, key), join_path(new_path, other))
        elif isinstance(first, Layer) and isinstance(second, Layer) and first.parameters != second.parameters:
            shapes = (("input", first.input, second.input),)
            grown = (second.params - first.params, second.macs - first.macs)
            self.changes.append(Change("resized", second.primitive, old_path, new_path, shapes, *grown))

    def added(self, node: Node, path: str) -> None:
        content = self.content(node)
        self.changes.append(_Whole("added", _label(node), None, path, (), node.params, node.macs, content))

    def removed(self, node: Node, path: str) -> None:
        content = self.content(node)
        self.changes.append(_Whole("removed", _label(node), path, None, (), node.params, node.macs, content))


@dataclass(frozen=True)
class _Whole(Change):
    """A node that was added or removed, with its content."""

    content: Any = None


Child = tuple[str, str, Node]
"""A child of a group: its path, its key, and what it is."""


def _align(olds: list[Child], news: list[Child], content: Any) -> Iterable[tuple[Child | None, Child | None]]:
    """Children in pairs that stand in the place of each other; `None` beside those that stand alone."""
    names = {key for _, key, _ in olds if not key.isdigit()} & {key for _, key, _ in news if not key.isdigit()}
    named = {child[1]: child for child in olds if child[1] in names}
    if names:
        # what has a name in both is one part; between such parts, the others are aligned by what they are
        rest = [child for child in olds if child[1] not in names]
        others = [child for child in news if child[1] not in names]
        yield from ((named[child[1]], child) for child in news if child[1] in names)
        yield from _align_by_content(rest, others, content)
    else:
        yield from _align_by_content(olds, news, content)


def _reordered(olds: list[Child], news: list[Child]) -> list[tuple[str, str, Node]]:
    """The named children of both that stand before or after others now, by their old and new paths."""
    names = {key for _, key, _ in olds if not key.isdigit()} & {key for _, key, _ in news}
    first, second = ([child for child in side if child[1] in names] for side in (olds, news))
    before = {key: path for path, key, _ in first}
    orders = [child[1] for child in first], [child[1] for child in second]
    moved = (second[right] for left, right in _match(*orders) if orders[0][left] != orders[1][right])
    return [(before[key], path, node) for stretch in moved for path, key, node in stretch]


def _align_by_content(
    olds: list[Child], news: list[Child], content: Any
) -> Iterable[tuple[Child | None, Child | None]]:
    for first, second in _match([content(c[2]) for c in olds], [content(c[2]) for c in news]):
        left, right = olds[first], news[second]
        if len(left) == len(right) and [content(c[2]) for c in left] == [content(c[2]) for c in right]:
            yield from zip(left, right, strict=True)
            continue
        kinds = [_family(c[2]) for c in left], [_family(c[2]) for c in right]
        for inner, other in _match(*kinds):
            pairs = left[inner], right[other]
            if kinds[0][inner] == kinds[1][other]:
                yield from zip(*pairs, strict=True)
            else:
                yield from ((child, None) for child in pairs[0])
                yield from ((None, child) for child in pairs[1])


def _match(olds: Sequence[Any], news: Sequence[Any]) -> Iterable[tuple[slice, slice]]:
    """Two lists in stretches, each equal in both or different in both."""
    numbers: dict[Any, int] = {}
    first, second = ([numbers.setdefault(one, len(numbers)) for one in side] for side in (olds, news))
    for _, a, b, c, d in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        yield slice(a, b), slice(c, d)


def _beside(merge: Group) -> dict[str, Any]:
    """What stands beside a merge."""
    return {"split": list(merge.split) or None, "axis": merge.axis, **asdict(merge.attention)}


def _changed_values(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[tuple[str, Any, Any]]:
    names = dict.fromkeys([*old, *new])
    return [(prefix + n, old.get(n), new.get(n)) for n in names if freeze(old.get(n)) != freeze(new.get(n))]


def _join_moved(changes: list[Change]) -> list[Change]:
    """The changes, in which a node that was removed in one place and added in another has moved."""
    removed: dict[Any, list[Change]] = {}
    for change in changes:
        if isinstance(change, _Whole) and change.kind == "removed":
            removed.setdefault(change.content, []).append(change)
    gone: set[int] = set()
    joined: list[Change] = []
    for change in changes:
        if isinstance(change, _Whole) and change.kind == "added" and removed.get(change.content):
            before = removed[change.content].pop(0)
            gone.add(id(before))
            grown = (change.params - before.params, change.macs - before.macs)
            change = Change("moved", change.what, before.old, change.new, (), *grown)
        joined.append(change)
    return [change for change in joined if id(change) not in gone]


def _rewired(old: Plan, new: Plan) -> list[Change]:
    """What takes other tensors or weights, where two trees are equal, but not what is saved or shared in them."""
    changes: list[Change] = []
    olds: dict[str, str] = {}
    news: dict[str, str] = {}
    for first, second in zip(old.graph.nodes, new.graph.nodes, strict=True):
        before, after = (
            [_place(plan.graph.nodes[i]) for i in node.sources] for plan, node in ((old, first), (new, second))
        )
        if first.sources != second.sources and not isinstance(first, GraphWire):
            what = second.layer.primitive if isinstance(second, GraphLayer) else second.kind
            changes.append(Change("rewired", what, first.path, second.path, (("takes", before, after),)))
        if isinstance(first, GraphLayer) and isinstance(second, GraphLayer):
            owners = (modules.setdefault(one.module, one.path) for modules, one in ((olds, first), (news, second)))
            former, latter = owners
            if former != latter:
                weights = (("weights of", former, latter),)
                changes.append(Change("changed", second.layer.primitive, first.path, second.path, weights))
    return changes or [Change("rewired", "output", "", "", (("takes", old.graph.output, new.graph.output),))]


def _place(node: GraphNode) -> str:
    """What a source of a tensor is called."""
    return node.name or UNNAMED if isinstance(node, GraphInput) else node.path or "network"


def _compare_weights(old: Plan, new: Plan) -> Weights:
    theirs, ours = _parameters(old), _parameters(new)
    return Weights(
        tuple(name for name, shape in ours.items() if theirs.get(name) == shape),
        tuple((name, theirs[name], shape) for name, shape in ours.items() if theirs.get(name, shape) != shape),
        tuple(name for name in theirs if name not in ours),
        tuple(name for name in ours if name not in theirs),
    )


def _parameters(plan: Plan) -> dict[str, Shape]:
    """The shapes of all parameters, by their names in the module's `state_dict`."""
    return {join_path(node.module, name): shape for node in plan.layers for name, shape in node.layer.parameters}


def fold(changes: Sequence[Change]) -> list[list[Change]]:
    """Changes that read alike, together: neighbours that were added or removed, and layers that changed equally."""

    def key(change: Change) -> Any:
        path = (change.new if change.new is not None else change.old) or ""
        if change.kind in ("added", "removed"):
            return (change.kind, change.what, path.rpartition(".")[0])
        if change.kind == "moved":
            return (change.kind, path)
        return (change.kind, change.what, freeze(as_json(change.arguments)), change.params, change.macs)

    folded: dict[Any, list[Change]] = {}
    for change in changes:
        folded.setdefault(key(change), []).append(change)
    return list(folded.values())

"""Shared nodes: those of one body that are one module, so that each use computes with the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from archspec.foundation.errors import Fault, Frame, Mark, join_words
from archspec.foundation.report import Report
from archspec.foundation.shapes import Shape, show
from archspec.foundation.spelling import did_you_mean
from archspec.language.syntax import SyntaxNode
from archspec.layers.registry import primitives
from archspec.plan.nodes import Group, Layer, Node, Wire

if TYPE_CHECKING:
    from archspec.plan.graph import Graph


@dataclass
class Use:
    """The first node of its name, and how often it is used."""

    node: SyntaxNode
    context: Any
    """The elaboration's context where it stands."""
    result: Node | None
    """What became of it; `None` where there is no layer in its place, or it is wrong."""
    mark: Mark
    frames: tuple[Frame, ...]
    count: int = 0
    looped: bool = False


class Shared:
    """What the nodes of one body share, by name. An auxiliary classifier's body has names of its own."""

    def __init__(self, report: Report, around: Shared | None) -> None:
        self.report = report
        self.around = around
        self.first: dict[str, Use] = {}
        self._inside: dict[str, Mark] = {}  # in the auxiliary classifiers of this body
        self._errors = report.count
        self._open: tuple[str, Mark] | None = None

    @contextmanager
    def opened(self, name: str, mark: Mark) -> Iterator[None]:
        """Within it, what is shared under a name is elaborated. Raises `Fault` where that stands in another."""
        if self._open is not None:
            outer, at = self._open
            recursive = "itself" if outer == name else f"`{outer}`, {at}, which is shared as a whole"
            help = "make a block of what is shared within: names in it are its own"
            raise Fault("node-form", f"`share: {name}` stands within {recursive}", mark, help=help)
        if self.around is not None and name in self.around.first:
            raise self._explain_aux(name, mark, self.around.first[name].mark)
        if name in self._inside:
            raise self._explain_aux(name, self._inside[name], mark)
        self._open = name, mark
        try:
            yield
        finally:
            self._open = None

    def _explain_aux(self, name: str, mark: Mark, outside: Mark) -> Fault:
        message = (
            f"an auxiliary classifier shares nothing with the network around it, but `{name}` is shared, {outside}"
        )
        return Fault("share-mismatch", message, mark, help="give it another name")

    def find(self, name: str, mark: Mark) -> Use | None:
        """The first node of a name; `None` where an error hides it. Raises `Fault` where there is none."""
        if name in self.first:
            return self.first[name]
        if self.report.count > self._errors:
            return None
        help = did_you_mean(name, self.first) or f"write the layer beside the first `share: {name}`"
        raise Fault("share-unknown", f"no node before this one is shared as `{name}`", mark, help=help)

    def add(self, name: str, use: Use, looped: bool) -> None:
        """Count a use, which becomes the first where there is none of its name. Raises `Fault` where they differ."""
        first = self.first.setdefault(name, use)
        first.count += 1
        first.looped |= looped
        if self.around is not None:
            self.around._inside[name] = use.mark
        if first is use or first.result is None or use.result is None:
            return
        difference = _compare(first.result, use.result, "")
        if difference is not None:
            message = f"`{name}` is one module, {difference.what}"
            notes = [f"first  {difference.first}   {first.mark}", f"here   {difference.here}   {use.mark}"]
            raise Fault("share-mismatch", message, use.mark, notes=_aligned(notes), help=difference.help)

    def close(self) -> None:
        """Report names that only one node has, once the whole body is known to be valid."""
        if self.report.count > self._errors:
            return
        for name, use in self.first.items():
            if use.count == 1 and not use.looped:
                others = [one for one in self.first if one != name]
                help = did_you_mean(name, others) or f"write `share: {name}` at each node that it is, or leave it out"
                fault = Fault("share-unused", f"no other node is shared as `{name}`", use.mark, help=help)
                self.report.add(fault, frames=use.frames)


def check_closed(node: Node, name: str, mark: Mark) -> None:
    """Refuse to share what leads tensors past itself: a module takes one tensor and gives one. Raises `Fault`."""
    for one in node.named_outputs[:1]:
        kind, at = ("output" if one.weight is None else "aux"), one.mark
        message = f"`{name}` is used more than once, so it cannot hold the `{kind}` `{one.name}`, {at}"
        raise Fault("node-form", message, mark, help=f"put the `{kind}` behind each use")
    waiting = [node]
    while waiting:
        one_node = waiting.pop()
        if isinstance(one_node, Wire):
            message = (
                f"what is shared takes one tensor and gives one, but `{one_node.kind}` stands in it, {one_node.mark}"
            )
            raise Fault("node-form", message, mark, help="make a block of it, whose saved tensors are its own")
        if isinstance(one_node, Group) and one_node.kind != "block":
            waiting += [child for _, child in one_node.children]


# --- what differs between two uses ---------------------------------------------------------------------------------


_ALONE = "`share: NAME` without a layer is the first one again"


@dataclass(frozen=True)
class _Difference:
    what: str
    first: str
    here: str
    help: str | None = None


def _compare(first: Node, here: Node, path: str) -> _Difference | None:
    """What keeps two nodes from being one module, or `None`."""
    if first is here:
        return None
    where = f", at `{path}` in it" if path else ""
    if isinstance(first, Layer) and isinstance(here, Layer):
        return _compare_layers(first, here, where)
    if isinstance(first, Group) and isinstance(here, Group) and first.kind == here.kind and first.block == here.block:
        keys, own = [key for key, _ in first.children], [key for key, _ in here.children]
        if keys != own:
            what = f"but its uses are not made of the same parts{where}"
            return _Difference(what, join_words(keys) or "no parts", join_words(own) or "no parts")
        if (first.split, first.axis, first.attention) != (here.split, here.axis, here.attention):
            given, taken = (_joined_as(one) for one in (first, here))
            return _Difference(f"but its uses differ{where}", given, taken)
        for (key, child), (_, other) in zip(first.children, here.children, strict=True):
            if path and key:
                key = f"{path}.{key}"
            if child.recompute != other.recompute:
                given, taken = (f"recompute: {str(one.recompute).lower()}" for one in (child, other))
                return _Difference(f"but its uses differ, at `{key}` in it", given, taken)
            if child.share != other.share:
                given, taken = (f"share: {one.share}" if one.share else "not shared" for one in (child, other))
                return _Difference(f"but its uses differ, at `{key}` in it", given, taken)
            if difference := _compare(child, other, key or path):
                return difference
        return None
    if isinstance(first, Wire) and isinstance(here, Wire) and (first.kind, first.name) == (here.kind, here.name):
        return None
    return _Difference(f"but its uses are not the same{where}", _name(first), _name(here))


def _joined_as(group: Group) -> str:
    given = {"split": list(group.split) or "none", "axis": group.axis}
    given |= asdict(group.attention) if group.kind == "attend" else {}
    return ", ".join(f"{word}: {str(one).lower()}" for word, one in given.items())


def _compare_layers(first: Layer, here: Layer, where: str) -> _Difference | None:
    if first.primitive != here.primitive:
        return _Difference(f"but its uses are not the same layer{where}", _name(first), _name(here))
    what, name = f"but its uses differ{where}", first.primitive
    if first.frozen_arguments != here.frozen_arguments:
        own = here.arguments
        key = next(key for key, value in first.frozen_arguments if own[key] != value)
        given, taken = (f"`{name}` with {key} {_show_value(one.arguments[key])}" for one in (first, here))
        return _Difference(what, given, taken, f"{_ALONE}, as it is written there")
    if first.parameters != here.parameters:
        own_shapes = dict(here.parameters)
        key = next(key for key, shape in first.parameters if own_shapes.get(key) != shape)
        given, taken = (
            f"{key} of `{name}` {show(dict(one.parameters)[key])}, for {show(one.input)}" for one in (first, here)
        )
        return _Difference(f"but its weights differ{where}", given, taken, _explain_weights(first, here))
    if first.init != here.init:
        given, taken = (f"`{name}` with {_show_init(one)}" for one in (first, here))
        return _Difference(f"but its initial values differ{where}", given, taken, f"{_ALONE}, with its initial values")
    if not _fits(first, here.input):
        given, taken = (f"`{name}` on {show(one.input)}" for one in (first, here))
        return _Difference(f"but `{name}` in it is made for one input{where}", given, taken)
    return None


def _fits(layer: Layer, here: Shape) -> bool:
    """Whether a module made for one input serves for another: see `Primitive.fixed_size`."""
    primitive, first = primitives()[layer.primitive], layer.input
    # a norm without its weights still has sizes of its own
    if primitive.fixed_size or (primitive.weights and not layer.parameters) or len(first) != len(here):
        return first == here
    return len(first) == 2 or first[0] == here[0]


def _explain_weights(first: Layer, here: Layer) -> str | None:
    if len(here.input) == 1 and first.input != here.input:
        return "a linear layer needs equal vectors: put `global_avg_pool` before `flatten`"
    if len(here.input) == 3 and first.input[0] != here.input[0]:
        return f"end what stands before both in the same number of channels: {first.input[0]}, or {here.input[0]}"
    return None


def _name(node: Node) -> str:
    if isinstance(node, Layer):
        return f"`{node.primitive}`"
    if isinstance(node, Wire):
        return f"`{node.kind}: {node.name}`"
    return f"the block `{node.block}`" if node.block else f"`{node.kind}`" if node.kind != "sequence" else "a sequence"


def _show_value(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_show_value, value)) + "]"
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _show_init(layer: Layer) -> str:
    given = ", ".join(f"{key}: {name}" for key, (name, _) in layer.init)
    return f"init {given}" if given else "no init"


def _aligned(notes: list[str]) -> list[str]:
    """Lines whose last columns begin at one place."""
    heads = [note.rsplit("   ", 1) for note in notes]
    width = max(len(head) for head, _ in heads)
    return [f"{head:<{width}}   {at}" for head, at in heads]


# --- across recomputation -----------------------------------------------------------------------------------------


def report_crossed(graph: Graph, report: Report) -> None:
    """Report what is computed again as a whole, but holds a module that stands outside of it."""
    from archspec.plan.graph import GraphLayer

    for use, owner in graph.shared:
        outside = {group.id for group in graph.around(owner)}
        for group in graph.around(use):
            if group.id in outside:
                break
            if group.recompute:
                name = use.layer.share if isinstance(use, GraphLayer) else use.node.share
                at = owner.layer.mark if isinstance(owner, GraphLayer) else owner.node.mark
                message = f"`recompute` would compute `{name}` again, whose module stands outside of this, {at}"
                help = f"put `recompute` beside the nodes that `{name}` is, or in a block around all of them"
                report.add(Fault("share-mismatch", message, group.node.mark, help=help), frames=group.calls)

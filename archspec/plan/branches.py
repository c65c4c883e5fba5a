"""The elaboration of merges: what each branch takes, which branches there are, and how their outputs go together."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from archspec.foundation.errors import Fault, Mark
from archspec.foundation.source import List
from archspec.language import syntax
from archspec.language.names import INCOMING
from archspec.language.syntax import Expression, For, Merge, SyntaxNode
from archspec.layers import merges
from archspec.plan.binding import Context, InvalidValue
from archspec.plan.calls import EMPTY, CallElaborator, Result
from archspec.plan.incoming import explain_moved, uses_later
from archspec.plan.nodes import Group, Node, Wire
from archspec.plan.splits import axis_and_attention, part_of, parts_of

Entry = tuple[str, SyntaxNode, Context]
"""A node that is to be elaborated, with its key and what it sees."""


class BranchElaborator(CallElaborator):
    """Elaborates merges, and the calls in them."""

    @abstractmethod
    def node(self, node: SyntaxNode, context: Context, key: str = "") -> Result:
        """A node in its place, with its modifiers. Reports what is wrong with it."""

    @abstractmethod
    def passes(self, loop: For, context: Context) -> list[Entry]:
        """The body of a loop once for each row, with its key and what it sees. Raises `Fault` or `InvalidValue`."""

    def merge(self, merge: Merge, context: Context) -> Result:
        entries = [entry for node in merge.branches for entry in self.branches(node, context)]
        if merge.looped:
            (node,) = merge.branches
            assert isinstance(node.body, For)
            entries = self.passes(node.body, context)
        axis, attention = axis_and_attention(merge, self.binder, context)
        split = parts_of(merge, len(entries), axis, self.binder, context)
        if split and context.shape is not None:
            parts = [part_of(context.shape, axis, size) for size in split]
            entries = [(key, node, seen.at(part)) for (key, node, seen), part in zip(entries, parts, strict=True)]
        results = [self.node(node, seen, key) for key, node, seen in entries]
        if any(result is None for result in results) or context.shape is None:
            known = {result.output for result in results if isinstance(result, Node)}
            self.after = known.pop() if merge.kind in merges.OF_EQUALS and len(known) == 1 else None
            return None
        branches = self.left(merge, entries, results, split=bool(split))
        shapes = [node.output for _, _, node in branches]
        output = merges.output(merge.kind, shapes, axis, attention)
        if output is None:
            keys, marks, nodes = map(list, zip(*branches, strict=True))
            empty = [not split and _is_empty(node) for node in nodes]
            fault = merges.mismatch(merge.kind, shapes, keys, marks, merge.mark, empty, axis, attention)
            if moved := [name for name in INCOMING if any(uses_later(node, name) for node in merge.branches)]:
                other = fault.help if len({shape[1:] for shape in shapes}) > 1 and "c_in" in moved else None
                fault.help = "; ".join(filter(None, [explain_moved(moved), other]))
            raise fault
        group = self.group(merge.kind, merge.mark, [(key, node) for key, _, node in branches], context, output)
        return replace(group, looped=merge.looped, split=split, axis=axis, attention=attention)

    def left(
        self, merge: Merge, entries: list[Entry], results: list[Result], *, split: bool
    ) -> list[tuple[str, Mark, Node]]:
        """The branches that are not left out, with their keys and places; there is one. Raises `Fault`."""
        branches: list[tuple[str, Mark, Node]] = []
        for number, ((key, node, seen), result) in enumerate(zip(entries, results, strict=True), 1):
            mark = node.body.mark
            if result is EMPTY:
                assert seen.shape is not None
                branches.append((key, mark, self.group("sequence", merge.mark, [], seen, seen.shape)))
            elif isinstance(result, Node):
                branches.append((key, mark, result))
            elif split:
                message = f"part {number} of `split` goes nowhere: the `when` of its branch is false"
                raise Fault("branch-missing", message, mark, help="`split: none` splits nothing")
        if not branches:
            why = "its `for` has no rows" if not entries else "each `when` is false"
            raise Fault("branch-missing", f"`{merge.kind}` is left with no branch: {why}", merge.mark)
        return branches

    def branches(self, node: SyntaxNode, context: Context) -> list[Entry]:
        """A branch as written, with its key and what it sees; of a `load` of several tensors, one for each."""
        entry = (node.key, node, context)
        wire = node.body
        if not (isinstance(wire, syntax.Wire) and wire.kind == "load" and not isinstance(wire.name.data, str)):
            return [entry]
        try:
            if node.when is not None and not self.binder.typed(node.when, bool, "`when`", context):
                return [entry]
            names = self.binder.value(wire.name, context)
        except (Fault, InvalidValue):  # as the branch itself reports
            return [entry]
        if not isinstance(names, list):
            return [entry]
        places = wire.name.value.items if isinstance(wire.name.value, List) else [wire.name.value] * len(names)
        made = []
        for i, (name, place) in enumerate(zip(names, places, strict=True)):
            one = syntax.Wire(wire.mark, "load", Expression(place, name, frozenset(), True))
            key = f"{node.key}_{i}" if node.key else str(i)
            made.append((key, SyntaxNode(key, place.mark, one), context))
        return made


def _is_empty(node: Node) -> bool:
    """Whether a branch gives its input unchanged."""
    if isinstance(node, Group):
        return not node.is_merge and all(_is_empty(child) for _, child in node.children)
    return isinstance(node, Wire) and node.kind != "load"

"""Whether what layers take for tokens are tokens: sequences with channels first have two axes as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archspec.foundation.report import Report
from archspec.layers.registry import primitives

if TYPE_CHECKING:
    from archspec.plan.graph import GraphLayer, GraphNode
    from archspec.plan.plan import Plan

_KEEPING = frozenset(("linear", "layer_norm", "slice", "token", "reduce"))
"""Layers that may stand on either kind, and leave the axes as they are."""


def _kind(name: str) -> str:
    """What a layer's rule speaks of: `channels` before the length, `tokens` of features, or neither."""
    rule = primitives()[name].rule.removeprefix("unchanged: ")
    if name in _KEEPING:
        return ""
    return "channels" if rule.startswith("C×L") else "tokens" if rule.startswith("T×F") or "→ H·W×C" in rule else ""


def has_both(names: set[str]) -> bool:
    """Whether a network has layers of both kinds, or takes a token of a recurrent layer."""
    recurrent = "token" in names and not names.isdisjoint(("lstm", "gru"))
    kinds = set(map(_kind, names))
    return recurrent or ("channels" in kinds and ("tokens" in kinds or "linear" in names))


def note_sequences(plan: Plan, report: Report) -> None:
    """Note layers of one kind that take what one of the other kind gives, and a token that has seen no other."""
    from archspec.plan.graph import GraphLayer, GraphWire

    made: dict[int, GraphLayer] = {}  # by the node of a tensor of two axes, the layer that says what its axes are
    nodes = plan.graph.nodes
    for node in nodes:
        came = _common(node, made)
        if not isinstance(node, GraphLayer):
            if came is not None and (isinstance(node, GraphWire) or len(node.output) == 2):
                made[node.id] = came
            continue
        name, mark = node.layer.primitive, node.mark
        kind = "tokens" if name == "linear" else _kind(name)
        if came is not None and kind and mark is not None and not mark.in_library:
            before = came.layer.primitive
            swapped = "`permute: [1, 0]` swaps the axes"
            if kind == "channels" and _kind(before) == "tokens":
                report.note(
                    f"`{name}` takes channels first, but `{before}` ({came.mark}) gives tokens: {swapped}", mark
                )
            elif kind == "tokens" and _kind(before) == "channels" and len(node.output) == 2:
                said = f"`{name}` works on the last axis, but `{before}` ({came.mark}) gives channels first: {swapped}"
                report.note(said, mark)
        source = nodes[node.sources[0]] if node.sources else None
        if name == "token" and isinstance(source, GraphLayer) and mark is not None:
            _note_first(source, node, report)
        if len(node.output) == 2 and _kind(name):
            made[node.id] = node
        elif len(node.output) == 2 and came is not None and (node.layer.output == node.layer.input or name in _KEEPING):
            made[node.id] = came


def _common(node: GraphNode, made: dict[int, GraphLayer]) -> GraphLayer | None:
    """The layer that says what the axes of a node's tensors are, where all of them agree on it."""
    found = [made.get(source) for source in node.sources]
    kinds = {_kind(one.layer.primitive) for one in found if one is not None}
    return found[0] if found and None not in found and len(kinds) == 1 else None


def _note_first(source: GraphLayer, node: GraphLayer, report: Report) -> None:
    layer = source.layer
    recurrent = layer.primitive in ("lstm", "gru") and not layer.arguments["bidirectional"]
    if recurrent and node.layer.arguments["index"] == 0 and layer.output[0] > 1 and node.mark is not None:
        last = f"`token: {layer.output[0] - 1}` is the last, which has seen all"
        report.note(f"token 0 of a `{layer.primitive}` has seen no other token: {last}", node.mark)

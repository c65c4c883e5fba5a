"""Whether what layers take for tokens are tokens: sequences with channels first have two axes as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archspec.foundation.errors import Report

if TYPE_CHECKING:
    from archspec.plan.graph import GraphLayer, GraphNode
    from archspec.plan.plan import Plan

_CHANNELS = frozenset(
    """
    conv_1d conv_transpose_1d max_pool_1d avg_pool_1d adaptive_avg_pool_1d adaptive_max_pool_1d global_avg_pool_1d
    global_max_pool_1d batch_norm_1d group_norm_1d instance_norm_1d layer_norm_1d pad_1d upsample_1d
    """.split()  # noqa: SIM905 - a list of words reads better so
)
"""Layers of sequences with channels first, channels×length."""
_TOKENS = frozenset("tokens attention lstm gru position_embedding class_token rotary_positions".split())  # noqa: SIM905
"""Layers of tokens, tokens×features."""
_KEEPING = frozenset("linear layer_norm slice token reduce".split())  # noqa: SIM905
"""Layers that may stand on either, and leave the axes as they are."""


def has_both(primitives: set[str]) -> bool:
    """Whether a network has layers of both kinds, or takes a token of a recurrent layer."""
    recurrent = "token" in primitives and not primitives.isdisjoint(("lstm", "gru"))
    return recurrent or not (primitives.isdisjoint(_CHANNELS) or primitives.isdisjoint(_TOKENS | {"linear"}))


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
        kind = "channels" if name in _CHANNELS else "tokens" if name in _TOKENS or name == "linear" else ""
        if came is not None and kind and mark is not None and not mark.in_library:
            before = came.layer.primitive
            swapped = "`permute: [1, 0]` swaps the axes"
            if kind == "channels" and before in _TOKENS:
                report.note(
                    f"`{name}` takes channels first, but `{before}` ({came.mark}) gives tokens: {swapped}", mark
                )
            elif kind == "tokens" and before in _CHANNELS and len(node.output) == 2:
                said = f"`{name}` works on the last axis, but `{before}` ({came.mark}) gives channels first: {swapped}"
                report.note(said, mark)
        source = nodes[node.sources[0]] if node.sources else None
        if name == "token" and isinstance(source, GraphLayer) and mark is not None:
            _note_first(source, node, report)
        if len(node.output) == 2 and (name in _CHANNELS or name in _TOKENS):
            made[node.id] = node
        elif len(node.output) == 2 and came is not None and (node.layer.output == node.layer.input or name in _KEEPING):
            made[node.id] = came


def _common(node: GraphNode, made: dict[int, GraphLayer]) -> GraphLayer | None:
    """The layer that says what the axes of a node's tensors are, where all of them agree on it."""
    found = [made.get(source) for source in node.sources]
    kinds = {one.layer.primitive in _CHANNELS for one in found if one is not None}
    return found[0] if found and None not in found and len(kinds) == 1 else None


def _note_first(source: GraphLayer, node: GraphLayer, report: Report) -> None:
    layer = source.layer
    recurrent = layer.primitive in ("lstm", "gru") and not layer.arguments["bidirectional"]
    if recurrent and node.layer.arguments["index"] == 0 and layer.output[0] > 1 and node.mark is not None:
        last = f"`token: {layer.output[0] - 1}` is the last, which has seen all"
        report.note(f"token 0 of a `{layer.primitive}` has seen no other token: {last}", node.mark)

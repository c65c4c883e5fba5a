"""How torch splits a tensor among the branches of a merge, and joins what they make of it, as nodes of a graph."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import fx, nn

from archspec.plan.nodes import Group

Join = Callable[[fx.Graph, list[fx.Node], Group], fx.Node]
"""How torch joins the branches of a merge, in a graph."""


def split(graph: fx.Graph, tensor: fx.Node, group: Group) -> list[fx.Node]:
    """What each branch takes: a part of the tensor, or all of it."""
    if not group.split:
        return [tensor] * len(group.children)
    parts = graph.call_function(torch.split, (tensor, list(group.split)), {"dim": group.axis + 1})
    return [graph.call_function(operator.getitem, (parts, index)) for index in range(len(group.split))]


def _concat(graph: fx.Graph, branches: list[fx.Node], group: Group) -> fx.Node:
    return graph.call_function(torch.cat, (branches,), {"dim": group.axis + 1})


def _fold(operation: Callable[[Any, Any], Any]) -> Join:
    """From the first branch to the last, two at a time."""

    def join(graph: fx.Graph, branches: list[fx.Node], group: Group) -> fx.Node:
        return reduce(lambda result, other: graph.call_function(operation, (result, other)), branches)

    return join


def _mean(graph: fx.Graph, branches: list[fx.Node], group: Group) -> fx.Node:
    return graph.call_function(operator.truediv, (_fold(operator.add)(graph, branches, group), len(branches)))


def attend(graph: fx.Graph, branches: list[fx.Node], group: Group, dropout: str = "") -> fx.Node:
    """Of `(N, tokens, features)` each, with the features of one head after those of another.

    torch's operation drops weights whether the network is in training or not, so with `dropout`, the path of that
    module, the formula is written out.
    """
    attention = group.attention
    split = [graph.call_method("unflatten", (one, -1, (attention.heads, -1))) for one in branches[:3]]
    query, key, value = (graph.call_method("transpose", (one, 1, 2)) for one in split)
    if dropout:
        width = group.children[0][1].output[1] // attention.heads
        query = graph.call_function(operator.mul, (query, width**-0.5))
        scores = graph.call_function(operator.matmul, (query, graph.call_method("transpose", (key, 2, 3))))
        for bias in branches[3:]:
            scores = graph.call_function(operator.add, (scores, bias))
        if attention.causal:
            scores = _without_later(graph, scores)
        weights = graph.call_module(dropout, (graph.call_method("softmax", (scores, -1)),))
        attended = graph.call_function(operator.matmul, (weights, value))
    else:
        named: dict[str, Any] = {"attn_mask": branches[3]} if len(branches) > 3 else {}
        if attention.causal:  # torch takes a bias, or masks by itself
            named = {"attn_mask": _without_later(graph, branches[3])} if named else {"is_causal": True}
        attended = graph.call_function(nn.functional.scaled_dot_product_attention, (query, key, value), named)
    return graph.call_method("flatten", (graph.call_method("transpose", (attended, 1, 2)), 2))


def _without_later(graph: fx.Graph, scores: fx.Node) -> fx.Node:
    """Scores in which no token attends to those after it."""
    later = graph.call_method("triu", (graph.call_function(torch.full_like, (scores, -math.inf)), 1))
    return graph.call_function(operator.add, (scores, later))


MERGES: dict[str, Join] = {
    "concat": _concat,
    "add": _fold(operator.add),
    "subtract": _fold(operator.sub),
    "multiply": _fold(operator.mul),
    "mean": _mean,
    "maximum": _fold(torch.maximum),
    "matmul": _fold(torch.matmul),
    "attend": attend,
}

"""Networks that end in what their loss computes too: a softmax twice learns, but slowly and to less."""

from __future__ import annotations

from archspec.plan.graph import GraphLayer, GraphWire
from archspec.plan.plan import Plan
from archspec.recipe import LOSSES, Recipe

_SQUASHING = ("softmax", "sigmoid", "hardsigmoid")


def note_logits(plan: Plan, recipe: Recipe) -> list[str]:
    """A note where a network ends in a layer that makes probabilities of what its loss takes for logits."""
    loss = next((one.name for one in recipe.loss.parts if LOSSES[one.name].applies), None)
    if loss is None:
        return []
    nodes = plan.graph.nodes
    node = nodes[plan.graph.output]
    while isinstance(node, GraphWire):
        node = nodes[node.sources[0]]
    if not isinstance(node, GraphLayer) or node.layer.primitive not in (*_SQUASHING, "dropout"):
        return []
    if node.layer.primitive == "dropout":
        place = f"{plan.title} ends in `dropout` ({node.layer.mark})"
        return [f"{place}, which sets what it answers to zero in training: put it before the last layer"]
    ends = f"{plan.title} ends in `{node.layer.primitive}` ({node.layer.mark})"
    applied = f"and the loss `{loss}` applies a {LOSSES[loss].applies} of its own"
    return [f"{ends}, {applied}: leave the layer out; `predict` gives probabilities all the same"]

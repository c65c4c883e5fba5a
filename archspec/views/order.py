"""In which order the values of feature maps lie in memory, on which depends what oneDNN's convolutions need."""

from __future__ import annotations

from math import prod

from archspec.layers.registry import primitives
from archspec.plan.graph import Graph, GraphLayer, GraphNode

BLOCK = 16
"""The channels that oneDNN works on at once."""


def channels_last(graph: Graph) -> frozenset[int]:
    """The nodes whose feature maps lie with their channels last, if that of the input does not.

    Some layers give such maps; convolutions, pooling, normalisation and sums keep the order of what they take first.
    """
    found: set[int] = set()
    for node in graph.nodes[len(graph.inputs) :]:
        if len(node.output) != 3 or not node.sources:
            continue
        sources = node.sources if node.kind == "concat" else node.sources[:1]
        is_given = isinstance(node, GraphLayer) and primitives()[node.layer.primitive].channels_last
        if is_given or all(source in found for source in sources):
            found.add(node.id)
    return frozenset(found)


def copies_of_weights(node: GraphNode, *, is_last: bool) -> int:
    """How many times its weights' memory the backward pass of a convolution needs for them and their gradient.

    With channels last (`is_last`), the channels of each group are filled up to 16 of those taken and 16 given, unless
    it is a depthwise convolution of 3×3, for which oneDNN has a way of its own.
    """
    if not is_last or not isinstance(node, GraphLayer) or len(node.output) != 3:
        return 1
    arguments = node.layer.arguments
    groups = arguments.get("groups", 1)
    if groups == 1 or "kernel" not in arguments:
        return 1
    taken, given = node.layer.input[0] // groups, node.output[0] // groups
    kernel = arguments["kernel"]
    if taken == given == 1 and max(kernel if isinstance(kernel, tuple) else (kernel,)) <= 3:
        return 1
    filled = [-(-channels // BLOCK) * BLOCK for channels in (taken, given)]
    return int(prod(filled) // (taken * given))

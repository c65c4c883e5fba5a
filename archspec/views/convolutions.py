"""What torch's convolutions need on a CPU beside their input, output and weights.

oneDNN has layouts of its own, with channels in groups of 16, into which it copies what it works on and back; a single
small image, and values of 64 bits, are laid out as columns for a matrix product instead (im2col).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from archspec.foundation.shapes import Shape
from archspec.layers.registry import primitives
from archspec.plan.graph import Graph, GraphLayer, GraphNode

BLOCK = 16
"""The channels that oneDNN works on at once."""
HALF = 8
"""Those of its kernels for fewer channels."""
SMALL = 20480
"""The values of a single image up to which torch leaves oneDNN out (`ConvParams::use_mkldnn`)."""


def is_convolution(node: GraphNode) -> bool:
    """Whether a node is one of torch's convolutions, by its arguments: a plugin's may be one too."""
    if not isinstance(node, GraphLayer) or not node.macs:
        return False
    return {"kernel", "groups", "dilation"} <= node.layer.arguments.keys() and "weight" in dict(node.layer.parameters)


def is_pointwise(node: GraphNode) -> bool:
    """Whether a node is a convolution of 1×1 without groups."""
    if not isinstance(node, GraphLayer) or not is_convolution(node):
        return False
    groups, _, kernel = _weights(node)
    return groups == 1 and prod(kernel) == 1


@dataclass(frozen=True, slots=True)
class Copies:
    """The values of what oneDNN copies into its own layout for one pass of a convolution."""

    taken: int
    """Of a sample's input, or of its gradient."""
    given: int
    """Of a sample's output, or of its gradient."""
    weights: int


def input_copies(node: GraphLayer) -> Copies:
    """The copies of the backward pass that makes the gradient of the input: whole blocks of however few channels."""
    groups, (out, into), kernel = _weights(node)
    taken, given = node.layer.input, node.output
    if groups == 1:
        return Copies(_filled_up(taken), _filled_up(given), _filled(out) * _filled(into) * prod(kernel))
    if out == into == 1:
        return Copies(_filled_up(taken), _filled_up(given), _filled(groups) * prod(kernel))
    if out % 4 or into % 4:  # a matrix product of each group
        return Copies(0, prod(given), 0)  # its columns, in each thread, are not counted
    return Copies(prod(taken), prod(given), groups * out * into * prod(kernel))  # in blocks of 4, 8 or 16: whole ones


def forward_copies(node: GraphLayer) -> Copies:
    """The copies of the forward pass."""
    groups, (out, into), kernel = _weights(node)
    if groups == 1 and prod(kernel) > 1 and into < BLOCK:  # what has few channels is read as it lies
        return Copies(0, _filled_up(node.output), _filled(out) * into * prod(kernel))
    return input_copies(node)


def weights_copies(node: GraphLayer) -> Copies:
    """The copies of the backward pass that makes the gradient of the weights."""
    groups, (out, into), kernel = _weights(node)
    if groups > 1 or prod(kernel) == 1 or into >= BLOCK:
        return input_copies(node)
    if into < HALF:
        return Copies(0, _filled_up(node.output), _filled(out) * into * prod(kernel))
    taken, given = (_filled_up(shape, HALF) for shape in (node.layer.input, node.output))
    return Copies(taken, given, _filled(out, HALF) * _filled(into, HALF) * prod(kernel))


def _weights(node: GraphLayer) -> tuple[int, tuple[int, int], Shape]:
    """The groups of a convolution, the channels that each of them gives and takes, and the sizes of the kernel."""
    groups: int = node.layer.arguments["groups"]
    kernel = dict(node.layer.parameters)["weight"][2:]
    return groups, (node.output[0] // groups, node.layer.input[0] // groups), kernel


def _filled(channels: int, block: int = BLOCK) -> int:
    """The channels of whole blocks."""
    return -(-channels // block) * block


def _filled_up(shape: Shape, block: int = BLOCK) -> int:
    """The values of a tensor of a shape whose channels are in whole blocks."""
    return _filled(shape[0], block) * prod(shape[1:])


def columns(node: GraphLayer, batch: int, value: int) -> int | None:
    """The values of the columns that a batch is laid out in, where torch leaves oneDNN out; `None` where it does not.

    Args:
        node: A convolution.
        batch: The samples.
        value: The bytes of a value.
    """
    groups, (out, into), kernel = _weights(node)
    taken, given = node.layer.input, node.output
    if value == 4:
        is_large = batch > 1 or prod(taken[:3]) > SMALL
        if is_large or groups > 1 or (len(kernel) > 1 and min(kernel[-2:]) > 3):
            return None
    elif value != 8:
        return None
    if "output_padding" in node.layer.arguments:  # transposed: each position that is taken is spread over a window
        return out * prod(kernel) * prod(taken[1:])
    if prod(kernel) == 1 and given[1:] == taken[1:]:
        return 0  # its input is the columns
    dilation = node.layer.arguments["dilation"]
    samples = batch if dilation in (1, (1,) * len(kernel)) else 1
    return samples * into * prod(kernel) * prod(given[1:])


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


def copies_of_weights(node: GraphLayer) -> int:
    """How many times its weights' memory the backward pass of a convolution needs, where channels come last.

    The channels of each group are filled up to 16 of those taken and 16 given, unless it is a depthwise convolution of
    3×3, for which oneDNN has a way of its own.
    """
    if len(node.output) != 3:
        return 1
    groups, (out, into), kernel = _weights(node)
    if groups == 1 or (out == into == 1 and max(kernel) <= 3):
        return 1
    return _filled(into) * _filled(out) // (into * out)

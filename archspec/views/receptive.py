"""Receptive fields: which positions of the network's input each position of a tensor depends on.

They are followed through branches, strides, dilations and windows, axis by axis; the result is the smallest box that
holds all such positions, as the gradient of one position with respect to the input shows it, in evaluation. It is not
cut off at the input's borders: a field may be larger than the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import gcd

from archspec.foundation.shapes import Shape
from archspec.layers.reach import AxisReach, Reach
from archspec.layers.registry import primitives
from archspec.plan.graph import Graph, GraphLayer, GraphNode, GraphPart
from archspec.plan.plan import Plan

_MANY = 1024
"""Of a window with more taps only the outermost are looked at: what they see grows from one to the next."""


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """The receptive field of a tensor's positions, along the axes of the network's input."""

    size: tuple[int | None, ...]
    """Positions of the input, the most that any position sees; `None`: the whole axis."""
    stride: tuple[Fraction | None, ...]
    """Positions of the input between what neighbouring positions see; `None` where there are none."""
    first: tuple[tuple[int, ...], ...]
    last: tuple[tuple[int, ...], ...]
    """Along each axis, the first and the last position that each position sees, cut off at the input's borders. Near a
    border, where a dilated window steps over padding, and at that of a part of a tensor, this may be more than there
    is."""

    def __str__(self) -> str:
        """`483`, `11×5` or `all`."""
        shown = ["all" if size is None else str(size) for size in self.size]
        return shown[0] if len(set(shown)) == 1 else "×".join(shown) or "all"

    @property
    def shown_stride(self) -> str:
        """`32`, `2×1`, `1/2`, or `-` where there is one position."""
        shown = ["-" if stride is None else str(stride) for stride in self.stride]
        return shown[0] if len(set(shown)) == 1 else "×".join(shown) or "-"


def receptive_fields(plan: Plan) -> list[ReceptiveField | None]:
    """The receptive field of what each node of a plan's graph gives, in the order of its nodes.

    Of several inputs it is what is seen of any of them; `None`, where these do not have the same positions, and of a
    tensor that no value of the input changes.
    """
    first, *others = (one.shape for one in plan.takes)
    if any(len(other) != len(first) or other[1:] != first[1:] for other in others):
        return [None] * len(plan.graph.nodes)
    return [None if field is None else field.shown(plan.input) for field in _fields(plan.graph)]


@dataclass(frozen=True, slots=True)
class _Field:
    """What a tensor's positions see."""

    layout: tuple[tuple[int, ...], ...]
    """Of each axis of the tensor, the axes of the input that it numbers, the slowest first."""
    axes: tuple[AxisReach | None, ...]
    """Along each axis of the input; `None`: all of it."""
    sizes: tuple[int, ...]
    """How many positions of the tensor there are along each."""
    first_axis: int
    """The input's first axis of positions."""

    def shown(self, input: Shape) -> ReceptiveField:
        size: list[int | None] = []
        stride: list[Fraction | None] = []
        first, last = [], []
        for length, axis, count in zip(input[self.first_axis :], self.axes, self.sizes, strict=False):
            seen = [(0, length - 1)] if axis is None else [axis.at(i) for i in range(min(count, axis.period))]
            widest = max(b - a + 1 for a, b in seen)
            size.append(None if axis is None or _covers(axis, length) else widest)
            is_even = axis is not None and all(a <= b for a, b in pairwise(axis.first[:count]))
            stride.append(
                None
                if axis is None or not is_even or count == 1 or not axis.shift
                else Fraction(axis.shift, axis.period)
            )
            whole = [(0, length - 1)] * count if axis is None else [axis.at(i) for i in range(count)]
            first.append(tuple(max(a, 0) for a, _ in whole))
            last.append(tuple(min(b, length - 1) for _, b in whole))
        return ReceptiveField(tuple(size), tuple(stride), tuple(first), tuple(last))


def _covers(axis: AxisReach, length: int) -> bool:
    """Whether each of the positions sees the whole axis, there being no more to see by sliding."""
    return not axis.shift and all(axis.first[i] <= 0 and axis.last[i] >= length - 1 for i in range(axis.period))


def _fields(graph: Graph) -> list[_Field | None]:
    fields: list[_Field | None] = []
    for node in graph.nodes:
        if not node.sources:
            fields.append(_input_field(graph))
            continue
        seen = [field for field in (fields[source] for source in node.sources) if field is not None]
        if not seen or (isinstance(node, GraphLayer) and not primitives()[node.layer.primitive].reads_values):
            fields.append(None)
        elif isinstance(node, GraphLayer):
            fields.append(_through(seen[0], _reach(node), node.output))
        elif isinstance(node, GraphPart):
            reach = Reach({node.axis: AxisReach((node.start,), (node.start,), 1)})
            fields.append(_through(seen[0], reach, node.output))
        else:
            fields.append(_merged(seen, node, graph))
    return fields


def _merged(fields: list[_Field], node: GraphNode, graph: Graph) -> _Field:
    """What is seen through a merge, of branches that see something."""
    joined, *others = fields
    for field in others:
        if node.kind == "concat" and node.parent is not None:
            axis = graph.groups[node.parent].node.axis
            joined = _appended(joined, field, axis, node, graph.nodes[0].output)
        else:
            joined = _joined(joined, field, node, graph.nodes[0].output)
    return joined


def _input_field(graph: Graph) -> _Field:
    shape = graph.nodes[0].output
    first = 1 if len(shape) > 2 or _has_channels_first(graph) else 0
    axes = range(len(shape) - first) if len(shape) > 1 else range(1)
    if len(shape) == 1:
        first = 0
    if len(shape) == 2:
        axes = range(1)
    layout = tuple((axis - first,) if axis - first in axes else () for axis in range(len(shape)))
    sizes = tuple(shape[first + axis] for axis in axes)
    return _Field(layout, tuple(AxisReach((0,), (0,), 1) for _ in axes), sizes, first)


def _has_channels_first(graph: Graph) -> bool:
    """Whether the first layer slides over the last of two axes: channels×length, not tokens×features."""
    return any(1 in _reach(layer).axes for layer in graph.layers[:1])


def _reach(node: GraphLayer) -> Reach:
    layer = node.layer
    return primitives()[layer.primitive].reach(layer.arguments, layer.input, layer.output)


def _through(field: _Field, reach: Reach, output: Shape) -> _Field:
    """What is seen through a layer, or in a part of a tensor."""
    axes, sizes = list(field.axes), list(field.sizes)
    if reach.whole:
        return _Field(((),) * len(output), tuple(map(_union, axes, sizes)), (1,) * len(sizes), field.first_axis)
    for axis, step in reach.axes.items():
        for one in field.layout[axis]:
            if len(field.layout[axis]) > 1:
                axes[one], sizes[one] = _union(axes[one], sizes[one]), 1
            else:
                sizes[one] = output[axis]
                axes[one] = _composed(axes[one], step, sizes[one])
    layout = field.layout
    if reach.split:
        layout = _split(field, output)
    elif reach.layout is not None:
        layout = tuple(tuple(one for axis in part for one in field.layout[axis]) for part in reach.layout)
    numbered = {one for part in layout for one in part}
    for one in range(len(axes)):
        if one not in numbered:
            axes[one], sizes[one] = _union(axes[one], sizes[one]), 1
    return _Field(layout, tuple(axes), tuple(sizes), field.first_axis)


def _split(field: _Field, output: Shape) -> tuple[tuple[int, ...], ...]:
    """The layout of tokens that become a map again: rows and columns, where these are as they were."""
    grids = [one for one in field.layout[0] if field.sizes[one] > 1]
    if len(grids) == 2 and tuple(field.sizes[one] for one in grids) == output[1:]:
        return (), (grids[0],), (grids[1],)
    return (), (), ()


def _union(axis: AxisReach | None, count: int) -> AxisReach | None:
    """What all positions together see."""
    if axis is None:
        return None
    seen = [axis.at(i) for i in range(count)]
    return AxisReach((min(a for a, _ in seen),), (max(b for _, b in seen),), 0)


def _composed(axis: AxisReach | None, step: AxisReach, count: int) -> AxisReach | None:
    """What is seen through a layer whose positions see those of `axis`."""
    if axis is None:
        return None
    turns = axis.period // gcd(axis.period, step.shift) if step.shift else 1
    period = min(step.period * turns, max(count, 1))
    first, last = [], []
    for i in range(period + 1):
        a, b = step.at(i)
        seen = [axis.at(j) for j in (range(a, b + 1) if b - a < _MANY else (a, b))]
        first.append(min(one for one, _ in seen))
        last.append(max(one for _, one in seen))
    return AxisReach(tuple(first[:-1]), tuple(last[:-1]), first[-1] - first[0])


def _appended(one: _Field, other: _Field, axis: int, node: GraphNode, input: Shape) -> _Field:
    """What is seen through two tensors of which the second follows the first along an axis."""
    if not one.layout[axis] and not other.layout[axis]:
        return _joined(one, other, node, input)
    if one.layout != other.layout or len(one.layout[axis]) > 1:  # where their positions lie is not kept
        return _joined(_flat(one, axis), _flat(other, axis), node, input)
    (at,) = one.layout[axis]
    joined = _joined(one, other, node, input)
    axes, sizes = list(joined.axes), list(joined.sizes)
    first, second = one.axes[at], other.axes[at]
    axes[at], sizes[at] = None, one.sizes[at] + other.sizes[at]
    if first is not None and second is not None:
        seen = [first.at(i) for i in range(one.sizes[at])] + [second.at(i) for i in range(other.sizes[at])]
        begins, ends = zip(*seen, strict=True)
        axes[at] = AxisReach(begins, ends, max(ends) - min(begins) + 1)  # what would follow lies outside the input
    return _Field(joined.layout, tuple(axes), tuple(sizes), joined.first_axis)


def _flat(field: _Field, axis: int) -> _Field:
    """A field along whose axis each position is taken to see what all of them see."""
    layout = tuple(() if at == axis else part for at, part in enumerate(field.layout))
    axes, sizes = list(field.axes), list(field.sizes)
    for at in field.layout[axis]:
        axes[at], sizes[at] = _union(axes[at], sizes[at]), 1
    return _Field(layout, tuple(axes), tuple(sizes), field.first_axis)


def _joined(one: _Field, other: _Field, node: GraphNode, input: Shape) -> _Field:
    """What is seen through a merge of two tensors."""
    layout = one.layout if any(one.layout) else other.layout
    if node.kind in ("matmul", "attend"):
        layout = ((),) * len(node.output)
        one, other = (_Field(layout, tuple(map(_union, f.axes, f.sizes)), f.sizes, f.first_axis) for f in (one, other))
    sizes = tuple(map(max, one.sizes, other.sizes))
    lengths = input[one.first_axis :]
    each = zip(one.axes, other.axes, sizes, lengths, strict=False)
    axes = tuple(_hull(a, b, count, length) for a, b, count, length in each)
    return _Field(layout, axes, sizes, one.first_axis)


def _hull(a: AxisReach | None, b: AxisReach | None, count: int, length: int) -> AxisReach | None:
    if a is None or b is None or _covers(a, length) or _covers(b, length):
        return None
    if a == b:
        return a
    period = a.period * b.period // gcd(a.period, b.period)
    if a.shift * b.period != b.shift * a.period or period > count:
        period = max(count, 1)
    seen = [(a.at(i), b.at(i)) for i in range(period + 1)]
    first = tuple(min(x[0], y[0]) for x, y in seen)
    last = tuple(max(x[1], y[1]) for x, y in seen)
    shift = max(a.shift * period // a.period, b.shift * period // b.period)
    return AxisReach(first[:-1], last[:-1], shift)

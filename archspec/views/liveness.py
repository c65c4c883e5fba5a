"""When each tensor of a network lives: what a pass holds at its fullest moment, in bytes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import prod

from archspec.layers import merges
from archspec.layers.kept import Kept
from archspec.layers.registry import primitives
from archspec.plan.graph import Graph, GraphGroup, GraphLayer, GraphNode
from archspec.plan.plan import Plan
from archspec.views.convolutions import (
    Copies,
    channels_last,
    columns,
    copies_of_weights,
    forward_copies,
    input_copies,
    is_convolution,
    is_pointwise,
    weights_copies,
)
from archspec.views.kept import KeptTensors, kept_by, kept_tensors, owners
from archspec.views.mixed import copied_values, narrows, wide_tensors, with_copies


class Sizes:
    """The bytes of tensors, for a batch and a number of bytes for each value.

    In a `mixed` precision, some tensors have 4 bytes for each value, what the network takes among them.
    """

    def __init__(
        self,
        graph: Graph,
        batch: int,
        value: int,
        *,
        mixed: bool = False,
        channels_last: bool = False,
        threads: int = 0,
    ) -> None:
        self.wide = wide_tensors(graph) if mixed else frozenset()
        self.channels_last = channels_last
        """Whether images and weights lie in memory with their channels last, as oneDNN can work on them."""
        self.threads = threads if value == 2 else 0
        """The threads that need memory of their own: in 16 bits, oneDNN sums up in 32, and turns samples around."""
        self.graph = graph
        self.batch = batch
        self.value = value
        self.mixed = mixed
        self._last = {node.module: node.id for node in graph.layers}  # of layers that are shared, the last use

    def tensor(self, id: int) -> int:
        """What a node gives."""
        return self.batch * (4 if id in self.wide else self.value) * prod(self.graph.nodes[id].output)

    def kept(self, plan: Plan, *, again: tuple[int, int] | None = None) -> KeptTensors:
        """What the nodes of a plan keep, copies included; `again` is as in `kept_tensors`."""
        found = kept_tensors(plan, again=again)
        return with_copies(found, self.graph, self.wide) if self.mixed else found

    @property
    def inputs(self) -> int:
        """The batch, of all inputs."""
        return sum(self.tensor(one.id) for one in self.graph.inputs)

    def extra(self, kept: Kept) -> int:
        """What a layer keeps beside its input and output."""
        each = self.value * (kept.values + self.mixed * kept.mixed) + 8 * kept.indices
        return self.batch * each + (4 if self.mixed else self.value) * kept.once

    def parameters(self, node: GraphNode) -> int:
        """A layer's parameters, or their gradients."""
        return self.value * node.layer.params if isinstance(node, GraphLayer) else 0

    def loss(self, node: GraphNode) -> int:
        """What a loss of a node's tensor needs beside its gradient: three tensors of 4 bytes a value or more."""
        return 3 * self.batch * max(4, self.value) * prod(node.output) - self.tensor(node.id) * (self.value >= 4)

    def copies(self, copies: Copies) -> tuple[int, int, int]:
        """What oneDNN copies of a batch taken, of one given, and of weights."""
        each = self.batch * self.value
        return each * copies.taken, each * copies.given, self.value * copies.weights

    def summing(self, node: GraphNode) -> int:
        """What the forward pass of a 1×1 convolution sums a sample's output up in, in each thread."""
        return 4 * self.threads * prod(node.output) if is_pointwise(node) else 0

    def turned(self, node: GraphLayer) -> int:
        """What each thread turns around of a sample for the gradient of a convolution's weights."""
        return self.value * self.threads * (prod(node.layer.input) + prod(node.output))

    def lies_last(self, node: GraphNode) -> bool:
        """Whether a convolution is given its input and weights with their channels last."""
        return self.channels_last and len(node.output) == 3

    def cast(self, node: GraphNode) -> int:
        """What a layer copies to 16 bits while it runs, where nothing keeps that: its parameters, and what is wide."""
        if not self.mixed or not narrows(node):
            return 0
        return self.parameters(node) + self.batch * self.value * copied_values(node, self.graph, self.wide)

    def columns(self, node: GraphLayer) -> int | None:
        """The columns that a convolution lays its input out in, where torch leaves oneDNN out."""
        found = columns(node, self.batch, self.value)
        return None if found is None else self.value * found

    def summed(self, node: GraphNode) -> int:
        """What a convolution sums the gradient of its weights up in, where that has fewer than 4 bytes a value."""
        return 4 * node.layer.params if self.value < 4 and isinstance(node, GraphLayer) else 0

    def gradients(self, node: GraphNode) -> int:
        """The gradients that stay from a layer on in the backward pass, which comes to its last use first."""
        return self.parameters(node) if isinstance(node, GraphLayer) and self._last[node.module] == node.id else 0


class Forward:
    """A forward pass; what `kept` keeps stays."""

    def __init__(
        self, graph: Graph, sizes: Sizes, kept: KeptTensors | None = None, span: tuple[int, int] | None = None
    ) -> None:
        self.peak = 0
        start, stop = span or (len(graph.inputs), len(graph.nodes))
        owner = kept.owner if kept else owners(graph, training=False)
        stays = {id for ids in kept.tensors.values() for id in ids} if kept else set()
        going: dict[int, list[int]] = {}
        for id, end in enumerate(_ends(graph, owner)):
            going.setdefault(end, []).append(id)
        live: dict[int, int] = {}
        held = extras = 0
        for node in graph.nodes[start:stop]:
            id = node.id
            if owner[id] == id:
                live[id] = sizes.tensor(id)
                held += live[id]
            extras += sizes.extra(kept.extras[id]) if kept and id in kept.extras else 0
            self.peak = max(self.peak, held + extras + _passing(node, sizes, training=kept is not None))
            for one in going.get(id + 1, ()):
                if one not in stays:
                    held -= live.pop(one, 0)
        self.left = held + extras


def _passing(node: GraphNode, sizes: Sizes, *, training: bool) -> int:
    """What a layer makes and lets go again while it runs, beside what it keeps in training."""
    if not isinstance(node, GraphLayer) or (primitives()[node.layer.primitive].training_only and not training):
        return 0
    passing = 0 if training else sizes.cast(node)
    if not is_convolution(node):
        return passing + (0 if training else sizes.extra(_evaluated(kept_by(node, {}))))
    laid_out = sizes.columns(node)
    if laid_out is not None:
        return passing + laid_out
    taken, given, weights = sizes.copies(forward_copies(node))
    weights += sizes.summing(node)
    if sizes.lies_last(node):
        return passing + weights
    return passing + max(taken + weights + given - sizes.tensor(node.id), given)


def _evaluated(kept: Kept) -> Kept:
    """What an evaluation holds of what training keeps."""
    return kept if kept.passing is None else replace(kept, values=kept.passing)


def _is_strided(node: GraphLayer) -> bool:
    stride = node.layer.arguments.get("stride", 1)
    return any(one > 1 for one in (stride if isinstance(stride, tuple) else (stride,)))


def _ends(graph: Graph, owner: tuple[int, ...]) -> list[int]:
    """Of each tensor, the node before which nothing holds it any more.

    A module that calls its parts holds what it gives to a part until that part is done.
    """
    chains: dict[int | None, tuple[GraphGroup, ...]] = {None: ()}
    for group in graph.groups:
        chains[group.id] = (*chains[group.parent], group)
    ends = [node.id + 1 for node in graph.nodes]
    for node in graph.nodes:
        for source in node.sources:
            theirs = chains[graph.nodes[source].parent]
            ours = chains[node.parent]
            shared = sum(1 for _ in _common(theirs, ours))
            stop = ours[shared].stop if shared < len(ours) else node.id + 1
            ends[owner[source]] = max(ends[owner[source]], stop)
            if owner[node.id] != node.id:
                ends[owner[source]] = max(ends[owner[source]], ends[node.id])
    last = len(graph.nodes)
    for id in (graph.output, *(id for _, id in graph.named_outputs)):
        ends[owner[id]] = last + 1
    return ends


def _common(one: tuple[GraphGroup, ...], other: tuple[GraphGroup, ...]) -> list[GraphGroup]:
    found = []
    for a, b in zip(one, other, strict=False):
        if a.id != b.id:
            break
        found.append(a)
    return found


class Backward:
    """A backward pass, from the last node to the first: gradients come, and what was kept goes."""

    def __init__(self, plan: Plan, sizes: Sizes, kept: KeptTensors, held: int, *, accumulates: bool = False) -> None:
        self.plan = plan
        self.graph = plan.graph
        self.sizes = sizes
        self.accumulates = accumulates
        """Whether there are gradients of parameters already, to which those of this pass are added."""
        self.held = held
        self.peak = held
        self.users: Counter[int] = Counter(id for ids in kept.tensors.values() for id in ids)
        self.last = channels_last(plan.graph)
        self.gradients: dict[int, int] = {}
        """Of each node whose gradient there is, the storage that it lies in."""
        self.storages: dict[int, list[int]] = {}
        """Of each storage, its bytes and how many gradients lie in it."""
        self.walk(kept)

    def walk(self, kept: KeptTensors) -> None:
        starts = {stop - 1: (start, stop) for start, stop in kept.regions}
        inside: KeptTensors | None = None
        span = (0, 0)
        ends = {self.graph.output, *(id for _, id in self.graph.named_outputs)}
        for node in reversed(self.graph.nodes[len(self.graph.inputs) :]):
            if node.id in starts:
                span = starts[node.id]
                inside = self.sizes.kept(self.plan, again=span)
                self.enter(inside, span)
            if node.id in ends and node.id not in self.gradients:
                self.new(node.id)
                # the cross-entropy keeps the logarithms, and makes their gradient and that of what it takes
                self.peak = max(self.peak, self.held + self.sizes.loss(node))
            here = inside if inside is not None and span[0] <= node.id < span[1] else kept
            self.step(node, here)
            if inside is not None and node.id == span[0]:
                self.release(kept.tensors.get(span[0], ()))
                inside = None

    def enter(self, inside: KeptTensors, span: tuple[int, int]) -> None:
        """Compute a part again."""
        again = Forward(self.graph, self.sizes, inside, span)
        self.peak = max(self.peak, self.held + again.peak)
        for id in range(*span):
            for one in inside.tensors.get(id, ()):
                if one >= span[0] and not self.users[one]:
                    self.held += self.sizes.tensor(one)
                self.users[one] += 1
            if id in inside.extras:
                self.held += self.sizes.extra(inside.extras[id])

    def step(self, node: GraphNode, kept: KeptTensors) -> None:
        """The backward pass of one node: the gradients of its sources, then what it held goes."""
        if node.id not in self.gradients:
            return
        learns = node.id in kept.extras
        passing, before = 0, self.held
        if learns:
            passing += self.give(node, kept)
            if isinstance(node, GraphLayer) and is_convolution(node):
                self.convolve(node, before, passing, is_given=node.sources[0] in kept.learns)
            made = 0 if self.accumulates else self.sizes.gradients(node)
            self.held += made
            passing += self.sizes.parameters(node) - made  # added to those that are there
            if self.accumulates and self.sizes.mixed:
                self.held -= self.sizes.parameters(node)  # the copy goes, and no gradient comes in its place
        self.peak = max(self.peak, self.held + passing)
        self.drop(node.id)
        if learns:
            self.release(kept.tensors[node.id])
            self.held -= self.sizes.extra(kept.extras[node.id])

    def convolve(self, node: GraphLayer, before: int, passing: int, *, is_given: bool) -> None:
        """The backward pass of a convolution: oneDNN makes each gradient in a layout of its own, and then it is copied.

        `before` is what was held, `passing` what an older gradient of its input needs, `is_given` says whether that has
        a gradient.
        """
        sizes = self.sizes
        laid_out = sizes.columns(node)
        if laid_out is not None:
            self.peak = max(self.peak, self.held + passing + sizes.parameters(node) + laid_out)
            return
        parameters, summed = sizes.parameters(node), sizes.summed(node)
        if sizes.lies_last(node) or node.sources[0] in self.last:
            more = copies_of_weights(node)
            laid = parameters * (2 if sizes.lies_last(node) else 1)  # in the order of the weights, once more
            self.peak = max(self.peak, self.held + passing + more * parameters + max(laid, more * summed))
            return
        if is_given:
            taken, given, weights = sizes.copies(input_copies(node))
            again = sizes.tensor(node.sources[0]) * (2 if _is_strided(node) else 1)
            self.peak = max(self.peak, before + taken + max(given + weights, again))
        taken, given, weights = sizes.copies(weights_copies(node))
        end = max(weights + max(parameters, summed), taken + given + weights + summed + sizes.turned(node))
        self.peak = max(self.peak, self.held + passing + end)

    def give(self, node: GraphNode, kept: KeptTensors) -> int:
        """Make the gradients of a node's sources; the bytes that are needed only meanwhile."""
        values = kept.extras[node.id].values if node.kind == "layer" else 0
        if values and kept.learns.isdisjoint(node.sources):
            values -= copied_values(node, self.graph, self.sizes.wide)
        passing = self.sizes.batch * self.sizes.value * values
        joins = node.kind in ("add", "concat") or (
            kept.owner[node.id] != node.id and prod(node.output) == prod(self.graph.nodes[node.sources[0]].output)
        )
        for source in node.sources:
            if source not in kept.learns:
                continue
            if node.kind in merges.MERGE_RULES and not joins:
                passing = max(passing, self.sizes.tensor(node.id))
            if source in self.gradients:
                # added to the gradient that there is; those of parts are laid side by side
                passing += self.sizes.tensor(source) * (1 if not joins and node.kind != "split" else 0)
                if self.storages[self.gradients[source]][1] > 1:
                    self.drop(source)
                    self.new(source)
            elif joins:
                self.gradients[source] = self.gradients[node.id]
                self.storages[self.gradients[source]][1] += 1
            else:
                self.new(source)
        return passing

    def new(self, id: int) -> None:
        self.gradients[id] = id
        self.storages[id] = [self.sizes.tensor(id), 1]
        self.held += self.storages[id][0]

    def drop(self, id: int) -> None:
        """Let a gradient go, and its memory with the last that lies in it."""
        storage = self.gradients.pop(id)
        self.storages[storage][1] -= 1
        if not self.storages[storage][1]:
            self.held -= self.storages.pop(storage)[0]

    def release(self, ids: tuple[int, ...]) -> None:
        for id in ids:
            self.users[id] -= 1
            if not self.users[id] and id >= len(self.graph.inputs):
                self.held -= self.sizes.tensor(id)

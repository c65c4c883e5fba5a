"""What nothing uses: inputs, and what stood before a `load`, and was neither saved, joined nor an output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from archspec.foundation.errors import Fault, Frame
from archspec.foundation.report import Report
from archspec.foundation.spelling import did_you_mean

if TYPE_CHECKING:
    from archspec.plan.graph import Graph, GraphGroup, GraphInput, GraphNode


def report_unused(graph: Graph, report: Report) -> None:
    """Report each input, layer and merge whose tensor no other takes, and which is no output."""
    from archspec.plan.graph import GraphInput, GraphLayer, GraphPart, GraphWire  # known already, if a graph is

    used = {graph.output, *(id for _, id in graph.named_outputs)}
    used.update(*(node.sources for node in graph.nodes if not isinstance(node, GraphWire)))
    used.update(node.sources[0] for node in graph.nodes if isinstance(node, GraphWire) and node.kind == "save")
    taken = None
    for node in reversed(graph.nodes):
        if isinstance(node, GraphWire):
            taken = node if node.kind == "load" else taken
        elif isinstance(node, GraphInput):
            if node.id not in used:
                _report_input(node, graph.inputs, report)
        elif node.id not in used and node.mark is not None and taken is not None:
            name = node.layer.primitive if isinstance(node, GraphLayer) else node.kind
            if node.mark.in_library:
                name = next((frame.label.split("`")[1] for frame in reversed(node.calls) if _is_own(frame)), name)
            if isinstance(node, GraphPart):
                place = node.path.rpartition(".")[2]
                message = (
                    f"part `{place}` of `split` goes nowhere: `load` at {taken.mark} takes another tensor in its place"
                )
                help = "let the branch begin with its part, and load in a merge within it; or give it no part"
                report.add(Fault("tensor-unused", message, node.mark, help=help), frames=node.calls)
                continue
            message = f"the result of `{name}` goes nowhere: `load` at {taken.mark} takes another tensor in its place"
            help = "save it or join it by a merge; or leave the layers out whose results are not needed"
            report.add(Fault("tensor-unused", message, node.mark, help=help), frames=node.calls)


def report_ports(graph: Graph, report: Report) -> None:
    """Report the tensors that a block takes and does not use, and those that it makes and nobody takes of it."""

    blocks = [group for group in graph.groups if group.takes or group.gives]
    if not blocks:
        return
    users: dict[int, list[GraphNode]] = {}
    for node in graph.nodes:
        for source in node.sources:
            users.setdefault(source, []).append(node)
    ends = {graph.output, *(id for _, id in graph.named_outputs)}
    _report_taken(graph, blocks, users, ends, report)
    for group in blocks:
        for port, place in zip(group.gives, group.node.gives, strict=True):
            tensor = graph.nodes[port.inner].result
            passed = tensor not in group  # on, as it came
            if not passed and tensor not in ends and all(one.id in group for one in users[tensor]):
                message = f"nothing uses the output `{place.name}` of the block `{group.node.block}`"
                help = (
                    f"it is saved as `{place.wire.name}`: load it" if place.wire else "it goes on: leave the call out"
                )
                mark = place.wire.mark if place.wire else group.node.mark
                report.add(Fault("tensor-unused", message, mark, help=help), frames=group.calls)


def _report_taken(
    graph: Graph, blocks: Sequence[GraphGroup], users: Mapping[int, list[GraphNode]], ends: set[int], report: Report
) -> None:
    """Report inputs of blocks that no call uses, and tensors that are given to one which leaves them out, and used by
    nothing else. A `when` may leave an input out in some calls, as the last one of a recursion does."""
    from archspec.plan.graph import GraphWire

    used: set[tuple[str, str]] = set()
    idle: dict[tuple[str, str], list[tuple[GraphGroup, int]]] = {}
    for group in blocks:
        loaded = {node.saved for node in graph.nodes[group.start : group.stop] if isinstance(node, GraphWire)}
        for index, (port, place) in enumerate(zip(group.takes, group.node.takes, strict=True)):
            key, tensor = (group.node.block, place.name), graph.nodes[port.inner].result
            begins = index == 0 and any(one.id in group for one in users[tensor] if not isinstance(one, GraphWire))
            if port.inner in loaded or begins:
                used.add(key)
            else:
                idle.setdefault(key, []).append((group, tensor))
    for (block, name), calls in idle.items():
        wasted = [
            group
            for group, tensor in calls
            if (block, name) not in used
            or (tensor not in ends and all(isinstance(one, GraphWire) for one in users[tensor]))
        ]
        if wasted:
            where, help = "in its body", f"take it up by `load: {name}`, or leave it out of `inputs`"
            if (block, name) in used:
                where = "in this call"
                help = (
                    "a `when` leaves out what takes it: use the tensor elsewhere, or leave out the layers that make it"
                )
            message = f"the block `{block}` takes `{name}`, but nothing {where} uses it"
            report.add(Fault("tensor-unused", message, wasted[0].node.mark, help=help), frames=wasted[0].calls)


def _report_input(node: GraphInput, inputs: Sequence[GraphInput], report: Report) -> None:
    help = f"take it up where it belongs, by `load: {node.name}`, or leave it out"
    if node.id == 0:
        help = f"the network begins with its first input: name another one first, or write `load: {node.name}`"
    elif node.mark is not None and node.mark.text.name.startswith("--set"):  # which may have misspelt another one
        help = did_you_mean(node.name, [one.name for one in inputs if one is not node]) or help
    report.add(Fault("tensor-unused", f"nothing uses the input `{node.name}`", node.mark, help=help))


def _is_own(frame: Frame) -> bool:
    return frame.mark is not None and not frame.mark.in_library

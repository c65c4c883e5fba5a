"""What nothing uses: inputs, and what stood before a `load`, and was neither saved, given out nor joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archspec.foundation.errors import Fault, Frame, Report

if TYPE_CHECKING:
    from archspec.plan.graph import Graph, GraphInput


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
                _report_input(node, report)
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


def _report_input(node: GraphInput, report: Report) -> None:
    help = f"take it up where it belongs, by `load: {node.name}`, or leave it out"
    if node.id == 0:
        help = f"the network begins with its first input: name another one first, or take up `load: {node.name}`"
    report.add(Fault("tensor-unused", f"nothing uses the input `{node.name}`", node.mark, help=help))


def _is_own(frame: Frame) -> bool:
    return frame.mark is not None and not frame.mark.in_library

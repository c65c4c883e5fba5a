"""A network's graph in TensorBoard's log, drawn from the plan: its nodes are the spec's, by their paths."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from archspec.foundation.shapes import Shape
from archspec.language.names import MERGES
from archspec.plan.nodes import Group, Layer, Node
from archspec.plan.plan import Plan

SUFFIX = ".graph"
"""What the name of the event file that holds a graph ends in."""


def write(plan: Plan, folder: Path) -> None:
    """Write a plan's graph into an event file of its own in a folder."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder), filename_suffix=SUFFIX)
    try:
        writer.add_event(Event(graph_def=graph(plan).SerializeToString()))
    finally:
        writer.close()


def graph(plan: Plan) -> Any:
    """A plan as TensorBoard's `GraphDef`.

    A node for each layer, called by its path with `/` for `.`, one for each merge, called by its kind within its path,
    one for the input, and one for the output and each tensor that is given beside it.
    """
    return _Drawing(plan).graph


class _Drawing:
    def __init__(self, plan: Plan) -> None:
        from tensorboard.compat.proto.graph_pb2 import GraphDef

        self.graph: Any = GraphDef()
        self.taken: set[str] = {placed.path.replace(".", "/") for placed in plan.layers}
        self.taken |= {name[:end] for name in self.taken for end, sign in enumerate(name) if sign == "/"}
        source = self._node("input", "input", (), plan.input)
        tensors: dict[str, str] = {}
        last = self._lead(plan.root, "", source, tensors)
        self._node("output", "output", [last], plan.output)
        for one in plan.root.named:
            self._node(f"output_{one.name}", "output", [tensors[f"named {one.name}"]], one.shape)

    def _lead(self, node: Node, path: str, source: str, tensors: dict[str, str]) -> str:
        """Draw a part of a plan, whose input is the node `source`; gives the node of its output.

        `tensors` are the nodes of those that are saved or named.
        """
        if isinstance(node, Layer):
            arguments = node.arguments | {"parameters": node.params, "MACs": node.macs}
            return self._node(path or node.primitive, node.primitive, [source], node.output, arguments, reserved=True)
        if not isinstance(node, Group):
            if node.kind == "load":
                return tensors[f"saved {node.name}"]
            tensors[f"{'saved' if node.kind == 'save' else 'named'} {node.name}"] = source
            return source
        # what a block, or a side classifier, saves is its own; what it names is the network's
        inner = {} if node.kind == "block" else dict(tensors) if node.kind == "aux" else tensors
        ends, end = [], source
        for key, child in node.children:
            under = f"{path}/{key}" if path and key else path or key
            end = self._lead(child, under, source if node.kind in MERGES else end, inner)
            ends.append(end)
        if node.kind in ("block", "aux"):
            tensors |= {key: value for key, value in inner.items() if key.startswith("named ")}
        if node.kind == "aux":
            tensors[f"named {node.arguments['name']}"] = end
            return source
        if node.kind in MERGES:
            return self._node(f"{path}/{node.kind}" if path else node.kind, node.kind, ends, node.output)
        return end

    def _node(
        self,
        name: str,
        kind: str,
        inputs: Iterable[str],
        shape: Shape,
        arguments: dict[str, Any] | None = None,
        *,
        reserved: bool = False,
    ) -> str:
        """Add a node; gives its name, which is another where that is a layer's, or the path of layers."""
        while not reserved and name in self.taken:
            name += "_"
        self.taken.add(name)
        node = self.graph.node.add(name=name, op=kind, input=inputs)
        sizes = node.attr["_output_shapes"].list.shape.add()
        for size in (-1, *shape):
            sizes.dim.add(size=size)
        for key, value in (arguments or {}).items():
            node.attr[key].s = str(value).encode()
        return name

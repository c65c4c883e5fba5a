"""A network's graph in TensorBoard's log, drawn from the plan: its nodes are the spec's, by their paths."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from archspec.foundation.shapes import Shape
from archspec.plan.graph import GraphInput, GraphLayer, GraphNode, GraphWire
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
    one for each input, and one for the output and each tensor that is given beside it. A layer that is shared has a
    node for each use; all but the first say whose weights they have.
    """
    return _Drawing(plan).graph


class _Drawing:
    def __init__(self, plan: Plan) -> None:
        from tensorboard.compat.proto.graph_pb2 import GraphDef

        self.graph: Any = GraphDef()
        self.taken: set[str] = {item.path.replace(".", "/") for item in plan.layers}
        self.taken |= {name[:end] for name in self.taken for end, sign in enumerate(name) if sign == "/"}
        self.names: dict[int, str] = {}
        for node in plan.graph.nodes:
            if not isinstance(node, GraphWire):
                self.names[node.id] = self._make_node(node)
        self._node("output", "output", [self.names[plan.graph.output]], plan.output)
        for one, id in plan.graph.named_outputs:
            self._node(f"output_{one.name}", "output", [self.names[id]], one.shape)

    def _make_node(self, node: GraphNode) -> str:
        """Draw an input, a layer or a merge; gives its name."""
        path = node.path.replace(".", "/")
        sources = [self.names[id] for id in node.sources]
        if isinstance(node, GraphLayer):
            layer = node.layer
            arguments = layer.arguments | {"parameters": node.params, "MACs": layer.macs}
            if node.module != node.path:
                arguments["shared with"] = node.module
            name = path or layer.primitive
            return self._node(name, layer.primitive, sources, layer.output, arguments, reserved=True)
        own = node.name or node.kind if isinstance(node, GraphInput) else node.kind
        return self._node(f"{path}/{own}" if path else own, node.kind, sources, node.output)

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

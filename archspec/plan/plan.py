"""The plan: everything about a network but its weights, known without torch, and never changed once made."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from archspec.foundation.figures import show_macs
from archspec.foundation.frozen import Pairs, as_json
from archspec.foundation.shapes import Shape, show
from archspec.language.inputs import UNNAMED, Input, show_inputs
from archspec.plan.nodes import Group, NamedOutput, Node

if TYPE_CHECKING:
    from collections.abc import Callable

    # the graph is asked for after a check, if at all
    from archspec.plan.graph import Graph, GraphGroup, GraphLayer, GraphNode


@dataclass(frozen=True, repr=False)
class Plan:
    """A network with every layer's shapes, parameters and multiply-accumulate operations (MACs). It never changes.

    Shapes are those of one sample, without the batch: `(channels, height, width)`, `(tokens, features)` or
    `(features,)`.

    Example:
        ```python
        plan = archspec.load("resnet18").plan
        max(plan.layers, key=lambda layer: layer.params).path  # where most parameters are
        ```
    """

    name: str
    """The network's name."""
    variant: str | None
    """The variant of the file, or `None`."""
    file: str
    """The file that describes it."""
    takes: tuple[Input, ...]
    """Its inputs. `inputs` gives their shapes."""
    root: Node
    """The network as a tree. Its classes are internal: use `layers` or `to_dict`."""
    description: str = ""
    """The `description` of the file."""
    source: str = ""
    """The `source` of the file, a paper for example."""
    vars: Pairs = ()
    """The values of the file's variables, as pairs of name and value."""
    docs: tuple[tuple[str, str, str], ...] = ()
    """What the file says of its own blocks: name, `doc` and `source` of each that has a `doc`."""

    _picture: ClassVar[Callable[[Plan], str] | None] = None
    """What draws it as SVG: `archspec.spec` sets it, since what draws plans stands above them."""

    @property
    def input(self) -> Shape:
        """The shape of one sample; of several inputs, that of the first, with which the network begins."""
        return self.takes[0].shape

    @property
    def inputs(self) -> dict[str, Shape]:
        """The shapes of all inputs by name, in the order of the file; `input` is the name of one that has none."""
        return {one.name or UNNAMED: one.shape for one in self.takes}

    @property
    def output(self) -> Shape:
        """The shape of the main output for one sample."""
        return self.root.output

    @property
    def params(self) -> int:
        """The number of trainable parameters."""
        return self.root.params

    @property
    def macs(self) -> int:
        """The MACs for one sample, of convolutions and matrix products; auxiliary classifiers are not counted."""
        return self.root.macs

    @property
    def figures(self) -> str:
        """Its shapes, parameters and MACs in a line."""
        return f"{show_inputs(self.takes)} → {show(self.output)}, {self.params:,} parameters, {show_macs(self.macs)}"

    def __repr__(self) -> str:
        return f"<Plan {self.title}: {self.figures}>"

    def _repr_svg_(self) -> str | None:
        """How a notebook shows it."""
        picture = type(self)._picture
        return picture(self) if picture else None

    def _repr_html_(self) -> str | None:
        """How a notebook shows it that prefers HTML: the picture, with its name and figures above it."""
        from html import escape

        picture = self._repr_svg_()
        if picture is None:
            return None
        return f"<figure><figcaption><b>{escape(self.title)}</b> {self.figures}</figcaption>{picture}</figure>"

    @property
    def title(self) -> str:
        """The name, with the variant where there is one."""
        return f"{self.name} ({self.variant})" if self.variant else self.name

    @cached_property
    def graph(self) -> Graph:
        """Every node in its place, with its edges; made when it is first asked for."""
        from archspec.plan.walk import make_graph

        return make_graph(self.root, self.takes)

    @property
    def layers(self) -> tuple[GraphLayer, ...]:
        """Every layer in the order of execution."""
        return self.graph.layers

    @property
    def outputs(self) -> dict[str, Shape]:
        """The shapes of the named outputs, which the network gives beside its main one."""
        return {one.name: one.shape for one in self.root.named_outputs if one.weight is None}

    @property
    def aux(self) -> dict[str, NamedOutput]:
        """The auxiliary classifiers by name, each with its shape and the weight of its loss."""
        return {one.name: one for one in self.root.named_outputs if one.weight is not None}

    def without_aux(self) -> Plan:
        """The same network without its auxiliary classifiers."""
        return replace(self, root=_without_aux(self.root, {})) if self.aux else self

    def to_dict(self) -> dict[str, Any]:
        """The whole plan as JSON types."""
        return {
            "name": self.name,
            "variant": self.variant,
            "description": self.description,
            "source": self.source,
            "file": self.file,
            "vars": as_json(dict(self.vars)),
            "input": list(self.input),
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "output": list(self.output),
            "outputs": {name: list(shape) for name, shape in self.outputs.items()},
            "aux": {name: {"output": list(one.shape), "weight": one.weight} for name, one in self.aux.items()},
            "params": self.params,
            "macs": self.macs,
            "layers": [_layer_dict(item) for item in self.layers],
            "graph": _graph_dict(self.graph),
        }


def _without_aux(node: Node, done: dict[int, Node]) -> Node:
    """A part of a plan less its auxiliary classifiers; parts that were one object stay one."""
    if not isinstance(node, Group) or not any(one.weight is not None for one in node.named_outputs):
        return node
    if node.kind == "aux":  # as a branch of a merge it still passes its input on
        return Group("sequence", (), node.input, node.output, node.mark)
    if id(node) not in done:
        sides = [isinstance(one, Group) and one.kind == "aux" for _, one in node.children]
        kept = [child for child, side in zip(node.children, sides, strict=True) if node.is_merge or not side]
        done[id(node)] = replace(node, children=tuple((key, _without_aux(child, done)) for key, child in kept))
    return done[id(node)]


def _layer_dict(item: GraphLayer) -> dict[str, Any]:
    layer = item.layer
    return {
        "path": item.path,
        "module": item.module,
        "primitive": layer.primitive,
        "arguments": as_json(layer.arguments),
        "input": list(layer.input),
        "output": list(layer.output),
        "parameters": {name: list(shape) for name, shape in layer.parameters},
        "params": item.params,
        "macs": layer.macs,
        "aux": item.aux,
        "recompute": layer.recompute,
        "init": {name: {function: dict(arguments)} for name, (function, arguments) in layer.init},
        "file": layer.mark.text.name,
        "line": layer.mark.line,
        "column": layer.mark.column,
        "calls": [frame.label + (f", from {frame.mark}" if frame.mark else "") for frame in item.calls],
    }


def _graph_dict(graph: Graph) -> dict[str, Any]:
    """The edges, by the numbers of nodes; what a layer is stands under its path in `layers`."""
    return {
        "nodes": [_node_dict(node, graph.groups) for node in graph.nodes],
        "groups": [_group_dict(group) for group in graph.groups],
        "output": graph.output,
        "outputs": {one.name: id for one, id in graph.named_outputs if one.weight is None},
        "aux": {one.name: id for one, id in graph.named_outputs if one.weight is not None},
    }


def _node_dict(node: GraphNode, groups: tuple[GraphGroup, ...]) -> dict[str, Any]:
    from archspec.plan.graph import GraphInput, GraphLayer, GraphPart, GraphWire

    more: dict[str, Any] = {"module": node.module} if isinstance(node, GraphLayer) else {}
    if isinstance(node, GraphWire):
        more = {"name": node.name, "saved": node.saved}
    if isinstance(node, GraphInput):
        more = {"name": node.name or UNNAMED}
    if isinstance(node, GraphPart):
        more = {"axis": node.axis, "start": node.start, "stop": node.stop}
    if node.kind == "concat" and node.parent is not None:
        more = {"axis": groups[node.parent].node.axis}
    if node.kind == "attend" and node.parent is not None:
        more = asdict(groups[node.parent].node.attention)
    return {
        "id": node.id,
        "kind": node.kind,
        "path": node.path,
        "sources": list(node.sources),
        "output": list(node.output),
        "parent": node.parent,
        "aux": node.aux,
        **more,
    }


def _group_dict(item: GraphGroup) -> dict[str, Any]:
    group = item.node
    return {
        "id": item.id,
        "kind": group.kind,
        "path": item.path,
        "module": item.module,
        "parent": item.parent,
        "start": item.start,
        "stop": item.stop,
        "source": item.source,
        "result": item.result,
        "block": group.block or None,
        "arguments": as_json(group.arguments),
        "recompute": group.recompute,
        "params": group.params,
        "macs": group.macs,
        "aux": item.aux,
    }

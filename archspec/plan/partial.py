"""What is known of a network that has something wrong: its sound parts, and the places of which nothing is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from archspec.foundation.errors import Diagnostic, Mark
from archspec.foundation.frozen import as_json
from archspec.foundation.shapes import Shape
from archspec.language.syntax import Invalid, SyntaxNode
from archspec.plan.nodes import Group, Layer, Node


@dataclass(slots=True, eq=False)
class Visited:
    """A node that elaboration has visited, and what became of it."""

    key: str
    mark: Mark
    input: Shape | None
    wrong: bool = False
    """Whether an error was found in it, and does not follow from one before it."""
    node: Node | None = None
    """`None` where it is wrong, or depends on what is."""
    output: Shape | None = None
    inner: list[Visited] = field(default_factory=list)


class Recorder:
    """Follows elaboration from node to node, also through what is wrong."""

    def __init__(self, *, whole: bool = False) -> None:
        self.whole = whole  # whether what stands in sound nodes is kept too
        self.root: Visited | None = None
        self.open: list[Visited] = []

    def enter(self, key: str, node: SyntaxNode, shape: Shape | None) -> Visited:
        visited = Visited(key, node.body.mark, shape, isinstance(node.body, Invalid))
        if self.open:
            self.open[-1].inner.append(visited)
        else:
            self.root = visited
        self.open.append(visited)
        return visited

    def leave(self, visited: Visited, node: Node | None, output: Shape | None, *, wrong: bool) -> None:
        self.open.pop()
        visited.node, visited.output, visited.wrong = node, output, visited.wrong or wrong
        if node is not None and not self.whole:
            visited.inner = []

    def leave_out(self) -> None:
        """Forget the node that was entered last: it is absent."""
        self.open.pop()
        if self.open:
            self.open[-1].inner.pop()


@dataclass(frozen=True, slots=True)
class PartialPart:
    """A sound part of a network in its place, or a node of which nothing is known."""

    path: str
    node: Node | None = field(repr=False)
    """`None`: nothing is known but what reaches it."""
    mark: Mark = field(repr=False)
    """Where it is written."""
    input: Shape | None
    """The shape of the tensor that reaches it, where that is known."""
    output: Shape | None
    """The shape of what it passes on, where that is known."""
    wrong: bool = False
    """Whether an error stands in it; else it depends on what another one hides."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """What an error hides: how many nodes, as written, are unknown because of it, and in which lines they stand."""

    nodes: int
    first_line: int
    last_line: int

    def to_dict(self) -> dict[str, int]:
        """As JSON types."""
        return {"nodes": self.nodes, "first_line": self.first_line, "last_line": self.last_line}


@dataclass(frozen=True)
class PartialPlan:
    """What is known of a network of which something is wrong."""

    name: str
    variant: str | None
    file: str
    input: Shape | None
    parts: tuple[PartialPart, ...] = field(repr=False)
    """In the order of execution."""

    @property
    def unknown(self) -> tuple[PartialPart, ...]:
        """The nodes of which nothing is known."""
        return tuple(part for part in self.parts if part.node is None)

    def layers(self) -> Iterator[tuple[str, Layer]]:
        """The layers that are known, each with its path, in the order of execution."""
        for part in self.parts:
            if part.node is not None:
                yield from _layers(part.node, part.path)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "name": self.name,
            "variant": self.variant,
            "file": self.file,
            "input": None if self.input is None else list(self.input),
            "layers": [_layer_dict(path, layer) for path, layer in self.layers()],
            "unknown": [_unknown_dict(part) for part in self.unknown],
        }

    def hidden_by(self, diagnostics: tuple[Diagnostic, ...]) -> dict[Diagnostic, Hidden]:
        """What each error hides, itself included; those that hide nothing are absent."""
        places: dict[Diagnostic, set[tuple[int, int]]] = {}
        own = [one for one in diagnostics if one.mark is not None and one.mark.text.name == self.file]
        cause = min(own, key=_position, default=None)
        for part in self.unknown:
            at = (part.mark.line, part.mark.column)
            if part.wrong:
                behind = [one for one in own if _position(one) >= at]
                cause = min(behind, key=_position, default=cause)
            if cause is not None and part.mark.text.name == self.file:
                places.setdefault(cause, set()).add(at)
        lines = {one: [line for line, _ in found] for one, found in places.items()}
        return {one: Hidden(len(places[one]), min(found), max(found)) for one, found in lines.items()}


def _position(diagnostic: Diagnostic) -> tuple[int, int]:
    mark = diagnostic.mark
    return (mark.line, mark.column) if mark else (0, 0)


def flatten(visited: Visited, path: str = "") -> Iterator[PartialPart]:
    """The sound parts of what was visited, and the nodes of which nothing is known."""
    place = f"{path}.{visited.key}" if path and visited.key else path or visited.key
    if visited.node is not None:
        yield PartialPart(place, visited.node, visited.mark, visited.input, visited.node.output)
        return
    inner = visited.inner
    if inner and inner[0].mark.in_library and not visited.mark.in_library:
        inner = []  # of a block of the library, nobody who reads an error has written the parts
    for one in inner:
        yield from flatten(one, place)
    if all(one.node is not None for one in inner):
        yield PartialPart(place, None, visited.mark, visited.input, visited.output, visited.wrong)


def _layers(node: Node, path: str) -> Iterator[tuple[str, Layer]]:
    if isinstance(node, Layer):
        yield path, node
    elif isinstance(node, Group):
        for key, child in node.children:
            yield from _layers(child, f"{path}.{key}" if path and key else path or key)


def _layer_dict(path: str, layer: Layer) -> dict[str, Any]:
    return {
        "path": path,
        "primitive": layer.primitive,
        "arguments": as_json(layer.arguments),
        "input": list(layer.input),
        "output": list(layer.output),
        "params": layer.params,
        "macs": layer.macs,
        "file": layer.mark.text.name,
        "line": layer.mark.line,
    }


def _unknown_dict(part: PartialPart) -> dict[str, Any]:
    return {
        "path": part.path,
        "input": None if part.input is None else list(part.input),
        "output": None if part.output is None else list(part.output),
        "wrong": part.wrong,
        "file": part.mark.text.name,
        "line": part.mark.line,
        "column": part.mark.column,
    }

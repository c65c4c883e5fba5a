"""What is worth saying of sound networks: layers that are hardly meant, and nodes that stand in none of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from archspec.foundation.errors import Fault, Mark
from archspec.foundation.report import Report
from archspec.foundation.source import List, Mapping, Scalar, Value, values_within
from archspec.language.names import ROLES
from archspec.language.syntax import parse_expression
from archspec.layers.primitive import Primitive
from archspec.layers.registry import primitives
from archspec.plan.nodes import Group, Layer, Node


@dataclass
class Places:
    """What networks hold: where their nodes stand, as `id`s of marks, and the kinds of their layers."""

    taken: set[int] = field(default_factory=set)
    empty: set[int] = field(default_factory=set)
    """Of groups that hold nothing, such as loops of no pass."""
    primitives: set[str] = field(default_factory=set)


def note_remarks(networks: Iterable[Node], report: Report) -> Places:
    """Note what primitives say of their layers, each once, at the first. Returns where the nodes stand."""
    speaking = {name: one for name, one in primitives().items() if type(one).remark is not Primitive.remark}
    seen: set[int] = set()  # of nodes, and of the arguments of layers, which equal layers on equal inputs share
    places = Places()
    remarks: set[str] = set()
    waiting: list[tuple[Node, Mark]] = [(network, network.mark) for network in networks]
    while waiting:
        node, near = waiting.pop()
        if type(node) is Group:
            if node.kind == "block" and not node.mark.in_library:
                near = node.mark
            for words, at in _joined_otherwise(node):
                if words not in remarks:
                    remarks.add(words)
                    report.note(words, near if at.in_library else at)
            for _, child in reversed(node.children):
                if id(child) not in seen:
                    seen.add(id(child))
                    waiting.append((child, near))
            (places.taken if node.children else places.empty).add(id(node.mark))
            continue
        places.taken.add(id(node.mark))
        if type(node) is Layer:
            places.primitives.add(node.primitive)
            speaker = speaking.get(node.primitive)
            if speaker is None or id(node.frozen_arguments) in seen:
                continue
            seen.add(id(node.frozen_arguments))
            said = speaker.remark(node.arguments, node.input)
            if said and said not in remarks:
                remarks.add(said)
                report.note(said, near if node.mark.in_library else node.mark)
    return places


def _joined_otherwise(group: Group) -> Iterator[tuple[str, Mark]]:
    """Of layers in a sequence that take the branches of the `concat` before them: those that take it for others."""
    if group.kind != "sequence":
        return
    for (_, before), (_, node) in pairwise(group.children):
        argument = primitives()[node.primitive].joined if type(node) is Layer else ""
        if not argument or type(before) is not Group or before.kind != "concat" or type(node) is not Layer:
            continue
        channels = [branch.output[0] for _, branch in before.children]
        count = node.arguments[argument]
        if before.axis == 0 and channels != [node.output[0]] * count:
            given = f"{len(channels)} branches of {', '.join(map(str, channels[:MANY]))} channels"
            said = f"`{node.primitive}` takes {count} branches of {node.output[0]}"
            yield f"{said}, but the `concat` before it joins {given}", node.mark


MANY = 8  # branches, of which the channels are shown


def note_absent(value: Value, places: Places, report: Report, *, has_variants: bool) -> None:
    """Note what stands in a file's `network`, or in a part of it, and in none of its variants.

    What depends on a variable may be a switch that is off, unless there are variants none of which turns it on.
    """
    if isinstance(value, Mapping) and (found := _find_cause(value, places)):
        mark, why, decides = found
        if has_variants or not any(map(_depends, decides)):
            report.note(f"nothing stands here{' in any variant' if has_variants else ''}: {why}", mark)
        return
    for one in values_within(value):
        note_absent(one, places, report, has_variants=has_variants)


def _find_cause(mapping: Mapping, places: Places) -> tuple[Mark, str, list[Value]] | None:
    """Why no network has anything of what a mapping holds, where it says so, and by which values; else `None`."""
    words = [word for word in ("for", "repeat", "when") if word in mapping.entries]
    content = mapping.without("when", "repeat")
    if not words or _may_vanish(content):
        return None
    own = [at for key, (at, _) in mapping.entries.items() if key not in ("when", "repeat")]
    if "for" in words:
        content = Mapping(mapping.mark, {"body": mapping.entries["body"]} if "body" in mapping.entries else {})
    if not places.taken.isdisjoint(map(id, _list_marks(content))):
        return None
    looped = not places.empty.isdisjoint(map(id, own))
    word = words[0] if looped or "when" not in words else "when"
    why = {"for": "its `for` makes no pass", "repeat": "its `repeat` is 0", "when": "its `when` is false"}[word]
    mark, decides = mapping.entries[word]
    return mark, why, [decides]


def _may_vanish(content: Value) -> bool:
    """Whether what stands in a value may be no node though it is taken: an empty list, a role, or a formula's layer."""
    if isinstance(content, List):
        return all(map(_may_vanish, content.items))
    if isinstance(content, Mapping):
        inner = content.get("body")
        vanishing = any(word in content.entries for word in (*ROLES, "use", "let", "share"))
        return vanishing or (inner is not None and _may_vanish(inner))
    return isinstance(content, Scalar) and (content.value in ROLES or str(content.value).startswith("="))


def _list_marks(value: Value) -> Iterator[Mark]:
    """The places of everything in a value that may be a node."""
    if isinstance(value, List):
        yield value.mark
        for item in value.items:
            yield from _list_marks(item)
    elif isinstance(value, Mapping):
        for at, inner in value.entries.values():
            yield at
            yield from _list_marks(inner)
    else:
        yield value.mark


def _depends(value: Value) -> bool:
    """Whether a value depends on variables, or on what is around it."""
    try:
        return bool(parse_expression(value).names)
    except Fault:
        return True

"""What several trees have in common: one template, with what differs as rows of values, one for each tree."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from itertools import pairwise
from typing import Any

from archspec.exports.python import series
from archspec.exports.python.passes import align, continue_shares
from archspec.exports.python.template import ANY, MERGES, Function, Mismatch, Template, walk
from archspec.exports.python.tree import NO_PORTS, POSITIONAL, Tree, defaults, parts


def unify(trees: Sequence[Tree | None]) -> Template:
    """The template of trees, some of which may be absent. Raises `Mismatch`."""
    does_nothing = _differ(trees)
    if does_nothing:
        trees = [None if one is not None and _is_empty(one) else one for one in trees]
    there = [one for one in trees if one is not None]
    present = tuple(one is not None for one in trees)
    kind, recompute = _same(one.kind for one in there), _same(one.recompute for one in there)
    if kind == "call":
        template = _call(trees, there, present)
    elif kind == "loop":
        template = _loop(trees, there, present)
    else:
        name = _same(one.name for one in there)
        template = Template(kind, name, present)
        for slot in _same(tuple(name for name, _ in one.slots) for one in there):  # the axis or split of a merge
            row = tuple(ANY if one is None else dict(one.slots)[slot] for one in trees)
            template.slots.append((slot, row))
        template.children = _named(trees) if not _numbered(there) else _in_order(trees)
    template.recompute = recompute
    template.ports = _same(one.ports for one in there)
    if template.is_optional and template.ports != NO_PORTS:
        raise Mismatch  # nothing stands in its place that takes as many tensors
    template.is_identity = does_nothing
    return template


def _is_empty(tree: Tree) -> bool:
    return tree.kind in ("sequence", "loop") and not tree.children


def _differ(trees: Sequence[Tree | None]) -> bool:
    """Whether some, but not all, do nothing."""
    empty = [_is_empty(one) for one in trees if one is not None]
    return any(empty) and not all(empty)


def _same(values: Iterable[Any]) -> Any:
    first, *others = values
    if any(one != first for one in others):
        raise Mismatch
    return first


def _numbered(trees: Sequence[Tree]) -> bool:
    return all(key.isdigit() for tree in trees for key, _ in tree.children)


def _call(trees: Sequence[Tree | None], there: Sequence[Tree], present: tuple[bool, ...]) -> Template:
    names = {one.name for one in there}
    slots: dict[str, None] = {}
    for one in there:
        slots |= dict.fromkeys(name for name, _ in one.slots)
    template = Template("call", there[0].name, present)
    if len(names) > 1:
        if any(not name.startswith("nn.") for name in names) or len({one.slots for one in there}) > 1:
            raise Mismatch
        template.functions = tuple(ANY if one is None else Function(one.name) for one in trees)
    for name in slots:
        template.slots.append((name, tuple(ANY if tree is None else _argument(tree, name) for tree in trees)))
    if "." in template.name:
        arguments = [*POSITIONAL.get(template.name, ()), *defaults(template.name)]
        order = {name: place for place, name in enumerate(arguments)}
        template.slots.sort(key=lambda slot: order.get(slot[0], -1))
    return template


def _argument(tree: Tree, name: str) -> Any:
    """An argument of a call, given or left out. Raises `Mismatch` where it has none."""
    values = left_out(tree.name) | dict(tree.slots)
    if name not in values:
        raise Mismatch
    return values[name]


CLASSES: ContextVar[dict[str, dict[str, Any]]] = ContextVar("CLASSES")
"""The defaults of the classes that are written already; `write` has its own."""


def left_out(function: str) -> dict[str, Any]:
    """The arguments of a class that may be left out, and what they are then."""
    written = CLASSES.get()
    return written[function] if function in written else defaults(function)


def _named(trees: Sequence[Tree | None]) -> list[tuple[str, Template]]:
    keys = _merged([[key for key, _ in one.children] for one in trees if one is not None])
    children = [None if one is None else dict(one.children) for one in trees]
    return [(key, unify([None if one is None else one.get(key) for one in children])) for key in keys]


def _merged(lists: list[list[str]]) -> list[str]:
    """All words of lists, in an order that is each list's own. Raises `Mismatch` where there is none."""
    if all(words == lists[0] for words in lists):
        return lists[0]
    before: dict[str, set[str]] = {word: set() for words in lists for word in words}
    for words in lists:
        for word, following in pairwise(words):
            before[following].add(word)
    merged: list[str] = []
    while before:
        free = next((one for one, others in before.items() if others.isdisjoint(before)), None)
        if free is None:
            raise Mismatch
        merged.append(free)
        del before[free]
    return merged


def _in_order(trees: Sequence[Tree | None]) -> list[tuple[str, Template]]:
    """Children that are known by their place, which those that are left out have too."""
    children = [None if one is None else dict(one.children) for one in trees]
    keys = sorted({key for one in children if one is not None for key in one}, key=int)
    return [(key, unify([None if one is None else one.get(key) for one in children])) for key in keys]


# --- loops ---------------------------------------------------------------------------------------------------------


def _loop(trees: Sequence[Tree | None], there: Sequence[Tree], present: tuple[bool, ...]) -> Template:
    template = Template("sequence", "", present)
    lists = [None if one is None else [child for _, child in one.children] for one in trees]
    longest = max(len(one) for one in lists if one is not None)
    if longest > 1 and all(one.is_plain and not one.recompute for tree in there for _, one in tree.children):
        pairs = (_as_table, _as_list) if all(one is None or len(one) == 2 for one in lists) else ()
        for split in (_as_range, *pairs, _first_then_range, _as_table, _as_list, _as_tables):
            try:
                template.children = split(lists)
            except Mismatch:
                continue
            return template
    template.children = _in_order(trees)
    if len(there) == 1 and _is_long([one for _, one in there[0].children]) and not there[0].is_plain:
        with contextlib.suppress(Mismatch):
            element = unify([stripped(child) for _, child in there[0].children])
            template.table = Template("table", "", (True,), [("count", (longest,))], [("", element)])
    return template


def _is_long(passes: Sequence[Tree]) -> bool:
    """Whether the passes of a loop are worth one: there are three, or two that are long."""
    return len(passes) > 2 or (len(passes) == 2 and sum(1 for _ in parts(passes[0])) > 7)


def stripped(tree: Tree) -> Tree:
    """A tree without the names of the tensors that it leads elsewhere."""
    children = tuple((key, stripped(child)) for key, child in tree.children)
    if tree.kind in ("save", "load", "output", "shared"):
        return Tree(tree.kind)
    return replace(tree, children=children, ports=NO_PORTS)


def _range(lists: Sequence[list[Tree] | None]) -> Template:
    counts = tuple(ANY if one is None else len(one) for one in lists)
    element = unify([_series(one) if one else None for one in lists])
    if element.kind not in ("call", "sequence", *MERGES):
        raise Mismatch
    element.present = (True,) * len(lists)
    align(element, counts)
    return Template("range", "", tuple(one is not None for one in lists), [("count", counts)], [("", element)])


def _as_range(lists: Sequence[list[Tree] | None]) -> list[tuple[str, Template]]:
    if any(one is not None and not one for one in lists):
        raise Mismatch
    return [("0", _range(lists))]


def _first_then_range(lists: Sequence[list[Tree] | None]) -> list[tuple[str, Template]]:
    if max(len(one) for one in lists if one is not None) < 3 and len(lists) == 1:
        raise Mismatch
    if any(one is not None and not one for one in lists):
        raise Mismatch
    first = unify([one[0] if one else None for one in lists])
    rest = _range([None if one is None else one[1:] for one in lists])
    rest.name = "rest"
    continue_shares(first, rest)
    return [("0", first), ("1", rest)]


def _as_table(lists: Sequence[list[Tree] | None]) -> list[tuple[str, Template]]:
    if len(lists) > 1 or lists[0] is None or not _is_long(lists[0]):
        raise Mismatch
    element = unify(lists[0])
    if element.is_optional:
        raise Mismatch
    return [("0", Template("table", "", (True,), [("count", (len(lists[0]),))], [("", element)]))]


_MOST = 32
"""The most passes of which groups are sought: it takes the square of their number."""


def _as_tables(lists: Sequence[list[Tree] | None]) -> list[tuple[str, Template]]:
    """Passes of several kinds, one kind after the other: stages of two blocks, say."""
    if len(lists) > 1 or lists[0] is None or len(lists[0]) > _MOST:
        raise Mismatch
    groups: list[list[Tree]] = []
    for one in lists[0]:
        if groups and _is_alike([*groups[-1], one]):
            groups[-1].append(one)
        else:
            groups.append([one])
    parts: list[Template] = []
    for group in groups:
        try:
            parts += [part for _, part in _as_table([group])]
        except Mismatch:
            parts += [unify([one]) for one in group]
    if len(parts) == len(lists[0]):
        raise Mismatch
    return [(str(place), part) for place, part in enumerate(parts)]


def _is_alike(trees: list[Tree]) -> bool:
    """Whether trees are passes of one loop."""
    try:
        return not unify(trees).is_optional
    except Mismatch:
        return False


def _as_list(lists: Sequence[list[Tree] | None]) -> list[tuple[str, Template]]:
    """The same passes in all trees, which follow no rule."""
    counts = {len(one) for one in lists if one is not None}
    if len(counts) > 1 or not all(_is_long(one) for one in lists if one is not None):
        raise Mismatch
    element = unify([None if one is None else _series(one, series.find_listed) for one in lists])
    rows = [row for one in walk(element) for _, row in one.slots]
    if any(isinstance(one, series.Listed) and one != other for row in rows for one in row for other in row):
        raise Mismatch
    element.present = (True,) * len(lists)
    present = tuple(one is not None for one in lists)
    return [("0", Template("range", "", present, [("count", (counts.pop(),) * len(lists))], [("", element)]))]


def _series(passes: list[Tree], find: Callable[[list[Any]], Any] = series.find) -> Tree:
    """One tree for several, in which values may be series. Raises `Mismatch`."""
    first = passes[0]
    if any((one.kind, one.name, len(one.children)) != (first.kind, first.name, len(first.children)) for one in passes):
        raise Mismatch
    names: dict[str, None] = {}
    for one in passes:
        names |= dict.fromkeys(name for name, _ in one.slots)
    slots = []
    for name in names:
        standard = left_out(first.name)
        values = []
        for one in passes:
            given = dict(one.slots)
            if name not in given and name not in standard:
                raise Mismatch
            values.append(given[name] if name in given else standard[name])
        found = find(values)
        if found is None and any(one is not None for one in values):
            raise Mismatch
        slots.append((name, found))
    children = []
    for i, (key, _) in enumerate(first.children):
        if any(one.children[i][0] != key for one in passes):
            raise Mismatch
        children.append((key, _series([one.children[i][1] for one in passes], find)))
    return Tree(first.kind, first.name, tuple(slots), tuple(children), first.recompute)

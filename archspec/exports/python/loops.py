"""Loops of `forward`: passes that do the same, with tensors that each of them saves or loads by a name of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from archspec.exports.python.parts import form
from archspec.exports.python.template import Template, walk

_UNUSED = "unused:"
"""What the last pass of a loop saves as the others do, and nothing loads; no tensor of a spec is called so."""
Names = tuple[str, ...]
"""What a tensor is called in the spec, in each pass."""


@dataclass
class Passes:
    """What passes have in common: the first, and what the names in it stand for in each."""

    element: Template
    lists: list[Names] = field(default_factory=list)
    """Saved by each pass for what follows the loop."""
    inner: list[Names] = field(default_factory=list)
    """Saved and loaded in the same pass."""
    loaded: list[Names] = field(default_factory=list)
    """Loaded by each pass, from before the loop."""
    carried: list[str] = field(default_factory=list)
    """Saved by each pass in the place of what the one before it saved."""
    outputs: list[Names] = field(default_factory=list)
    """Put out by each pass."""
    start: str = ""
    """The saved tensor that each pass begins with, if that is not the result of the one before it."""


def find_passes(loop: Template, wanted: set[str], later: set[str]) -> Passes | None:
    """What the passes of a loop have in common, if all do the same.

    `wanted` are names that are loaded elsewhere, `later` those that are loaded after the loop.
    """
    passes, start = _evened([child for _, child in loop.children], later)
    if not all(one.has_modules for one in passes) or len({_shape(one) for one in passes}) > 1:
        return None
    nested = (one for passing in passes for one in walk(passing) if one.table)
    if any(_outputs(one) or any(kind == "save" for kind, _ in _events(one)) for one in nested):
        return None
    events = [list(_events(one)) for one in passes]
    if any(_sources(one) != _sources(events[0]) for one in events):
        return None
    found = Passes(passes[0], start=start)
    for names in zip(*(_outputs(one) for one in passes), strict=True):
        found.outputs.append(names)
    saved = {name for one in events for kind, name in one if kind == "save"}
    sources = _sources(events[0])
    for place, (kind, _) in enumerate(events[0]):
        names = tuple(one[place][1] for one in events)
        is_same, differ = len(set(names)) == 1, len(set(names)) == len(names)
        if kind == "save":
            if sum(set(names) <= set(kept) for kept in (*found.lists, *found.inner)) or names[0] in found.carried:
                return None  # saved twice
            if is_same:
                found.carried.append(names[0])
            elif differ and wanted.isdisjoint(names):
                found.inner.append(names)
            elif differ:
                found.lists.append(names)
            else:
                return None
        elif sources[place] < 0 and not is_same:
            if not differ or not saved.isdisjoint(names):
                return None
            if names not in found.loaded:
                found.loaded.append(names)
        elif sources[place] < 0 and names[0] in saved and any(("save", names[0]) not in one for one in events):
            return None
    return found


def _evened(passes: list[Template], later: set[str]) -> tuple[list[Template], str]:
    """Passes of which the last may lack what the others end with: what they save, or load for the next one.

    A pass that ends with the load of a tensor that each of them saves is written as one that begins with it, and gives
    what it had before. Returns that tensor's name too.
    """
    first, *others = passes
    last = passes[-1]
    if not others or any(one.kind != "sequence" for one in passes) or not set(_keys(last)) < set(_keys(first)):
        return passes, ""
    if form(first) != form(last):  # the last is one module, of which the others call each part
        return passes, ""
    present = dict(last.children)
    children, start = [], ""
    for key, child in first.children:
        names = {dict(one.children)[key].name for one in passes[:-1] if key in dict(one.children)}
        if key in present:
            children.append((key, present[key]))
        elif child.kind == "save" and not (len(names) == 1 and child.name in later):
            children.append((key, replace(child, name=child.name if len(names) == 1 else _UNUSED)))
        elif child.kind == "load" and child is first.children[-1][1] and len(names) == 1:
            start = child.name
    if start and any(_keys(one) != _keys(first) or one.children[-1][1].kind != "load" for one in passes[:-1]):
        return passes, ""
    ended = [replace(last, children=children)]
    if start:
        begin = ("", Template("load", start, last.present))
        ended = [replace(last, children=[begin, *children])]
        passes = [replace(one, children=[begin, *one.children[:-1]]) for one in passes]
    return [*passes[:-1], *ended], start


def _keys(template: Template) -> list[str]:
    return [key for key, _ in template.children]


def _outputs(template: Template) -> list[str]:
    """The outputs that a pass makes, in order."""
    return [one.name for one in walk(template) if one.kind == "output"]


def _shape(template: Template) -> object:
    """What `forward` is written by, without the names of tensors."""
    refused = template.kind == "aux" or template.recompute or template.ports.outputs
    return (
        id(template) if refused else template.kind,
        template.name if template.kind == "shared" else "",
        len(template.ports.takes),
        len(template.ports.gives),
        tuple(template.slots) if template.kind not in ("call", "range", "table") else (),
        tuple((key, _shape(child)) for key, child in template.children),
    )


def _events(template: Template) -> Iterator[tuple[str, str]]:
    """The tensors that a pass loads and saves by name, in order."""
    if template.kind in ("save", "load"):
        yield template.kind, template.name
    for name in template.ports.takes:
        yield "load", name
    for name in template.ports.gives:
        yield "save", name
    for _, child in template.children:
        yield from _events(child)


def _sources(events: Sequence[tuple[str, str]]) -> list[int]:
    """For each event which one saved the tensor; what is from before the pass has numbers below 0."""
    last: dict[str, int] = {}
    sources = []
    for place, (kind, name) in enumerate(events):
        if kind == "save":
            last[name] = place
        sources.append(last.setdefault(name, -1 - place))
    return sources


def branch_of(template: Template, name: str, key: str = "") -> str:
    """The branch of a merge in which a tensor is loaded, if that branch has a name."""
    for inner, child in template.children:
        if any(one.kind == "load" and one.name == name for one in walk(child)):
            return branch_of(child, name, key if inner.isdigit() else inner)
    return key


def iterated(variables: Sequence[str], lengths: Mapping[str, int]) -> str:
    """Variables as what a loop goes through: a list of a known length, part of one, or a tuple."""
    listed = [one.removesuffix("]").partition("[") for one in variables]
    names = {name for name, bracket, _ in listed if bracket}
    if len(names) == 1 and all(index.isdigit() for _, _, index in listed):
        places = [int(index) for _, _, index in listed]
        (name,), low, high = names, min(places), max(places)
        part = name if (low, high + 1) == (0, lengths[name]) else f"{name}[{low or ''}:{high + 1}]"
        if places == list(range(low, high + 1)):
            return part
        if places == list(range(high, low - 1, -1)):
            return f"reversed({part})"
    return f"({', '.join(variables)})"


def singular(key: str) -> str:
    """What one pass of a loop is called."""
    return key[:-1] if key.endswith("s") and not key.endswith("ss") and len(key) > 3 else "level"

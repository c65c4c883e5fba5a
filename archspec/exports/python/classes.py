"""Templates as expressions: the calls that make modules, with what differs as names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from archspec.exports.python import series
from archspec.exports.python.explain import Scope
from archspec.exports.python.layout import Bracket, Chain, Expression, Loop, Named
from archspec.exports.python.parts import has_state, is_nothing
from archspec.exports.python.ratios import join_multiples
from archspec.exports.python.rows import literal
from archspec.exports.python.sizes import Size, size_before, size_taken
from archspec.exports.python.template import ANY, MERGES, Function, Mismatch, Template, walk
from archspec.exports.python.tree import POSITIONAL, Classes, parameters
from archspec.exports.python.unify import left_out


@dataclass
class Signature:
    """How a class of the file is called: its arguments with their rows, those with a default last."""

    name: str
    rows: dict[str, tuple[Any, ...]]
    defaults: dict[str, Any] = field(default_factory=dict)


SIGNATURES: ContextVar[dict[str, Signature]] = ContextVar("SIGNATURES")
"""The classes that are written already; `write` has its own."""


class Maker:
    """Makes expressions of the templates of one class, in two steps: values first, then conditions."""

    def __init__(self, scope: Scope, options: frozenset[str] = frozenset()) -> None:
        self.scope = scope
        self.options = options
        """The arguments of the block that say what a part is, and whether it is there."""
        self.texts: dict[tuple[int, str], str] = {}
        self.tests: dict[int, str] = {}
        self.shortcuts: dict[tuple[Any, ...], str] = {}
        """The conditions of shortcuts, by the trees that have them."""
        self.scopes: dict[int, Scope] = {}
        self.listed: dict[series.Listed, str] = {}
        """What loops go through, and what one of it is called."""
        self.needs: set[str] = set()
        """What the file has to hold besides: classes of layers and merges, names to import."""

    def resolve(
        self, template: Template, key: str = "", scope: Scope | None = None, before: Size | None = None
    ) -> None:
        """Find the text of each value; `before` is the size of what a part takes."""
        scope = scope or self.scope
        if template.kind == "table":
            inner = Scope(template.slots[0][1][0], table=True)
            inner.outer = {*scope.known, *scope.used, *scope.outer}
            self.scopes[id(template)] = inner
            self.resolve(template.children[0][1], key, inner)
            within = {id(one) for one in walk(template)}
            texts = {place: text for place, text in self.texts.items() if place[0] in within}
            join_multiples(inner, texts)
            self.texts |= texts
            return
        for slot, row in template.slots:
            if template.kind == "range":
                text = self.texts[id(template), slot] = self._count(template, row, scope)
                if text.isidentifier() or text.isdigit():
                    scope.passes = text, row
            else:
                text = size_taken(slot, row, before) or scope.value(slot, row)
                self.texts[id(template), slot] = text
                self.listed |= {one: text for one in row if isinstance(one, series.Listed)}
        if template.functions:
            row = template.functions
            if template.is_optional:
                row = tuple(None if one is ANY else one for one in row)
            name = scope.add(key if not key.isdigit() else "layer", row)
            self.texts[id(template), "function"] = name
            if template.is_optional:
                self.tests[id(template)] = f"{name} is not None"
        # what is always there first: it has values for what may be absent
        places = range(len(template.children))
        for place in sorted(places, key=lambda place: template.children[place][1].is_optional):
            inner_key, child = template.children[place]
            path = scope.path
            scope.path = (*path, inner_key)
            self.resolve(child, inner_key or key, scope, size_before(template, place, self.texts, before))
            scope.path = path
        if template.kind == "range":
            scope.passes = None
        if template.table:
            self.resolve(template.table, key, scope)

    def _count(self, template: Template, row: tuple[Any, ...], scope: Scope) -> str:
        if not template.name:
            return scope.value("depth", row)
        text = scope.value("depth", tuple(one if one is ANY else one + 1 for one in row))
        if template.name == "rest from 1":
            return f"1, {text}"
        return str(int(text) - 1) if text.isdigit() else f"{text} - 1"

    def decide(self, template: Template, key: str = "", scope: Scope | None = None) -> None:
        """Find the condition of each part that may be absent; shortcuts come first: other parts depend on them."""
        scope = self.scopes.get(id(template), scope or self.scope)
        for inner_key, child in sorted(template.children, key=lambda one: "shortcut" not in one[0]):
            if child.is_optional and id(child) not in self.tests and child.present != template.present:
                present = tuple(
                    one if there else ANY for one, there in zip(child.present, template.present, strict=True)
                )
                name = inner_key if not inner_key.isdigit() else snake(child.name)
                within = frozenset(word for text in self._texts(child) for word in re.findall(r"\w+", text))
                test = scope.test(name, present, self.options, within, self.shortcuts.get(present))
                self.tests[id(child)] = test
                if "shortcut" in inner_key:
                    self.shortcuts[present] = test
            self.decide(child, inner_key or key, scope)

    def _texts(self, template: Template) -> Iterator[str]:
        """The texts of the values in a part."""
        for slot, _ in template.slots:
            yield self.texts[id(template), slot]
        for _, child in template.children:
            yield from self._texts(child)

    # --- expressions ---------------------------------------------------------------------------------------------

    def module(self, template: Template) -> Expression:
        """What makes a module that takes one tensor and gives one."""
        if template.kind == "call":
            return self.call(template)
        if template.kind in MERGES:
            return self.merge(template)
        if template.kind != "sequence":
            raise Mismatch
        return self.sequence(template)

    def call(self, template: Template) -> Expression:
        function = template.name
        standard = left_out(function)
        written = SIGNATURES.get()
        places = written[function].rows if function in written else POSITIONAL.get(function) or parameters(function)
        needed = [name for name in places if name not in standard]
        keyed = len(needed) > 3 and function in written
        items: list[Expression] = []
        in_place = True
        for number, (slot, row) in enumerate(template.slots):
            given = [one for one in row if one is not ANY]
            constant = all(type(one) is type(given[0]) and one == given[0] for one in given)
            if slot in standard and constant and _same(given[0], standard[slot]):
                in_place = False
                continue
            text = self.texts[id(template), slot]
            place = slot in places or slot.startswith("_")
            if (
                place
                and in_place
                and (number == 0 or not keyed)
                and (slot not in standard or function.startswith("nn.") or slot == "kernel_size")
            ):
                items.append(text)
            else:
                items.append(f"{slot}={text}")
                in_place = False
        if "." not in function and function not in written:
            self.needs.add(function)
        return Bracket(self.texts.get((id(template), "function"), function), tuple(items))

    def merge(self, template: Template) -> Expression:
        name = template.kind.capitalize()
        self.needs.add(name)
        if any(child.is_optional for _, child in template.children):
            raise Mismatch
        items = [(key, self.module(child)) for key, child in template.children]
        if [key for key, _ in items] == [str(i) for i in range(len(items))]:
            return Bracket(name, tuple(item for _, item in items))
        if any(not key.isidentifier() for key, _ in items):
            inner = Bracket("", tuple(Named(f'"{key}": ', item) for key, item in items), "{}")
            return Bracket(name, (Named("**", inner),))
        return Bracket(name, tuple(Named(f"{key}=", item) for key, item in items))

    def sequence(self, template: Template) -> Expression:
        if not template.children:
            return Bracket("nn.Identity", ())
        if is_listed(template):
            return Bracket("nn.Sequential", tuple(self.items(template)))
        items = [(key, self.or_identity(child)) for key, child in template.children]
        if all(key.isidentifier() for key, _ in items):
            inner = Bracket("OrderedDict", tuple(Named(f"{key}=", item) for key, item in items))
        else:
            pairs = Bracket("", tuple(Named(f'"{key}": ', item) for key, item in items), "{}")
            inner = Bracket("OrderedDict", (pairs,))
        return Bracket("nn.Sequential", (inner,))

    def or_identity(self, template: Template) -> Expression:
        """A part, or what stands in its place where it is absent."""
        test = self.tests.get(id(template))
        item = self.module(template)
        return Chain((item, f"if {test}", "else nn.Identity()")) if test else item

    def items(self, template: Template) -> list[Expression]:
        """The parts of a sequence that are known by their places, loops among them."""
        items: list[Expression] = []
        last = max((int(key) for key, child in template.children if has_state(child)), default=-1)
        place = 0
        children = list(template.children)
        while len(children) > 1 and is_nothing(children[-1][1]):
            children.pop()
        for key, child in children:
            while place < int(key) <= last:  # what is left out has a place, by which others are counted
                items.append("nn.Identity()")
                place += 1
            place = int(key) + 1
            item = self.item(child)
            test = self.tests.get(id(child))
            if test is None:
                items.append(item)
            elif isinstance(item, Named):
                items.append(Bracket("*", (Chain((item.value, f"if {test}", "else []")),)))
            else:
                items.append(Chain((item, f"if {test}", "else nn.Identity()")))
        return items

    def item(self, template: Template) -> Expression:
        if template.kind == "range":
            element = self.module(template.children[0][1])
            if listed := _listed(template):
                return Named("*", Bracket("", (self.loop(element, listed),), "[]"))
            count = self.texts[id(template), "count"]
            uses = _uses_index(template.children[0][1])
            if count == "1" and not uses:
                return element
            loop = Loop(element, "i" if uses else "_", f"range({count})")
            return Named("*", Bracket("", (loop,), "[]"))
        if template.kind == "table":
            return Named("*", self.table(template, self.module(template.children[0][1])))
        return self.module(template)

    def loop(self, element: Expression, listed: list[series.Listed]) -> Loop:
        """A loop through values of which there is one for each pass."""
        rows: list[Expression] = []
        for values in zip(*(one.values for one in listed), strict=True):
            texts = tuple(map(literal, values))
            rows.append(texts[0] if len(texts) == 1 else Bracket("", texts))
        return Loop(element, ", ".join(self.listed[one] for one in listed), Bracket("", tuple(rows)))

    def table(self, template: Template, element: Expression) -> Expression:
        """A list of what a loop makes, pass by pass."""
        scope = self.scopes[id(template)]
        names = sorted(scope.used, key=lambda name: not name.startswith(("in_", "out_")))
        count = template.slots[0][1][0]
        if not names:
            return Bracket("", (Loop(element, "_", f"range({count})"),), "[]")
        rows: list[Expression] = []
        for i in range(count):
            values = [self.scope_literal(scope.known[name][i]) for name in names]
            rows.append(values[0] if len(values) == 1 else Bracket("", tuple(values)))
        return Bracket("", (Loop(element, ", ".join(names), Bracket("", tuple(rows))),), "[]")

    def scope_literal(self, value: Any) -> str:
        if value is ANY:
            return "None"
        return "num_classes" if isinstance(value, Classes) and self.scope.is_root else literal(value)


def snake(name: str) -> str:
    """The name of a class as one of a flag."""
    words = re.sub(r"[123]d$", "", name.rpartition(".")[2])
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in words).lstrip("_") or "extended"


def is_listed(template: Template) -> bool:
    """Whether the parts of a sequence are known by their places."""
    return template.is_numbered


def _same(value: Any, standard: Any) -> bool:
    if isinstance(standard, Function) or isinstance(value, Function):
        return bool(value == standard)
    return bool(value == standard) and isinstance(value, bool) is isinstance(standard, bool)


def _listed(template: Template) -> list[series.Listed]:
    """What a loop goes through, each once."""
    rows = [row for one in walk(template) for _, row in one.slots]
    return list(dict.fromkeys(one for row in rows for one in row if isinstance(one, series.Listed)))


def _uses_index(template: Template) -> bool:
    def has(value: Any) -> bool:
        return isinstance(value, series.Series) or (isinstance(value, tuple) and any(map(has, value)))

    return any(has(one) for _, row in template.slots for one in row) or any(
        _uses_index(child) for _, child in template.children
    )

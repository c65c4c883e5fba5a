"""The body of a class: what `__init__` does; what `forward` does, where it is no plain sequence, is in `flow`."""

from __future__ import annotations

from dataclasses import dataclass, field

from archspec.exports.python.classes import Maker, is_listed
from archspec.exports.python.flow import Writer
from archspec.exports.python.layout import INDENT, Bracket, Chain, Expression, Named, statement
from archspec.exports.python.parts import form, inner_module, is_open
from archspec.exports.python.template import Mismatch, Template
from archspec.exports.python.tree import NO_PORTS, Ports

_TWO = INDENT * 2


@dataclass
class Body:
    """The lines of a class after its docstring."""

    base: str
    init: list[str]
    forward: list[str] = field(default_factory=list)
    takes: list[str] = field(default_factory=lambda: ["x"])
    """The arguments of `forward`."""

    def define(self, variables: dict[str, str]) -> None:
        """Compute local variables of `__init__` first."""
        place = int(self.init[0].endswith("super().__init__()"))
        self.init[place:place] = [f"{_TWO}{name} = {text}" for name, text in variables.items()]


class Constructor:
    """Writes the body of a class of a template; `ports` are the tensors that it takes and gives by name."""

    def __init__(self, maker: Maker, template: Template, ports: Ports = NO_PORTS) -> None:
        self.maker = maker
        self.template = template
        self.ports = ports
        self.parts = {id(child) for _, child in template.children}

    def body(self) -> Body:
        template = self.template
        if not is_open(template):
            if template.kind != "sequence":
                raise Mismatch
            if is_listed(template):
                items = tuple(self.maker.items(template))
                return Body("nn.Sequential", statement(Bracket("super().__init__", items), _TWO))
            lines = [f"{_TWO}super().__init__()"]
            for key, child in template.children:
                lines += self.assigned("self", key, child, _TWO)
            return Body("nn.Sequential", lines)
        return self.open_body(template)

    def open_body(self, template: Template) -> Body:
        children = template.modules
        base, lines = "nn.Module", [f"{_TWO}super().__init__()"]
        if any(not key.isidentifier() for key, _ in children):
            base = "nn.ModuleList" if template.is_counted else "nn.ModuleDict"
            lines = statement(Bracket("super().__init__", (self.holder_items(template),)), _TWO)
        else:
            for key, child in children:
                lines += self.assigned("self", key, child, _TWO, stays=True)
        flow = Writer(self.maker, template, self.ports)
        takes = flow.write()
        return Body(base, [*lines, *flow.flags], flow.lines, takes)

    def assigned(self, holder: str, key: str, child: Template, indent: str, *, stays: bool = False) -> list[str]:
        """The statements that put a part where it belongs; one that `stays` is there even where it does nothing."""
        test = self.maker.tests.get(id(child))
        name = f"{holder}.{key}" if key.isidentifier() else None
        if test and not stays and not child.is_identity:
            inner = self.assigned_whole(holder, key, name, child, indent + INDENT)
            return [f"{indent}if {test}:", *inner]
        if test:
            chain = Chain((self.expression(child), f"if {test}", "else nn.Identity()"))
            return statement(chain, indent, f"{name} = ")
        return self.assigned_whole(holder, key, name, child, indent)

    def assigned_whole(self, holder: str, key: str, name: str | None, child: Template, indent: str) -> list[str]:
        if name is None:
            return statement(Bracket(f"{holder}.add_module", (f'"{key}"', self.expression(child))), indent)
        in_parts = child.kind == "sequence" and child.children and not is_listed(child)
        if (
            in_parts
            and not is_open(child, self.depth_of(child))
            and all(one.isidentifier() for one, _ in child.children)
        ):
            lines = [f"{indent}{name} = nn.Sequential()"]
            for inner_key, inner in child.children:
                lines += self.assigned(name, inner_key, inner, indent)
            return lines
        return statement(self.expression(child), indent, f"{name} = ")

    def depth_of(self, template: Template) -> int:
        return 1 if id(template) in self.parts else 2

    def expression(self, template: Template) -> Expression:
        """What makes a part: a module, or a list or dictionary of modules that are called one by one."""
        if template.kind == "aux":
            return self.expression(template.children[0][1])
        if not is_open(template, self.depth_of(template)):
            return self.maker.module(template)
        if inner := inner_module(template, self.depth_of(template)):
            return self.maker.module(inner)
        children = template.modules
        if template.table and template.is_counted and len(children) == len(template.children):
            element = template.table.children[0][1]
            if all(form(child) == form(element) for _, child in children):
                return Bracket("nn.ModuleList", (self.maker.table(template.table, self.expression(element)),))
        return Bracket("nn.ModuleList" if template.is_counted else "nn.ModuleDict", (self.holder_items(template),))

    def holder_items(self, template: Template) -> Expression:
        children = template.modules
        items: list[tuple[str, Expression]] = []
        for key, child in children:
            item = self.expression(child)
            test = self.maker.tests.get(id(child))
            items.append((key, Chain((item, f"if {test}", "else nn.Identity()")) if test else item))
        if template.is_counted:
            return Bracket("", tuple(item for _, item in items), "[]")
        return Bracket("", tuple(Named(f'"{key}": ', item) for key, item in items), "{}")

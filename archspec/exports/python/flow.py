"""The body of a class: what `__init__` does, and what `forward` does where it is no plain sequence."""

from __future__ import annotations

import keyword
from dataclasses import dataclass, field

from archspec.exports.python.classes import Maker, is_listed
from archspec.exports.python.layout import INDENT, Bracket, Chain, Expression, Named, layout, statement
from archspec.exports.python.parts import (
    form,
    has_modules,
    indented,
    inner_module,
    is_called,
    is_counted,
    is_open,
    joined,
    walk,
)
from archspec.exports.python.template import ANY, MERGES, Mismatch, Template
from archspec.exports.python.tree import NO_PORTS, Ports

_TWO = INDENT * 2
_IMPORTED = ("torch", "checkpoint", "F", "nn", "Tensor", "math", "super")


@dataclass
class Body:
    """The lines of a class after its docstring."""

    base: str
    init: list[str]
    forward: list[str] = field(default_factory=list)
    takes: list[str] = field(default_factory=lambda: ["x"])
    """The arguments of `forward`."""


class Writer:
    """Writes the body of a class of a template; `ports` are the tensors that it takes and gives by name."""

    def __init__(self, maker: Maker, template: Template, ports: Ports = NO_PORTS) -> None:
        self.maker = maker
        self.template = template
        self.ports = ports
        self.lines: list[str] = []
        self.flags: list[str] = []
        self.variables: dict[str, str] = {}
        self.outputs: dict[str, str] = {}
        self.aux: list[str] = []
        self.taken = {"self", "x"}
        self.main = "x"
        """The variable for what has no other name."""
        self.merges = 0
        """The merges around the statement that is written: their other branches still need what they take."""

    # --- __init__ ------------------------------------------------------------------------------------------------

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
        children = [(key, child) for key, child in template.children if has_modules(child)]
        base, lines = "nn.Module", [f"{_TWO}super().__init__()"]
        if any(not key.isidentifier() for key, _ in children):
            base = "nn.ModuleList" if is_counted(children) else "nn.ModuleDict"
            lines = statement(Bracket("super().__init__", (self.holder_items(template),)), _TWO)
        else:
            for key, child in children:
                lines += self.assigned("self", key, child, _TWO, stays=True)
        takes = self.take()
        result = self.run(template, "self", takes[0], self.main, 0)
        self.finish(result)
        return Body(base, [*lines, *self.flags], self.lines, takes)

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
        return 1 if any(template is child for _, child in self.template.children) else 2

    def expression(self, template: Template) -> Expression:
        """What makes a part: a module, or a list or dictionary of modules that are called one by one."""
        if template.kind == "aux":
            return self.expression(template.children[0][1])
        if not is_open(template, self.depth_of(template)):
            return self.maker.module(template)
        if inner := inner_module(template, self.depth_of(template)):
            return self.maker.module(inner)
        children = [(key, child) for key, child in template.children if has_modules(child)]
        if template.table and is_counted(children) and len(children) == len(template.children):
            element = template.table.children[0][1]
            if all(form(child) == form(element) for _, child in children):
                return Bracket("nn.ModuleList", (self.maker.table(template.table, self.expression(element)),))
        return Bracket("nn.ModuleList" if is_counted(children) else "nn.ModuleDict", (self.holder_items(template),))

    def holder_items(self, template: Template) -> Expression:
        children = [(key, child) for key, child in template.children if has_modules(child)]
        items: list[tuple[str, Expression]] = []
        for key, child in children:
            item = self.expression(child)
            test = self.maker.tests.get(id(child))
            items.append((key, Chain((item, f"if {test}", "else nn.Identity()")) if test else item))
        if is_counted(children):
            return Bracket("", tuple(item for _, item in items), "[]")
        return Bracket("", tuple(Named(f'"{key}": ', item) for key, item in items), "{}")

    # --- forward -------------------------------------------------------------------------------------------------

    def take(self) -> list[str]:
        """Name the arguments of `forward`: by their own names where tensors have them."""
        if not self.ports.takes:
            return [self.main]
        if "x" in self.ports.takes:
            self.taken.remove("x")
        for name in self.ports.takes:
            self.variables[name] = self.variable(name)
        if "x" in self.ports.takes:
            self.main = self.variable("y")
        return list(self.variables.values())

    def bare(self, result: Expression) -> str:
        """A tensor as a name."""
        if isinstance(result, str) and result.isidentifier():
            return result
        self.emit(result, f"{self.main} = ")
        return self.main

    def variable(self, name: str) -> str:
        """A name for a tensor that no other has."""
        name = name.rpartition(":")[2]
        name = f"{name}_" if keyword.iskeyword(name) or name in _IMPORTED else name
        given, number = name, 2
        while given in self.taken:
            given, number = f"{name}{number}", number + 1
        self.taken.add(given)
        return given

    def emit(self, expression: Expression, before: str = "") -> None:
        self.lines += statement(expression, _TWO, before)

    def run(self, template: Template, ref: str, x: str, target: str, depth: int) -> Expression:
        """What a part makes of a tensor; what it takes more than one step for, it keeps in the variable `target`."""
        if template.kind == "shared":
            return self.called(template, self.reference(template.name), x, target)
        if template.kind == "aux":
            self.auxiliary(template, ref, x)
            return x
        if template.kind == "load":
            return self.variables[template.name]
        if template.kind in ("save", "output"):
            return self.keep(template, x)
        if not is_open(template, depth):
            if not has_modules(template):
                return x
            return self.called(template, ref, x, target)
        if template.recompute:
            return self.recomputed(template, ref, x, target, depth)
        return self.opened(template, ref, x, target, depth)

    def opened(self, template: Template, ref: str, x: str, target: str, depth: int) -> Expression:
        if template.kind in MERGES:
            return self.merge(template, ref, x, depth)
        for _, child in template.children:
            if child.is_optional and child.present != template.present and not is_called(child, depth + 1):
                raise Mismatch  # what is not called has nothing that stands in its place
        result: Expression = x
        if depth and inner_module(template, depth):
            for _, child in template.children:
                if child.kind == "load":
                    x = self.variables[child.name]
            result = f"{ref}({x})"
            for _, child in template.children:
                if child.kind in ("save", "output"):
                    result = self.keep(child, result)
            return result
        for key, child in template.children:
            if child.kind in ("save", "output"):
                result = self.keep(child, result)
                continue
            if child.kind == "load":
                result = self.run(child, "", "", target, depth + 1)
                continue
            if not isinstance(result, str) or not result.isidentifier():
                if depth == 0 and child is template.children[-1][1] and self.fits(child, result):
                    return f"{self.child_ref(template, ref, key)}({result})"
                self.emit(result, f"{target} = ")
                result = target
            result = self.run(child, self.child_ref(template, ref, key), result, target, depth + 1)
        return result

    def fits(self, child: Template, result: Expression) -> bool:
        """Whether the last layer may take an expression as it is, in one line."""
        is_call = child.kind == "call" and not child.recompute and "." in child.name
        return is_call and not (isinstance(result, Chain) and "if " in str(result)) and len(str(result)) < 60

    def auxiliary(self, template: Template, ref: str, x: str) -> None:
        """An auxiliary classifier, which is computed in training alone."""
        ((_, body),) = template.children
        name = self.variable(template.name)
        if body.is_plain and not body.recompute and (body.kind != "sequence" or body.children):
            self.emit(f"{name} = {ref}({x}) if self.training else None")
        else:
            own = Writer(self.maker, self.template)
            own.taken, own.variables, own.flags = self.taken, dict(self.variables), self.flags
            own.main, own.merges = self.main, self.merges + 1
            start = self.variable(f"{name}_input")
            result = own.run(body, ref, start, start, 2)
            own.emit(result, f"{name} = ")
            self.lines += [f"{_TWO}{name} = None", f"{_TWO}if self.training:"]
            if any(start in line for line in own.lines):
                self.lines.append(f"{_TWO}{INDENT}{start} = {x}")
            self.lines += indented(own.lines)
        self.outputs[template.name] = name
        self.aux.append(template.name)

    def recomputed(self, template: Template, ref: str, x: str, target: str, depth: int) -> Expression:
        """A part whose tensors are computed again in the backward pass, as a function within `forward`."""
        self.maker.needs.add("checkpoint")
        before, outside = set(self.taken), (dict(self.variables), dict(self.outputs))
        name = self.variable("part")
        own = Writer(self.maker, self.template)
        own.taken, own.variables, own.outputs, own.aux = self.taken, self.variables, self.outputs, self.aux
        own.flags, own.main = self.flags, self.main
        result = own.opened(template, ref, self.main, self.main, depth)
        inside = {id(one) for one in walk(template)}
        outer = [one for one in walk(self.template) if id(one) not in inside]
        wanted = {one.name for one in outer if one.kind == "load"}
        wanted.update(self.ports.gives, *(one.ports.takes for one in outer))
        saved = [one for name, one in self.variables.items() if name in wanted]
        beside = [one for one in (*saved, *self.outputs.values()) if one not in before]
        beside = [one for one in dict.fromkeys(beside) if one not in (*outside[0].values(), *outside[1].values())]
        kind = "tuple[Tensor, ...]" if beside else "Tensor"
        own.emit(f"{own.bare(result)}, {', '.join(beside)}" if beside else result, "return ")
        self.lines += ["", f"{_TWO}def {name}({self.main}: Tensor) -> {kind}:", *indented(own.lines), ""]
        call = Bracket("checkpoint", (name, x, "use_reentrant=False"))
        if not beside:
            return call
        self.emit(call, f"{', '.join([target, *beside])} = ")
        return target

    def keep(self, wire: Template, result: Expression) -> Expression:
        """Give a tensor the name by which it is saved or put out."""
        if wire.kind == "output":
            if isinstance(result, str) and result in self.variables.values():
                self.outputs[wire.name] = result
                return result
            name = self.variable(wire.name)
            self.outputs[wire.name] = name
        else:
            name = self.variables[wire.name] = self.variable(wire.name)
        self.emit(result, f"{name} = ")
        return name

    def called(self, template: Template, ref: str, x: str, target: str) -> Expression:
        """A call of a module; of what it gives beside its result, the variables."""
        ports = template.ports
        given = [self.variables[name] for name in ports.takes] or [x]
        call: Expression = Bracket(ref, tuple(given))
        if template.recompute:
            self.maker.needs.add("checkpoint")
            call = Bracket("checkpoint", (ref, *given, "use_reentrant=False"))
        if not ports.gives and not ports.outputs:
            return call if template.recompute else f"{ref}({', '.join(given)})"
        kept = {name: self.kept(name, given) for name in ports.gives}
        self.variables |= kept
        for name in ports.outputs:
            self.outputs[name] = self.variable(name)
        self.aux += ports.aux
        names: list[str] = [*(kept.values() or [target]), *(self.outputs[name] for name in ports.outputs)]
        self.emit(call, f"{', '.join(names)} = ")
        return names[0]

    def kept(self, name: str, given: list[str]) -> str:
        """The variable of a tensor that a call gives: that of the one before it, if the call alone still needs this."""
        known = self.variables.get(name, "")
        others = [one for key, one in self.variables.items() if key != name]
        needed = known in (*others, *self.outputs.values()) or self.merges or self.is_recomputed
        return known if known in given and not needed else self.variable(name)

    @property
    def is_recomputed(self) -> bool:
        """Whether a part of the class is computed again, from the variables that there are at the end."""
        return any(one.recompute for one in walk(self.template))

    def merge(self, template: Template, ref: str, x: str, depth: int) -> Expression:
        children = template.children
        taken = self.split(template, x)
        stepwise = [is_open(child, depth + 1) or child.ports.count > 1 or child.ports.gives for _, child in children]
        optional = [None if child.is_identity else self.maker.tests.get(id(child)) for _, child in children]
        bind = any(stepwise) or any(optional) or template.kind == "attend"
        branches: list[Expression] = []
        self.merges += 1
        for (key, child), source in zip(children, taken, strict=True):
            name = self.variable(key if key.isidentifier() else f"branch{key}") if bind else ""
            result = self.run(child, self.child_ref(template, ref, key), source, name, depth + 1)
            if bind and not (isinstance(result, str) and result.isidentifier()):
                self.emit(result, f"{name} = ")
                result = name
            branches.append(result)
        self.merges -= 1
        if any(optional):
            return self.optional_merge(template, branches, optional)
        if template.kind == "attend":
            return self.attended(template, branches)
        return joined(template.kind, branches, self.dimension(template))

    def attended(self, template: Template, branches: list[Expression]) -> Expression:
        """Attention of tokens, the features of one head after those of another."""
        slots = dict(template.slots)
        heads = self.own("heads", self.maker.texts[id(template), "heads"])
        names = [self.variable(name) for name in ("query", "key", "value")]
        for name, one in zip(names, branches, strict=False):
            self.emit(f"{one}.unflatten(-1, ({heads}, -1)).transpose(1, 2)", f"{name} = ")
        attended = self.variable("attended")
        if "dropout" in slots:
            query, key, value = names
            weights = self.variable("weights")
            self.emit(f"{query} * {query}.shape[-1] ** -0.5 @ {key}.transpose(2, 3)", f"{weights} = ")
            for bias in branches[3:]:
                self.emit(f"{weights} + {bias}", f"{weights} = ")
            if "causal" in slots:
                self.emit(_without_later(weights), f"{weights} = ")
            rate = self.own("dropout", self.maker.texts[id(template), "dropout"])
            self.emit(Bracket("F.dropout", (f"{weights}.softmax(-1)", rate, "self.training")), f"{weights} = ")
            self.emit(f"{weights} @ {value}", f"{attended} = ")
        else:
            masks = [f"attn_mask={_without_later(one) if 'causal' in slots else one}" for one in branches[3:]]
            more = masks or (["is_causal=True"] if "causal" in slots else [])
            self.emit(Bracket("F.scaled_dot_product_attention", (*names, *more)), f"{attended} = ")
        return f"{attended}.transpose(1, 2).flatten(2)"

    def own(self, name: str, text: str) -> str:
        """A value that `forward` needs: a number, or an attribute where it is an argument of the class."""
        if not any(one.isalpha() for one in text):
            return text
        name = self.variable(name)
        self.flags.append(f"{_TWO}self.{name} = {text}")
        return f"self.{name}"

    def split(self, template: Template, x: str) -> list[str]:
        """What each branch of a merge takes."""
        if "split" not in dict(template.slots):
            return [x] * len(template.children)
        sizes = self.own("sizes", self.maker.texts[id(template), "split"])
        names = [self.variable(f"part_{key}") for key, _ in template.children]
        self.emit(
            f"torch.split({x}, {sizes}, dim={self.dimension(template)})",
            f"{', '.join(names)}{',' * (len(names) == 1)} = ",
        )
        return names

    def dimension(self, template: Template) -> int:
        """The axis that a merge joins or splits, the batch's counted too."""
        axes = {one + 1 for one in dict(template.slots).get("axis", (0,)) if one is not ANY}
        if len(axes) > 1:
            raise Mismatch
        return int(axes.pop())

    def optional_merge(self, template: Template, branches: list[Expression], optional: list[str | None]) -> Expression:
        if len(branches) != 2 or sum(one is not None for one in optional) != 1:
            raise Mismatch
        place = 0 if optional[0] else 1
        key, child = template.children[place]
        if has_modules(child):
            raise Mismatch
        flag = f"self.has_{key}"
        self.flags.append(f"{_TWO}{flag} = {optional[place]}")
        return Chain(
            (joined(template.kind, branches, self.dimension(template)), f"if {flag}", f"else {branches[1 - place]}")
        )

    def child_ref(self, template: Template, ref: str, key: str) -> str:
        children = [(one, child) for one, child in template.children if has_modules(child)]
        if ref == "self" and all(one.isidentifier() for one, _ in children):
            return f"self.{key}"
        return f"{ref}[{key}]" if is_counted(children) else f'{ref}["{key}"]'

    def inner_ref(self, ref: str, key: str) -> str:
        """A part of what is one `nn.Sequential`."""
        return f"{ref}.{key}" if key.isidentifier() else f"{ref}[{key}]"

    def reference(self, path: str) -> str:
        """How the class calls a part by its path."""
        template, ref, depth = self.template, "self", 0
        for step in path.split("."):
            child = dict(template.children).get(step)
            if child is None or not is_open(template, depth):
                return f'self.get_submodule("{path}")'
            ref = self.inner_ref(ref, step) if inner_module(template, depth) else self.child_ref(template, ref, step)
            template, depth = child, depth + 1
            if template.kind == "aux":
                ((_, template),) = template.children
        return ref

    def finish(self, result: Expression) -> None:
        """The end of `forward`: the tensor, and those beside it by name; of a block, in their order."""
        if self.ports.gives or self.ports.outputs:
            given = [self.variables[name] for name in self.ports.gives] or [self.bare(result)]
            given += [self.outputs[name] for name in self.ports.outputs]
            self.emit(", ".join(given), "return ")
            return
        if not self.outputs:
            self.emit(result, "return ")
            return
        named = [(name, one) for name, one in self.outputs.items() if name not in self.aux]
        result = self.bare(result)
        if self.aux and not named:
            pairs = tuple(f'"{name}": {self.outputs[name]}' for name in self.aux)
            self.lines.append(f"{_TWO}if self.training:")
            self.lines += layout(Named(f"return {result}, ", Bracket("", pairs, "{}")), _TWO + INDENT)
            self.lines.append(f"{_TWO}return {result}")
            return
        pairs = tuple(f'"{name}": {one}' for name, one in self.outputs.items())
        if self.aux:
            self.emit(Bracket("", pairs, "{}"), "outputs = ")
            self.lines.append(f"{_TWO}return {result}, {{k: v for k, v in outputs.items() if v is not None}}")
            return
        self.emit(Named(f"{result}, ", Bracket("", pairs, "{}")), "return ")


def _without_later(scores: Expression) -> str:
    """Scores in which no token attends to those after it."""
    return f"{scores} + torch.full_like({scores}, -math.inf).triu(1)"

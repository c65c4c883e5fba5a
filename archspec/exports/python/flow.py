"""What `forward` of a class does, where it is no plain sequence."""

from __future__ import annotations

from archspec.exports.python.attention import attended
from archspec.exports.python.classes import Maker
from archspec.exports.python.layout import INDENT, Bracket, Chain, Expression, Named, layout
from archspec.exports.python.parts import (
    child_ref,
    has_modules,
    indented,
    inner_module,
    is_called,
    is_open,
    joined,
    reference,
    walk,
)
from archspec.exports.python.statements import Statements
from archspec.exports.python.template import ANY, MERGES, Mismatch, Template
from archspec.exports.python.tree import NO_PORTS, Ports

_TWO = INDENT * 2


class Writer(Statements):
    """Writes `forward` of a class of a template; `ports` are the tensors that it takes and gives by name."""

    def __init__(self, maker: Maker, template: Template, ports: Ports = NO_PORTS) -> None:
        super().__init__(maker)
        self.template = template
        self.ports = ports
        self.outputs: dict[str, str] = {}
        self.aux: list[str] = []
        self.merges = 0
        """The merges around the statement that is written: their other branches still need what they take."""

    def write(self) -> list[str]:
        """Write all of it, and give its arguments."""
        takes = self.take()
        result = self.run(self.template, "self", takes[0], self.main, 0)
        self.finish(result)
        return takes

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

    def run(self, template: Template, ref: str, x: str, target: str, depth: int) -> Expression:
        """What a part makes of a tensor; what it takes more than one step for, it keeps in the variable `target`."""
        if template.kind == "shared":
            return self.called(template, reference(self.template, template.name), x, target)
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
                    return f"{child_ref(template, ref, key)}({result})"
                self.emit(result, f"{target} = ")
                result = target
            result = self.run(child, child_ref(template, ref, key), result, target, depth + 1)
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
            result = self.run(child, child_ref(template, ref, key), source, name, depth + 1)
            if bind and not (isinstance(result, str) and result.isidentifier()):
                self.emit(result, f"{name} = ")
                result = name
            branches.append(result)
        self.merges -= 1
        if any(optional):
            return self.optional_merge(template, branches, optional)
        if template.kind == "attend":
            return attended(self, template, branches)
        return joined(template.kind, branches, self.dimension(template))

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

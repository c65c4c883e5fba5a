"""What `forward` of a class does, where it is no plain sequence."""

from __future__ import annotations

from archspec.exports.python.attention import attended
from archspec.exports.python.classes import Maker
from archspec.exports.python.layout import INDENT, Bracket, Chain, Expression, layout
from archspec.exports.python.loops import Passes, branch_of, find_passes, iterated, singular
from archspec.exports.python.parts import (
    child_ref,
    indented,
    inner_module,
    is_called,
    is_open,
    is_stepwise,
    joined,
    reference,
)
from archspec.exports.python.statements import Statements
from archspec.exports.python.template import ANY, MERGES, Mismatch, Template, walk
from archspec.exports.python.tree import NO_PORTS, Ports

_TWO = INDENT * 2


class Writer(Statements):
    """Writes `forward` of a class of a template; `ports` are the tensors that it takes and gives by name."""

    def __init__(self, maker: Maker, template: Template, ports: Ports = NO_PORTS) -> None:
        super().__init__(maker, ports)
        self.template = template
        self.lists: dict[str, str] = {}
        """In a loop, the lists that what it saves is appended to."""
        self.put_out: dict[str, str] = {}
        """In a loop, the lists that its outputs are appended to."""
        self.is_pass = False
        """Whether what is written is done again, in the next pass of a loop."""
        self.lengths: dict[str, int] = {}
        self.merges = 0
        """The merges around the statement that is written: their other branches still need what they take."""

    def write(self) -> list[str]:
        """Write all of it, and give its arguments."""
        takes = self.take()
        result = self.run(self.template, "self", takes[0], self.main, 0)
        self.finish(result)
        return takes

    def within(self) -> Writer:
        """A writer of statements within others: of a loop, a condition or a function."""
        own = Writer(self.maker, self.template, self.ports)
        own.taken, own.flags, own.lengths, own.main = self.taken, self.flags, self.lengths, self.main
        own.is_pass = self.is_pass
        return own

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
            if not template.has_modules:
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
        if template.table and (passes := self.passes(template, x)):
            self.loop(passes, ref, x, target, depth)
            return target
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

    def passes(self, template: Template, x: str) -> Passes | None:
        """What the passes of a loop have in common; nothing, where they are written one by one."""
        if self.is_recomputed:
            return None
        wanted = self.wanted_outside(template)
        found = find_passes(template, wanted, wanted if self.is_pass else self.wanted_after(template))
        if found is not None and found.start and x != self.variables.get(found.start):
            return None
        return found

    def wanted_after(self, template: Template) -> set[str]:
        """The names of tensors that the class needs after one of its parts."""
        order = list(walk(self.template))
        place = next(i for i, one in enumerate(order) if one is template)
        after = order[place + sum(1 for _ in walk(template)) :]
        wanted = {one.name for one in after if one.kind == "load"}
        return wanted.union(self.ports.gives, *(one.ports.takes for one in after))

    def wanted_outside(self, template: Template) -> set[str]:
        """The names of tensors that the class needs outside of one of its parts."""
        inside = {id(one) for one in walk(template)}
        outer = [one for one in walk(self.template) if id(one) not in inside]
        wanted = {one.name for one in outer if one.kind == "load"}
        return wanted.union(self.ports.gives, *(one.ports.takes for one in outer))

    def loop(self, passes: Passes, ref: str, x: str, target: str, depth: int) -> None:
        """A loop, each pass of which makes another `target` of it."""
        if x != target and not passes.start and self.lines[-1:] != [f"{_TWO}{x} = {target}"]:
            self.emit(x, f"{target} = ")
        own = self.within()
        own.is_pass = True
        own.outputs, own.main, own.merges = self.outputs, target, self.merges
        for name in passes.carried:
            own.fixed[name] = self.carried(name)
        own.variables = dict(self.variables)
        names, over = [self.variable(singular(ref.rpartition(".")[2]))], [ref]
        for loaded in passes.loaded:
            name = self.variable(branch_of(passes.element, loaded[0]) or "skip")
            own.variables[loaded[0]] = name
            names.append(name)
            over.append(iterated([self.variables[one] for one in loaded], self.lengths))
        for saved in passes.inner:
            own.fixed[saved[0]] = self.variable("kept")
        for saved in passes.lists:
            own.lists[saved[0]] = self.variable("saved")
            self.lines.append(f"{_TWO}{own.lists[saved[0]]} = []")
            self.lengths[own.lists[saved[0]]] = len(saved)
            self.variables |= {one: f"{own.lists[saved[0]]}[{i}]" for i, one in enumerate(saved)}
        for given in passes.outputs:
            own.put_out[given[0]] = self.variable("outputs")
            self.lines.append(f"{_TWO}{own.put_out[given[0]]} = []")
            self.outputs |= {one: f"{own.put_out[given[0]]}[{i}]" for i, one in enumerate(given)}
        outside = set(self.taken) - set(names)
        result = own.run(passes.element, names[0], target, target, depth + 1)
        if result != target and not own.renamed(str(result), target):
            own.emit(result, f"{target} = ")
        iterable = Bracket("zip", (*over, "strict=True")) if len(over) > 1 else ref
        self.lines += layout(iterable, _TWO, f"for {', '.join(names)} in ", ":")
        self.lines += indented(own.lines)
        self.taken &= outside  # what has a name in the loop alone

    def carried(self, name: str) -> str:
        """The variable of a tensor in whose place each pass of a loop saves another."""
        known = self.variables.get(name)
        others = [one for key, one in self.variables.items() if key != name]
        if known is None or not known.isidentifier() or known in (*others, *self.outputs.values()) or self.merges:
            self.variables[name] = self.variable(name)
            if known is not None:
                self.emit(known, f"{self.variables[name]} = ")
        return self.variables[name]

    def fits(self, child: Template, result: Expression) -> bool:
        """Whether the last layer may take an expression as it is, in one line."""
        is_call = child.kind == "call" and not child.recompute and "." in child.name
        return is_call and isinstance(result, Chain) and "if " not in str(result) and len(str(result)) < 60

    def auxiliary(self, template: Template, ref: str, x: str) -> None:
        """An auxiliary classifier, which is computed in training alone."""
        ((_, body),) = template.children
        name = self.variable(template.name)
        if body.is_plain and not body.recompute and (body.kind != "sequence" or body.children):
            self.emit(f"{name} = {ref}({x}) if self.training else None")
        else:
            own = self.within()
            own.variables, own.merges = dict(self.variables), self.merges + 1
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
        own = self.within()
        own.variables, own.outputs, own.aux = self.variables, self.outputs, self.aux
        result = own.opened(template, ref, self.main, self.main, depth)
        wanted = self.wanted_outside(template)
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
        if wire.name in self.put_out and wire.kind == "output":
            if not (isinstance(result, str) and result.isidentifier()):
                name = self.variable("output") if self.merges else self.main
                self.emit(result, f"{name} = ")
                result = name
            self.lines.append(f"{_TWO}{self.put_out[wire.name]}.append({result})")
            return result
        if wire.kind == "output":
            if isinstance(result, str) and result in self.variables.values():
                self.outputs[wire.name] = result
                return result
            name = self.variable(wire.name)
            self.outputs[wire.name] = name
        elif wire.name in self.lists:
            name = self.variables[wire.name] = self.variable("kept")
        else:
            name = self.variables[wire.name] = self.fixed.get(wire.name) or self.variable(wire.name)
        self.emit(result, f"{name} = ")
        if wire.name in self.lists:
            self.lines.append(f"{_TWO}{self.lists[wire.name]}.append({name})")
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
        if name in self.fixed:
            return self.fixed[name]
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
        stepwise = [is_stepwise(one, depth + 1) or one.ports.count > 1 or one.ports.gives for _, one in children]
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
        if child.has_modules:
            raise Mismatch
        flag = f"self.has_{key}"
        self.flags.append(f"{_TWO}{flag} = {optional[place]}")
        return Chain(
            (joined(template.kind, branches, self.dimension(template)), f"if {flag}", f"else {branches[1 - place]}")
        )

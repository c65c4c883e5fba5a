"""Elaboration: nodes to a plan. Formulas are computed, blocks opened, and shapes flow from the input to the output."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from archspec.foundation.arguments import fault_in
from archspec.foundation.errors import Fault, Frame, Mark, Report
from archspec.foundation.formulas import describe
from archspec.foundation.frozen import freeze, freeze_pairs
from archspec.foundation.shapes import Shape, show
from archspec.foundation.validate import faults
from archspec.language.blocks import Block
from archspec.language.document import section_schemas
from archspec.language.grammar import WEIGHT
from archspec.language.names import ROLES, check_tensor
from archspec.language.nodes import Aux, Broken, Call, For, Merge, Sequence, Step, Template, Wire, bodies, templates
from archspec.language.sections import BROKEN, Inits, Sections, inits, origins
from archspec.language.vocabulary import library_body
from archspec.layers import initializers, merges
from archspec.layers.primitive import Primitive
from archspec.plan.binding import Binder, Chain, Initial, Place, Row, Scope, Unknown
from archspec.plan.frames import block_frame, pass_frame
from archspec.plan.nodes import Group, Layer, Node, Tap
from archspec.plan.tensors import Tensors, Wires

MAX_NODES = 100_000  # of a plan, groups counted
MAX_LEVELS = 24  # of a module; beyond these, tools that walk modules become slow
MAX_STEPS = 50_000  # of elaboration
MANY_ARGUMENTS = 30  # of one call: two more count as a step
MAX_PASSES = 10_000  # of one loop
MAX_VALUES = 2**40  # of one tensor


class _Exhausted(Exception):
    """Raised where elaboration has taken more steps than any network needs."""


class _Dropped:
    """What becomes of a node that is left out."""


DROPPED = _Dropped()
"""Left out because its `when` is false: as a branch it is absent."""
NOTHING = _Dropped()
"""No layer, because `none` stands in its place: as a branch it changes nothing."""
Result = Node | _Dropped | None
"""`None` is a node that is wrong, as reported: nothing is known of its output."""


def elaborate(sections: Sections, report: Report, frames: tuple[Frame, ...] = ()) -> Node | None:
    """The root of the plan, or `None` where the network is wrong. Reports what is."""
    if sections.network is None:
        return None
    elaborator = _Elaborator(sections, report)
    try:
        tensors = Tensors(elaborator.wires(sections.network), report)
        place = Place(sections.vars, sections.input, frames, Initial(sections.init), tensors)
        result = elaborator.whole(sections.network, place)
        _check_recomputed(result, "the network")
    except Fault as fault:
        report.add(fault, sections.network.mark, frames)
        return None
    except RecursionError:
        report.add(Fault("too-large", "the network is nested too deep", sections.network.mark))
        return None
    except _Exhausted:
        message = f"the network takes more than {MAX_STEPS:,} steps to elaborate"
        report.add(Fault("too-large", message, sections.network.mark))
        return None
    finally:
        report.work += elaborator.steps
    if isinstance(result, _Dropped):
        report.add(Fault("node-form", "the network is empty", sections.network.mark))
        return None
    return result


class _Elaborator:
    def __init__(self, sections: Sections, report: Report) -> None:
        self.sections = sections
        self.report = report
        self.blocks: dict[Any, Node | None] = {}  # by name, arguments and input: equal calls give one node
        self.binder = Binder(sections)
        self.open: list[str] = []  # the blocks being elaborated, outermost first
        self.steps = 0
        self.found: dict[int, Wires] = {}  # by the body's id

    def wires(self, body: Step) -> Wires:
        """Where a body saves tensors; it is looked through once, however often it is elaborated."""
        if id(body) not in self.found:
            self.found[id(body)] = Wires(body)
        return self.found[id(body)]

    # --- steps ---------------------------------------------------------------------------------------------------

    def step(self, step: Step, place: Place) -> Result:
        """A node in its place, with its modifiers. Reports what is wrong with it."""
        self.count(1)
        try:
            if step.when is not None and not self.binder.typed(step.when, bool, "`when`", place):
                return DROPPED
            if step.repeat is not None:
                return self.repeat(step, place)
            if step.init is not None:
                place = replace(place, init=place.init.overridden(self.initial(step.init, place)))
            result = self.body(step, place)
            if step.recompute is None or not self.binder.typed(step.recompute, bool, "`recompute`", place):
                return result
            return replace(result, recompute=True) if isinstance(result, (Layer, Group)) else result
        except Fault as fault:
            for one in templates(step):
                if one.mark == fault.mark and not fault.notes:
                    names = [name for name in one.names if self.binder.is_variable(name, place.scope)]
                    fault.notes += origins(names, self.sections.root, self.sections.vars)
            self.report.add(fault, step.mark, place.frames)
            return None
        except Unknown:
            return None

    def count(self, steps: int) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise _Exhausted

    def initial(self, template: Template, place: Place) -> Inits:
        """The initialisers written at a node. Reports what is wrong with them."""
        data = self.binder.value(template, place)
        wrong = list(faults(template.value, section_schemas()["init"], "init", data))
        for fault in wrong:
            self.report.add(fault, frames=place.frames)
        return {} if wrong else inits(template.value, data, self.report)

    def whole(self, step: Step, place: Place) -> Result:
        """The body of a network, block or auxiliary classifier, which saves tensors of its own."""
        result = self.step(step, place)
        if result is not None:
            place.tensors.close()
        if isinstance(result, Tap) or (isinstance(result, Group) and result.kind == "aux"):  # no module by itself
            result = self.group("sequence", step.mark, [(step.key or "0", result)], place, result.output)
        return result

    def body(self, step: Step, place: Place) -> Result:
        body = step.body
        match body:
            case Call():
                return self.call(body, place)
            case Sequence():
                return self.sequence(body, place)
            case Merge():
                return self.merge(body, place)
            case For():
                return self.loop(body, place)
            case Wire():
                return self.wire(body, place)
            case Aux():
                return self.aux(body, place)
            case Broken():
                return None

    def group(self, kind: str, mark: Mark, children: list[tuple[str, Node]], place: Place, output: Shape) -> Group:
        """A group within the limits. Raises `Fault`."""
        assert place.shape is not None
        group = Group(kind, tuple(children), place.shape, output, mark)
        if group.size > MAX_NODES:
            raise Fault("too-large", f"the network has more than {MAX_NODES:,} nodes", mark)
        if group.depth > MAX_LEVELS:
            raise Fault("too-large", f"the network is nested more than {MAX_LEVELS} levels deep", mark)
        names: dict[str, Mark] = {}
        for one in group.named:
            if one.name in names:
                message = f"two outputs are named `{one.name}`; the first is at {names[one.name]}"
                help = "in a loop, let a column give the names; in a block, an argument"
                if one.weight is not None:
                    help = "it is no formula: an `aux` stands in no loop, and in no block that is used twice"
                raise Fault("duplicate-name", message, one.mark, help=help)
            names[one.name] = one.mark
        return group

    def chain(self, kind: str, mark: Mark, steps: list[tuple[str, Step, Place]], place: Place) -> Result:
        """Steps one after the other, each with the place that it sees but for the tensor, which flows through."""
        shape = place.shape
        children: list[tuple[str, Node]] = []
        sound = shape is not None
        for key, step, seen in steps:
            result = self.step(step, seen.at(shape))
            if result is None:
                sound, shape = False, None
            elif not isinstance(result, _Dropped):
                children.append((key, result))
                shape = result.output
        return self.group(kind, mark, children, place, shape) if sound and shape is not None else None

    def sequence(self, sequence: Sequence, place: Place) -> Result:
        return self.chain("sequence", sequence.mark, [(step.key, step, place) for step in sequence.steps], place)

    def repeat(self, step: Step, place: Place) -> Result:
        assert step.repeat is not None
        count = self.binder.typed(step.repeat, int, "`repeat`", place)
        if not 0 <= count <= MAX_PASSES:
            message = f"`repeat` must be an integer from 0 to {MAX_PASSES}, not {count}"
            raise Fault("out-of-range", message, step.repeat.mark)
        once = replace(step, when=None, repeat=None)
        passes = [
            (str(i), once, place.within(_loop_scope(i, count), pass_frame("repeat", i, count))) for i in range(count)
        ]
        return self.chain("repeat", step.mark, passes, place)

    def loop(self, loop: For, place: Place) -> Result:
        return self.chain("for", loop.mark, self.passes(loop, place), place)

    def passes(self, loop: For, place: Place) -> list[tuple[str, Step, Place]]:
        """The body of a loop once for each row, with its key and what it sees. Raises `Fault` or `Unknown`."""
        columns = {name: self.binder.value(column, place) for name, column in loop.columns.items()}
        lists = {name: column for name, column in columns.items() if isinstance(column, list)}
        if not lists:
            help = "write `=range(3)`, or a list; `repeat: 3` beside one node repeats it"
            raise Fault("loop-columns", "`for` needs at least one column that is a list", loop.mark, help=help)
        counts = {name: len(column) for name, column in lists.items()}
        count = max(counts.values())
        if len(set(counts.values())) > 1:
            width = max(map(len, counts))
            notes = [f"{name:<{width}}  {n} value{'s' * (n != 1)}" for name, n in counts.items()]
            raise Fault("loop-columns", "the columns of `for` differ in length", loop.mark, notes=notes)
        if count > MAX_PASSES:
            raise Fault("too-large", f"`for` has more than {MAX_PASSES:,} rows", loop.mark)
        passes = []
        for i in range(count):
            row = Chain(Row(columns, i), _loop_scope(i, count))
            passes.append((str(i), loop.body, place.within(row, pass_frame("for", i, count))))
        return passes

    def merge(self, merge: Merge, place: Place) -> Result:
        steps = [(step.key, step, place) for step in merge.branches]
        if merge.looped:
            (step,) = merge.branches
            assert isinstance(step.body, For)
            steps = self.passes(step.body, place)
        results = [(key, step.body.mark, self.step(step, seen)) for key, step, seen in steps]
        if any(result is None for _, _, result in results) or place.shape is None:
            return None
        if any(result is NOTHING for _, _, result in results):
            identity = self.group("sequence", merge.mark, [], place, place.shape)
            results = [(key, mark, identity if result is NOTHING else result) for key, mark, result in results]
        branches = [(key, mark, result) for key, mark, result in results if isinstance(result, Node)]
        if not branches:
            why = "its `for` has no rows" if not steps else "each `when` is false"
            raise Fault("branch-missing", f"`{merge.kind}` is left with no branch: {why}", merge.mark)
        keys, marks, nodes = map(list, zip(*branches, strict=True))
        shapes = [node.output for node in nodes]
        output = merges.output(merge.kind, shapes)
        if output is None:
            fault = merges.mismatch(merge.kind, shapes, keys, marks, merge.mark, [_is_empty(node) for node in nodes])
            if any(_uses_channels(step) for step in merge.branches):
                moved = "`c_in` is that of the node where it stands: keep an earlier one with the `let` of a block"
                fault.help = f"{moved}; {fault.help}" if fault.help else moved
            raise fault
        group = self.group(merge.kind, merge.mark, list(zip(keys, nodes, strict=True)), place, output)
        return replace(group, looped=True) if merge.looped else group

    def wire(self, wire: Wire, place: Place) -> Result:
        name = self.binder.typed(wire.name, str, f"the name at `{wire.kind}`", place)
        check_tensor(name, wire.name.mark)
        if wire.kind == "save":
            place.tensors.save(name, place.shape, wire.mark, place.frames)
        if wire.kind == "output" and place.tensors.around is not None:
            raise _in_aux("output", wire.mark)
        output = place.tensors.load(name, wire.name.mark) if wire.kind == "load" else place.shape
        if place.shape is None or output is None:
            return None
        return Tap(wire.kind, name, place.shape, output, wire.mark)

    def aux(self, aux: Aux, place: Place) -> Result:
        if place.tensors.around is not None:
            raise _in_aux("aux", aux.mark)
        weight = self.binder.value(aux.weight, place)
        if fault := fault_in(weight, WEIGHT, "the `weight` of an `aux`"):
            raise Fault(fault.code, fault.message, aux.weight.mark)
        tensors = Tensors(self.wires(aux.body), self.report, around=place.tensors)
        body = self.whole(aux.body, replace(place, tensors=tensors))
        if body is None or place.shape is None:
            return None
        if isinstance(body, _Dropped):
            raise Fault("node-form", f"the auxiliary classifier `{aux.name}` is empty", aux.mark)
        _check_recomputed(body, f"the auxiliary classifier `{aux.name}`")
        for one in body.named[:1]:  # within a block
            raise _in_aux("output" if one.weight is None else "aux", one.mark, f"it stands in `{aux.name}`, {aux.mark}")
        pairs = freeze_pairs({"name": aux.name, "weight": weight})
        return Group("aux", (("", body),), place.shape, place.shape, aux.mark, pairs=pairs)

    # --- calls ---------------------------------------------------------------------------------------------------

    def call(self, call: Call, place: Place) -> Result:
        """A primitive, block or role with its arguments. Raises `Fault` or `Unknown`."""
        verb: Any = call.verb
        given: dict[str, tuple[Mark, Any, bool]] = {}
        main: tuple[Mark, Any, bool] | None = None
        if isinstance(verb, Template):
            verb = self.binder.value(verb, place)
            if isinstance(verb, dict) and len(verb) == 1:
                ((verb, inner),) = verb.items()
                if isinstance(inner, dict):
                    given = {name: (call.mark, value, True) for name, value in inner.items()}
                elif inner is not None:
                    main = (call.mark, inner, True)
            if verb is None or verb == "none":
                return NOTHING
            if not isinstance(verb, str):
                raise Fault("formula-type", f"a node must be a layer's name, not {describe(verb)}", call.mark)
        if verb in ROLES:
            if given or main or call.arguments or call.main:
                help = "say in `defaults` what it stands for, or name the layer itself"
                raise Fault("argument-unknown", f"`{verb}` takes no arguments here", call.mark, help=help)
            return self.role(verb, call, place)
        for name, argument in call.arguments.items():
            given[name] = (argument.value.mark, self.binder.value(argument.value, place), argument.value.is_formula)
        if call.main is not None:
            main = (call.main.mark, self.binder.value(call.main, place), call.main.is_formula)
        found = self.sections.vocabulary.find(verb)
        if found is None:
            raise Fault("name-unknown", f"there is no primitive or block `{verb}`", call.mark)
        if main is not None:
            if found.signature.main is None:
                raise Fault("argument-unknown", f"`{verb}` takes no arguments", main[0])
            given[found.signature.main.name] = main
        self.count(max(0, len(found.signature.arguments) - MANY_ARGUMENTS) // 2)
        values = self.binder.bind(found, given, call.mark, place)
        if isinstance(found, Block):
            return self.block(found, values, call.mark, place)
        return self.layer(found, values, call.mark, place)

    def role(self, role: str, call: Call, place: Place) -> Result:
        if role not in self.sections.roles:
            example = {"act": "relu", "norm": "batch_norm"}[role]
            help = f"add `defaults: {{{role}: {example}}}` to the file"
            raise Fault("name-unknown", f"the file does not say what `{role}` stands for", call.mark, help=help)
        meant = self.sections.roles[role]
        if meant is None:
            return NOTHING
        outside = replace(place, scope=self.sections.vars)
        if isinstance(meant.verb, Template) and (word := self.binder.value(meant.verb, outside)) in ROLES:
            raise Fault("formula-value", f"`{role}` must stand for a layer, not for `{word}`", meant.verb.mark)
        return self.call(Call(call.mark, meant.verb, meant.arguments, meant.main), outside)

    def layer(self, primitive: Primitive, values: dict[str, Any], mark: Mark, place: Place) -> Result:
        shape = place.shape
        if shape is None:
            return None
        output = primitive.output(values, shape)
        parameters = primitive.parameters(values, shape)
        init = []
        for name, (at, one) in place.init.values.get(primitive.name, {}).items():
            if name in parameters:
                initializers.check(one, f"`{name}` of `{primitive.name}`", parameters[name], at)
                init.append((name, one))
        macs = primitive.macs(values, shape, output)
        for tensor in (output, *parameters.values()):
            if prod(tensor) > MAX_VALUES:
                raise Fault("too-large", f"`{primitive.name}` would need a tensor of {show(tensor)} values", mark)
        pairs = freeze_pairs(values)
        return Layer(primitive.name, pairs, shape, output, tuple(parameters.items()), macs, mark, tuple(init))

    def block(self, block: Block, values: dict[str, Any], mark: Mark, place: Place) -> Result:
        if block.name in self.open:
            way = " → ".join(f"`{name}`" for name in (*self.open[self.open.index(block.name) :], block.name))
            raise Fault("block-recursion", f"the block `{block.name}` uses itself: {way}", mark)
        own = self.sections.vocabulary.own.get(block.name) is block
        key = (block.name, freeze(values), place.shape, place.init.key)
        if key in self.blocks:
            known = self.blocks[key]
            return None if known is None else self.called(block, values, mark, place, known)
        body = self.sections.bodies.get(block.name) if own else library_body(block.name)
        if body is None:
            return None
        frame = block_frame(block.name, values, mark)
        scope = values | dict.fromkeys(block.broken, BROKEN)
        tensors = Tensors(self.wires(body), self.report, block=block.name)
        inside = Place(scope, place.shape, (*place.frames, frame), place.init, tensors)
        self.open.append(block.name)
        try:
            for name, template in block.let.items():
                scope[name] = self.binder.value(template, inside)
            result = self.whole(body, inside)
        except Fault as fault:
            self.report.add(fault, mark, inside.frames)
            result = None
        except Unknown:
            result = None
        finally:
            self.open.pop()
        if isinstance(result, _Dropped):
            result = self.group("sequence", mark, [], place, place.shape) if place.shape else None
        self.blocks[key] = result
        return None if result is None else self.called(block, values, mark, place, result)

    def called(self, block: Block, values: dict[str, Any], mark: Mark, place: Place, body: Node) -> Group:
        assert place.shape is not None
        return Group("block", (("", body),), place.shape, body.output, mark, block.name, freeze_pairs(values))


def _is_empty(node: Node) -> bool:
    """Whether a branch gives its input unchanged."""
    if isinstance(node, Group):
        return not node.is_merge and all(_is_empty(child) for _, child in node.children)
    return isinstance(node, Tap) and node.kind != "load"


def _uses_channels(step: Step) -> bool:
    """Whether a formula within a branch, after its first node, uses `c_in`."""
    later = step.body.steps[1:] if isinstance(step.body, Sequence) else ()
    calls = [body for one in later for body in bodies(one) if isinstance(body, Call)]
    given = [one.value for call in calls for one in call.arguments.values()]
    given += [call.main for call in calls if call.main is not None]
    return any("c_in" in template.names for template in given)


def _check_recomputed(node: Result, what: str) -> None:
    """Raises `Fault` where all of a network or auxiliary classifier is to be computed again, which saves nothing."""
    while isinstance(node, (Layer, Group)):
        if node.recompute:
            message = f"`recompute` has no meaning for the whole of {what}: all of it would be kept to compute it again"
            raise Fault("key-unknown", message, node.mark, help="put it beside parts of it")
        node = node.children[0][1] if isinstance(node, Group) and node.kind == "block" else None


def _in_aux(kind: str, mark: Mark, note: str = "") -> Fault:
    """The fault of an `output` or `aux` within an auxiliary classifier."""
    inner = "has no outputs beside its own" if kind == "output" else "cannot stand within another"
    return Fault("node-form", f"an auxiliary classifier {inner}", mark, notes=[note] if note else [])


def _loop_scope(index: int, count: int) -> Scope:
    return {"index": index, "first": index == 0, "last": index == count - 1}

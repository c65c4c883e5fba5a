"""Elaboration: nodes to a plan. Formulas are computed, blocks opened, and shapes flow from the input to the output."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archspec.foundation.arguments import fault_in
from archspec.foundation.errors import Fault, Frame, Mark
from archspec.foundation.frozen import freeze_pairs
from archspec.foundation.report import Report
from archspec.foundation.shapes import Shape
from archspec.foundation.validate import faults
from archspec.foundation.values import describe
from archspec.language import syntax
from archspec.language.document import section_schema
from archspec.language.grammar import WEIGHT
from archspec.language.names import INCOMING, ROLES, check_part, check_tensor
from archspec.language.sections import INVALID, InitialValues, Sections, origins
from archspec.language.syntax import (
    Again,
    Aux,
    Call,
    Expression,
    For,
    Invalid,
    Let,
    Merge,
    Sequence,
    SyntaxNode,
    iterate_expressions,
)
from archspec.layers.primitive import Primitive
from archspec.plan.binding import Chain, Context, Initializers, InvalidValue, Row, Scope
from archspec.plan.branches import BranchElaborator, Entry
from archspec.plan.calls import LEFT_OUT, Absent, Result
from archspec.plan.frames import pass_frame
from archspec.plan.incoming import explain_moved
from archspec.plan.loops import MAX_PASSES, compute_rows, loop_scope
from archspec.plan.memo import Memo
from archspec.plan.nodes import MAX_LEVELS, MAX_NODES, Group, Layer, Node, Wire
from archspec.plan.partial import Recorder
from archspec.plan.sharing import Use, check_closed
from archspec.plan.tensors import Tensors, WrittenSaves

if TYPE_CHECKING:
    from archspec.plan.steps import Run

MAX_STEPS = 50_000  # of elaboration


class _TooManySteps(Exception):
    """Raised where elaboration has taken more steps than any network needs."""


def elaborate(
    sections: Sections,
    report: Report,
    frames: tuple[Frame, ...] = (),
    memo: Memo | None = None,
    recorder: Recorder | None = None,
) -> Node | None:
    """The root of the plan, or `None` where the network is wrong. Reports what is.

    Parts of plans that `memo` keeps are reused, and what was elaborated without a fault is added to it. `recorder` is
    given each node, also where others are wrong.
    """
    if sections.network is None:
        return None
    elaborator = _Elaborator(sections, report, memo, recorder)
    before = report.count
    try:
        written, inputs = elaborator.written_saves(sections.network), sections.inputs
        given = {one.name: (one.shape, one.mark) for one in inputs if one.name}
        tensors = Tensors(written, report, inputs=given if inputs else None, depth=len(frames))
        shape = inputs[0].shape if inputs else None
        context = Context(sections.vars, shape, frames, Initializers(sections.init), tensors)
        result = elaborator.elaborate_scope(sections.network, context)
        _refuse_whole_recompute(result, "the network")
    except Fault as fault:
        report.add(fault, sections.network.mark, frames)
        return None
    except RecursionError:
        report.add(Fault("too-large", "the network is nested too deep", sections.network.mark))
        return None
    except _TooManySteps:
        message = f"the network takes more than {MAX_STEPS:,} steps to elaborate"
        report.add(Fault("too-large", message, sections.network.mark))
        return None
    finally:
        report.work += elaborator.steps
    if isinstance(result, Absent):
        report.add(Fault("node-form", "the network is empty", sections.network.mark))
        return None
    if memo is not None and report.count == before:
        memo.keep(elaborator.kept)
    return result


class _Elaborator(BranchElaborator):
    """Elaborates one network: what a node is, and what stands around calls and merges."""

    def __init__(self, sections: Sections, report: Report, memo: Memo | None, recorder: Recorder | None) -> None:
        super().__init__(sections, report, memo)
        self.recorder = recorder
        self.saves: dict[int, WrittenSaves] = {}  # by the body's id
        self.run: Run | None = None  # of programs

    def written_saves(self, body: SyntaxNode) -> WrittenSaves:
        """Where a body saves tensors; it is looked through once, however often it is elaborated."""
        if id(body) not in self.saves:
            self.saves[id(body)] = WrittenSaves(body)
        return self.saves[id(body)]

    # --- nodes ---------------------------------------------------------------------------------------------------

    def node(self, node: SyntaxNode, context: Context, key: str = "") -> Result:
        """A node in its place, with its modifiers. Reports what is wrong with it."""
        if self.recorder is None:
            return self.find_node(node, context)
        visited, before = self.recorder.enter(key, node, context.shape), self.report.count
        result = self.find_node(node, context)
        if isinstance(result, Absent):
            self.recorder.leave_out()
        else:
            self.recorder.leave(visited, result, self.after, wrong=self.report.count > before)
        return result

    def find_node(self, node: SyntaxNode, context: Context) -> Result:
        """A node as it is kept, or else as its program or elaboration makes it."""
        memo = self.memo
        if memo is None or self.open:
            return self.make_node(node, context)
        key = memo.key(node, context)
        if key is not None and (part := self.recall(key)) is not None:
            return part.node
        before = self.done()
        result: Result = self.run_program(node, context)
        cheap = result is not None or isinstance(node.body, Sequence)
        if result is None:
            result = self.make_node(node, context)
        if key is not None and isinstance(result, (Layer, Group)) and (not cheap or memo.comes_again(key)):
            self.kept[key] = self.part(result, before)
        return result

    def run_program(self, node: SyntaxNode, context: Context) -> Node | None:
        """A node as its program makes it; `None` where elaboration has to."""
        from archspec.plan.programs import run_program  # which a single plan does not need
        from archspec.plan.steps import Run

        assert self.memo is not None
        if self.run is None:
            self.run = Run(self.binder, self.memo, context)
        self.run.context = context
        made = run_program(node, self.run, self.sections)
        if made is None:
            return None
        self.count(made[1])
        return made[0]

    def make_node(self, node: SyntaxNode, context: Context) -> Result:
        self.count(1)
        self.after = None
        try:
            if node.when is not None and not self.binder.typed(node.when, bool, "`when`", context):
                return LEFT_OUT
            if node.repeat is not None:
                return self.repeat(node, context)
            if node.share is not None:
                return self.share(node, node.share, context)
            if node.init is not None:
                context = replace(context, init=context.init.overridden(self.initial(node.init, context)))
            result = self.body(node, context)
            if node.recompute is None or not self.binder.typed(node.recompute, bool, "`recompute`", context):
                return result
            return replace(result, recompute=True) if isinstance(result, (Layer, Group)) else result
        except Fault as fault:
            self.explain(fault, node, context)
            self.report.add(fault, node.mark, context.frames)
        except InvalidValue:
            pass
        self.after = context.shape if self.keeps_shape(node.body) else None
        return None

    def explain(self, fault: Fault, node: SyntaxNode, context: Context) -> None:
        """Say of a fault where the variables come from on which it depends, and what `c_in` and the like stand for."""
        for one in iterate_expressions(node):
            if one.mark == fault.mark and not fault.notes:
                names = [name for name in one.names if self.binder.is_variable(name, context.scope)]
                fault.notes += origins(names, self.sections.root, self.sections.vars)
        moved = [name for name in INCOMING if any(name in one.names for one in iterate_expressions(node))]
        if fault.code == "input-shape" and fault.help is None and moved and isinstance(node.body, Call):
            fault.help = explain_moved(moved)

    def keeps_shape(self, body: syntax.Body) -> bool:
        """Whether the tensor that a node passes on has the shape of the one that reaches it, whatever is wrong."""
        if isinstance(body, Aux):
            return True
        if isinstance(body, syntax.Wire):
            return body.kind != "load"
        callee = body.callee if isinstance(body, (Call, Invalid)) else None
        if not isinstance(callee, str) or callee in ("aux", "save", "output"):
            return isinstance(callee, str)
        found = self.sections.role_layers.get(callee) if callee in ROLES else self.sections.vocabulary.find(callee)
        return isinstance(found, Primitive) and found.keeps_shape

    def count(self, steps: int) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise _TooManySteps

    def share(self, node: SyntaxNode, given: Expression, context: Context) -> Result:
        """A node that is one module with others of its body. Raises `Fault` where it cannot be."""
        name = self.binder.typed(given, str, "`share`", context)
        check_tensor(name, given.mark, "a shared node's name")
        shared, alone, frames = (
            context.tensors.shared,
            replace(node, when=None, repeat=None, share=None),
            context.frames,
        )
        mark, inside = node.body.mark, context
        if isinstance(node.body, Again):
            first = shared.find(name, given.mark)
            if first is None:
                return None
            alone = replace(first.node, recompute=node.recompute)
            frames = (*frames, Frame(f"`share: {name}`", given.mark))
            inside = replace(first.context, shape=context.shape, frames=frames)
        with shared.opened(name, given.mark):
            result = self.node(alone, inside)
        if isinstance(result, Node):
            check_closed(result, name, given.mark)
            result = replace(result, share=name) if not isinstance(result, Wire) else result
        known = result if isinstance(result, Node) else None
        looped = any(frame.mark is None for frame in context.frames[context.tensors.depth :])
        shared.add(name, Use(alone, context, known, mark, context.frames), looped)
        return result

    def initial(self, expression: Expression, context: Context) -> InitialValues:
        """The initialisers written at a node. Reports what is wrong with them."""
        data = self.binder.value(expression, context)
        wrong = list(faults(expression.value, section_schema("init"), "init", data))
        for fault in wrong:
            self.report.add(fault, frames=context.frames)
        if wrong:
            return {}
        made = self.sections.initial_values(expression.value, data, self.report)
        for layer, values in made.items():
            for name, (mark, _) in values.items():
                self.report.given[mark] = f"the `init` of `{layer}.{name}` at this node"
        return made

    def elaborate_scope(self, node: SyntaxNode, context: Context) -> Result:
        """The body of a network, block or auxiliary classifier, which saves tensors of its own."""
        result = self.node(node, context)
        if result is not None:
            context.tensors.close()
        if isinstance(result, Wire) or (isinstance(result, Group) and result.is_beside):  # no module by itself
            result = self.group("sequence", node.mark, [(node.key or "0", result)], context, result.output)
        return result

    def body(self, node: SyntaxNode, context: Context) -> Result:
        body = node.body
        match body:
            case Call():
                named = body.loads is not None or body.saves is not None
                return self.call_on_tensors(body, context) if named else self.call(body, context)
            case Sequence():
                return self.sequence(body, context)
            case Merge():
                return self.merge(body, context)
            case For():
                return self.loop(body, context)
            case Let():
                assert body.body is not None
                return self.node(body.body, context.seeing(self.let(body, context)))
            case syntax.Wire():
                return self.wire(body, context)
            case Aux():
                return self.aux(body, context)
            case Invalid() | Again():
                self.after = context.shape if self.keeps_shape(body) else None
                return None

    def group(self, kind: str, mark: Mark, children: list[tuple[str, Node]], context: Context, output: Shape) -> Group:
        """A group within the limits. Raises `Fault`."""
        assert context.shape is not None
        group = Group(kind, tuple(children), context.shape, output, mark)
        if group.size > MAX_NODES:
            raise Fault("too-large", f"the network has more than {MAX_NODES:,} nodes", mark)
        if group.depth > MAX_LEVELS:
            raise Fault("too-large", f"the network is nested more than {MAX_LEVELS} levels deep", mark)
        names: dict[str, Mark] = {}
        for one in group.named_outputs:
            if one.name in names:
                message = f"two outputs are named `{one.name}`; the first is at {names[one.name]}"
                help = "in a loop, let a column give the names; in a block, an argument"
                if one.weight is not None:
                    help = "in a loop or block, let a formula give the names: `name: ='side' + str(index)`"
                raise Fault("duplicate-name", message, one.mark, help=help)
            names[one.name] = one.mark
        return group

    def chain(self, kind: str, mark: Mark, nodes: list[Entry], context: Context) -> Result:
        """Steps one after the other, each with the place that it sees but for the tensor, which flows through."""
        shape = context.shape
        children: list[tuple[str, Node]] = []
        valid = shape is not None
        values: dict[str, Any] = {}  # of `let`, for the steps after it
        named = False  # whether a formula has named a step
        for key, node, seen in nodes:
            here = (seen.seeing(values) if values else seen).at(shape)
            if isinstance(node.body, Let) and node.body.body is None:
                values.update(self.let(node.body, here))
                continue
            result = self.node(node, here, key)
            if result is None:
                valid, shape = False, self.after
            elif not isinstance(result, Absent):
                if kind == "sequence" and isinstance(node.body, Aux) and isinstance(result, Group) and key.isdigit():
                    key, named = result.name, True
                children.append((key, result))
                shape = result.output
        if named and len({key for key, _ in children}) < len(children):
            raise _same_name(children, [node for _, node, _ in nodes])
        self.after = shape
        return self.group(kind, mark, children, context, shape) if valid and shape is not None else None

    def sequence(self, sequence: Sequence, context: Context) -> Result:
        return self.chain("sequence", sequence.mark, [(node.key, node, context) for node in sequence.nodes], context)

    def repeat(self, node: SyntaxNode, context: Context) -> Result:
        assert node.repeat is not None
        count = self.binder.typed(node.repeat, int, "`repeat`", context)
        if not 0 <= count <= MAX_PASSES:
            message = f"`repeat` must be an integer from 0 to {MAX_PASSES}, not {count}"
            raise Fault("out-of-range", message, node.repeat.mark)
        once = replace(node, when=None, repeat=None)
        passes = [
            (str(i), once, context.within(loop_scope(i, count), pass_frame("repeat", i, count))) for i in range(count)
        ]
        return self.chain("repeat", node.mark, passes, context)

    def loop(self, loop: For, context: Context) -> Result:
        return self.chain("for", loop.mark, self.passes(loop, context), context)

    def passes(self, loop: For, context: Context) -> list[Entry]:
        """The body of a loop once for each row, with its key and what it sees. Raises `Fault` or `InvalidValue`."""
        columns, count = compute_rows(loop, self.binder, context)
        passes = []
        for i in range(count):
            row = Chain(Row(columns, i), loop_scope(i, count))
            passes.append((str(i), loop.body, context.within(row, pass_frame("for", i, count))))
        return passes

    def let(self, let: Let, context: Context) -> Scope:
        """The values of a `let`, the later ones computed of the earlier. Reports what is wrong with them."""
        self.count(1)
        values: dict[str, Any] = {}
        for name, expression in let.values.items():
            values[name] = INVALID
            try:
                if expression is not None:
                    values[name] = self.binder.value(expression, context.seeing(values))
            except Fault as fault:
                self.report.add(fault, expression.mark if expression else let.mark, context.frames)
            except InvalidValue:
                pass
        return values

    def wire(self, wire: syntax.Wire, context: Context) -> Result:
        name = self.binder.value(wire.name, context)
        if not isinstance(name, str):
            help = "several tensors are branches of a merge: `concat: {load: …}`" if isinstance(name, list) else None
            message = f"the name at `{wire.kind}` must be a text, not {describe(name)}"
            raise Fault("formula-type", message, wire.name.mark, help=help if wire.kind == "load" else None)
        check_tensor(name, wire.name.mark)
        if wire.kind == "save":
            context.tensors.save(name, context.shape, wire.mark, context.frames)
        if wire.kind == "output" and context.tensors.around is not None:
            raise _in_aux("output", wire.mark)
        output = context.tensors.load(name, wire.name.mark) if wire.kind == "load" else context.shape
        if context.shape is None or output is None:
            self.after = output
            return None
        return Wire(wire.kind, name, context.shape, output, wire.mark)

    def aux(self, aux: Aux, context: Context) -> Result:
        if context.tensors.around is not None:
            raise _in_aux("aux", aux.mark)
        name = self.binder.typed(aux.name, str, "the `name` of an `aux`", context)
        check_part(name, aux.name.mark)
        weight = self.binder.value(aux.weight, context)
        if fault := fault_in(weight, WEIGHT, "the `weight` of an `aux`"):
            raise Fault(fault.code, fault.message, aux.weight.mark)
        depth = len(context.frames)
        written = self.written_saves(aux.body)
        tensors = Tensors(written, self.report, inputs={}, around=context.tensors, depth=depth)
        body = self.elaborate_scope(aux.body, replace(context, tensors=tensors))
        if body is None or context.shape is None:
            self.after = context.shape
            return None
        if isinstance(body, Absent):
            raise Fault("node-form", f"the auxiliary classifier `{name}` is empty", aux.mark)
        _refuse_whole_recompute(body, f"the auxiliary classifier `{name}`")
        for one in body.named_outputs[:1]:  # within a block
            raise _in_aux("output" if one.weight is None else "aux", one.mark, f"it stands in `{name}`, {aux.mark}")
        frozen_arguments = freeze_pairs({"name": name, "weight": weight})
        return Group("aux", (("", body),), context.shape, context.shape, aux.mark, frozen_arguments=frozen_arguments)


def _refuse_whole_recompute(node: Result, what: str) -> None:
    """Raises `Fault` where all of a network or auxiliary classifier is to be computed again, which saves nothing."""
    while isinstance(node, (Layer, Group)):
        if node.recompute:
            message = f"`recompute` has no meaning for the whole of {what}: all of it would be kept to compute it again"
            raise Fault("key-unknown", message, node.mark, help="put it beside parts of it")
        node = node.children[0][1] if isinstance(node, Group) and node.kind == "block" else None


def _same_name(children: list[tuple[str, Node]], nodes: list[SyntaxNode]) -> Fault:
    """The fault of two parts of one name, which a formula gave to an auxiliary classifier among them."""
    name, count = Counter(key for key, _ in children).most_common(1)[0]
    mark = next(node.body.name.mark for node in nodes if isinstance(node.body, Aux) and node.body.name.is_formula)
    return Fault("duplicate-name", f"{count} parts are named `{name}`", mark)


def _in_aux(kind: str, mark: Mark, note: str = "") -> Fault:
    """The fault of an `output` or `aux` within an auxiliary classifier."""
    inner = "has no outputs beside its own" if kind == "output" else "cannot stand within another"
    return Fault("node-form", f"an auxiliary classifier {inner}", mark, notes=[note] if note else [])

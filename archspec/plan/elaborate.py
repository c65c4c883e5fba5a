"""Elaboration: nodes to a plan. Formulas are computed, blocks opened, and shapes flow from the input to the output."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from archspec.foundation.arguments import Schema, fault_in
from archspec.foundation.errors import Fault, Frame, Mark, Report, join_words
from archspec.foundation.formulas import describe
from archspec.foundation.frozen import freeze, freeze_pairs
from archspec.foundation.shapes import Shape, show
from archspec.foundation.source import List
from archspec.foundation.validate import faults
from archspec.language import syntax
from archspec.language.blocks import Block
from archspec.language.document import section_schemas
from archspec.language.grammar import WEIGHT
from archspec.language.loops import faults_of_rows
from archspec.language.names import ROLES, check_part, check_tensor
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
    Table,
    iterate_bodies,
    iterate_expressions,
)
from archspec.language.vocabulary import library_body
from archspec.layers import initializers, merges
from archspec.layers.primitive import Primitive
from archspec.plan.binding import Binder, Chain, Context, Initializers, InvalidValue, Row, Scope
from archspec.plan.frames import block_frame, pass_frame
from archspec.plan.nodes import Group, Layer, Node, Wire
from archspec.plan.sharing import Use, check_closed
from archspec.plan.tensors import Tensors, WrittenSaves

MAX_NODES = 100_000  # of a plan, groups counted
MAX_LEVELS = 24  # of a module; beyond these, tools that walk modules become slow
MAX_STEPS = 50_000  # of elaboration
MANY_ARGUMENTS = 30  # of one call: two more count as a step
MAX_PASSES = 10_000  # of one loop
MAX_VALUES = 2**40  # of one tensor


class _TooManySteps(Exception):
    """Raised where elaboration has taken more steps than any network needs."""


class _Absent:
    """What becomes of a node that is left out."""


LEFT_OUT = _Absent()
"""Left out because its `when` is false: as a branch it is absent."""
EMPTY = _Absent()
"""No layer, because `none` stands in its place: as a branch it changes nothing."""
Result = Node | _Absent | None
"""`None` is a node that is wrong, as reported: nothing is known of its output."""


def elaborate(sections: Sections, report: Report, frames: tuple[Frame, ...] = ()) -> Node | None:
    """The root of the plan, or `None` where the network is wrong. Reports what is."""
    if sections.network is None:
        return None
    elaborator = _Elaborator(sections, report)
    try:
        tensors = Tensors(elaborator.written_saves(sections.network), report, depth=len(frames))
        context = Context(sections.vars, sections.input, frames, Initializers(sections.init), tensors)
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
    if isinstance(result, _Absent):
        report.add(Fault("node-form", "the network is empty", sections.network.mark))
        return None
    return result


@dataclass(frozen=True, slots=True)
class _Open:
    """A call of a block that is being elaborated."""

    block: str
    values: dict[str, Any]
    falling: frozenset[str]
    """The arguments that have become smaller with each call of the block within itself."""


class _Elaborator:
    def __init__(self, sections: Sections, report: Report) -> None:
        self.sections = sections
        self.report = report
        self.blocks: dict[Any, Node | None] = {}  # by name, arguments and input: equal calls give one node
        self.binder = Binder(sections)
        self.open: list[_Open] = []  # the blocks being elaborated, outermost first
        self.steps = 0
        self.saves: dict[int, WrittenSaves] = {}  # by the body's id

    def written_saves(self, body: SyntaxNode) -> WrittenSaves:
        """Where a body saves tensors; it is looked through once, however often it is elaborated."""
        if id(body) not in self.saves:
            self.saves[id(body)] = WrittenSaves(body)
        return self.saves[id(body)]

    # --- nodes ---------------------------------------------------------------------------------------------------

    def node(self, node: SyntaxNode, context: Context) -> Result:
        """A node in its place, with its modifiers. Reports what is wrong with it."""
        self.count(1)
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
            for one in iterate_expressions(node):
                if one.mark == fault.mark and not fault.notes:
                    names = [name for name in one.names if self.binder.is_variable(name, context.scope)]
                    fault.notes += origins(names, self.sections.root, self.sections.vars)
            self.report.add(fault, node.mark, context.frames)
            return None
        except InvalidValue:
            return None

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
        wrong = list(faults(expression.value, section_schemas()["init"], "init", data))
        for fault in wrong:
            self.report.add(fault, frames=context.frames)
        return {} if wrong else self.sections.initial_values(expression.value, data, self.report)

    def elaborate_scope(self, node: SyntaxNode, context: Context) -> Result:
        """The body of a network, block or auxiliary classifier, which saves tensors of its own."""
        result = self.node(node, context)
        if result is not None:
            context.tensors.close()
        if isinstance(result, Wire) or (isinstance(result, Group) and result.kind == "aux"):  # no module by itself
            result = self.group("sequence", node.mark, [(node.key or "0", result)], context, result.output)
        return result

    def body(self, node: SyntaxNode, context: Context) -> Result:
        body = node.body
        match body:
            case Call():
                return self.call(body, context)
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

    def chain(self, kind: str, mark: Mark, nodes: list[tuple[str, SyntaxNode, Context]], context: Context) -> Result:
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
            result = self.node(node, here)
            if result is None:
                valid, shape = False, None
            elif not isinstance(result, _Absent):
                if kind == "sequence" and isinstance(node.body, Aux) and isinstance(result, Group) and key.isdigit():
                    key, named = result.name, True
                children.append((key, result))
                shape = result.output
        if named and len({key for key, _ in children}) < len(children):
            raise _same_name(children, [node for _, node, _ in nodes])
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
            (str(i), once, context.within(_loop_scope(i, count), pass_frame("repeat", i, count))) for i in range(count)
        ]
        return self.chain("repeat", node.mark, passes, context)

    def loop(self, loop: For, context: Context) -> Result:
        return self.chain("for", loop.mark, self.passes(loop, context), context)

    def passes(self, loop: For, context: Context) -> list[tuple[str, SyntaxNode, Context]]:
        """The body of a loop once for each row, with its key and what it sees. Raises `Fault` or `InvalidValue`."""
        columns = {name: self.binder.value(column, context) for name, column in loop.columns.items()}
        if loop.table is not None:
            columns |= self.table(loop.table, context)
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

    def table(self, table: Table, context: Context) -> dict[str, Any]:
        """The columns of a table, each with its values of all rows. Raises `Fault` or `InvalidValue`."""
        rows = self.binder.value(table.rows, context)
        for fault in faults_of_rows(table.names, table.rows, rows):
            raise fault
        return {
            name: [row[name] if isinstance(row, dict) else row[i] for row in rows] for i, name in enumerate(table.names)
        }

    def merge(self, merge: Merge, context: Context) -> Result:
        entries = [entry for node in merge.branches for entry in self.branches(node, context)]
        if merge.looped:
            (node,) = merge.branches
            assert isinstance(node.body, For)
            entries = self.passes(node.body, context)
        results = [(key, node.body.mark, self.node(node, seen)) for key, node, seen in entries]
        if any(result is None for _, _, result in results) or context.shape is None:
            return None
        if any(result is EMPTY for _, _, result in results):
            identity = self.group("sequence", merge.mark, [], context, context.shape)
            results = [(key, mark, identity if result is EMPTY else result) for key, mark, result in results]
        branches = [(key, mark, result) for key, mark, result in results if isinstance(result, Node)]
        if not branches:
            why = "its `for` has no rows" if not entries else "each `when` is false"
            raise Fault("branch-missing", f"`{merge.kind}` is left with no branch: {why}", merge.mark)
        keys, marks, nodes = map(list, zip(*branches, strict=True))
        shapes = [node.output for node in nodes]
        output = merges.output(merge.kind, shapes)
        if output is None:
            fault = merges.mismatch(merge.kind, shapes, keys, marks, merge.mark, [_is_empty(node) for node in nodes])
            if any(_uses_channels(node) for node in merge.branches):
                moved = "`c_in` is that of the node where it stands: keep an earlier one by `- let: {channels: =c_in}`"
                fault.help = f"{moved}; {fault.help}" if fault.help else moved
            raise fault
        group = self.group(merge.kind, merge.mark, list(zip(keys, nodes, strict=True)), context, output)
        return replace(group, looped=True) if merge.looped else group

    def branches(self, node: SyntaxNode, context: Context) -> list[tuple[str, SyntaxNode, Context]]:
        """A branch as written, with its key and what it sees; of a `load` of several tensors, one for each."""
        entry = (node.key, node, context)
        wire = node.body
        if not (isinstance(wire, syntax.Wire) and wire.kind == "load" and not isinstance(wire.name.data, str)):
            return [entry]
        try:
            if node.when is not None and not self.binder.typed(node.when, bool, "`when`", context):
                return [entry]
            names = self.binder.value(wire.name, context)
        except (Fault, InvalidValue):  # as the branch itself reports
            return [entry]
        if not isinstance(names, list):
            return [entry]
        places = wire.name.value.items if isinstance(wire.name.value, List) else [wire.name.value] * len(names)
        made = []
        for i, (name, place) in enumerate(zip(names, places, strict=True)):
            one = syntax.Wire(wire.mark, "load", Expression(place, name, frozenset(), True))
            key = f"{node.key}_{i}" if node.key else str(i)
            made.append((key, SyntaxNode(key, place.mark, one), context))
        return made

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
        tensors = Tensors(self.written_saves(aux.body), self.report, around=context.tensors, depth=depth)
        body = self.elaborate_scope(aux.body, replace(context, tensors=tensors))
        if body is None or context.shape is None:
            return None
        if isinstance(body, _Absent):
            raise Fault("node-form", f"the auxiliary classifier `{name}` is empty", aux.mark)
        _refuse_whole_recompute(body, f"the auxiliary classifier `{name}`")
        for one in body.named_outputs[:1]:  # within a block
            raise _in_aux("output" if one.weight is None else "aux", one.mark, f"it stands in `{name}`, {aux.mark}")
        frozen_arguments = freeze_pairs({"name": name, "weight": weight})
        return Group("aux", (("", body),), context.shape, context.shape, aux.mark, frozen_arguments=frozen_arguments)

    # --- calls ---------------------------------------------------------------------------------------------------

    def call(self, call: Call, context: Context) -> Result:
        """A primitive, block or role with its arguments. Raises `Fault` or `InvalidValue`."""
        callee: Any = call.callee
        given: dict[str, tuple[Mark, Any, bool]] = {}
        main: tuple[Mark, Any, bool] | None = None
        if isinstance(callee, Expression):
            callee = self.binder.value(callee, context)
            if isinstance(callee, dict) and len(callee) == 1:
                ((callee, inner),) = callee.items()
                if isinstance(inner, dict):
                    given = {name: (call.mark, value, True) for name, value in inner.items()}
                elif inner is not None:
                    main = (call.mark, inner, True)
            if callee is None or callee == "none":
                return EMPTY
            if not isinstance(callee, str):
                raise Fault("formula-type", f"a node must be a layer's name, not {describe(callee)}", call.mark)
        if callee in ROLES:
            if given or main or call.arguments or call.main:
                help = "say in `defaults` what it stands for, or name the layer itself"
                raise Fault("argument-unknown", f"`{callee}` takes no arguments here", call.mark, help=help)
            return self.role(callee, call, context)
        for name, argument in call.arguments.items():
            given[name] = (argument.value.mark, self.binder.value(argument.value, context), argument.value.is_formula)
        if call.main is not None:
            main = (call.main.mark, self.binder.value(call.main, context), call.main.is_formula)
        found = self.sections.vocabulary.find(callee)
        if found is None:
            raise Fault("name-unknown", f"there is no primitive or block `{callee}`", call.mark)
        if main is not None:
            if found.signature.main is None:
                raise Fault("argument-unknown", f"`{callee}` takes no arguments", main[0])
            given[found.signature.main.name] = main
        self.count(max(0, len(found.signature.arguments) - MANY_ARGUMENTS) // 2)
        try:
            values = self.binder.bind(found, given, call.mark, context)
        except Fault as fault:
            if fault.code == "out-of-range" and any(one.block == found.name for one in self.open):
                fault.help = "a `when` beside the call ends what a block does within itself: `when: =depth > 0`, say"
            raise
        if isinstance(found, Block):
            return self.block(found, values, call.mark, context)
        return self.layer(found, values, call.mark, context)

    def role(self, role: str, call: Call, context: Context) -> Result:
        if role not in self.sections.roles:
            example = {"act": "relu", "norm": "batch_norm"}[role]
            help = f"add `defaults: {{{role}: {example}}}` to the file"
            raise Fault("name-unknown", f"the file does not say what `{role}` stands for", call.mark, help=help)
        meant = self.sections.roles[role]
        if meant is None:
            return EMPTY
        outside = replace(context, scope=self.sections.vars)
        if isinstance(meant.callee, Expression) and (word := self.binder.value(meant.callee, outside)) in ROLES:
            raise Fault("formula-value", f"`{role}` must stand for a layer, not for `{word}`", meant.callee.mark)
        return self.call(Call(call.mark, meant.callee, meant.arguments, meant.main), outside)

    def layer(self, primitive: Primitive, values: dict[str, Any], mark: Mark, context: Context) -> Result:
        shape = context.shape
        if shape is None:
            return None
        output = primitive.output(values, shape)
        parameters = primitive.parameters(values, shape)
        init = []
        for name, (at, one) in context.init.values.get(primitive.name, {}).items():
            if name in parameters:
                initializers.check(one, f"`{name}` of `{primitive.name}`", parameters[name], at)
                init.append((name, one))
        macs = primitive.macs(values, shape, output)
        for tensor in (output, *parameters.values()):
            if prod(tensor) > MAX_VALUES:
                raise Fault("too-large", f"`{primitive.name}` would need a tensor of {show(tensor)} values", mark)
        frozen_arguments = freeze_pairs(values)
        return Layer(
            primitive.name, frozen_arguments, shape, output, tuple(parameters.items()), macs, mark, tuple(init)
        )

    def block(self, block: Block, values: dict[str, Any], mark: Mark, context: Context) -> Result:
        falling = self.falling(block, values, mark)
        own = self.sections.vocabulary.own.get(block.name) is block
        key = (block.name, freeze(values), context.shape, context.init.key)
        if key in self.blocks:
            known = self.blocks[key]
            return None if known is None else self.make_call(block, values, mark, context, known)
        body = self.sections.bodies.get(block.name) if own else library_body(block.name)
        if body is None:
            return None
        frame = block_frame(block.name, values, mark)
        scope = values | dict.fromkeys(block.invalid, INVALID)
        depth = len(context.frames) + 1
        tensors = Tensors(self.written_saves(body), self.report, block=block.name, depth=depth)
        inside = Context(scope, context.shape, (*context.frames, frame), context.init, tensors)
        self.open.append(_Open(block.name, values, falling))
        try:
            for name, expression in block.let.items():
                scope[name] = self.binder.value(expression, inside)
            result = self.elaborate_scope(body, inside)
        except Fault as fault:
            self.report.add(fault, mark, inside.frames)
            result = None
        except InvalidValue:
            result = None
        finally:
            self.open.pop()
        if isinstance(result, _Absent):
            result = self.group("sequence", mark, [], context, context.shape) if context.shape else None
        self.blocks[key] = result
        return None if result is None else self.make_call(block, values, mark, context, result)

    def falling(self, block: Block, values: dict[str, Any], mark: Mark) -> frozenset[str]:
        """The arguments that have become smaller with each call of a block within itself, and cannot do so for ever.

        Raises `Fault` where there are none: nothing proves that such calls end.
        """
        bounded = frozenset(a.name for a in block.signature.arguments if _is_bounded(a.schema))
        around = next((one for one in reversed(self.open) if one.block == block.name), None)
        if around is None:
            return bounded
        falling = frozenset(name for name in around.falling if values[name] < around.values[name])
        if not falling:
            names = [one.block for one in self.open]
            calls = " → ".join(f"`{name}`" for name in (*names[names.index(block.name) :], block.name))
            help = "give it an argument `{type: integer, minimum: 0}` that is smaller in each call within itself"
            if around.falling:
                help = f"of {join_words(sorted(around.falling))}, one must be smaller in each call within itself"
                if len(around.falling) == 1:
                    help = f"{join_words(around.falling)} must be smaller in each call within itself"
            raise Fault("block-recursion", f"the block `{block.name}` uses itself: {calls}", mark, help=help)
        return falling

    def make_call(self, block: Block, values: dict[str, Any], mark: Mark, context: Context, body: Node) -> Group:
        assert context.shape is not None
        return Group("block", (("", body),), context.shape, body.output, mark, block.name, freeze_pairs(values))


def _is_bounded(schema: Schema) -> bool:
    """Whether an argument is an integer that has a least value."""
    return schema.get("type") == "integer" and "minimum" in schema


def _is_empty(node: Node) -> bool:
    """Whether a branch gives its input unchanged."""
    if isinstance(node, Group):
        return not node.is_merge and all(_is_empty(child) for _, child in node.children)
    return isinstance(node, Wire) and node.kind != "load"


def _uses_channels(node: SyntaxNode) -> bool:
    """Whether a formula within a branch, after its first node, uses `c_in`."""
    later = node.body.nodes[1:] if isinstance(node.body, Sequence) else ()
    calls = [body for one in later for body in iterate_bodies(one) if isinstance(body, Call)]
    given = [one.value for call in calls for one in call.arguments.values()]
    given += [call.main for call in calls if call.main is not None]
    return any("c_in" in expression.names for expression in given)


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


def _loop_scope(index: int, count: int) -> Scope:
    return {"index": index, "first": index == 0, "last": index == count - 1}

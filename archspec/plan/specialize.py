"""Specialisation: a node to a program, with all done that depends on no size."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from archspec.foundation.errors import Fault, Mark
from archspec.foundation.formulas import Formula
from archspec.foundation.frozen import key_of
from archspec.foundation.shapes import Shape
from archspec.foundation.values import spent
from archspec.language.blocks import Block
from archspec.language.names import LOOP, ROLES
from archspec.language.sections import Sections
from archspec.language.syntax import Call, Expression, For, Let, Merge, Sequence, SyntaxNode, iterate_expressions
from archspec.language.vocabulary import library_body
from archspec.layers.primitive import Primitive
from archspec.plan.binding import Binder, Context, InvalidValue
from archspec.plan.calls import MANY_ARGUMENTS, Absent
from archspec.plan.loops import MAX_PASSES, compute_rows, loop_scope
from archspec.plan.nodes import Node
from archspec.plan.splits import axis_and_attention
from archspec.plan.steps import (
    Evaluate,
    Moving,
    NotSpecialized,
    Passes,
    Run,
    Step,
    Values,
    add_values,
    empty,
    give_up,
    left_out,
    make_bind,
    make_block,
    make_chain,
    make_choice,
    make_evaluate,
    make_layer,
    make_merge,
    make_recomputed,
    make_sequence,
    row_of,
    without,
)

MAX_UNROLLED = 64
"""Passes of a loop that are specialised one by one."""
MAX_OPEN = 20
"""Blocks within one another."""


def specialize(node: SyntaxNode, known: Values, run: Run, sections: Sections) -> Step | None:
    """The program of a node in which the formulas that use `known` names alone are constant.

    `None` where the node holds what programs do not do, or something is wrong with it.
    """
    try:
        maker = _Specializer(run, sections)
        return maker.at_times(lambda: maker.node(node, known))
    except (NotSpecialized, Fault, InvalidValue):
        return None


class _Specializer:
    def __init__(self, run: Run, sections: Sections) -> None:
        self.binder = Binder(sections, run.memo.sites, set())
        self.init = run.context.init
        self.tensors = run.context.tensors
        self.memo = run.memo
        self.sections = sections
        self.open: list[str] = []  # the blocks around, outermost first
        self.steps = self.work = 0  # of what is being specialised, were all of it made, but for what counts itself

    # --- formulas ------------------------------------------------------------------------------------------------

    def at(self, known: Values) -> Context:
        """A place where formulas see nothing but what is known."""
        return Context(known, None, (), self.init, self.tensors)

    def operand(self, expression: Expression, known: Values) -> tuple[Any, Evaluate | None]:
        """A formula's value where it is the same each time, or else what computes it. Raises `Fault`."""
        if expression.constant:
            return expression.data, None
        if expression.names <= known.keys():
            before = spent()
            value = self.binder.value(expression, self.at(known))
            self.work += spent() - before
            return value, None
        self.work += expression.data.size if isinstance(expression.data, Formula) else 0
        return None, make_evaluate(expression)

    def constant(self, expression: Expression, known: Values) -> Any:
        value, evaluate = self.operand(expression, known)
        if evaluate is not None:
            raise NotSpecialized
        return value

    # --- nodes ---------------------------------------------------------------------------------------------------

    def counted(self, make: Callable[[], Step]) -> tuple[Step, set[Mark]]:
        """What counts its own steps and work, since it is made in another number each time, and what it depends on."""
        outer = self.steps, self.work, self.binder.used
        self.steps, self.work, self.binder.used = 0, 0, set()
        try:
            body = make()
            steps, work, used = self.steps, self.work, self.binder.used
        finally:
            self.steps, self.work, self.binder.used = outer

        def step(scope: Values, shape: Shape, run: Run) -> Node | Absent:
            run.steps += steps
            run.work += work
            return body(scope, shape, run)

        return step, used

    def at_times(self, make: Callable[[], Step]) -> Step:
        """What is not made each time, and then says that something depends on what it uses."""
        body, used = self.counted(make)
        if not used:
            return body

        def step(scope: Values, shape: Shape, run: Run) -> Node | Absent:
            run.used |= used
            return body(scope, shape, run)

        return step

    def node(self, node: SyntaxNode, known: Values) -> Step:
        self.steps += 1
        when, choose = self.operand(node.when, known) if node.when is not None else (True, None)
        if not isinstance(when, bool) and choose is None:
            raise NotSpecialized
        return left_out if when is False else self.unless_left_out(node, known, choose)

    def unless_left_out(self, node: SyntaxNode, known: Values, choose: Evaluate | None) -> Step:
        if choose is None:
            return self.repeated(node, known)
        try:
            body = self.at_times(lambda: self.repeated(node, known))
        except (NotSpecialized, Fault, InvalidValue):  # which may be for another size
            body = give_up
        return make_choice(choose, body)

    def repeated(self, node: SyntaxNode, known: Values) -> Step:
        if node.repeat is None:
            return self.modified(node, known)
        count, evaluate = self.operand(node.repeat, known)
        once = self.at_times(lambda: self.node(replace(node, when=None, repeat=None), without(known, LOOP)))

        def passes(scope: Values, shape: Shape, run: Run) -> Iterable[tuple[str, Step, Values]]:
            times = count if evaluate is None else evaluate(scope, shape)
            if type(times) is not int or not 0 <= times <= MAX_PASSES:
                raise NotSpecialized
            return ((str(i), once, {**scope, **loop_scope(i, times)}) for i in range(times))

        chain, token, names = make_chain("repeat", node.mark, passes), object(), self.memo.names_of(node) or ()

        def step(scope: Values, shape: Shape, run: Run) -> Node:
            key = (token, shape, key_of(map(scope.get, names)))
            return run.part(key, chain, scope, shape)

        return step

    def modified(self, node: SyntaxNode, known: Values) -> Step:
        if node.share is not None or node.init is not None:
            raise NotSpecialized
        body = self.body(node, known)
        recompute = node.recompute is not None and self.constant(node.recompute, known)
        if not isinstance(recompute, bool):
            raise NotSpecialized
        return make_recomputed(body) if recompute else body

    def body(self, node: SyntaxNode, known: Values) -> Step:
        match body := node.body:
            case Call():
                return self.call(body, known)
            case Sequence():
                return self.sequence(body, known)
            case Merge():
                return self.merge(body, known)
            case For():
                return make_chain("for", body.mark, self.loop(body, known))
            case Let(body=SyntaxNode() as inside):
                add, seen = self.let(body, known)
                made = self.node(inside, seen)
                return lambda scope, shape, run: made(add(scope, shape), shape, run)
        raise NotSpecialized

    def let(self, let: Let, known: Values) -> tuple[Callable[[Values, Shape], Values], Values]:
        """What adds the values of a `let` to what formulas see, and what is known then."""
        self.steps += 1
        given = []
        known = dict(known)
        for name, expression in let.values.items():
            if expression is None:
                raise NotSpecialized
            value, evaluate = self.operand(expression, known)
            known.pop(name, None)
            if evaluate is None:
                known[name] = value
            given.append((name, value, evaluate))
        return lambda scope, shape: add_values(dict(scope), given, shape), known

    def sequence(self, sequence: Sequence, known: Values) -> Step:
        parts: list[tuple[str, Step]] = []
        for i, node in enumerate(sequence.nodes):
            if isinstance(node.body, Let) and node.body.body is None:
                return make_sequence(parts, sequence.mark, self.after_let(node.body, sequence, i + 1, known))
            parts.append((node.key, self.node(node, known)))
        return make_sequence(parts, sequence.mark)

    def after_let(self, let: Let, sequence: Sequence, start: int, known: Values) -> Step:
        """What follows a `let` in a sequence, from a position on."""
        add, seen = self.let(let, known)
        rest = self.sequence(replace(sequence, nodes=sequence.nodes[start:]), seen)
        return lambda scope, shape, run: rest(add(scope, shape), shape, run)

    def loop(self, loop: For, known: Values) -> Passes:
        written = [*loop.columns.values(), *([loop.table.rows] if loop.table else [])]
        hidden = (*LOOP, *loop.columns, *(loop.table.names if loop.table else ()))
        if all(one.constant or one.names <= known.keys() for one in written):
            before = spent()
            columns, count = compute_rows(loop, self.binder, self.at(known))
            self.work += spent() - before
            if count <= MAX_UNROLLED:
                rows = [{**loop_scope(i, count), **row_of(columns, i)} for i in range(count)]
                unrolled = [(str(i), self.node(loop.body, {**known, **row}), row) for i, row in enumerate(rows)]
                return lambda scope, shape, run: ((key, made, {**scope, **row}) for key, made, row in unrolled)
        body = self.at_times(lambda: self.node(loop.body, without(known, hidden)))

        def passes(scope: Values, shape: Shape, run: Run) -> Iterable[tuple[str, Step, Values]]:
            columns, count = compute_rows(loop, run.binder, run.at(scope, shape))
            return [(str(i), body, {**scope, **loop_scope(i, count), **row_of(columns, i)}) for i in range(count)]

        return passes

    def merge(self, merge: Merge, known: Values) -> Step:
        before = spent()
        axis, attention = axis_and_attention(merge, self.binder, self.at(known))
        self.work += spent() - before
        if merge.looped:
            (node,) = merge.branches
            assert isinstance(node.body, For)
            return make_merge(merge, self.loop(node.body, known), axis, attention)
        branches = [(node.key, self.node(node, known)) for node in merge.branches]
        return make_merge(
            merge, lambda scope, shape, run: [(key, made, scope) for key, made in branches], axis, attention
        )

    # --- calls ---------------------------------------------------------------------------------------------------

    def call(self, call: Call, known: Values, role: Mark | None = None) -> Step:
        if call.loads is not None or call.saves is not None:
            raise NotSpecialized
        callee = self.constant(call.callee, known) if isinstance(call.callee, Expression) else call.callee
        if callee is None or callee == "none":
            return empty
        mark = role or call.mark
        if isinstance(callee, dict):
            return self.call_of_data(callee, mark)
        if callee in ROLES:
            return self.role(callee, call, mark)
        site = self.binder.site(call, callee)
        if site is None or site.found.signature.inputs or site.found.signature.outputs:
            raise NotSpecialized
        self.binder.used.update(site.used)
        values = dict(site.fixed)
        self.steps += max(0, len(values) - MANY_ARGUMENTS) // 2
        moving: Moving = {}
        for argument, expression, own in site.computed:
            seen = without(values, moving) if own else known
            value, evaluate = self.operand(expression, seen)
            if evaluate is not None and not argument.is_node:
                moving[argument.name] = evaluate, argument.fits, own
                continue
            if argument.is_node:
                value = self.binder.node_value(value, argument.name, callee, call.mark)
            if evaluate is not None or not argument.fits(value):
                raise NotSpecialized
            values[argument.name] = value
        return self.open_call(site.found, values, moving, mark)

    def call_of_data(self, data: dict[str, Any], mark: Mark) -> Step:
        """A call that a formula has given, with the values of its arguments."""
        if len(data) != 1:
            raise NotSpecialized
        ((word, inner),) = data.items()
        found = self.sections.vocabulary.find(word)
        if found is None or found.signature.inputs or found.signature.outputs or word in ROLES:
            raise NotSpecialized
        main = found.signature.main
        if inner is not None and not isinstance(inner, dict):
            inner = {main.name: inner} if main else {"": inner}
        given = {name: (mark, value, True) for name, value in (inner or {}).items()}
        self.steps += max(0, len(found.signature.arguments) - MANY_ARGUMENTS) // 2
        return self.open_call(found, self.binder.bind(found, given, mark, self.at({})), {}, mark)

    def open_call(self, found: Primitive | Block, values: Values, moving: Moving, mark: Mark) -> Step:
        form = self.memo.forms.setdefault((found.name, key_of(values.values()), tuple(moving), self.init.key), object())
        bind = make_bind(values, moving)
        if not isinstance(found, Block):
            return make_layer(found, form, bind, mark, self.init)
        bodies = self.memo.programs_of_blocks
        if form not in bodies:
            bodies[form] = self.counted(lambda: self.block_body(found, without(values, moving)))
        body, used = bodies[form]
        self.binder.used |= {found.mark, *used}
        return make_block(found.name, form, body, bind, mark)

    def role(self, role: str, call: Call, mark: Mark) -> Step:
        if call.arguments or call.main is not None or role not in self.sections.roles:
            raise NotSpecialized
        meant = self.binder.meant_by(role)
        if meant is None:
            return empty
        outside = self.sections.vars  # those in roles are the same wherever these programs are used
        if isinstance(meant.callee, Expression) and self.constant(meant.callee, outside) in ROLES:
            raise NotSpecialized
        made = self.call(meant, outside, mark)
        if all(one.names <= outside.keys() for one in iterate_expressions(SyntaxNode("", mark, meant))):
            return made
        return lambda scope, shape, run: made(outside, shape, run)

    def block_body(self, block: Block, known: Values) -> Step:
        own = self.sections.vocabulary.own.get(block.name) is block
        node = self.sections.bodies.get(block.name) if own else library_body(block.name)
        if node is None or block.invalid or block.name in self.open or len(self.open) >= MAX_OPEN:
            raise NotSpecialized
        self.open.append(block.name)
        try:
            given = []
            for name, expression in block.let.items():
                value, evaluate = self.operand(expression, known)
                given.append((name, value, evaluate))
                if evaluate is None:
                    known[name] = value
            body = self.node(node, known)
        finally:
            self.open.pop()
        if not given:
            return body
        return lambda scope, shape, run: body(add_values(dict(scope), given, shape), shape, run)

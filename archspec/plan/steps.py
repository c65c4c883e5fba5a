"""What programs are made of: functions that compute values, bind arguments, and make layers and groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from archspec.foundation.errors import Mark
from archspec.foundation.formulas import Formula
from archspec.foundation.frozen import freeze, freeze_pairs
from archspec.foundation.shapes import Shape
from archspec.foundation.values import spent
from archspec.language.names import INCOMING
from archspec.language.syntax import Expression, Merge
from archspec.layers import merges
from archspec.layers.initializers import Init
from archspec.layers.primitive import Primitive
from archspec.plan.binding import Binder, Context, Initializers
from archspec.plan.calls import EMPTY, LEFT_OUT, Absent, compute_figures, initial_values
from archspec.plan.memo import LayerFigures, Memo
from archspec.plan.nodes import Group, Layer, Node
from archspec.plan.splits import part_of, parts_of

Values = dict[str, Any]
"""What formulas see."""


class NotSpecialized(Exception):
    """Raised where a program is not made, or gives up."""


Made = tuple[Node, int, int]
"""A part of a node, with the steps and work of its elaboration."""


@dataclass(slots=True)
class Run:
    """What the programs of one plan share."""

    binder: Binder
    memo: Memo
    context: Context
    """Where the node stands of which the program is."""
    steps: int = 0
    work: int = 0
    """Beside what formulas spend when they are computed."""
    layers: dict[Any, tuple[LayerFigures, tuple[tuple[str, Init], ...]]] = field(default_factory=dict)
    used: set[Mark] = field(default_factory=set)
    """Where the blocks, defaults and initial values stand on which something depends."""
    within: bool = False
    """Whether a part is being made."""
    parts: dict[Any, Made] = field(default_factory=dict)

    def at(self, scope: Values, shape: Shape) -> Context:
        """A place within the node."""
        return Context(scope, shape, (), self.context.init, self.context.tensors)

    def part(self, key: Any, step: Step, scope: Values, shape: Shape) -> Node:
        """The body of a block, or a node that is repeated: made once, and kept for other plans where it comes again."""
        kept = self.memo.made
        made = self.parts.get(key) or (kept.get(key) if kept else None)
        if made is None:
            steps, work, outermost = self.steps, self.work + spent(), not self.within
            self.within = True
            node = step(scope, shape, self)
            self.within = not outermost
            if isinstance(node, Absent):
                raise NotSpecialized
            made = node, self.steps - steps, self.work + spent() - work
            if outermost and self.memo.comes_again(key):
                self.memo.keep_made(key, made)
        else:
            self.steps += made[1]
            self.work += made[2]
        self.parts[key] = made
        return made[0]


Step = Callable[[Values, Shape, Run], "Node | Absent"]
"""Makes a node, of what formulas see and the shape that arrives. Raises what `run` expects."""


Evaluate = Callable[[Values, Shape], Any]
"""Computes a formula, of what it sees and the shape that arrives."""
Moving = dict[str, tuple[Evaluate, Callable[[Any], bool], bool]]
"""Arguments that are not the same each time: what computes them, whether values fit, whether it is the block's."""
Bind = Callable[[Values, Shape], tuple[Values, tuple[Any, ...]]]
"""The arguments of a call, and those that move as a key."""
Passes = Callable[[Values, Shape, Run], Iterable[tuple[str, Step, Values]]]
"""The passes of a loop: their keys, what makes each, and what formulas see in it."""


def make_choice(choose: Evaluate, body: Step) -> Step:
    """What a `when` leaves in or out."""

    def step(scope: Values, shape: Shape, run: Run) -> Node | Absent:
        chosen = choose(scope, shape)
        if chosen is True:
            return body(scope, shape, run)
        if chosen is False:
            return LEFT_OUT
        raise NotSpecialized

    return step


def make_recomputed(body: Step) -> Step:
    """What is computed again in the backward pass."""

    def step(scope: Values, shape: Shape, run: Run) -> Node | Absent:
        made = body(scope, shape, run)
        return replace(made, recompute=True) if isinstance(made, (Layer, Group)) else made

    return step


def make_layer(primitive: Primitive, form: object, bind: Bind, mark: Mark, init: Initializers) -> Step:
    name = primitive.name
    drawn = name in init.values

    def step(scope: Values, shape: Shape, run: Run) -> Layer:
        values, moved = bind(scope, shape)
        key = form, shape, moved
        known = run.layers.get(key)
        if known is None:
            figures = compute_figures(primitive, values, shape, mark)
            known = run.layers[key] = figures, initial_values(primitive, figures, init) if drawn else ()
        one, initial = known
        if initial:
            run.used.update(init.values[name][parameter][0] for parameter, _ in initial)
        return Layer(name, one.arguments, shape, one.output, one.parameters, one.params, one.macs, mark, initial)

    return step


def make_block(name: str, form: object, body: Step, bind: Bind, mark: Mark) -> Step:
    def step(scope: Values, shape: Shape, run: Run) -> Group:
        values, moved = bind(scope, shape)
        made = run.part((form, shape, moved), body, values, shape)
        return Group("block", (("", made),), shape, made.output, mark, name, freeze_pairs(values))

    return step


def make_merge(merge: Merge, entries: Passes, axis: int, attention: merges.Attention) -> Step:
    """A merge of branches, or of the passes of a loop."""
    kind, mark = merge.kind, merge.mark

    def step(scope: Values, shape: Shape, run: Run) -> Group:
        branches = list(entries(scope, shape, run))
        sizes: tuple[int, ...] = ()
        if merge.split is not None:
            sizes = parts_of(merge, len(branches), axis, run.binder, run.at(scope, shape))
        children: list[tuple[str, Node]] = []
        for i, (key, branch, seen) in enumerate(branches):
            arriving = part_of(shape, axis, sizes[i]) if sizes else shape
            made = branch(seen, arriving, run)
            if not isinstance(made, Absent):
                children.append((key, made))
            elif made is EMPTY:
                children.append((key, Group("sequence", (), arriving, arriving, mark)))
            elif sizes:
                raise NotSpecialized
        output = merges.output(kind, [made.output for _, made in children], axis, attention) if children else None
        if output is None:
            raise NotSpecialized
        return Group(
            kind, tuple(children), shape, output, mark, looped=merge.looped, split=sizes, axis=axis, attention=attention
        )

    return step


def make_evaluate(expression: Expression) -> Evaluate:
    """What computes a value that is not the same each time. Of a formula that gives no list, the work is counted."""
    formula, name, used = expression.data, expression.name, expression.names.intersection(INCOMING)
    if not isinstance(formula, Formula):
        return lambda scope, shape: expression.evaluate(_arriving(scope, shape, used))
    if name is not None and not used:

        def look_up(scope: Values, shape: Shape) -> Any:
            value = scope[name]
            return value if type(value) is int else expression.evaluate(scope)

        return look_up
    compute = formula.compute

    def evaluate(scope: Values, shape: Shape) -> Any:
        seen = _arriving(scope, shape, used) if used else scope
        value = compute(seen)
        return expression.evaluate(seen) if isinstance(value, (list, dict)) else value

    return evaluate


def _arriving(scope: Values, shape: Shape, used: frozenset[str]) -> Values:
    """What formulas see, with what they use of the tensor that arrives."""
    if not used:
        return scope
    seen = {**scope, "shape_in": list(shape), "c_in": shape[0]}
    if len(shape) == 3:
        _, seen["h_in"], seen["w_in"] = shape
    elif not used.isdisjoint(("h_in", "w_in")):
        raise NotSpecialized
    return seen


def make_bind(values: Values, moving: Moving) -> Bind:
    """What gives the arguments of a call, of which some move; those that are a block's own see the others."""
    if not moving:
        return lambda scope, shape: (values, ())
    given = [(name, *one) for name, one in moving.items()]

    def bind(scope: Values, shape: Shape) -> tuple[Values, tuple[Any, ...]]:
        made, moved = values.copy(), []
        for name, evaluate, fits, own in given:
            value = made[name] = evaluate(made if own else scope, shape)
            if not fits(value):
                raise NotSpecialized
            moved.append(value if type(value) is int else freeze(value))
        return made, tuple(moved)

    return bind


def make_sequence(parts: list[tuple[str, Step]], mark: Mark, rest: Step | None = None) -> Step:
    """Steps one after the other, and behind them the `rest`, a sequence that is part of this one."""

    def step(scope: Values, shape: Shape, run: Run) -> Group:
        children: list[tuple[str, Node]] = []
        arriving = shape
        for key, part in parts:
            made = part(scope, arriving, run)
            if not isinstance(made, Absent):
                children.append((key, made))
                arriving = made.output
        if rest is not None:
            more = rest(scope, arriving, run)
            assert isinstance(more, Group)
            children += more.children
            arriving = more.output
        return Group("sequence", tuple(children), shape, arriving, mark)

    return step


def make_chain(kind: str, mark: Mark, passes: Passes) -> Step:
    """The passes of a loop, one after the other."""

    def step(scope: Values, shape: Shape, run: Run) -> Group:
        children: list[tuple[str, Node]] = []
        arriving = shape
        for key, body, seen in passes(scope, shape, run):
            made = body(seen, arriving, run)
            if not isinstance(made, Absent):
                children.append((key, made))
                arriving = made.output
        return Group(kind, tuple(children), shape, arriving, mark)

    return step


def add_values(scope: Values, given: list[tuple[str, Any, Evaluate | None]], shape: Shape) -> Values:
    """Add values one after the other to what formulas see."""
    for name, value, evaluate in given:
        scope[name] = value if evaluate is None else evaluate(scope, shape)
    return scope


def row_of(columns: Values, index: int) -> Values:
    return {name: column[index] if isinstance(column, list) else column for name, column in columns.items()}


def without(known: Values, names: Iterable[str]) -> Values:
    hidden = set(names)
    return {name: value for name, value in known.items() if name not in hidden}


def empty(scope: Values, shape: Shape, run: Run) -> Absent:
    return EMPTY


def left_out(scope: Values, shape: Shape, run: Run) -> Absent:
    return LEFT_OUT


def give_up(scope: Values, shape: Shape, run: Run) -> Absent:
    raise NotSpecialized

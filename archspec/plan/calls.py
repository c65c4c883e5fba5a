"""The elaboration of calls: roles resolved, layers given their shapes, and blocks opened, each equal call once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from archspec.foundation.errors import Fault, Mark, join_words
from archspec.foundation.frozen import freeze_pairs, key_of
from archspec.foundation.report import Report
from archspec.foundation.shapes import Shape, show
from archspec.foundation.spelling import did_you_mean
from archspec.foundation.values import describe, spend, spent
from archspec.language.blocks import Block
from archspec.language.foreign import layer_hint
from archspec.language.names import ROLES
from archspec.language.sections import INVALID, Sections
from archspec.language.syntax import Call, Expression, SyntaxNode
from archspec.language.vocabulary import library_body
from archspec.layers import initializers
from archspec.layers.initializers import Init
from archspec.layers.primitive import Primitive
from archspec.plan.binding import Binder, Context, Initializers, InvalidValue
from archspec.plan.frames import block_frame
from archspec.plan.memo import MAX_HEIGHT, LayerFigures, Memo, Part
from archspec.plan.nodes import Group, Layer, Node
from archspec.plan.ports import NOTHING, Given, Loaded, check_given, make_ports, read_names
from archspec.plan.tensors import Tensors, WrittenSaves

MANY_ARGUMENTS = 30  # of one call: two more count as a step

MAX_VALUES = 2**40  # of one tensor


class Absent:
    """What becomes of a node that is left out."""


LEFT_OUT = Absent()
"""Left out because its `when` is false: as a branch it is absent."""

EMPTY = Absent()
"""No layer, because `none` stands in its place: as a branch it changes nothing."""

Result = Node | Absent | None
"""`None` is a node that is wrong, as reported: nothing is known of its output."""


@dataclass(slots=True)
class _Open:
    """A call of a block that is being elaborated."""

    block: str
    values: dict[str, Any]
    falling: frozenset[str]
    """The arguments that have become smaller with each call of the block within itself."""
    inner: set[str] = field(default_factory=set)
    """The blocks that are called in it."""
    height: int = 0
    """Calls of blocks within one another in it."""


def compute_figures(primitive: Primitive, values: dict[str, Any], shape: Shape, mark: Mark) -> LayerFigures:
    """Raises `Fault` where a layer cannot take this input."""
    output = primitive.output(values, shape)
    parameters = tuple(primitive.parameters(values, shape).items())
    params = 0
    for _, tensor in parameters:
        params += prod(tensor)
    if params > MAX_VALUES or prod(output) > MAX_VALUES:
        for tensor in (output, *dict(parameters).values()):
            if prod(tensor) > MAX_VALUES:
                raise Fault("too-large", f"`{primitive.name}` would need a tensor of {show(tensor)} values", mark)
    return LayerFigures(output, parameters, params, primitive.macs(values, shape, output), freeze_pairs(values))


def initial_values(primitive: Primitive, figures: LayerFigures, in_force: Initializers) -> tuple[tuple[str, Init], ...]:
    """The initialisers of a layer's parameters, where the file gives them. Raises `Fault` where one does not fit."""
    given = in_force.values.get(primitive.name)
    if not given:
        return ()
    shapes = dict(figures.parameters)
    for name, (at, one) in given.items():
        if name in shapes:
            initializers.check(one, f"`{name}` of `{primitive.name}`", shapes[name], at)
    return tuple((name, one) for name, (_, one) in given.items() if name in shapes)


class CallElaborator(ABC):
    """Elaborates calls within a file's sections."""

    def __init__(self, sections: Sections, report: Report, memo: Memo | None) -> None:
        self.sections = sections
        self.report = report
        self.memo = memo
        self.steps = 0
        self.after: Shape | None = None
        """Behind a node that is wrong: the shape of what it passes on, where that does not depend on the fault."""
        self.after_blocks: dict[Any, Shape | None] = {}
        self.blocks: dict[Any, Part | None] = {}  # by name, arguments and input: equal calls give one node
        self.kept: dict[Any, Part] = {}  # what the memo gets, if all is sound
        self._repeated = [0, 0]  # steps and work of the parts that were reused, had they been elaborated again
        self.layers: dict[Any, LayerFigures] = {} if memo is None else memo.layers
        self.binder = Binder(sections, {} if memo is None else memo.sites, report.used)
        self.open: list[_Open] = []  # the blocks being elaborated, outermost first

    @abstractmethod
    def count(self, steps: int) -> None:
        """Count steps of elaboration, and raise where there are too many."""

    @abstractmethod
    def elaborate_scope(self, node: SyntaxNode, context: Context) -> Result:
        """The body of a network, block or auxiliary classifier, which saves tensors of its own."""

    @abstractmethod
    def group(self, kind: str, mark: Mark, children: list[tuple[str, Node]], context: Context, output: Shape) -> Group:
        """A group within the limits. Raises `Fault`."""

    @abstractmethod
    def written_saves(self, body: SyntaxNode) -> WrittenSaves:
        """Where a body saves tensors."""

    def call_on_tensors(self, call: Call, context: Context) -> Result:
        """A call beside which stand the names of tensors. Raises `Fault` or `InvalidValue`."""
        tensors, inside = context.tensors, context
        loads: tuple[Loaded, ...] | None = None
        saves: tuple[tuple[str, Mark], ...] | None = None
        if call.loads is not None:
            names = read_names("load", call.loads, self.binder.value(call.loads, context))
            loads = tuple(Loaded(name, mark, tensors.load(name, mark)) for name, mark in names)
            inside = context.at(loads[0].shape if loads else None)
        if call.saves is not None:
            saves = tuple(read_names("save", call.saves, self.binder.value(call.saves, context)))
        marks = (one.mark if one else None for one in (call.loads, call.saves))
        result = self.call(call, inside, given=Given(loads, saves, *marks))
        gives = result.gives if isinstance(result, Group) else ()
        for index, (name, mark) in enumerate(saves or ()):
            port = gives[index] if gives else None
            shape = port.wire.output if port and port.wire else None
            tensors.save(name, shape, mark, context.frames, of_block=True)
        return result

    def call(self, call: Call, context: Context, role: Mark | None = None, given: Given = NOTHING) -> Result:
        """A primitive, block or role with its arguments, at a role's place. Raises `Fault` or `InvalidValue`."""
        callee: Any = call.callee
        mark = role or call.mark
        if isinstance(callee, Expression):
            callee = self.binder.value(callee, context)
        plain = isinstance(callee, str) and callee not in ROLES and callee != "none"
        if plain and (bound := self.binder.bind_site(call, callee, context)):
            self.count_arguments(len(bound[1]))
            return self.open_call(*bound, mark, context, given)
        return self.bind_anew(call, callee, mark, context, given)

    def count_arguments(self, count: int) -> None:
        """Count a call of very many arguments as more than a step."""
        self.count(max(0, count - MANY_ARGUMENTS) // 2)

    def open_call(
        self, found: Primitive | Block, values: dict[str, Any], mark: Mark, context: Context, given: Given
    ) -> Result:
        check_given(found.name, found.signature.inputs, found.signature.outputs, given, mark)
        if isinstance(found, Block):
            return self.block(found, values, mark, context, given)
        return self.layer(found, values, mark, context)

    def bind_anew(self, call: Call, callee: Any, mark: Mark, context: Context, given_tensors: Given) -> Result:
        """A call that names a role, or gives its arguments by a formula, or has something wrong."""
        given: dict[str, tuple[Mark, Any, bool]] = {}
        main: tuple[Mark, Any, bool] | None = None
        if isinstance(callee, dict) and len(callee) == 1:
            ((callee, inner),) = callee.items()
            if isinstance(inner, dict):
                given = {name: (mark, value, True) for name, value in inner.items()}
            elif inner is not None:
                main = (mark, inner, True)
        if callee is None or callee == "none":
            return EMPTY
        if not isinstance(callee, str):
            each = "of a list of layers, `for: {layer: =…}` with `body: =layer` makes a node each"
            help = each if isinstance(callee, list) else None
            raise Fault("formula-type", f"a node must be a layer's name, not {describe(callee)}", mark, help=help)
        if callee in ROLES:
            if given or main or call.arguments or call.main:
                help = "say in `defaults` what it stands for, or name the layer itself"
                raise Fault("argument-unknown", f"`{callee}` takes no arguments here", mark, help=help)
            return self.role(callee, mark, context)
        for name, argument in call.arguments.items():
            value = argument.value
            given[name] = (value.mark, self.binder.value(value, context), value.is_formula)
        if call.main is not None:
            main = (call.main.mark, self.binder.value(call.main, context), call.main.is_formula)
        found = self.sections.vocabulary.find(callee)
        if found is None:
            cure = layer_hint(callee) or did_you_mean(callee, self.sections.vocabulary.words())
            raise Fault("name-unknown", f"there is no primitive or block `{callee}`", mark, help=cure)
        if main is not None:
            if found.signature.main is None:
                raise Fault("argument-unknown", f"`{callee}` takes no arguments", main[0])
            given[found.signature.main.name] = main
        self.count_arguments(len(found.signature.arguments))
        try:
            values = self.binder.bind(found, given, mark, context)
        except Fault as fault:
            if fault.code == "out-of-range" and any(one.block == found.name for one in self.open):
                fault.help = "a `when` beside the call ends what a block does within itself: `when: =depth > 0`, say"
            raise
        return self.open_call(found, values, mark, context, given_tensors)

    def role(self, role: str, mark: Mark, context: Context) -> Result:
        if role not in self.sections.roles:
            norm = {2: "layer_norm", 4: "batch_norm_3d"}.get(len(context.shape or ()), "batch_norm")
            example = {"act": "relu", "norm": norm}[role]
            help = f"add `defaults: {{{role}: {example}}}` to the file"
            raise Fault("name-unknown", f"the file does not say what `{role}` stands for", mark, help=help)
        meant = self.binder.meant_by(role)
        if meant is None:
            return EMPTY
        outside = context.outside(self.sections.vars)
        if isinstance(meant.callee, Expression) and (word := self.binder.value(meant.callee, outside)) in ROLES:
            raise Fault("formula-value", f"`{role}` must stand for a layer, not for `{word}`", meant.callee.mark)
        try:
            return self.call(meant, outside, mark)
        except Fault as fault:
            if fault.code == "input-shape":
                fault.notes += (f"`{role}` stands for this layer by {meant.mark}",)
            raise

    def layer(self, primitive: Primitive, values: dict[str, Any], mark: Mark, context: Context) -> Result:
        shape = context.shape
        if shape is None:
            return None
        key = (primitive.name, key_of(values.values()), shape)
        known = self.layers.get(key)
        if known is None:
            known = self.layers[key] = compute_figures(primitive, values, shape, mark)
        init = initial_values(primitive, known, context.init)
        given = context.init.values.get(primitive.name, {})
        self.report.used.update(given[name][0] for name, _ in init)
        return Layer(
            primitive.name,
            known.arguments,
            shape,
            known.output,
            known.parameters,
            known.params,
            known.macs,
            mark,
            init,
        )

    def block(self, block: Block, values: dict[str, Any], mark: Mark, context: Context, given: Given) -> Result:
        falling = self.falling(block, values, mark)
        self.report.used.add(block.mark)
        own = self.sections.vocabulary.own.get(block.name) is block
        shapes = tuple(one.shape for one in given.loads) if given.loads else (context.shape,) * len(block.inputs)
        key = (block.name, key_of(values.values()), context.shape, context.init.key, *shapes[1:])
        if key in self.blocks:
            part = self.blocks[key]
            if part is not None:
                self._repeated[0] += part.steps
                self._repeated[1] += part.work
                self._note_call(part)
            self.after = self.after_blocks.get(key)
            return None if part is None else self.make_call(block, values, mark, context, part, given)
        if (part := self.recall(key)) is not None:
            self._note_call(part)
            return self.make_call(block, values, mark, context, part, given)
        body = self.sections.bodies.get(block.name) if own else library_body(block.name)
        if body is None:
            return None
        frame = block_frame(block.name, values, mark)
        scope = values | dict.fromkeys(block.invalid, INVALID)
        depth = len(context.frames) + 1
        inputs = {name: (shape, at) for (name, at), shape in zip(block.inputs, shapes, strict=True)}
        written, ends = self.written_saves(body), block.outputs
        tensors = Tensors(written, self.report, inputs=inputs, outputs=ends, block=block.name, depth=depth)
        inside = Context(scope, context.shape, (*context.frames, frame), context.init, tensors)
        opened, before = _Open(block.name, values, falling), self.done()
        self.open.append(opened)
        try:
            for name, expression in block.let.items():
                scope[name] = self.binder.value(expression, inside)
            result = self.elaborate_scope(body, inside)
        except Fault as fault:
            self.report.add(fault, mark, inside.frames)
            result = self.after = None
        except InvalidValue:
            result = self.after = None
        finally:
            self.open.pop()
        if isinstance(result, Absent):
            result = self.group("sequence", mark, [], context, context.shape) if context.shape else None
        outputs = tensors.shapes_of_outputs()
        if result is None or outputs is None:
            self.blocks[key] = None
            self.after = None if block.outputs else self.after
            self.after_blocks[key] = self.after
            return None
        made = self.part(result, before, frozenset({block.name} | opened.inner), opened.height + 1, outputs)
        self.blocks[key] = made
        self._note_call(made)
        if made.blocks.isdisjoint(one.block for one in self.open):  # else it depends on the calls around it
            self.kept[key] = made
        return self.make_call(block, values, mark, context, made, given)

    # --- what is kept from one plan to the next ------------------------------------------------------------------

    def recall(self, key: Any) -> Part | None:
        """A part of another plan of the file, whose steps and work are counted; `None` where there is none."""
        part = self.memo.parts.get(key) if self.memo else None
        if part is None or len(self.open) + part.height > MAX_HEIGHT:
            return None
        if not part.blocks.isdisjoint(one.block for one in self.open):
            return None
        self.count(part.steps)
        spend(part.work)
        return part

    def done(self) -> tuple[int, int]:
        """The steps and the work that were counted so far, those of parts that were reused included."""
        return self.steps + self._repeated[0], spent() + self._repeated[1]

    def part(
        self,
        node: Node,
        before: tuple[int, int],
        blocks: frozenset[str] = frozenset(),
        height: int = 0,
        outputs: tuple[Shape, ...] = (),
    ) -> Part:
        steps, work = self.done()
        return Part(node, steps - before[0], work - before[1], blocks, height, outputs)

    def _note_call(self, part: Part) -> None:
        """Tell the block that is open of a call in it."""
        if self.open:
            self.open[-1].inner |= part.blocks
            self.open[-1].height = max(self.open[-1].height, part.height)

    def falling(self, block: Block, values: dict[str, Any], mark: Mark) -> frozenset[str]:
        """The arguments that have become smaller with each call of a block within itself, and cannot do so for ever.

        Raises `Fault` where there are none: nothing proves that such calls end.
        """
        bounded = block.signature.bounded
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

    def make_call(
        self, block: Block, values: dict[str, Any], mark: Mark, context: Context, part: Part, given: Given
    ) -> Group:
        assert context.shape is not None
        output = part.outputs[0] if part.outputs else part.node.output
        group = Group("block", (("", part.node),), context.shape, output, mark, block.name, freeze_pairs(values))
        if not block.inputs and not block.outputs:
            return group
        takes, gives = make_ports(block, given, context.shape, part.outputs, mark)
        return replace(group, takes=takes, gives=gives)

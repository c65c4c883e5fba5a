"""The elaboration of calls: roles resolved, layers given their shapes, and blocks opened, each equal call once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from archspec.foundation.arguments import Schema
from archspec.foundation.errors import Fault, Mark, Report, join_words
from archspec.foundation.formulas import describe
from archspec.foundation.frozen import freeze, freeze_pairs
from archspec.foundation.shapes import Shape, show
from archspec.language.blocks import Block
from archspec.language.names import ROLES
from archspec.language.sections import INVALID, Sections
from archspec.language.syntax import Call, Expression, SyntaxNode
from archspec.language.vocabulary import library_body
from archspec.layers import initializers
from archspec.layers.primitive import Primitive
from archspec.plan.binding import Binder, Context, InvalidValue
from archspec.plan.frames import block_frame
from archspec.plan.nodes import Group, Layer, Node
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


@dataclass(frozen=True, slots=True)
class _Open:
    """A call of a block that is being elaborated."""

    block: str
    values: dict[str, Any]
    falling: frozenset[str]
    """The arguments that have become smaller with each call of the block within itself."""


def _is_bounded(schema: Schema) -> bool:
    """Whether an argument is an integer that has a least value."""
    return schema.get("type") == "integer" and "minimum" in schema


class CallElaborator(ABC):
    """Elaborates calls within a file's sections."""

    def __init__(self, sections: Sections, report: Report) -> None:
        self.sections = sections
        self.report = report
        self.blocks: dict[Any, Node | None] = {}  # by name, arguments and input: equal calls give one node
        self.binder = Binder(sections)
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
        tensors = Tensors(self.written_saves(body), self.report, inputs={}, block=block.name, depth=depth)
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
        if isinstance(result, Absent):
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

"""Programs: nodes of a file that come again with other sizes, specialised for what stays the same in them.

A plan from another width repeats the elaboration of every layer, and most of that finds what it found before: which
block a word names, what its arguments are, which of its nodes are left out. `specialize` does this once. What is left
is a program: formulas over sizes, and the layers and groups that follow.

A program makes what elaboration makes, or nothing: at anything that is out of the ordinary it gives up, and elaboration
says what is wrong. The steps and work that it counts are never fewer than those of elaboration, so the limits hold.
"""

from __future__ import annotations

from typing import Any

from archspec.foundation.errors import Fault
from archspec.foundation.frozen import freeze
from archspec.foundation.values import spend
from archspec.language.sections import INVALID, Sections
from archspec.language.syntax import Sequence, SyntaxNode
from archspec.plan.binding import InvalidValue
from archspec.plan.calls import Absent
from archspec.plan.nodes import MAX_LEVELS, MAX_NODES, Node
from archspec.plan.specialize import specialize
from archspec.plan.steps import NotSpecialized, Run, Step, Values

MIN_USES = 1
"""How often a node is elaborated before a program is made of it."""
MAX_PROGRAMS = 500
"""Programs that are kept before all are let go."""


def run_program(node: SyntaxNode, run: Run, sections: Sections) -> tuple[Node, int] | None:
    """A node by its program, and the steps of its elaboration; `None` where elaboration has to make it."""
    context = run.context
    names = run.memo.names_of(node)
    if names is None or context.shape is None or (isinstance(node.body, Sequence) and node.repeat is None):
        return None  # of a sequence, each part has its own: often others stay as they are
    values = {name: context.scope[name] for name in names if name in context.scope}
    if any(value is INVALID for value in values.values()):
        return None
    program = _program(node, values, run, sections)
    if program is None:
        return None
    run.steps = run.work = 0
    run.within, run.used = False, set()
    try:
        made = program(dict(context.scope), context.shape, run)
    except (NotSpecialized, Fault, InvalidValue):
        return None
    spend(run.work)
    if isinstance(made, Absent) or made.size > MAX_NODES or made.depth > MAX_LEVELS:
        return None
    run.binder.used |= run.used
    return made, run.steps


def _program(node: SyntaxNode, values: Values, run: Run, sections: Sections) -> Step | None:
    """The program of a node for the words and flags among the values; sizes may be others each time."""
    fixed = {name: value for name, value in values.items() if not is_size(value)}
    key = (node, run.context.init.key, tuple((name, freeze(value)) for name, value in fixed.items()))
    programs = run.memo.programs
    known = programs.get(key, 0)
    if isinstance(known, int):
        if len(programs) >= MAX_PROGRAMS:
            run.memo.forget_programs()
        programs[key] = known + 1
        if known < MIN_USES:
            return None
        known = programs[key] = specialize(node, fixed, run, sections)
    program: Step | None = known
    return program


def is_size(value: Any) -> bool:
    """Whether a value is a number, or a list of numbers: what a network's size depends on, and seldom its form."""
    if isinstance(value, list):
        return all(map(is_size, value))
    return isinstance(value, (int, float)) and not isinstance(value, bool)

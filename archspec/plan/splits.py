"""The axis of a merge, and the parts of a split tensor that its branches take."""

from __future__ import annotations

from typing import Any

from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape
from archspec.language.branches import find_fault_beside
from archspec.language.syntax import Expression, Merge
from archspec.layers import merges
from archspec.plan.binding import Binder, Context


def axis_and_attention(merge: Merge, binder: Binder, context: Context) -> tuple[int, merges.Attention]:
    """The axis that a merge joins or splits, and what stands beside `attend`. Raises `Fault` or `InvalidValue`."""
    axis: int = _value("axis", merge.axis, binder, context) if merge.axis else 0
    given = {word: _value(word, one, binder, context) for word, one in merge.attention.items()}
    return axis, merges.Attention(**given)


def parts_of(merge: Merge, count: int, axis: int, binder: Binder, context: Context) -> tuple[int, ...]:
    """The sizes of the parts of what reaches a merge, one for each of `count` branches; none where nothing is split.

    Raises `Fault` or `InvalidValue`.
    """
    sizes = _value("split", merge.split, binder, context) if merge.split else None
    if sizes in (None, "none") or context.shape is None:
        return ()
    assert merge.split is not None
    try:
        return merges.split(context.shape, axis, None if sizes == "equal" else sizes, count)
    except Fault as fault:
        fault.mark = fault.mark or merge.split.mark
        if merge.kind == "attend" and sizes == "equal" and "`axis" not in (fault.help or ""):
            fault.help = "queries and keys are equally wide: make what reaches it a multiple, `linear: =3 * 32` say"
        raise


def part_of(shape: Shape, axis: int, size: int) -> Shape:
    """The shape of a part of a tensor, of a size along an axis."""
    return (*shape[:axis], size, *shape[axis + 1 :])


def _value(word: str, expression: Expression, binder: Binder, context: Context) -> Any:
    value = binder.value(expression, context)
    if fault := find_fault_beside(word, value):
        fault.mark = expression.mark
        raise fault
    return value

"""Whether a network takes images of other sizes with the same weights: its plan says so, without torch."""

from __future__ import annotations

from archspec.foundation.errors import SpecError
from archspec.foundation.shapes import Shape, show
from archspec.layers.registry import primitives
from archspec.plan.plan import Plan
from archspec.spec import Spec, from_dict

STEPS = (8, 32, 64, 128)
"""By how much another size is larger: networks halve it several times, and some need it to be a multiple."""


def find_other_size(spec: Spec) -> tuple[Shape | None, str]:
    """Another input that the same module takes; where there is none, `None` and why, in words."""
    plan = spec.plan
    if len(plan.input) < 2:
        return None, ""  # a row has none
    for one in plan.layers:
        if primitives()[one.layer.primitive].fixed_size:
            return None, f"`{one.path}` ({one.layer.primitive}) is made for one size"
    reason = ""
    for step in STEPS:
        sizes = [size + step * number for number, size in enumerate(plan.input[1:], 1)]
        other = (plan.input[0], *sizes)
        try:
            found = plan_for_input(spec, other)
        except SpecError as error:
            reason = reason or f"with an input of {show(other)}, {error.diagnostics[0].message}"
            continue
        difference = _difference(plan, found)
        if difference is None:
            return other, ""
        reason = difference
    return None, reason


def plan_for_input(spec: Spec, shape: Shape) -> Plan:
    """The plan of a spec with another input. Raises `SpecError` where there is none."""
    kept = {key: value for key, value in spec.resolved.items() if key not in ("expect", "train")}
    return from_dict(kept | {"input": list(shape)}, spec.file).plan.without_aux()


def _difference(plan: Plan, other: Plan) -> str | None:
    """What a module would have otherwise for another input, in words."""
    if len(plan.layers) != len(other.layers):
        return "for another size it has other layers"
    for mine, its in zip(plan.layers, other.layers, strict=True):
        if mine.layer.parameters != its.layer.parameters:
            return f"for another size `{mine.path}` ({mine.layer.primitive}) has weights of another shape"
        if mine.path != its.path or mine.layer.arguments != its.layer.arguments:
            return f"for another size `{mine.path}` ({mine.layer.primitive}) has other arguments"
    return None

"""Whether a network takes images of other sizes with the same weights: its plan says so, without torch."""

from __future__ import annotations

from dataclasses import replace

from archspec.foundation.errors import SpecError
from archspec.foundation.shapes import Shape
from archspec.language.inputs import show_inputs
from archspec.layers.registry import primitives
from archspec.plan.plan import Plan
from archspec.spec import Spec, from_dict

STEPS = (8, 32, 64, 128)
"""By how much another size is larger: networks halve it several times, and some need it to be a multiple."""


def find_other_size(spec: Spec) -> tuple[tuple[Shape, ...] | None, str]:
    """Other inputs that the same module takes, all of them larger; where there are none, `None` and why, in words."""
    plan = spec.plan
    if all(len(one.shape) < 2 for one in plan.takes):
        return None, ""  # a row has none
    for one in plan.layers:
        if primitives()[one.layer.primitive].fixed_size and len(one.layer.input) > 1:  # a vector has no positions
            return None, f"`{one.path}` ({one.layer.primitive}) is made for one size"
    reason = ""
    for step in STEPS:
        others = tuple(
            replace(one, shape=(one.shape[0], *(size + step * number for number, size in enumerate(one.shape[1:], 1))))
            for one in plan.takes
        )
        other = tuple(one.shape for one in others)
        try:
            found = plan_for_input(spec, other)
        except SpecError as error:
            reason = reason or f"with an input of {show_inputs(others)}, {error.diagnostics[0].message}"
            continue
        difference = _difference(plan, found)
        if difference is None:
            return other, ""
        reason = difference
    return None, reason


def plan_for_input(spec: Spec, shapes: tuple[Shape, ...]) -> Plan:
    """The plan of a spec with other inputs. Raises `SpecError` where there is none."""
    kept = {key: value for key, value in spec.resolved.items() if key not in ("expect", "train")}
    names = [one.name for one in spec.plan.takes]
    given = {name: list(shape) for name, shape in zip(names, shapes, strict=True)} if names[0] else list(shapes[0])
    return from_dict(kept | {"input": given}, spec.file).plan.without_aux()


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

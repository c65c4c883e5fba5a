"""JSON Schemas of what is written, in which a formula may stand for any value."""

from __future__ import annotations

from archspec.foundation.arguments import Schema, either
from archspec.foundation.schemas import is_as_written

FORMULA: Schema = {"type": "string", "pattern": "^="}


def with_formulas(one: Schema) -> Schema:
    """The schema in which a formula may stand for any value inside it."""
    one = dict(one)
    for key in ("properties", "$defs"):
        if key in one:
            one[key] = {name: or_formula(inner) for name, inner in one[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(one.get(key), dict):
            one[key] = or_formula(one[key])
    for key in ("anyOf", "allOf"):
        if key in one:
            one[key] = [with_formulas(inner) for inner in one[key]]
    if "prefixItems" in one:
        one["prefixItems"] = [or_formula(inner) for inner in one["prefixItems"]]
    for key in ("then", "else"):
        if key in one:
            one[key] = with_formulas(one[key])
    return one


def or_formula(one: Schema) -> Schema:
    inner = with_formulas(one)
    if not inner or inner.get("type") == "string" or is_as_written(inner):
        return inner
    if "anyOf" in inner:
        return inner | {"anyOf": [*inner["anyOf"], FORMULA]}
    return either(inner, FORMULA)

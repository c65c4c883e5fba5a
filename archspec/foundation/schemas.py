"""JSON Schemas, and whether a value fits one.

`fits` decides the keywords that our schemas use, by the rules of draft 2020-12, and leaves schemas with others to
jsonschema, which also says what is wrong with a value that does not fit. Loading it takes a quarter of the time of a
check, so it is loaded where one of the two is needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

Schema = dict[str, Any]
"""A type of values, as a JSON Schema."""

_NO_FORMULA = {"$comment": "no formula"}


def as_written(schema: Schema) -> Schema:
    """A schema in whose place, where values are checked against it as written, no formula may stand."""
    return schema | _NO_FORMULA


def is_as_written(schema: Schema) -> bool:
    return bool(_NO_FORMULA.items() <= schema.items())


def fits(value: Any, schema: Schema, *, formulas: bool = False) -> bool:
    """Whether a value fits a schema, for which `1.0` is no integer; where `formulas` says so, a formula fits anywhere.

    But for `as_written` schemas.
    """
    try:
        return _fits(value, schema, formulas)
    except _Unknown:
        return bool(validator(schema, formulas=formulas).is_valid(value))


def compiled(schema: Schema) -> Callable[[Any], bool]:
    """What decides as `fits` does, for a schema that many values are held against.

    The forms that arguments have become one closure each; `fits` decides the others.
    """
    if not isinstance(schema, dict):
        return lambda value: bool(schema)  # `true` and `false` are schemas too
    keywords = schema.keys() - {"title", "description"}
    if keywords == {"anyOf"}:
        alternatives = tuple(compiled(one) for one in schema["anyOf"])
        if len(alternatives) == 2:
            first, second = alternatives
            return lambda value: first(value) or second(value)
        return lambda value: any(fitting(value) for fitting in alternatives)
    if keywords == {"enum"} and all(isinstance(one, str) for one in schema["enum"]):
        words = frozenset(schema["enum"])
        return lambda value: isinstance(value, str) and value in words
    kind = schema.get("type")
    if kind == "integer" and keywords <= {"type", "minimum", "maximum"}:
        least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        integer = _TYPES["integer"]
        return lambda value: (type(value) is int or integer(value)) and least <= value <= most
    if isinstance(kind, str) and keywords == {"type"}:
        return _TYPES[kind]
    if kind == "number" and keywords <= {"type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}:
        low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        return lambda value: (
            _TYPES["number"](value)
            and low <= value <= high
            and (above is None or value > above)
            and (below is None or value < below)
        )
    if kind == "object" and keywords <= {"type", "minProperties", "maxProperties"}:
        few, many = schema.get("minProperties", 0), schema.get("maxProperties", math.inf)
        return lambda value: isinstance(value, dict) and few <= len(value) <= many
    if kind == "array" and keywords <= {"type", "items", "minItems", "maxItems"}:
        few, many, one = schema.get("minItems", 0), schema.get("maxItems", math.inf), compiled(schema.get("items", {}))
        return lambda value: isinstance(value, list) and few <= len(value) <= many and all(map(one, value))
    return lambda value: fits(value, schema)


def validator(schema: Schema, *, formulas: bool = False) -> Validator:
    """A jsonschema validator that decides as `fits` does."""
    made: Validator = _validator_class(formulas)(schema)
    return made


@cache
def _validator_class(formulas: bool) -> Any:
    import jsonschema
    from jsonschema import validators

    extend: Any = validators.extend
    base = jsonschema.Draft202012Validator
    # JSON Schema counts 1.0 as an integer; torch's layers do not
    strict = base.TYPE_CHECKER.redefine("integer", lambda _, v: isinstance(v, int) and not isinstance(v, bool))
    keywords = {key: _sparing_formulas(check) for key, check in base.VALIDATORS.items()} if formulas else {}
    return extend(base, keywords, type_checker=strict)


def _sparing_formulas(check: Any) -> Any:
    def spare(one: Any, keyword: Any, instance: Any, schema: Any) -> Any:
        return () if _is_spared(instance, schema) else check(one, keyword, instance, schema)

    return spare


def _is_spared(value: Any, schema: Schema) -> bool:
    return isinstance(value, str) and value.startswith("=") and not is_as_written(schema)


# --- keywords ---------------------------------------------------------------------------------------------------------


class _Unknown(Exception):
    """Raised at a keyword, or a form of one, that is left to jsonschema."""


def _fits(value: Any, schema: Any, formulas: bool) -> bool:
    if not isinstance(schema, dict):
        return bool(schema)  # `true` and `false` are schemas too
    if formulas and _is_spared(value, schema):
        return True
    for keyword, wanted in schema.items():
        check = _KEYWORDS.get(keyword)
        if check is None:
            raise _Unknown(keyword)
        if not check(value, wanted, schema, formulas):
            return False
    return True


def _equal(one: Any, other: Any) -> bool:
    """Equality of JSON values: `1` is `1.0`, and neither is `true`."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "array": lambda v: isinstance(v, list),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "object": lambda v: isinstance(v, dict),
    "string": lambda v: isinstance(v, str),
}


def _type(value: Any, wanted: Any, schema: Schema, formulas: bool) -> bool:
    return any(_TYPES[kind](value) for kind in ([wanted] if isinstance(wanted, str) else wanted))


def _number(compare: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    return lambda value, wanted, schema, formulas: not _TYPES["number"](value) or compare(value, wanted)


def _length(kind: type[list[Any]] | type[dict[str, Any]], compare: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    return lambda value, wanted, schema, formulas: not isinstance(value, kind) or compare(len(value), wanted)


def _items(value: Any, wanted: Any, schema: Schema, formulas: bool) -> bool:
    rest = value[len(schema.get("prefixItems", ())) :] if isinstance(value, list) else ()
    return all(_fits(item, wanted, formulas) for item in rest)


def _prefix_items(value: Any, wanted: Any, schema: Schema, formulas: bool) -> bool:
    pairs = zip(value, wanted, strict=False) if isinstance(value, list) else ()
    return all(_fits(item, one, formulas) for item, one in pairs)


def _properties(value: Any, wanted: Any, schema: Schema, formulas: bool) -> bool:
    if not isinstance(value, dict):
        return True
    return all(_fits(value[key], one, formulas) for key, one in wanted.items() if key in value)


def _additional_properties(value: Any, wanted: Any, schema: Schema, formulas: bool) -> bool:
    if not isinstance(value, dict):
        return True
    known = schema.get("properties", {})
    return all(_fits(inner, wanted, formulas) for key, inner in value.items() if key not in known)


def _required(value: Any, wanted: Any, schema: Schema, formulas: bool) -> bool:
    return not isinstance(value, dict) or all(key in value for key in wanted)


def _if(value: Any, wanted: Any, schema: Schema, formulas: bool) -> bool:
    return _fits(value, schema.get("then" if _fits(value, wanted, formulas) else "else", True), formulas)


def _says_nothing(value: Any, wanted: Any, schema: Schema, formulas: bool) -> bool:
    return True


_KEYWORDS: dict[str, Callable[[Any, Any, Schema, bool], bool]] = {
    "type": _type,
    "enum": lambda value, wanted, schema, formulas: any(_equal(value, one) for one in wanted),
    "const": lambda value, wanted, schema, formulas: _equal(value, wanted),
    "minimum": _number(lambda value, bound: bool(value >= bound)),
    "maximum": _number(lambda value, bound: bool(value <= bound)),
    "exclusiveMinimum": _number(lambda value, bound: bool(value > bound)),
    "exclusiveMaximum": _number(lambda value, bound: bool(value < bound)),
    "minItems": _length(list, lambda count, bound: bool(count >= bound)),
    "maxItems": _length(list, lambda count, bound: bool(count <= bound)),
    "minProperties": _length(dict, lambda count, bound: bool(count >= bound)),
    "maxProperties": _length(dict, lambda count, bound: bool(count <= bound)),
    "pattern": lambda value, wanted, schema, formulas: not isinstance(value, str) or bool(re.search(wanted, value)),
    "items": _items,
    "prefixItems": _prefix_items,
    "properties": _properties,
    "additionalProperties": _additional_properties,
    "required": _required,
    "anyOf": lambda value, wanted, schema, formulas: any(_fits(value, one, formulas) for one in wanted),
    "allOf": lambda value, wanted, schema, formulas: all(_fits(value, one, formulas) for one in wanted),
    "not": lambda value, wanted, schema, formulas: not _fits(value, wanted, formulas),
    "if": _if,
    # what `if` has taken up, and what is for people
    **dict.fromkeys(("then", "else", "title", "description", "default", "$comment", "deprecated"), _says_nothing),
}

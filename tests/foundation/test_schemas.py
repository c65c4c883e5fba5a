"""Whether a value fits a schema, against jsonschema."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from archspec.foundation import schemas
from archspec.foundation.schemas import as_written, compiled, fits, validator
from archspec.language.vocabulary import library_block, library_names
from archspec.layers.registry import primitives

KEYS = st.sampled_from(["a", "b", "name"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, -1.5, 2.5, 1e300]),
    st.sampled_from(["", "a", "b", "=a", "name"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)
TYPES = st.sampled_from(["array", "boolean", "integer", "null", "number", "object", "string"])
NUMBERS = st.sampled_from([-1, 0, 1, 2, 0.5])
COUNTS = st.integers(0, 3)


def schema_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas of all keywords that `fits` decides."""
    some = st.lists(inner, min_size=1, max_size=3)
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "type": st.one_of(TYPES, st.lists(TYPES, min_size=1, max_size=3, unique=True)),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
        **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), NUMBERS),
        **dict.fromkeys(("minItems", "maxItems", "minProperties", "maxProperties"), COUNTS),
        "pattern": st.sampled_from(["^a", "b$", "", "^[^=]*$"]),
        "items": inner,
        "prefixItems": some,
        "properties": st.dictionaries(KEYS, inner, max_size=2),
        "additionalProperties": inner,
        "required": st.lists(KEYS, max_size=2, unique=True),
        "anyOf": some,
        "allOf": some,
        "not": inner,
        "if": inner,
        "then": inner,
        "else": inner,
        "title": st.just("a title"),
        "$comment": st.sampled_from(["no formula", "key-unknown"]),
    }
    return st.lists(st.sampled_from(sorted(keywords)), max_size=4, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: keywords[name] for name in names})
    )


SCHEMAS = st.recursive(st.one_of(st.booleans(), schema_of(st.booleans())), schema_of, max_leaves=6)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(SCHEMAS, VALUES, st.booleans())
@example({"enum": [1]}, True, False)
@example({"const": [0]}, [False], False)
@example({"not": {"const": 1}}, "=a", True)
@example({"anyOf": [{"type": "null"}], "$comment": "no formula"}, "=a", True)
@example({"prefixItems": [True], "items": False}, [1], False)
def test_what_fits_is_what_jsonschema_takes(schema: Any, value: Any, formulas: bool) -> None:
    assert fits(value, schema, formulas=formulas) == validator(schema, formulas=formulas).is_valid(value)


ARGUMENTS = [a.schema for one in primitives().values() for a in one.arguments]
ARGUMENTS += [a.schema for name in library_names() for a in library_block(name).signature.arguments]


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(SCHEMAS.filter(lambda one: isinstance(one, dict)), st.sampled_from(ARGUMENTS)), VALUES)
def test_what_is_compiled_decides_as_fits(schema: Any, value: Any) -> None:
    assert compiled(schema)(value) == fits(value, schema)


def test_every_keyword_of_fits_is_tried() -> None:
    tried: set[str] = set()

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(schema_of(st.booleans()))
    def collect(schema: dict[str, Any]) -> None:
        tried.update(schema)

    collect()
    for_people = {"description", "default", "deprecated"}
    assert tried == schemas._KEYWORDS.keys() - for_people


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"multipleOf": 2}, 3, False),
        ({"multipleOf": 2}, 4, True),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [1, 1]}, False),
        ({"$ref": "#/$defs/one", "$defs": {"one": {"type": "null"}}}, None, True),
        ({"patternProperties": {"^a": False}}, {"ab": 1}, False),
    ],
)
def test_keywords_that_our_schemas_do_not_use_are_left_to_jsonschema(
    schema: dict[str, Any], value: Any, expected: bool
) -> None:
    assert fits(value, schema) is expected


def test_a_formula_fits_nowhere_but_as_a_text_where_a_schema_is_held_to_what_is_written() -> None:
    whole = {"type": "object"}
    assert fits("=a", whole, formulas=True)
    assert not fits("=a", as_written(whole), formulas=True)
    assert not fits("=a", whole)

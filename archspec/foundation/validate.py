"""Validation of YAML trees against a JSON Schema: each error has its line and column."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, Any

from archspec.foundation.arguments import describe_schema, fault_in
from archspec.foundation.errors import Fault, Mark, join_words
from archspec.foundation.schemas import Schema, fits, is_as_written, validator
from archspec.foundation.source import Mapping, Value, is_left_empty, locate, plain
from archspec.foundation.spelling import did_you_mean

if TYPE_CHECKING:
    from jsonschema import ValidationError


class _AsWritten:
    """Says that a tree's content is what stands in the file."""


AS_WRITTEN: Any = _AsWritten()


def faults(value: Value, schema: Schema, what: str, data: Any = AS_WRITTEN) -> Iterator[Fault]:
    """Everything in a tree that a schema refuses. `what` names the tree's root to people, `train` say.

    As written, a formula fits wherever the schema does not say `as_written`; `data` is the tree's content with its
    formulas computed.
    """
    content = plain(value) if data is AS_WRITTEN else data
    formulas = data is AS_WRITTEN
    if not fits(content, schema, formulas=formulas):
        for error in validator(schema, formulas=formulas).iter_errors(content):
            yield from _translated(error, value, what)


def _translated(error: ValidationError, root: Value, what: str) -> Iterator[Fault]:
    schema: Any = error.schema
    wanted: Any = error.validator_value  # what the keyword that refused asks for
    instance: Any = error.instance
    path = list(error.absolute_path)
    where = ".".join(filter(None, [what, *map(str, path)])) or "the file"
    value = locate(root, path)
    if is_as_written(schema) and isinstance(instance, str) and instance.startswith("="):
        yield Fault(
            "type-mismatch", f"`{where}` must be {describe_schema(schema)} as it stands, no formula", value.mark
        )
    elif error.validator == "additionalProperties" and isinstance(instance, dict):
        known = schema.get("properties", {})
        for key in instance:
            if key not in known:
                hint = did_you_mean(key, known) or f"its keys are {join_words(known)}"
                if inner := next((one for one in known if key in _keys_in(known[one])), None):
                    hint = f"`{key}` stands in `{inner}`: `{inner}: {{{key}: …}}`"
                if empty := _empty_before(value, key, known):
                    hint = f"indent `{key}` if it belongs to `{empty}`, which is left empty"
                if key in known.get("name", {}).get("enum", ()):
                    hint = f"write `{{name: {key}, …}}`, with its arguments beside the name"
                message = f"`{key}` has no meaning in `{where}`" if path or what else f"`{key}` is no key of a spec"
                yield Fault("key-unknown", message, _key_mark(value, key), help=hint)
    elif error.validator == "required":
        for key in wanted:
            if key not in instance:
                yield Fault(
                    "key-missing",
                    f"`{where}` needs the key `{key}`" if path or what else f"a spec needs the key `{key}`",
                    value.mark,
                    help=schema.get("description"),
                )
    elif error.validator == "not" and "$comment" in schema:
        mark = _key_mark(locate(root, path[:-1]), str(path[-1])) if schema["$comment"] == "key-unknown" else value.mark
        yield Fault(schema["$comment"], f"`{where}` {schema['description']}", mark)
    elif error.validator in ("minProperties", "maxProperties"):
        options = join_words(schema.get("properties", {}))
        yield Fault("out-of-range", f"`{where}` must hold one of {options}", value.mark)
    elif error.validator == "anyOf" and (inner := _nearest(error)):
        for cause in inner:
            yield from _translated(cause, root, what)
    else:
        fault = fault_in(instance, schema, f"`{where}`")
        if fault is None:  # the schema says more than types and bounds; its description is in words
            fault = Fault("out-of-range", f"`{where}` {schema.get('description', error.message)}")
        fault.mark = value.mark
        fault.help = fault.help or _shape_hint(where, instance) or _form_hint(instance, schema)
        fault.help = fault.help or _recipe_hint(where, instance)
        yield fault


def _shape_hint(where: str, instance: Any) -> str | None:
    """How the shape of an input is written where another form of it was meant."""
    if where == "input" and isinstance(instance, (str, int)) and (sizes := re.findall(r"\d+", str(instance))[:4]):
        return f"write `[{', '.join(sizes)}]`"
    if re.fullmatch(r"input\.\d", where) and instance is None:
        return "a batch is not written: leave it out"
    if re.fullmatch(r"input\.\d", where) and isinstance(instance, list):
        return "several inputs have names: `input: {image: [3, 32, 32], values: [10]}`"
    if where.startswith("input.") and isinstance(instance, int) and not where[6:].isdigit():
        return "one input is a list, `input: [3, 32, 32]`; a mapping names several"
    return None


_ONE_NUMBER = {"warmup": "epochs", "ema": "decay", "clip": "norm", "early_stopping": "patience"}
"""Of a section of the recipe: what a number alone would be."""
_PRECISIONS = dict.fromkeys(("fp32", "float32", "32", "full", "32-bit"), "32-true")
_PRECISIONS |= dict.fromkeys(("fp16", "float16", "16", "half", "mixed", "amp", "16-bit", "fp16-mixed"), "16-mixed")
_PRECISIONS |= dict.fromkeys(("bf16", "bfloat16", "bf16-true"), "bf16-mixed")
_LOSSES = dict.fromkeys(("mse", "l2", "mseloss", "mean_square_error"), "mean_squared_error")
_LOSSES |= dict.fromkeys(("mae", "l1", "l1loss"), "mean_absolute_error")
_LOSSES |= dict.fromkeys(("bce", "bceloss", "bcewithlogitsloss", "binary_crossentropy"), "binary_cross_entropy")
_LOSSES |= dict.fromkeys(("ce", "categorical_crossentropy", "sparse_categorical_crossentropy"), "cross_entropy")
_LOSSES |= {"huber": "smooth_l1"}


def _recipe_hint(where: str, instance: Any) -> str | None:
    """How a key of a recipe is written that other programs write otherwise."""
    section, _, key = where.partition(".")
    if section != "train":
        return None
    is_number = isinstance(instance, (int, float)) and not isinstance(instance, bool)
    word = str(instance).lower()
    if key in _ONE_NUMBER and is_number:
        return f"write `{key}: {{{_ONE_NUMBER[key]}: {instance}}}`"
    if key == "resize" and is_number:
        return f"write `resize: {{name: crop, size: {instance}}}`"
    if key == "precision" and word in _PRECISIONS:
        return f"write `{_PRECISIONS[word]}`"
    if key in ("loss", "loss.name") and word in _LOSSES:
        return f"write `{_LOSSES[word]}`"
    if key in ("monitor", "early_stopping.monitor") and isinstance(instance, str) and instance.isidentifier():
        return f"write `val_{instance}`"
    if isinstance(instance, str) and re.fullmatch(r"\d+(\.\d+)? *%", instance):
        return f"a share is a number: `{float(instance.rstrip('% ')) / 100:g}`"
    if isinstance(instance, str) and re.fullmatch(r"[\d.]+(e-?\d+)?", instance):
        return f"write `{instance}`, without quotes"
    return None


def _form_hint(instance: Any, schema: Schema) -> str | None:
    """How a value is written where another form of it was meant."""
    kind = schema.get("type")
    if kind == "integer" and isinstance(instance, (str, float)) and re.fullmatch(r"-?\d+(\.0*)?", str(instance)):
        return f"write `{int(float(instance))}`"
    if kind == "string" and isinstance(instance, (int, float)) and not isinstance(instance, bool):
        return f"a text of digits needs quotes: `'{instance}'`"
    if kind == "object" and "body" in schema.get("properties", {}) and isinstance(instance, (list, str)):
        return "write `{body: …}`, with this as its `body`"
    return None


def _nearest(error: ValidationError) -> list[ValidationError]:
    """The errors of the one alternative whose kind (mapping or list) the value has; empty where that says nothing."""
    alternatives: Any = error.validator_value
    kind = "object" if isinstance(error.instance, dict) else "array" if isinstance(error.instance, list) else ""
    matching = [i for i, one in enumerate(alternatives) if one.get("type") == kind]
    if len(matching) != 1:
        return []
    return [cause for cause in error.context or () if cause.relative_schema_path[0] == matching[0]]


def _keys_in(schema: Schema) -> set[str]:
    """The keys of a mapping that fits a schema, or one of its alternatives."""
    others = [schema[word] for word in ("then", "else") if word in schema]
    others += [one for word in ("anyOf", "allOf") for one in schema.get(word, ())]
    return set(schema.get("properties", ())).union(*map(_keys_in, others)) - {"name"}


def _empty_before(value: Value, key: str, known: Container[str]) -> str | None:
    """The known key that is left empty right before a key, or before others that are as unknown."""
    keys = list(value.entries) if isinstance(value, Mapping) else []
    before = [one for one in keys[: keys.index(key)] if one in known] if key in keys else []
    empty = isinstance(value, Mapping) and bool(before) and is_left_empty(value.entries[before[-1]][1])
    return before[-1] if empty else None


def _key_mark(value: Value, key: str) -> Mark:
    return value.entries[key][0] if isinstance(value, Mapping) and key in value.entries else value.mark

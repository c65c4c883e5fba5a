"""The JSON Schema of a whole spec file, for editors and other tools."""

from __future__ import annotations

from archspec.foundation.arguments import Schema, either
from archspec.language import blocks as block
from archspec.language.document import VERSION, section_schemas
from archspec.language.inputs import INPUT_SCHEMA
from archspec.language.keywords import (
    ARGUMENT_KEYS,
    BLOCK_KEYS,
    FILE_KEYS,
    NAME,
)
from archspec.language.names import (
    MODIFIER_WORDS,
    NODE_WORDS,
    ROLES,
)
from archspec.language.node_schema import call_schema, definitions, describe_all, ref, signatures
from archspec.language.schema_formulas import FORMULA, with_formulas
from archspec.recipe import PARTIAL, Recipe, keys


def spec_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of a spec file.

    It knows the primitives and the library's blocks with their arguments. Names that a file gives to its own blocks
    it cannot know, so it lets any other word stand for a layer.
    """
    definition = with_formulas(block.BLOCK_SCHEMA)
    arguments: Schema = {"type": "object", "additionalProperties": _argument()}
    names: Schema = {"type": "array", "minItems": 1, "uniqueItems": True, "items": NAME}
    lists = dict.fromkeys(("vars", "inputs", "outputs"), names)
    own: dict[str, Schema] = {"body": ref("place"), "args": arguments, **lists}
    properties = definition["properties"] | own
    definition["properties"] = describe_all(BLOCK_KEYS, properties)
    written: dict[str, Schema] = {
        "extends": {"type": "string", "pattern": "^[^\\x00-\\x1f\\x7f]*\\.ya?ml$"},
        "archspec": {"const": VERSION},
        "defaults": _defaults(),
        "blocks": {"type": "object", "additionalProperties": definition},
        "network": ref("place"),
        "input": _input(),
    }
    known: dict[str, Schema] = {"extends": {}} | section_schemas()
    sections = {
        key: {"description": FILE_KEYS[key].doc, **(written.get(key) or with_formulas(one))}
        for key, one in known.items()
        if key != "variants"
    }
    sections["train"]["properties"] = {
        key: one | {"description": keys(Recipe)[key].doc} for key, one in sections["train"]["properties"].items()
    }
    partial: Schema = {
        "type": "object",
        "properties": {key: ref(f"section_{key}") for key in sections if key not in ("archspec", "extends")}
        | {"train": with_formulas(PARTIAL)},
        "additionalProperties": False,
    }
    variants: Schema = {"type": "object", "additionalProperties": either(partial, {"type": "null"})}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "archspec spec",
        "type": "object",
        "properties": {key: ref(f"section_{key}") for key in sections}
        | {"variants": {"description": FILE_KEYS["variants"].doc, **variants}},
        "required": ["archspec"],
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": [key for key, keyword in FILE_KEYS.items() if keyword.needed]},
        "additionalProperties": False,
        "$defs": {f"section_{key}": one for key, one in sections.items()} | definitions(),
    }


def _input() -> Schema:
    """The shape of one tensor, or the shapes of several by name."""
    one, several = INPUT_SCHEMA["anyOf"]
    named = with_formulas(several) | {"minProperties": 1, "propertyNames": NAME}
    return either(with_formulas(one), named, FORMULA)


def _argument() -> Schema:
    """The definition of one argument of a block."""
    bare, written = block.ARGUMENT_SCHEMA["anyOf"]
    written = written | {"properties": describe_all(ARGUMENT_KEYS, written["properties"])}
    return block.ARGUMENT_SCHEMA | {"anyOf": [bare, written]}


def _defaults() -> Schema:
    layers = {name: call_schema(signature, doc, complete=False) for name, (signature, doc) in signatures().items()}
    words = [
        *MODIFIER_WORDS,
        *(node_word for node_word in NODE_WORDS if node_word != "use"),
    ]  # what stands for a role is a layer and no more
    layer: Schema = {"allOf": [ref("node_mapping"), {"propertyNames": {"not": {"enum": words}}}]}
    role: Schema = {"anyOf": [{"type": "string"}, {"type": "null"}, layer]}
    return {"type": "object", "properties": layers | dict.fromkeys(ROLES, role)}

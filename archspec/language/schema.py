"""The JSON Schema of a whole spec file, for editors and other tools."""

from __future__ import annotations

from itertools import combinations

from archspec.foundation.arguments import Schema, Signature, either
from archspec.foundation.schemas import is_as_written
from archspec.language import blocks as block
from archspec.language.document import VERSION, section_schemas
from archspec.language.inputs import INPUT_SCHEMA
from archspec.language.keywords import (
    ARGUMENT_KEYS,
    ATTENTION,
    AUX_KEYS,
    BLOCK_KEYS,
    COMPANIONS,
    FILE_KEYS,
    FOR_KEYS,
    MODIFIERS,
    NAME,
    NODE_KEYWORDS,
    Keyword,
    Keywords,
)
from archspec.language.names import (
    COMPANIONS_BY_WORD,
    FORMER,
    MERGES,
    MODIFIER_WORDS,
    MODIFIERS_BY_WORD,
    NODE_WORDS,
    ROLES,
    WIRES,
)
from archspec.language.vocabulary import library_block, library_names
from archspec.layers.registry import primitives
from archspec.recipe import PARTIAL, Recipe, keys

FORMULA: Schema = {"type": "string", "pattern": "^="}


def spec_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of a spec file.

    It knows the primitives and the library's blocks with their arguments. Names that a file gives to its own blocks
    it cannot know, so it lets any other word stand for a layer.
    """
    definition = _with_formulas(block.BLOCK_SCHEMA)
    arguments: Schema = {"type": "object", "additionalProperties": _argument()}
    names: Schema = {"type": "array", "minItems": 1, "uniqueItems": True, "items": NAME}
    lists = dict.fromkeys(("vars", "inputs", "outputs"), names)
    own: dict[str, Schema] = {"body": _ref("place"), "args": arguments, **lists}
    properties = definition["properties"] | own
    definition["properties"] = _all_describe(BLOCK_KEYS, properties)
    written: dict[str, Schema] = {
        "extends": {"type": "string", "pattern": "^[^\\x00-\\x1f\\x7f]*\\.ya?ml$"},
        "archspec": {"const": VERSION},
        "defaults": _defaults(),
        "blocks": {"type": "object", "additionalProperties": definition},
        "network": _ref("place"),
        "input": _input(),
    }
    known: dict[str, Schema] = {"extends": {}} | section_schemas()
    sections = {
        key: {"description": FILE_KEYS[key].doc, **(written.get(key) or _with_formulas(one))}
        for key, one in known.items()
        if key != "variants"
    }
    sections["train"]["properties"] = {
        key: one | {"description": keys(Recipe)[key].doc} for key, one in sections["train"]["properties"].items()
    }
    partial: Schema = {
        "type": "object",
        "properties": {key: _ref(f"section_{key}") for key in sections if key not in ("archspec", "extends")}
        | {"train": _with_formulas(PARTIAL)},
        "additionalProperties": False,
    }
    variants: Schema = {"type": "object", "additionalProperties": either(partial, {"type": "null"})}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "archspec spec",
        "type": "object",
        "properties": {key: _ref(f"section_{key}") for key in sections}
        | {"variants": {"description": FILE_KEYS["variants"].doc, **variants}},
        "required": ["archspec"],
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": [key for key, keyword in FILE_KEYS.items() if keyword.needed]},
        "additionalProperties": False,
        "$defs": {f"section_{key}": one for key, one in sections.items()} | _definitions(),
    }


def _input() -> Schema:
    """The shape of one tensor, or the shapes of several by name."""
    one, several = INPUT_SCHEMA["anyOf"]
    named = _with_formulas(several) | {"minProperties": 1, "propertyNames": NAME}
    return either(_with_formulas(one), named, FORMULA)


def _argument() -> Schema:
    """The definition of one argument of a block."""
    bare, written = block.ARGUMENT_SCHEMA["anyOf"]
    written = written | {"properties": _all_describe(ARGUMENT_KEYS, written["properties"])}
    return block.ARGUMENT_SCHEMA | {"anyOf": [bare, written]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _with_formulas(one: Schema) -> Schema:
    """The schema in which a formula may stand for any value inside it."""
    one = dict(one)
    for key in ("properties", "$defs"):
        if key in one:
            one[key] = {name: _or_formula(inner) for name, inner in one[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(one.get(key), dict):
            one[key] = _or_formula(one[key])
    for key in ("anyOf", "allOf"):
        if key in one:
            one[key] = [_with_formulas(inner) for inner in one[key]]
    if "prefixItems" in one:
        one["prefixItems"] = [_or_formula(inner) for inner in one["prefixItems"]]
    for key in ("then", "else"):
        if key in one:
            one[key] = _with_formulas(one[key])
    return one


def _or_formula(one: Schema) -> Schema:
    inner = _with_formulas(one)
    if not inner or inner.get("type") == "string" or is_as_written(inner):
        return inner
    if "anyOf" in inner:
        return inner | {"anyOf": [*inner["anyOf"], FORMULA]}
    return either(inner, FORMULA)


def _signatures() -> dict[str, tuple[Signature, str]]:
    known = {name: (one.signature, one.doc) for name, one in primitives().items()}
    return known | {name: (library_block(name).signature, library_block(name).doc) for name in library_names()}


def _call(signature: Signature, doc: str, *, complete: bool) -> Schema:
    """What may stand after a layer's name: its arguments, the main one alone, or nothing."""
    arguments: Schema = {
        "type": "object",
        "properties": {
            a.name: _or_formula(a.schema) | ({"description": a.doc} if a.doc else {}) for a in signature.arguments
        },
        "additionalProperties": False,
    }
    forms: list[Schema] = [arguments]
    if complete:
        forms.append({"type": "null"})
    if signature.main is not None:
        forms.append(_or_formula(signature.main.schema))
    return {"description": doc, "anyOf": forms}


def _defaults() -> Schema:
    layers = {name: _call(signature, doc, complete=False) for name, (signature, doc) in _signatures().items()}
    words = [
        *MODIFIER_WORDS,
        *(node_word for node_word in NODE_WORDS if node_word != "use"),
    ]  # what stands for a role is a layer and no more
    layer: Schema = {"allOf": [_ref("node_mapping"), {"propertyNames": {"not": {"enum": words}}}]}
    role: Schema = {"anyOf": [{"type": "string"}, {"type": "null"}, layer]}
    return {"type": "object", "properties": layers | dict.fromkeys(ROLES, role)}


def _tensor_call(modifiers: dict[str, Schema]) -> Schema:
    """A block of the file, or what `use` names, with the names of the tensors that it takes and gives."""
    names = either(NAME, FORMULA, {"type": "array", "minItems": 1, "items": either(NAME, FORMULA)})
    known = [word for word in _node_words() if word not in ("load", "save", "use")]
    beside = ["load", "save", *MODIFIER_WORDS]
    return {
        "description": "A block that takes and gives tensors by name.",
        "type": "object",
        "properties": {
            "load": _describe(NODE_KEYWORDS["load"], names),
            "save": _describe(NODE_KEYWORDS["save"], names),
            "use": NODE_KEYWORDS["use"].schema,
            "with": {"type": "object"},
            **modifiers,
        },
        "anyOf": [{"required": ["load"]}, {"required": ["save"]}],
        "propertyNames": {"not": {"enum": [*known, "body"]}},
        "not": {"propertyNames": {"enum": beside}},
        "dependentRequired": {"with": ["use"]},
    }


def _definitions() -> dict[str, Schema]:
    modifiers: dict[str, Schema] = {
        "name": _describe(MODIFIERS["name"], NAME),
        "init": _ref("section_init"),
        "share": _describe(MODIFIERS["share"], either(NAME, FORMULA)),
        **{
            word: _describe(MODIFIERS[word], _or_formula(MODIFIERS[word].schema))
            for word in ("repeat", "when", "recompute")
        },
    }
    for former, now in FORMER.items():
        modifiers[former] = modifiers[now] | {"description": f"What `{now}` was called before.", "deprecated": True}
    return {
        "node": {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": _ref("node")},
                _ref("node_mapping"),
                _ref("tensor_call"),
            ]
        },
        "tensor_call": _tensor_call(modifiers),
        "node_mapping": _node_mapping(modifiers, _node_words()),
        "again": {
            "description": "The node that was shared before under this name, once more.",
            "type": "object",
            "required": ["share"],
            "propertyNames": {"enum": [word for word in MODIFIER_WORDS if word != "init"]},
        },
        "place": {
            "description": "A list of nodes, a mapping of named parts, or one node.",
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": _ref("node")},
                _ref("node_mapping"),
                _ref("tensor_call"),
                _ref("parts"),
            ],
        },
        "parts": {
            "type": "object",
            "propertyNames": {"not": {"enum": list(MODIFIER_WORDS)}, **modifiers["name"]},
            "properties": {"let": _node_words()["let"]},
            "additionalProperties": _ref("place"),
            "not": _ref("one_node"),
        },
        "one_node": {
            "anyOf": [
                {"minProperties": 1, "maxProperties": 1, "propertyNames": {"enum": [*_node_words()]}},
                _ref("again"),
                *(
                    {"required": [node_word], "propertyNames": {"enum": [node_word, *words]}}
                    for node_word, words in COMPANIONS_BY_WORD.items()
                ),
            ]
        },
        "branches": {
            "description": "Parallel branches of the same input.",
            "anyOf": [
                {"type": "array", "minItems": 1, "items": _ref("branch")},
                {
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": {"not": {"const": "let"}, **modifiers["name"]},
                    "additionalProperties": _ref("branch"),
                    "not": _ref("one_node"),
                },
                _loads(),
                {
                    "description": "A branch for each row.",
                    "type": "object",
                    "properties": {
                        "for": _node_words()["for"],
                        "let": _node_words()["let"],
                        "body": _ref("place"),
                    },
                    "required": ["for", "body"],
                    "additionalProperties": False,
                },
            ],
        },
        "branch": {
            "anyOf": [
                _ref("place"),
                _loads(modifiers["when"]),
                {
                    "type": "object",
                    "properties": {"when": modifiers["when"], "body": _ref("place")},
                    "required": ["body"],
                    "additionalProperties": False,
                },
            ]
        },
        **{f"call_{name}": _call(signature, doc, complete=True) for name, (signature, doc) in _signatures().items()},
    }


def _node_words() -> dict[str, Schema]:
    """What may stand after each word that says what a node is."""
    words: dict[str, Schema] = {name: _ref(f"call_{name}") for name in _signatures()}
    words |= {name: _ref("branches") for name in MERGES}
    words |= {role: {"anyOf": [{"type": "null"}, {"type": "object", "maxProperties": 0}]} for role in ROLES}
    word: Schema = either(NAME, FORMULA)
    words["use"] = NODE_KEYWORDS["use"].schema
    words["for"] = _loop()
    words["let"] = _LET
    words |= dict.fromkeys(WIRES, word)
    words["aux"] = {
        "type": "object",
        "properties": _all_describe(
            AUX_KEYS,
            {"name": AUX_KEYS["name"].schema, "weight": _or_formula(AUX_KEYS["weight"].schema), "body": _ref("place")},
        ),
        "required": list(AUX_KEYS),
        "additionalProperties": False,
    }
    return words | {node_word: _describe(keyword, words[node_word]) for node_word, keyword in NODE_KEYWORDS.items()}


_LET: Schema = {"type": "object", "minProperties": 1}


def _loads(when: Schema | None = None) -> Schema:
    """A `load` of several names, each of which is a branch."""
    names = {"type": "array", "minItems": 1 if when else 2, "items": either(NAME, FORMULA)}
    return {
        "type": "object",
        "properties": {"load": either(names, FORMULA)} | ({"when": when} if when else {}),
        "required": ["load"],
        "additionalProperties": False,
    }


def _loop() -> Schema:
    """What may stand after `for`: columns, a list of rows, or a table with the names of its columns."""
    column: Schema = {"type": ["string", "number", "boolean", "array", "null"]}
    rows: Schema = {"type": "array", "items": {"type": ["array", "object"]}}
    table = _all_describe(FOR_KEYS, {"as": FOR_KEYS["as"].schema, "rows": _or_formula(rows)})
    return {
        "anyOf": [
            {
                "type": "object",
                "minProperties": 1,
                "if": {"required": ["as"]},
                "then": {"properties": table, "required": list(table)},
                "additionalProperties": column,
            },
            {"type": "array", "minItems": 1, "items": {"type": "object", "minProperties": 1}},
        ]
    }


def _describe(keyword: Keyword, one: Schema) -> Schema:
    return {"description": keyword.doc, **one}


def _all_describe(forms: Keywords, properties: dict[str, Schema]) -> dict[str, Schema]:
    return {key: _describe(forms[key], one) for key, one in properties.items()}


def _node_mapping(modifiers: dict[str, Schema], words: dict[str, Schema]) -> Schema:
    """A mapping with one node word, its companions and modifiers; any other word is taken for a block of the file."""
    companions: dict[str, Schema] = {
        "with": _describe(COMPANIONS["with"], {"type": "object"}),
        "body": _ref("place"),
        **{
            word: _describe(COMPANIONS[word], _or_formula(COMPANIONS[word].schema))
            for word in ("split", "axis", *ATTENTION)
        },
    }
    # one key that is no modifier: as many keys as modifiers, and one
    one_other: list[Schema] = [
        {"required": list(some), "minProperties": count + 1, "maxProperties": count + 1}
        for count in range(len(MODIFIER_WORDS) + 1)
        for some in combinations(MODIFIER_WORDS, count)
        if not any(former in some and now in some for former, now in FORMER.items())
    ]
    stands: dict[str, Schema] = {node_word: {"required": [node_word]} for node_word in words}
    stands["let"]["not"] = {"required": ["for"]}
    stands["dropout"]["not"] = {"required": ["attend"]}
    one_word = list(stands.values())
    limited: list[Schema] = [
        {"if": stands[node_word], "then": {"propertyNames": {"enum": [node_word, *allowed]}}}
        for node_word, allowed in MODIFIERS_BY_WORD.items()
    ]
    return {
        "type": "object",
        "properties": {**companions, **words, **modifiers},
        "not": {"anyOf": [{"required": [former, now]} for former, now in FORMER.items()]},
        "dependentRequired": {"with": ["use"], "body": ["for"], "for": ["body"]},
        "dependentSchemas": {
            "split": {"anyOf": [{"required": [merge]} for merge in MERGES]},
            "axis": {"anyOf": [{"required": ["concat"]}, {"required": ["split"]}]},
            **{word: {"required": ["attend"]} for word in ATTENTION if word not in words},
        },
        "if": {"anyOf": one_word},
        "then": {"oneOf": one_word, "propertyNames": {"enum": [*words, *companions, *modifiers]}, "allOf": limited},
        "else": {
            "if": {"propertyNames": {"enum": list(MODIFIER_WORDS)}},
            "then": _ref("again"),
            "else": {"anyOf": one_other},
        },
    }

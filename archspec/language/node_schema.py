"""The JSON Schemas of nodes: of every form of the language, and of calls of layers and the library's blocks."""

from __future__ import annotations

from itertools import combinations

from archspec.foundation.arguments import Schema, Signature, either
from archspec.language.keywords import (
    ATTENTION,
    AUX_KEYS,
    COMPANIONS,
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
    ROLES,
    WIRES,
)
from archspec.language.schema_formulas import FORMULA, or_formula
from archspec.language.vocabulary import library_block, library_names
from archspec.layers.registry import primitives


def definitions() -> dict[str, Schema]:
    """What stands for a node, by the names under which schemas refer to it."""
    modifiers, words = _modifiers(), _node_words()
    node: list[Schema] = [
        {"type": "string"},
        {"type": "array", "items": ref("node")},
        ref("node_mapping"),
        ref("tensor_call"),
    ]
    return {
        "node": {"anyOf": node},
        "tensor_call": _tensor_call(modifiers),
        "node_mapping": _node_mapping(modifiers, words),
        "again": {
            "description": "The node that was shared before under this name, once more.",
            "type": "object",
            "required": ["share"],
            "propertyNames": {"enum": [word for word in MODIFIER_WORDS if word != "init"]},
        },
        "place": {
            "description": "A list of nodes, a mapping of named parts, or one node.",
            "anyOf": [*node, ref("parts")],
        },
        "parts": {
            "type": "object",
            "propertyNames": {"not": {"enum": list(MODIFIER_WORDS)}, **modifiers["name"]},
            "properties": {"let": words["let"]},
            "additionalProperties": ref("place"),
            "not": ref("one_node"),
        },
        "one_node": _one_node(words),
        "branches": _branches(modifiers, words),
        "branch": _branch(modifiers),
        **{
            f"call_{name}": call_schema(signature, doc, complete=True)
            for name, (signature, doc) in signatures().items()
        },
    }


def signatures() -> dict[str, tuple[Signature, str]]:
    """The signatures of all layers and of the library's blocks, each with a line about it."""
    known = {name: (one.signature, one.doc) for name, one in primitives().items()}
    return known | {name: (library_block(name).signature, library_block(name).doc) for name in library_names()}


def call_schema(signature: Signature, doc: str, *, complete: bool) -> Schema:
    """What may stand after a layer's name: its arguments, the main one alone, or nothing."""
    arguments: Schema = {
        "type": "object",
        "properties": {
            a.name: or_formula(a.schema) | ({"description": a.doc} if a.doc else {}) for a in signature.arguments
        },
        "additionalProperties": False,
    }
    forms: list[Schema] = [arguments]
    if complete:
        forms.append({"type": "null"})
    if signature.main is not None:
        forms.append(or_formula(signature.main.schema))
    return {"description": doc, "anyOf": forms}


def ref(name: str) -> Schema:
    """What one of the schema's definitions says."""
    return {"$ref": f"#/$defs/{name}"}


def _tensor_call(modifiers: dict[str, Schema]) -> Schema:
    """A block of the file, or what `use` names, with the names of the tensors that it takes and gives."""
    names = either(NAME, FORMULA, {"type": "array", "minItems": 1, "items": either(NAME, FORMULA)})
    known = [word for word in _node_words() if word not in ("load", "save", "use")]
    beside = ["load", "save", *MODIFIER_WORDS]
    return {
        "description": "A block that takes and gives tensors by name.",
        "type": "object",
        "properties": {
            "load": describe(NODE_KEYWORDS["load"], names),
            "save": describe(NODE_KEYWORDS["save"], names),
            "use": NODE_KEYWORDS["use"].schema,
            "with": {"type": "object"},
            **modifiers,
        },
        "anyOf": [{"required": ["load"]}, {"required": ["save"]}],
        "propertyNames": {"not": {"enum": [*known, "body"]}},
        "not": {"propertyNames": {"enum": beside}},
        "dependentRequired": {"with": ["use"]},
    }


def _modifiers() -> dict[str, Schema]:
    """What may stand at each modifier, by its former name too."""
    modifiers: dict[str, Schema] = {
        "name": describe(MODIFIERS["name"], NAME),
        "init": ref("section_init"),
        "share": describe(MODIFIERS["share"], either(NAME, FORMULA)),
        **{
            word: describe(MODIFIERS[word], or_formula(MODIFIERS[word].schema))
            for word in ("repeat", "when", "recompute")
        },
    }
    for former, now in FORMER.items():
        modifiers[former] = modifiers[now] | {"description": f"What `{now}` was called before.", "deprecated": True}
    return modifiers


def _one_node(words: dict[str, Schema]) -> Schema:
    """What tells a node in a mapping from named parts."""
    return {
        "anyOf": [
            {"minProperties": 1, "maxProperties": 1, "propertyNames": {"enum": [*words]}},
            ref("again"),
            *(
                {"required": [node_word], "propertyNames": {"enum": [node_word, *companions]}}
                for node_word, companions in COMPANIONS_BY_WORD.items()
            ),
        ]
    }


def _branches(modifiers: dict[str, Schema], words: dict[str, Schema]) -> Schema:
    """What may stand after a merge."""
    return {
        "description": "Parallel branches of the same input.",
        "anyOf": [
            {"type": "array", "minItems": 1, "items": ref("branch")},
            {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"not": {"const": "let"}, **modifiers["name"]},
                "additionalProperties": ref("branch"),
                "not": ref("one_node"),
            },
            _loads(),
            {
                "description": "A branch for each row.",
                "type": "object",
                "properties": {"for": words["for"], "let": words["let"], "body": ref("place")},
                "required": ["for", "body"],
                "additionalProperties": False,
            },
        ],
    }


def _branch(modifiers: dict[str, Schema]) -> Schema:
    """One branch, which may have a condition."""
    return {
        "anyOf": [
            ref("place"),
            _loads(modifiers["when"]),
            {
                "type": "object",
                "properties": {"when": modifiers["when"], "body": ref("place")},
                "required": ["body"],
                "additionalProperties": False,
            },
        ]
    }


def _node_words() -> dict[str, Schema]:
    """What may stand after each word that says what a node is."""
    words: dict[str, Schema] = {name: ref(f"call_{name}") for name in signatures()}
    words |= {name: ref("branches") for name in MERGES}
    words |= {role: {"anyOf": [{"type": "null"}, {"type": "object", "maxProperties": 0}]} for role in ROLES}
    word: Schema = either(NAME, FORMULA)
    words["use"] = NODE_KEYWORDS["use"].schema
    words["for"] = _loop()
    words["let"] = _LET
    words |= dict.fromkeys(WIRES, word)
    words["aux"] = {
        "type": "object",
        "properties": describe_all(
            AUX_KEYS,
            {"name": AUX_KEYS["name"].schema, "weight": or_formula(AUX_KEYS["weight"].schema), "body": ref("place")},
        ),
        "required": list(AUX_KEYS),
        "additionalProperties": False,
    }
    return words | {node_word: describe(keyword, words[node_word]) for node_word, keyword in NODE_KEYWORDS.items()}


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
    table = describe_all(FOR_KEYS, {"as": FOR_KEYS["as"].schema, "rows": or_formula(rows)})
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


def describe(keyword: Keyword, one: Schema) -> Schema:
    return {"description": keyword.doc, **one}


def describe_all(forms: Keywords, properties: dict[str, Schema]) -> dict[str, Schema]:
    return {key: describe(forms[key], one) for key, one in properties.items()}


def _node_mapping(modifiers: dict[str, Schema], words: dict[str, Schema]) -> Schema:
    """A mapping with one node word, its companions and modifiers; any other word is taken for a block of the file."""
    companions: dict[str, Schema] = {
        "with": describe(COMPANIONS["with"], {"type": "object"}),
        "body": ref("place"),
        **{
            word: describe(COMPANIONS[word], or_formula(COMPANIONS[word].schema))
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
            "then": ref("again"),
            "else": {"anyOf": one_other},
        },
    }

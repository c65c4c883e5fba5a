"""The JSON Schema of a whole spec file, for editors and other tools."""

from __future__ import annotations

from itertools import combinations

from archspec.foundation.arguments import Schema, Signature, either, is_as_written
from archspec.language import blocks as block
from archspec.language.blocks import library_block, library_names
from archspec.language.document import VERSION, schemas
from archspec.language.grammar import WEIGHT
from archspec.language.names import COMPANIONS, MERGES, MODIFIERS, MODIFIERS_OF, ROLES, VERBS
from archspec.layers.registry import primitives
from archspec.recipe import recipe

FORMULA: Schema = {"type": "string", "pattern": "^="}
_SECTIONS = {
    "archspec": "The version of the language.",
    "extends": "Another spec, over which this one is laid: a path to a file in this file's folder or below.",
    "name": "The network's name, for people.",
    "description": "What the network is, in a line.",
    "source": "The paper or page that it comes from.",
    "input": "The shape of one sample: channels, height, width.",
    "vars": "Named values, for formulas; a later one may use those above it.",
    "defaults": "Default arguments of primitives and blocks, and the roles `act` and `norm`.",
    "blocks": "Blocks of this file.",
    "network": "The network: a list of nodes, or a mapping of named parts.",
    "variants": "Named partial specs, laid over this one.",
    "init": "Initial values of parameters, by primitive.",
    "expect": "Figures that the author vouches for.",
    "train": "The recipe.",
}


def schema() -> Schema:
    """The JSON Schema (draft 2020-12) of a spec file.

    It knows the primitives and the library's blocks with their arguments. Names that a file gives to its own blocks
    it cannot know, so it lets any other word stand for a layer.
    """
    definition = _with_formulas(block.SCHEMA)
    definition["properties"]["body"] = _ref("place")
    definition["properties"]["args"] = {"type": "object", "additionalProperties": block.ARGUMENT_SCHEMA}
    written: dict[str, Schema] = {
        "extends": {"type": "string", "pattern": "^[^\\x00-\\x1f\\x7f]*\\.ya?ml$"},
        "archspec": {"const": VERSION},
        "defaults": _defaults(),
        "blocks": {"type": "object", "additionalProperties": definition},
        "network": _ref("place"),
    }
    known: dict[str, Schema] = {"extends": {}} | schemas()
    sections = {
        key: {"description": _SECTIONS[key], **(written.get(key) or _with_formulas(one))}
        for key, one in known.items()
        if key != "variants"
    }
    partial: Schema = {
        "type": "object",
        "properties": {key: _ref(f"section_{key}") for key in sections if key not in ("archspec", "extends")}
        | {"train": _with_formulas(recipe.PARTIAL)},
        "additionalProperties": False,
    }
    variants: Schema = {"type": "object", "additionalProperties": either(partial, {"type": "null"})}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "archspec spec",
        "type": "object",
        "properties": {key: _ref(f"section_{key}") for key in sections}
        | {"variants": {"description": _SECTIONS["variants"], **variants}},
        "required": ["archspec"],
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": ["input", "network"]},
        "additionalProperties": False,
        "$defs": {f"section_{key}": one for key, one in sections.items()} | _definitions(),
    }


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
    words = [*MODIFIERS, *(verb for verb in VERBS if verb != "use")]  # what stands for a role is a layer and no more
    layer: Schema = {"allOf": [_ref("node_mapping"), {"propertyNames": {"not": {"enum": words}}}]}
    role: Schema = {"anyOf": [{"type": "string"}, {"type": "null"}, layer]}
    return {"type": "object", "properties": layers | dict.fromkeys(ROLES, role)}


def _definitions() -> dict[str, Schema]:
    modifiers: dict[str, Schema] = {
        "name": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*$", "description": "Its key in the state_dict."},
        "repeat": {
            "description": "How many copies stand here, one after the other.",
            **either({"type": "integer", "minimum": 0}, FORMULA),
        },
        "when": {"description": "If false, the node is left out.", **either({"type": "boolean"}, FORMULA)},
        "init": _ref("section_init"),
        "checkpoint": {
            "description": "Compute activations again in the backward pass, instead of keeping them.",
            **either({"type": "boolean"}, FORMULA),
        },
    }
    return {
        "node": {"anyOf": [{"type": "string"}, {"type": "array", "items": _ref("node")}, _ref("node_mapping")]},
        "node_mapping": _node_mapping(modifiers, _verbs()),
        "place": {
            "description": "A list of nodes, a mapping of named parts, or one node.",
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": _ref("node")},
                _ref("node_mapping"),
                _ref("parts"),
            ],
        },
        "parts": {
            "type": "object",
            "propertyNames": {"not": {"enum": list(MODIFIERS)}, **modifiers["name"]},
            "additionalProperties": _ref("place"),
            "not": _ref("one_node"),
        },
        "one_node": {
            "anyOf": [
                {"minProperties": 1, "maxProperties": 1, "propertyNames": {"enum": [*_verbs()]}},
                *({"required": [verb, *words], "maxProperties": 2} for verb, words in COMPANIONS.items()),
            ]
        },
        "branches": {
            "description": "Parallel branches of the same input.",
            "anyOf": [
                {"type": "array", "minItems": 1, "items": _ref("branch")},
                {
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": modifiers["name"],
                    "additionalProperties": _ref("branch"),
                    "not": _ref("one_node"),
                },
            ],
        },
        "branch": {
            "anyOf": [
                _ref("place"),
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


def _verbs() -> dict[str, Schema]:
    """What may stand after each word that says what a node is."""
    verbs: dict[str, Schema] = {name: _ref(f"call_{name}") for name in _signatures()}
    verbs |= {name: _ref("branches") for name in MERGES}
    verbs |= {role: {"anyOf": [{"type": "null"}, {"type": "object", "maxProperties": 0}]} for role in ROLES}
    verbs["use"] = {"type": "string", "description": "A layer's name, or a formula that gives one."}
    verbs["for"] = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"type": ["string", "number", "boolean", "array", "null"]},
        "description": "One pass of the body for each row of these columns.",
    }
    word: Schema = either({"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*$"}, FORMULA)
    verbs["save"] = {**word, "description": "Keep the tensor, under this name."}
    verbs["load"] = {**word, "description": "Take up the tensor that was saved under this name."}
    verbs["output"] = {**word, "description": "The tensor is also an output of the network, of this name."}
    verbs["aux"] = {
        "type": "object",
        "description": "A side classifier on the tensor, in training alone; its loss counts by the weight.",
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*$"},
            "weight": either(WEIGHT, FORMULA),
            "body": _ref("place"),
        },
        "required": ["name", "weight", "body"],
        "additionalProperties": False,
    }
    return verbs


def _node_mapping(modifiers: dict[str, Schema], verbs: dict[str, Schema]) -> Schema:
    """A mapping with one verb, its companions and the modifiers; any other word is taken for a block of the file."""
    companions: dict[str, Schema] = {
        "with": {"type": "object", "description": "The arguments of what `use` names."},
        "body": _ref("place"),
    }
    # one key that is no modifier: as many keys as modifiers, and one
    one_other: list[Schema] = [
        {"required": list(some), "minProperties": count + 1, "maxProperties": count + 1}
        for count in range(len(MODIFIERS) + 1)
        for some in combinations(MODIFIERS, count)
    ]
    one_verb: list[Schema] = [{"required": [verb]} for verb in verbs]
    limited: list[Schema] = [
        {"if": {"required": [verb]}, "then": {"propertyNames": {"enum": [verb, *allowed]}}}
        for verb, allowed in MODIFIERS_OF.items()
    ]
    return {
        "type": "object",
        "properties": {**verbs, **companions, **modifiers},
        "dependentRequired": {"with": ["use"], "body": ["for"], "for": ["body"]},
        "if": {"anyOf": one_verb},
        "then": {"oneOf": one_verb, "propertyNames": {"enum": [*verbs, *companions, *modifiers]}, "allOf": limited},
        "else": {"not": {"propertyNames": {"enum": list(MODIFIERS)}}, "anyOf": one_other},
    }

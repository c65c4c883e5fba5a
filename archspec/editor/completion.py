"""What may be written at a place: words of the language, layers and blocks, arguments, variables, tensors, parts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from archspec.editor.context import Context, context_at
from archspec.editor.document import Document
from archspec.editor.hover import vocabulary_of
from archspec.editor.names import body_of, occurrences, variables_at
from archspec.foundation.arguments import Schema, is_node
from archspec.foundation.formulas import CONSTANTS
from archspec.foundation.functions import FUNCTIONS
from archspec.language import keywords
from archspec.language.finder import SUFFIXES
from archspec.language.glossary import describe_argument, recipe_keys
from archspec.language.keywords import Keywords
from archspec.language.vocabulary import Vocabulary
from archspec.layers.initializers import INITIALIZERS
from archspec.recipe import AUGMENTATIONS, LOSSES, OPTIMIZERS, SCHEDULES

NODE_KEYS = ("network", "body", *keywords.NODE_KEYWORDS)
NODE_WORDS = {**keywords.NODE_KEYWORDS, **keywords.MODIFIERS, **keywords.COMPANIONS}
INNER_KEYS = {"for": keywords.FOR_KEYS, "aux": keywords.AUX_KEYS}
"""The keys that stand under certain words of the language."""
NAMES = {"load": ("tensor", "input"), "outputs": ("tensor", "input"), "share": ("share",)}
"""What the names that stand under a key are names of."""
NO_NODE = (*keywords.FILE_KEYS, *INNER_KEYS, "let", "with", "save", "output", "name", "inputs", *NAMES)
BY_RECIPE_KEY: dict[str, Mapping[str, Any]] = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "loss": LOSSES,
    "augment": AUGMENTATIONS,
}


@dataclass(frozen=True, slots=True)
class Completion:
    """A word that may stand at a place."""

    word: str
    kind: str
    """`layer`, `block`, `keyword`, `argument`, `value`, `variable`, `function`, `tensor`, `part` or `file`."""
    doc: str = ""


def complete(document: Document, line: int, column: int, sound: Document | None = None) -> list[Completion]:
    """What may be written at a place, counted from 1.

    Names come from `sound`, an earlier version of the text that was well-formed YAML, where this one is not.
    """
    context = context_at(document.lines, line, column)
    known = document if document.tree is not None or sound is None else sound
    found = {one.word: one for one in _words(known, context)}
    return list(found.values())


def _words(document: Document, context: Context) -> Iterable[Completion]:
    if context.formula:
        return _formula(document, context)
    section = context.path[0] if context.path else None
    if section is None:
        return _values(document, context, {}) if context.key else _keywords(keywords.FILE_KEYS)
    if section == "train":
        return _recipe(document, context)
    if section in ("network", "blocks", "defaults", "init", "variants"):
        return _network(document, context)
    return _keywords(keywords.EXPECT_KEYS) if section == "expect" and context.key is None else ()


def _keywords(table: Keywords, kind: str = "keyword") -> Iterator[Completion]:
    return (Completion(word, kind, keyword.doc) for word, keyword in table.items())


def _formula(document: Document, context: Context) -> Iterator[Completion]:
    yield from (Completion(name, "variable") for name in variables_at(document, context.path))
    yield from _keywords(keywords.INCOMING, "variable")
    yield from _keywords(keywords.LOOP, "variable")
    yield from (Completion(name, "function", one.doc) for name, one in FUNCTIONS.items())
    yield from (Completion(name, "value") for name in CONSTANTS)


def _network(document: Document, context: Context) -> Iterator[Completion]:
    vocabulary = vocabulary_of(document)
    if context.path[0] == "variants" and len(context.path) < 3 and context.key is None:
        yield from _keywords(keywords.FILE_KEYS) if len(context.path) == 2 else ()
        return
    if context.path[0] == "blocks" and len(context.path) < 3:
        yield from _keywords(keywords.BLOCK_KEYS) if len(context.path) == 2 and context.key is None else ()
        if context.key != "body":
            return
    if context.path[0] == "blocks" and "args" in context.path[2:]:
        yield from _keywords(keywords.ARGUMENT_KEYS) if context.key is None else ()
        yield from _keywords(keywords.ARGUMENT_TYPES, "value") if context.key == "type" else ()
        return
    if context.item and context.path[-1] in NAMES:
        yield from _names(document, context, context.path[-1])
        return
    if context.key is None and context.path[-1] in INNER_KEYS:
        yield from _keywords(INNER_KEYS[context.path[-1]])
        return
    callee = vocabulary.find(context.path[-1])
    if callee is not None and context.path[-1] not in NODE_KEYS:
        if context.key is None:
            for one in callee.signature.arguments:
                yield Completion(one.name, "argument", describe_argument(one))
            return
        if context.key in callee.signature.by_name:
            yield from _values(document, context, callee.signature.by_name[context.key].schema)
            return
    if "init" in context.path and context.key is not None:
        yield from (Completion(name, "value", one.doc) for name, one in INITIALIZERS.items())
    elif context.key is None:
        yield from _nodes(vocabulary, context)
    elif (alone := vocabulary.find(context.key)) is not None:  # the first argument, given alone
        first = alone.signature.arguments[:1]
        yield from _values(document, context, first[0].schema) if first and first[0].schema else ()
    else:
        word = NODE_WORDS.get(context.key)
        yield from _values(document, context, word.schema if word is not None and context.key != "use" else {})


def _nodes(vocabulary: Vocabulary, context: Context) -> Iterator[Completion]:
    for word in vocabulary.words():
        found = vocabulary.find(word)
        if found is not None:
            yield Completion(word, "block" if word in vocabulary.own else "layer", found.doc)
    yield from _keywords(keywords.ROLES, "layer")
    if context.path[:1] in (("network",), ("blocks",)):
        yield from _keywords(keywords.NODE_KEYWORDS)
        if not context.item:
            yield from _keywords(keywords.MODIFIERS)
            yield from _keywords(keywords.COMPANIONS)


def _names(document: Document, context: Context, key: str) -> Iterator[Completion]:
    """The names of tensors, or of what is shared, in this body."""
    body = body_of(context.path)
    found = (one for one in occurrences(document) if one.kind in NAMES[key] and one.defines)
    yield from (
        Completion(name, "tensor") for name in sorted({one.name for one in found if body_of(one.scope) == body})
    )


def _values(document: Document, context: Context, schema: Schema) -> Iterator[Completion]:
    """What may stand under a key: what its type allows, or by what the key means."""
    if context.key in NAMES:
        yield from _names(document, context, context.key)
    elif context.key == "extends":
        folder = os.path.dirname(document.path)
        files = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        yield from (Completion(one, "file") for one in files if one.endswith(SUFFIXES) and one != document.name)
    elif is_node(schema) or (not schema and context.key not in NO_NODE):
        yield from _nodes(vocabulary_of(document), Context((), None, "", False, True))
        yield Completion("none", "value", "No layer.") if schema else Completion("[]", "value", "No change.")
    for one in (schema, *schema.get("anyOf", ())):
        yield from (Completion(str(value), "value") for value in one.get("enum", ()) if value is not None)
        if one.get("type") == "boolean":
            yield from (Completion(word, "value") for word in ("true", "false"))


def _recipe(document: Document, context: Context) -> Iterator[Completion]:
    path = context.path[1:]
    if path and path[0] in ("freeze", "lr_scale"):
        yield from _parts(document)
        return
    table = BY_RECIPE_KEY.get(path[0] if path else context.key or "")
    if table is not None and context.key in (None, "name", *BY_RECIPE_KEY):
        yield from (Completion(name, "value", one.doc) for name, one in table.items())
    if context.key is None and (not path or path[0] not in BY_RECIPE_KEY):
        prefix = "".join(f"{key}." for key in path)
        for name, key in recipe_keys().items():
            if name.startswith(prefix) and "." not in name[len(prefix) :]:
                yield Completion(name[len(prefix) :], "keyword", key.doc)


def _parts(document: Document) -> Iterator[Completion]:
    """The network's parts and layers, by their paths."""
    if document.specs:
        graph = document.specs[0].plan.graph
        paths = [one.path for one in graph.groups] + [one.path for one in graph.layers]
        yield from (Completion(path, "part") for path in dict.fromkeys(paths) if path)

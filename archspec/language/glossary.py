"""What every word of the language and of recipes means: the tables of all floors by word, for `archspec explain`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from archspec.foundation.arguments import REQUIRED, Argument, describe_schema
from archspec.foundation.codes import CODES
from archspec.foundation.errors import join_words
from archspec.foundation.formulas import CONSTANTS
from archspec.foundation.functions import FUNCTIONS
from archspec.language import keywords, vocabulary
from archspec.language.keywords import Keyword, Keywords
from archspec.language.mistakes import MISTAKES
from archspec.layers.initializers import INITIALIZERS
from archspec.layers.registry import primitives
from archspec.recipe import (
    AUGMENTATIONS,
    LOSSES,
    OPTIMIZERS,
    RESIZES,
    SCHEDULES,
    Clip,
    EarlyStopping,
    Ema,
    Option,
    Recipe,
    Warmup,
    keys,
)

CODE = "the code of an error"
LOSS = "a loss of a recipe"
Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Meaning:
    """One meaning of a word: of what kind it is, and what there is to say of it."""

    word: str
    kind: str
    """What it is, with the article: `a modifier`."""
    doc: str
    rows: Rows = ()
    """Its arguments, or where it stands, each with a line about it."""
    facts: Rows = ()
    """What else there is to say, under short headings: `takes`, `default`, `source`."""
    examples: tuple[tuple[str, str], ...] = ()
    """Pieces of specs, under short headings."""


def meanings(word: str) -> list[Meaning]:
    """What a word means, less the layer or block that has this name; nothing where it is no word of ours."""
    found = [make(word, table[word]) for table, make in _tables() if word in table]
    found += _recipe_keys(word)
    used = () if word in keywords.ROLES else tuple(_uses(word))  # most blocks take roles, by their own names
    if used:
        doc = "Its meaning depends on what takes it."
        found.append(Meaning(word, "an argument", doc, used))
    return found


def words() -> list[str]:
    """Every word that has a meaning here, arguments aside, each once."""
    found = [word for table, _ in _tables() for word in table]
    found += [path.rsplit(".", 1)[-1] for path in recipe_keys()]
    return list(dict.fromkeys(found))


def recipe_keys() -> dict[str, Argument]:
    """The keys of a recipe and of the sections in it, by their dotted path below `train`."""
    sections = {"clip": Clip, "warmup": Warmup, "ema": Ema, "early_stopping": EarlyStopping}
    found = {}
    for name, key in keys(Recipe).items():
        found[name] = key
        if name in sections:
            found |= {f"{name}.{inner}": one for inner, one in keys(sections[name]).items()}
    return found


Maker = Callable[[str, Any], Meaning]


def _tables() -> Iterator[tuple[Mapping[str, Any], Maker]]:
    """Each table of words with what makes a meaning of its entries; in the order in which meanings are shown."""
    yield keywords.NODE_KEYWORDS, _node_keyword
    yield from _keywords(keywords.MODIFIERS, "a modifier, beside a node")
    yield keywords.FORMER, _former
    yield from _keywords(keywords.COMPANIONS, "a companion of a node's form", _owners(keywords.NODE_KEYWORDS))
    yield from _keywords(keywords.ROLES, "a role")
    yield from _keywords(keywords.FILE_KEYS, "a key of a file")
    yield from _keywords(keywords.FOR_KEYS, "a key of a table, at `for`")
    yield from _keywords(keywords.AUX_KEYS, "a key of `aux`")
    yield from _keywords(keywords.BRANCH_KEYS, "a key of a branch")
    yield from _keywords(keywords.EXPECT_KEYS, "a key of `expect`")
    yield from _keywords(keywords.DATA_KEYS, "a key of a recipe's `data`, for tables")
    yield from _keywords(keywords.BLOCK_KEYS, "a key of a block")
    yield from _keywords(keywords.ARGUMENT_KEYS, "a key of a block's argument")
    yield from _keywords(keywords.ARGUMENT_TYPES, "a type of a block's argument")
    yield from _keywords(keywords.INCOMING, "a variable of formulas")
    yield from _keywords(keywords.LOOP, "a variable of formulas")
    yield CONSTANTS, lambda word, value: Meaning(word, "a constant of formulas", _CONSTANTS[value])
    yield (
        FUNCTIONS,
        lambda word, one: Meaning(word, "a function of formulas", one.doc, facts=(("calls", one.calls),)),
    )
    yield INITIALIZERS, _initializer
    yield OPTIMIZERS, _option("an optimizer", "optimizer")
    yield SCHEDULES, _option("a schedule", "schedule")
    yield LOSSES, _option("a loss", "loss")  # its kind is `LOSS`
    yield RESIZES, _option("a way of resizing", "resize")
    yield AUGMENTATIONS, _augmentation
    yield CODES, _code


_CONSTANTS = {True: "The boolean true.", False: "The boolean false.", None: "Nothing: null, or no layer."}


def _keywords(table: Keywords, kind: str, owners: Mapping[str, str] | None = None) -> Iterator[tuple[Keywords, Maker]]:
    def make(word: str, keyword: Keyword) -> Meaning:
        of = f", of {owners[word]}" if owners else ""
        facts = (("takes", keyword.takes + (", needed" if keyword.needed else "")),) if keyword.takes else ()
        return Meaning(word, kind + of, keyword.doc, facts=facts, examples=_example(keyword.example))

    yield table, make


def _owners(table: Keywords) -> dict[str, str]:
    """Of each companion, the forms that it belongs to."""
    owners: dict[str, list[str]] = {}
    for owner, keyword in table.items():
        for word in keyword.companions:
            owners.setdefault(word, []).append(owner)
    return {word: "every merge" if len(forms) > 2 else join_words(forms) for word, forms in owners.items()}


def _example(text: str, heading: str = "example") -> tuple[tuple[str, str], ...]:
    return ((heading, text),) if text else ()


def _node_keyword(word: str, keyword: Keyword) -> Meaning:
    facts = [("takes", keyword.takes)]
    if keyword.companions:
        what = "its own key" if len(keyword.companions) == 1 else "its own keys"
        facts.append((what, join_words(keyword.companions)))
    facts.append(("beside it", join_words(keyword.modifiers)))
    return Meaning(word, "a form of a node", keyword.doc, facts=tuple(facts), examples=_example(keyword.example))


def _former(word: str, now: str) -> Meaning:
    return Meaning(word, "a modifier, beside a node", f"What `{now}` was called before; it is still read.")


def _arguments(arguments: Iterable[Argument]) -> Rows:
    return tuple((one.name, describe_argument(one)) for one in arguments)


def describe_argument(argument: Argument) -> str:
    """An argument in words: what it is, its type, and its default."""
    last = "required" if argument.required else f"default {format_value(argument.default)}"
    return "; ".join(filter(None, [argument.doc, describe_schema(argument.schema), last]))


def format_value(value: Any) -> str:
    """A value as YAML writes it, in one line; null is `none` where formulas and people read it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(format_value, value)) + "]"
    if isinstance(value, float) and len(str(value)) > 8:
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {format_value(inner)}" for key, inner in value.items()) + "}"
    return str(value)


def _initializer(word: str, one: Any) -> Meaning:
    rows = tuple(
        (key, describe_schema(schema) + ("; required" if key in one.required else ""))
        for key, schema in one.arguments.items()
    )
    axes = (("axes", f"{one.least_axes} or more"),) if one.least_axes else ()
    value = f"{{{word}: {{val: 1}}}}" if one.required else word
    example = f"init: {{conv: {{weight: {value}}}}}"
    return Meaning(word, "an initialiser", one.doc, rows, axes, _example(example))


def _option(kind: str, key: str) -> Maker:
    def make(word: str, option: Option) -> Meaning:
        rows = tuple(
            (name, describe_schema(schema) + ("; required" if name in option.required else ""))
            for name, schema in option.arguments.items()
        )
        source = (("source", option.source),) if option.source else ()
        needed = "".join(f", {name}: {_SAMPLES[name]}" for name in option.required)
        written = f"{{name: {word}{needed}}}" if needed else word
        example = f"train: {{{key}: {written}{_BESIDE.get((key, word), '')}}}"
        return Meaning(word, f"{kind} of a recipe", option.doc, rows, source, _example(example))

    return make


_SAMPLES = {"lr": "0.1", "milestones": "[10, 20]", "step_size": "10", "gamma": "0.9"}
"""Values of the arguments that options need, for examples."""
_BESIDE = {("resize", "weights"): ", weights: 'torchvision:resnet18'"}
"""What options need beside them, for examples."""
_DRAWN = {"color_jitter": "{color_jitter: {brightness: 0.4, contrast: 0.4}}"}
"""Augmentations that change nothing by default, with arguments, for examples."""


def _augmentation(word: str, one: Any) -> Meaning:
    source = (("source", one.source),) if one.source else ()
    example = _example(f"train: {{augment: [{_DRAWN.get(word, word)}]}}")
    return Meaning(word, "an augmentation of a recipe", one.doc, _arguments(one.signature.arguments), source, example)


def _code(word: str, doc: str) -> Meaning:
    mistake = MISTAKES.get(word)
    examples = () if mistake is None else (("wrong", mistake.wrong), ("right", mistake.right))
    return Meaning(word, CODE, doc, examples=examples)


def _recipe_keys(word: str) -> Iterator[Meaning]:
    for path, key in recipe_keys().items():
        section, _, name = path.rpartition(".")
        if name != word:
            continue
        kind = f"a key of a recipe's `{section}`" if section else "a key of a recipe"
        facts = [("takes", recipe_type(key))]
        if key.default is not None:
            facts.append(("default", "none: it is required" if key.default is REQUIRED else format_value(key.default)))
        yield Meaning(word, kind, f"{key.doc[0].upper()}{key.doc[1:]}.", facts=tuple(facts))


def recipe_type(key: Argument) -> str:
    """What fits a key of a recipe, in words."""
    return describe_schema(key.schema.get("else", key.schema))  # of a choice: that which is no bare name


def _uses(word: str) -> Iterator[tuple[str, str]]:
    """The layers and blocks that have an argument of this name, each with what it is there."""
    for name, primitive in primitives().items():
        if word in primitive.signature.by_name:
            yield name, describe_argument(primitive.signature.by_name[word])
    for name in vocabulary.library_names():
        if _mentions(name, word) and word in (arguments := vocabulary.library_block(name).signature.by_name):
            yield name, describe_argument(arguments[word])
    for table in (INITIALIZERS, OPTIMIZERS, SCHEDULES, LOSSES, RESIZES):
        for name, one in table.items():
            if word in one.arguments:
                yield name, describe_schema(one.arguments[word])
    for name, augmentation in AUGMENTATIONS.items():
        if word in augmentation.signature.by_name:
            yield name, describe_argument(augmentation.signature.by_name[word])


def _mentions(block: str, word: str) -> bool:
    """Whether a word stands in a block's file at all: to read the text is much faster than to read all definitions."""
    with open(os.path.join(vocabulary.FOLDER, f"{block}.yaml"), encoding="utf-8") as file:
        return re.search(rf"\b{re.escape(word)}\b", file.read()) is not None

"""Every form of the language stands in an example of its page; that the examples are sound, `test_docs` shows."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

import pytest
import yaml
from test_docs import FENCES

from archspec.foundation.functions import FUNCTIONS
from archspec.foundation.operators import ARITHMETIC, COMPARISONS
from archspec.language import keywords
from archspec.layers.initializers import INITIALIZERS

PAGE = [fence for fence in FENCES if fence.file == "language.md" and fence.info in ("yaml", "yaml file")]


def texts_of(value: Any, *, keys: bool) -> Iterable[str]:
    """The keys of mappings, or all other texts, at any depth."""
    if isinstance(value, dict):
        yield from value if keys else ()
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts_of(one, keys=keys)
    if isinstance(value, str) and not keys:
        yield value


EXAMPLES = [yaml.safe_load(fence.text) for fence in PAGE]
KEYS = {str(key) for one in EXAMPLES for key in texts_of(one, keys=True)}
TEXTS = {text for one in EXAMPLES for text in texts_of(one, keys=False)}
NODES = [node for text in TEXTS if text[:1] == "=" for node in ast.walk(ast.parse(text[1:].strip(), mode="eval"))]
IN_FORMULAS = {type(node) for node in NODES}


@pytest.mark.parametrize(
    "words",
    [
        keywords.FILE_KEYS,
        keywords.NODE_KEYWORDS,
        keywords.MODIFIERS,
        keywords.COMPANIONS,
        keywords.FOR_KEYS,
        keywords.AUX_KEYS,
        keywords.BRANCH_KEYS,
        keywords.BLOCK_KEYS,
        keywords.ARGUMENT_KEYS,
        keywords.EXPECT_KEYS,
    ],
    ids=lambda words: next(iter(words)),
)
def test_every_key_stands_in_an_example(words: keywords.Keywords) -> None:
    assert [word for word in words if word not in KEYS] == []


def test_every_word_stands_in_an_example() -> None:
    for words in (keywords.ARGUMENT_TYPES, keywords.ROLES, INITIALIZERS):
        assert [word for word in words if word not in KEYS | TEXTS] == []


def test_every_part_of_formulas_stands_in_an_example() -> None:
    names = {node.id for node in NODES if isinstance(node, ast.Name)}
    assert [one for one in (*FUNCTIONS, *keywords.INCOMING, *keywords.LOOP) if one not in names] == []
    forms = [*ARITHMETIC, ast.Pow, *COMPARISONS, ast.UAdd, ast.USub, ast.And, ast.Or, ast.Not]
    forms += [ast.IfExp, ast.List, ast.ListComp, ast.Subscript, ast.Slice, ast.Call]
    assert [one.__name__ for one in forms if one not in IN_FORMULAS] == []

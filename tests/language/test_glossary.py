"""Every word of every table has a meaning, and its examples are sound."""

from __future__ import annotations

from typing import Any

import pytest

from archspec.foundation.codes import CODES
from archspec.foundation.formulas import CONSTANTS
from archspec.foundation.functions import FUNCTIONS
from archspec.foundation.reading import read
from archspec.foundation.source import plain
from archspec.language import keywords
from archspec.language.glossary import meanings, recipe_keys, words
from archspec.language.keywords import Keyword
from archspec.language.names import COMPANION_WORDS, INCOMING, LOOP, MODIFIER_WORDS, NODE_WORDS, ROLES
from archspec.layers.initializers import INITIALIZERS
from archspec.layers.merges import MERGE_RULES
from archspec.layers.registry import primitives
from archspec.recipe import AUGMENTATIONS, LOSSES, OPTIMIZERS, RESIZES, SCHEDULES, SCHEMA
from archspec.spec import from_dict

FORMS = [
    word
    for table in vars(keywords).values()
    if isinstance(table, dict)
    for word, one in table.items()
    if isinstance(one, Keyword)
]
REGISTRIES: list[Any] = [
    *(CODES, CONSTANTS, FUNCTIONS, INITIALIZERS, MERGE_RULES, AUGMENTATIONS, LOSSES, OPTIMIZERS, RESIZES, SCHEDULES),
    *(COMPANION_WORDS, INCOMING, LOOP, MODIFIER_WORDS, ROLES, NODE_WORDS, SCHEMA["properties"], FORMS),
]


def test_no_word_of_any_table_is_left_out() -> None:
    assert {word for table in REGISTRIES for word in table} <= set(words())


@pytest.mark.parametrize("word", words())
def test_a_word_has_a_meaning(word: str) -> None:
    found = meanings(word)
    assert found
    for one in found:
        assert one.word == word
        assert one.kind.startswith(("a ", "an ", "the "))
        assert one.doc.strip("`")[0].isupper() or one.kind == "the code of an error" or one.doc[0] in "`3"
        assert "REQUIRED" not in str(one)


@pytest.mark.parametrize("word", [*INITIALIZERS, *OPTIMIZERS, *SCHEDULES, *LOSSES, *RESIZES, *AUGMENTATIONS])
def test_an_example_is_sound(word: str) -> None:
    (one,) = [one for one in meanings(word) if one.examples]
    ((_, text),) = one.examples
    data: Any = plain(read(text.encode(), "example"))
    from_dict({"archspec": 1, "input": [3, 8, 8], "network": [{"conv": {"out": 4, "kernel": 3}}]} | data)


def test_a_word_with_several_meanings_has_each() -> None:
    assert [one.kind for one in meanings("init")] == ["a modifier, beside a node", "a key of a file", "an argument"]
    assert [one.kind for one in meanings("decay")] == ["a key of a recipe", "a key of a recipe's `ema`"]
    assert [one.kind for one in meanings("norm")] == ["a role", "a key of a recipe's `clip`"]
    assert [one.kind for one in meanings("body")] == [
        "a companion of a node's form, of `for`",
        "a key of `aux`",
        "a key of a branch",
        "a key of a block",
    ]


def test_an_argument_is_told_by_where_it_stands() -> None:
    (one,) = meanings("kernel")
    owners = [name for name, _ in one.rows]
    assert {"conv", "max_pool", "conv_norm_act"} < set(owners)
    assert all("kernel" in primitives()[name].signature.by_name for name in owners if name in primitives())


def test_keys_of_a_recipe_stand_below_those_that_hold_them() -> None:
    paths = list(recipe_keys())
    assert paths[paths.index("ema") + 1 :][:2] == ["ema.decay", "ema.every"]
    assert meanings("nothing_of_ours") == []


def test_keys_of_the_data_of_a_table_are_words() -> None:
    for word in ("ignore", "one_hot", "target"):
        assert [one.kind for one in meanings(word)] == ["a key of a recipe's `data`, for tables"]
    assert [one.kind for one in meanings("inputs")] == ["a key of a recipe's `data`, for tables", "a key of a block"]

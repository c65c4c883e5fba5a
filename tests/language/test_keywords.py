"""Every word of the language has its one place: what it means, and an example that is sound."""

from __future__ import annotations

from typing import Any

import pytest

from archspec.assembly import assemble
from archspec.foundation.reading import read
from archspec.foundation.source import plain
from archspec.language import keywords
from archspec.language.document import section_schemas
from archspec.language.keywords import Keyword
from archspec.language.schema import spec_schema
from archspec.layers.initializers import INITIALIZERS
from archspec.layers.merges import MERGE_RULES
from archspec.spec import from_dict

TABLES = {name: table for name, table in vars(keywords).items() if isinstance(table, dict) and name.isupper()}
FORMS = [
    pytest.param(word, form, id=f"{name} {word}")
    for name, table in TABLES.items()
    for word, form in table.items()
    if isinstance(form, Keyword)
]


def test_the_tables_are_read() -> None:
    assert {"NODE_KEYWORDS", "MODIFIERS", "FILE_KEYS", "BLOCK_KEYS", "ARGUMENT_KEYS", "ARGUMENT_TYPES", "ROLES"} < set(
        TABLES
    )
    assert len(FORMS) > 60


@pytest.mark.parametrize(("word", "form"), FORMS)
def test_a_word_is_documented_in_a_line(word: str, form: Keyword) -> None:
    assert form.doc[0].isupper()
    assert form.doc.endswith(".")
    assert "\n" not in form.doc
    assert not form.takes.endswith(".")


def spec_of(example: str) -> dict[str, Any]:
    """An example as a spec: a node of a network, or sections of a file."""
    data: Any = plain(read(example.encode(), "example"))
    base: dict[str, Any] = {"archspec": 1, "input": [8, 16, 16], "vars": {"gate": "conv"}, "network": ["relu"]}
    return base | (data if isinstance(data, dict) else {"network": data})


@pytest.mark.parametrize(("word", "form"), [param for param in FORMS if param.values[1].example])
def test_an_example_is_sound_and_uses_its_word(word: str, form: Keyword) -> None:
    assert f"{word}: " in form.example or f"[{word}]" in form.example
    if word == "extends":
        return  # a spec that is data extends no file
    spec = spec_of(form.example)
    if "data: {name: people.csv, inputs" in form.example:
        spec |= {
            "input": {"person": [2], "lab": [2]},
            "network": [{"load": "person"}, {"concat": [{"load": "lab"}, []]}],
        }
    if word == "save":  # a name that nothing loads is an error, and one that nothing saves
        spec["network"].append({"load": "features"})
    if word == "load":
        spec["network"].insert(0, {"save": "features"})
    from_dict(spec)


def test_the_keys_of_a_file_are_those_that_are_read() -> None:
    assert set(keywords.FILE_KEYS) == {"extends", *section_schemas()}


def test_merges_are_those_that_torch_is_told_to_do() -> None:
    assert list(assemble.MERGES) == list(MERGE_RULES)
    assert set(MERGE_RULES) <= set(keywords.NODE_KEYWORDS)


def test_initialisers_are_documented() -> None:
    for one in INITIALIZERS.values():
        assert one.doc.endswith(".")
        assert set(one.required) <= set(one.arguments)


def test_editors_are_told_what_words_mean() -> None:
    schema = spec_schema()
    node = schema["$defs"]["node_mapping"]["properties"]
    for table in (keywords.NODE_KEYWORDS, keywords.MODIFIERS, keywords.COMPANIONS):
        for word, form in table.items():
            if "$ref" not in node[word]:
                assert node[word]["description"] == form.doc
    train = schema["$defs"]["section_train"]["properties"]
    assert (
        train["seed"]["description"] == "the seed of every random choice: initial weights, order, augmentation, dropout"
    )
    assert all(one["description"] for one in train.values())
    block = schema["$defs"]["section_blocks"]["additionalProperties"]["properties"]
    assert {key: one["description"] for key, one in block.items()} == {k: f.doc for k, f in keywords.BLOCK_KEYS.items()}

"""YAML as specs are written in: scalars, places, and what is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from archspec.foundation import reading, source
from archspec.foundation.errors import Fault
from archspec.foundation.reading import read
from archspec.foundation.source import Mapping, paths_to, plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("-0.5", -0.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("12", 12),
        ("-12", -12),
        ("+12", 12),
        ("0", 0),
        ("-0", 0),
        ("0x1F", 31),
        ("0o17", 15),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("none", "none"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("2001-01-01", "2001-01-01"),
        ("=a + 1", "=a + 1"),
        ("-", [None]),
        ("-a", "-a"),
        ("+", "+"),
        (".", "."),
        ("1.2.3", "1.2.3"),
        ("é", "é"),
    ],
)
def test_scalar(text: str, value: Any) -> None:
    result = plain(read(f"key: {text}\n".encode(), "t.yaml"))["key"] if text != "-" else [None]
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize("text", ["010", "-007", "00", "0123.5", "010e3"])
def test_leading_zeros_are_ambiguous(text: str) -> None:
    with pytest.raises(Fault) as caught:
        read(f"key: {text}".encode(), "t.yaml")
    assert caught.value.code == "value-ambiguous"


@pytest.mark.parametrize("text", [".inf", "-.inf", ".nan", "1e400", "9" * 25, "9" * 6000, "0x" + "f" * 20])
def test_numbers_without_bound_are_refused(text: str) -> None:
    with pytest.raises(Fault) as caught:
        read(f"key: {text}".encode(), "t.yaml")
    assert caught.value.code == "out-of-range"


@pytest.mark.parametrize(
    ("content", "code", "line", "column"),
    [
        (b"a: 1\nb: 2\na: 3\n", "duplicate-key", 3, 1),
        (b"a: !x 1\n", "yaml-feature", 1, 4),
        (b"a: !!int 1\n", "yaml-feature", 1, 4),
        (b"a: 1\n---\nb: 1\n", "yaml-feature", 2, 1),
        (b"a: &x {b: *x}\n", "yaml-feature", 1, 11),
        (b"a: *x\n", "yaml-syntax", 1, 4),
        (b"<<: {a: 1}\n", "yaml-feature", 1, 1),
        (b"? [1]\n: 1\n", "yaml-feature", 1, 3),
        (b"&k a: 1\n", "yaml-feature", 1, 1),
        (b"\ta: 1\n", "yaml-syntax", 1, 1),
        (b"a: [1\n", "yaml-syntax", 1, 4),
        (b"a: 1\n  b: 2\n", "yaml-syntax", 2, 4),
        (b"a: \x01\n", "yaml-syntax", 1, 4),
        (b"a: 1\nb: \xff\n", "yaml-syntax", 2, 4),
        (b"", "type-mismatch", 1, 1),
        (b"[" * 70 + b"]" * 70, "too-large", 1, 62),
        (b"[" * 100_000, "too-large", 1, 62),
        (b"a:\n - " + b"[" * 1001, "too-large", 2, 63),
        ("é: [".encode() + b"[" * 1001 + b"]" * 1001 + b"]", "too-large", 1, 64),
        (b"- " * 1002 + b"a", "too-large", 1, 123),
        (b" " * 1_000_001, "too-large", 1, 1),
        (b"[" + b"1," * 100_001 + b"]", "too-large", 1, 200_000),
    ],
)
@pytest.mark.parametrize("loader", ["libyaml", "python"])
def test_refused_at_its_place(
    content: bytes, code: str, line: int, column: int, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if loader == "python":
        if len(content) > 1000:
            content = (
                content[:1000] if code != "too-large" or (content[:1] == b"[" and content[1:2] == b"[") else content
            )
        if content[:2] == b"[1":
            return  # the same count; the Python parser takes a minute for it
        monkeypatch.setattr(reading, "_LOADER", yaml.SafeLoader)
    with pytest.raises(Fault) as caught:
        read(content, "t.yaml")
    mark = caught.value.mark
    assert mark is not None
    if (loader, content) == ("python", b"a: 1\n  b: 2\n"):
        column = mark.column  # the two parsers name neighbouring columns
    assert (caught.value.code, mark.line, mark.column) == (code, line, column)


def test_aliases_count_with_all_that_they_stand_for() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    began = time.process_time()
    with pytest.raises(Fault) as caught:
        read("\n".join(lines).encode(), "t.yaml")
    assert caught.value.code == "too-large"
    assert time.process_time() - began < 5  # years, if nothing bounded it


def test_every_key_and_value_knows_its_place() -> None:
    tree = read(b"a: 1\nb:\n  - c: [x, 'y']\n", "t.yaml")
    assert isinstance(tree, Mapping)
    places: dict[str, tuple[int, int]] = {}

    def walk(value: source.Value, path: str) -> None:
        places[path] = (value.mark.line, value.mark.column)
        if isinstance(value, Mapping):
            for key, (mark, inner) in value.entries.items():
                places[f"{path}.{key}:"] = (mark.line, mark.column)
                assert paths_to(tree, [mark]) == {mark: f"{path}.{key}".strip(".")}
                walk(inner, f"{path}.{key}")
        elif isinstance(value, source.List):
            for i, inner in enumerate(value.items):
                walk(inner, f"{path}.{i}")

    walk(tree, "")
    assert places == {
        "": (1, 1),
        ".a:": (1, 1),
        ".a": (1, 4),
        ".b:": (2, 1),
        ".b": (3, 3),
        ".b.0": (3, 5),
        ".b.0.c:": (3, 5),
        ".b.0.c": (3, 8),
        ".b.0.c.0": (3, 9),
        ".b.0.c.1": (3, 12),
    }


# less the line ends that readers of YAML understand differently, which are refused
words = st.text(
    st.characters(min_codepoint=32, exclude_characters="\x7f\u2028\u2029", exclude_categories=["Cs", "Cc", "Cn"]),
    max_size=8,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), json_values, min_size=1, max_size=5))
def test_json_is_read_as_it_is(data: dict[str, Any]) -> None:
    import json

    assert plain(read(json.dumps(data, ensure_ascii=False).encode(), "t.json")) == data


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet="abc:-[]{}&*!|>'\"#%@`,? \n\t0123.", max_size=60).map(str.encode))
def test_any_bytes_are_a_tree_or_a_fault(content: bytes) -> None:
    try:
        read(content, "t.yaml")
    except Fault as fault:
        assert fault.mark is not None


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_a_line_end_to_some_readers_alone_is_refused(character: str) -> None:
    with pytest.raises(Fault) as raised:
        read(f'{{"a": "b{character}c"}}'.encode(), "t.json")
    assert raised.value.code == "value-ambiguous"

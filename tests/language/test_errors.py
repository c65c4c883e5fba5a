"""What a person reads when a spec is wrong: whole messages, from `errors.txt`; `pytest --update` rewrites it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from archspec.foundation.codes import CODES
from archspec.foundation.errors import SpecError
from archspec.spec import open_file

FILE = Path(__file__).with_name("errors.txt")
TABLE = FILE.read_text(encoding="utf-8")
CASES = [
    pytest.param(title, spec, says, id=title)
    for title, spec, says in re.findall(
        r"^=== (.+?)\n(.*?)--- says\n(.*?)\n(?=\n===|\Z)", TABLE, re.DOTALL | re.MULTILINE
    )
]


def said(path: str) -> str:
    try:
        return "\n".join(d.render() for d in open_file(path)[0].check().diagnostics)
    except SpecError as error:
        return str(error)


def test_the_table_is_read_whole() -> None:
    assert len(CASES) == TABLE.count("\n=== ") + 1 > 50


@pytest.mark.parametrize(("title", "spec", "says"), CASES)
def test_message(
    title: str, spec: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect: Callable
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.yaml").write_text(spec, encoding="utf-8")
    case = f"=== {title}\n{spec}--- says\n"
    expect(FILE, f"{case}{says}\n", f"{case}{said('net.yaml')}\n")


def test_every_code_has_a_message_in_the_tests() -> None:
    shown = set(re.findall(r"error\[([a-z-]+)\]", TABLE))
    # they come from the command line: see test_cli.py and test_plugins.py
    elsewhere = {"variant-unknown", "usage", "plugin-failed"}
    assert shown | elsewhere == set(CODES)


def test_independent_errors_are_reported_together_and_their_consequences_are_not(check: Callable) -> None:
    found = check(
        """archspec: 1
input: [3, 32, 32]
vars: {width: =1 / 0, doubled: =width * 2}
network:
  - conv: {out: =doubled, kernel: 3}
  - linear: 10
  - conv: {out: 8, kernal: 3}
  - add: {a: [conv: {out: 8, kernel: 1}], b: [conv: {out: 9, kernel: 1}]}
  - dropout: 2
""",
    ).diagnostics
    assert [(d.code, d.mark.line) for d in found] == [
        ("formula-value", 3),
        ("argument-unknown", 7),
        ("out-of-range", 9),
    ]


def test_an_error_in_a_block_is_reported_once_however_often_it_is_used(check: Callable) -> None:
    found = check(
        """archspec: 1
input: [3, 32, 32]
blocks:
  mine: {body: [linear: 3]}
network: [mine, mine, {mine: , repeat: 5}]
variants: {one: , two: }
"""
    ).diagnostics
    assert [d.code for d in found] == ["input-shape"]


def test_an_error_in_the_grammar_is_reported_once_for_all_variants(check: Callable) -> None:
    (found,) = check(
        """archspec: 1
input: [3, 32, 32]
blocks:
  mine: {args: {width: 8}, body: [conv: {out: =widht, kernel: 1}]}
network: [mine, {conv: {out: 8, kernel: 1}, repeat: 2}]
variants: {one: , two: }
"""
    ).diagnostics
    assert (found.code, found.help) == ("variable-unknown", "did you mean `width`?")


def test_an_error_of_one_variant_names_it(check: Callable) -> None:
    (found,) = check(
        """archspec: 1
input: [3, 32, 32]
vars: {kernel: 3}
network: [conv: {out: 8, kernel: =kernel}]
variants:
  wide: {vars: {kernel: 33}}
"""
    ).diagnostics
    assert found.render() == (
        "net.yaml:4:11: error[input-shape]: the window of `conv` (33×33) is larger than its padded input (32×32)\n"
        "    4 | network: [conv: {out: 8, kernel: =kernel}]\n"
        "      |           ^^^^\n"
        "  in variant `wide`, from net.yaml:6:3"
    )


def test_json_gives_the_same_as_data(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text("archspec: 1\ninput: [3, 32, 32]\nnetwork:\n  - conv: {out: 8, kernal: 3}\n")
    done = run("check", "net.yaml", "--format", "json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "results": [],
        "errors": [
            {
                "code": "argument-unknown",
                "message": "`conv` has no argument `kernal`",
                "file": "net.yaml",
                "line": 4,
                "column": 20,
                "path": "network.0.conv.kernal",
                "help": "did you mean `kernel`?",
                "hides": {"nodes": 1, "first_line": 4, "last_line": 4},
            }
        ],
        "partial": [
            {
                "name": "net",
                "variant": None,
                "file": "net.yaml",
                "input": [3, 32, 32],
                "layers": [],
                "unknown": [
                    {
                        "path": "0",
                        "input": [3, 32, 32],
                        "output": None,
                        "wrong": True,
                        "file": "net.yaml",
                        "line": 4,
                        "column": 5,
                    }
                ],
            }
        ],
    }

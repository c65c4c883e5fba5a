"""Names of inputs, of blocks' tensors and of what is shared: explained, offered, found and renamed."""

from __future__ import annotations

from pathlib import Path

import pytest

from archspec.editor.completion import complete
from archspec.editor.document import Document
from archspec.editor.hover import hover
from archspec.editor.names import occurrence_at, same
from archspec.editor.renaming import rename
from archspec.foundation.errors import Fault

SPEC = """\
archspec: 1
name: Exchange
input: {left: [3, 32, 32], right: [3, 32, 32]}
vars: {num_classes: 10}
defaults: {act: relu, norm: batch_norm}
blocks:
  exchange:
    doc: Two resolutions.
    inputs: [high, low]
    outputs: [fine, coarse]
    args: {width: {type: integer, minimum: 1}}
    body:
      - add:
          same: []
          up: [load: low, conv_norm_act: {out: =width, kernel: 1, act: none}, upsample: 2]
      - act
      - save: fine
      - add:
          down: [load: high, conv_norm_act: {out: =2 * width, stride: 2, act: none}]
          same: [load: low]
      - act
      - save: coarse
  tower: {body: [conv_norm_act: {out: 16}]}
network:
  - subtract:
      left: [load: left, {tower: , share: tower}]
      right: [load: right, {share: tower}]
  - conv_norm_act: {out: 16}
  - save: h
  - conv_norm_act: {out: 32, stride: 2}
  - save: l
  - exchange: 16
    load: [h, l]
    save: [h2, l2]
  - load: l2
  - concat: {a: [upsample: 2], b: [load: h2]}
    split: none
    axis: 0
  - global_avg_pool
  - flatten
  - linear: =num_classes
variants:
  small: {input: {left: [3, 16, 16], right: [3, 16, 16]}}
"""


def place(text: str, before: str, shift: int) -> tuple[int, int]:
    """The line and column, from 1, of a place in the first occurrence of a text."""
    at = text.index(before) + shift
    return text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1


@pytest.mark.parametrize(
    ("before", "shift", "said", "lines"),
    [
        ("load: left", 6, "**left**, an input, given in line 3: 3×32×32", [3, 26, 43]),
        ("load: low, ", 6, "**low**, an input, given in line 9", [9, 15, 20]),
        ("[fine, coarse]", 1, "**fine**, a tensor, saved in line 17: 16×32×32 → 16×32×32", [10, 17]),
        ("load: [h, l]", 7, "**h**, a tensor, saved in line 29: 16×32×32 → 16×32×32", [29, 33]),
        ("save: [h2, l2]", 11, "**l2**, a tensor, saved in line 34", [34, 35]),
        ("{share: tower}", 8, "**tower**, a shared module, first used in line 26: 3×32×32 → 16×32×32,", [26, 27]),
        ("tower: , share", 0, "**tower**, a block of this file", [23, 26]),
        ("exchange: 16", 0, "**exchange**: Two resolutions.\n\ntakes `high`, `low`, which `load` lists", [7, 32]),
        ("=num_classes", 1, "**num_classes**, a variable: `10`", [4, 41]),
    ],
)
def test_a_name_is_explained_found_and_renamed(before: str, shift: int, said: str, lines: list[int]) -> None:
    document = Document(SPEC)
    assert document.diagnostics == ()
    line, column = place(SPEC, before, shift)
    assert (hover(document, line, column) or "").startswith(said)
    found = occurrence_at(document, line, column)
    assert found is not None
    assert [one.mark.line for one in same(document, found)] == lines
    text = SPEC.splitlines()
    for edit in sorted(rename(document, found, "newname").edits, key=lambda one: (one.line, -one.start)):
        row = text[edit.line - 1]
        text[edit.line - 1] = row[: edit.start - 1] + edit.text + row[edit.stop - 1 :]
    after = Document("\n".join(text) + "\n")
    assert after.diagnostics == ()
    assert [one.plan.params for one in after.specs] == [one.plan.params for one in document.specs]
    assert sum(row.count("newname") for row in text) == len(lines)


def test_a_rename_that_would_break_the_file_is_refused(tmp_path: Path) -> None:
    text = "archspec: 1\ninput: [3, 8, 8]\nnetwork:\n  - save: kept\n  - for: {name: [kept]}\n    body:\n"
    text += "      - add: [[], load: =name]\n"
    document = Document(text)
    assert document.diagnostics == ()
    found = occurrence_at(document, 4, 11)
    assert found is not None
    with pytest.raises(Fault) as caught:
        rename(document, found, "held")
    assert caught.value.message == (
        "`kept` cannot be renamed here, since the file would have errors: there is no saved tensor `kept` here "
        "(line 7); formulas and lists that form the name are not changed"
    )
    other = Document(SPEC)
    found = occurrence_at(other, 29, 11)
    assert found is not None
    with pytest.raises(Fault, match="there is a tensor `left` already"):
        rename(other, found, "left")


@pytest.mark.parametrize(
    ("old", "typed", "words"),
    [
        ("  - load: l2", "  - load: ", {"h", "h2", "l", "l2", "left", "right"}),
        ("    load: [h, l]", "    load: [h, ", {"h", "h2", "l", "l2", "left", "right"}),
        ("load: low, ", "load: ", {"high", "low", "fine", "coarse"}),
        ("    outputs: [fine, coarse]", "    outputs: [", {"high", "low", "fine", "coarse"}),
        ("{share: tower}]", "{share: ", {"tower"}),
        ("    split: none", "    split: ", {"equal", "none"}),
        ("    axis: 0", "    axis: ", set()),
        ("  - exchange: 16", "  - exchange: ", set()),
        ("  - flatten", "  - aux: {", {"name", "weight", "body"}),
        ("  - flatten", "  - {conv: {out: 4}, recompute: ", {"true", "false"}),
    ],
)
def test_what_may_stand_there_is_offered(old: str, typed: str, words: set[str]) -> None:
    before, after = SPEC.split(old, 1)
    text = before + typed
    line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
    found = complete(Document(text + "\n" + after.partition("\n")[2]), line, column, Document(SPEC))
    assert {one.word for one in found} == words


def test_formulas_are_offered_the_variables_that_they_see() -> None:
    sound = Document(SPEC)
    for old, there, absent in (("out: =2 * width", "width", "num_classes"), ("=num_classes", "num_classes", "width")):
        before = SPEC[: SPEC.index(old)] + old[: old.index("=") + 1]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        words = {one.word for one in complete(Document(before), line, column, sound)}
        assert there in words
        assert absent not in words


def test_what_extends_another_file_may_be_broken_yaml(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("archspec: 1\ninput: [3, 8, 8]\nnetwork: [flatten]\n", encoding="utf-8")
    document = Document("archspec: 1\nextends: base.yaml\nname: child\nna", str(tmp_path / "child.yaml"))
    assert [one.code for one in document.diagnostics] == ["yaml-syntax"]
    assert document.plan is None

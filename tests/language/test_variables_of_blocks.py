"""Blocks that name variables of the file: `vars: [width]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import archspec
from archspec.editor.document import Document
from archspec.editor.names import occurrence_at, same, variables_at
from archspec.editor.renaming import rename
from archspec.foundation.errors import SpecError
from archspec.plan import programs
from archspec.spec import open_file

SPEC = """archspec: 1
name: Shared
input: [3, 8, 8]
vars: {width: 8, kernel: 1}
blocks:
  narrow:
    vars: [width]
    args: {factor: 1}
    let: {out: =factor * width}
    body: [conv: {out: =out, kernel: 1, bias: false}]
  twice:
    body: [narrow, narrow: 2]
network:
  - twice
  - narrow: {width: 5}
  - conv: {out: =width, kernel: =kernel, bias: false}
variants:
  wide: {vars: {width: 16}}
  fixed: {defaults: {narrow: {width: 4}}}
"""


def params(width: int, inner: int) -> int:
    """Of 1×1 convolutions without biases, by hand."""
    return 3 * inner + inner * 2 * inner + 2 * inner * 5 + 5 * width


@pytest.mark.parametrize(
    ("variant", "set", "expected"),
    [
        (None, [], params(8, 8)),
        (None, ["width=3"], params(3, 3)),
        ("wide", [], params(16, 16)),
        ("fixed", [], params(8, 4)),
        (None, ["kernel=3"], params(8, 8) + 5 * 8 * 8),
    ],
)
def test_a_block_sees_the_variables_that_it_names(
    variant: str | None, set: list[str], expected: int, tmp_path: Path
) -> None:
    path = tmp_path / "shared.yaml"
    path.write_text(SPEC)
    spec = archspec.load(str(path), variant=variant, set=set)
    assert spec.plan.params == expected
    assert sum(one.numel() for one in spec.build().parameters()) == expected


@pytest.mark.parametrize("uses", [0, programs.MIN_USES])
def test_plans_that_share_parts_follow_the_variables_of_blocks(
    uses: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "MIN_USES", uses)
    path = tmp_path / "shared.yaml"
    path.write_text(SPEC)
    file = open_file(str(path))[0]
    for width in (8, 3, 5, 3, 8, 16, 5):
        assert file.with_settings({"width": width}).spec(None).plan.params == params(width, width)


def said(blocks: dict[str, Any], **more: Any) -> list[tuple[str, str, str | None]]:
    network: dict[str, Any] = {"archspec": 1, "input": [3, 8, 8], "network": [next(iter(blocks))], "blocks": blocks}
    with pytest.raises(SpecError) as caught:
        archspec.from_dict(network | more)
    return [(one.code, one.message, one.help) for one in caught.value.diagnostics]


def test_names_that_cannot_be_meant() -> None:
    body = [{"conv": {"out": "=width", "kernel": 1}}]
    assert said({"one": {"vars": ["widht"], "body": ["relu"]}}, vars={"width": 8}) == [
        ("variable-unknown", "the file has no variable `widht`", "did you mean `width`?")
    ]
    assert said({"one": {"vars": ["width"], "body": body}}) == [
        ("variable-unknown", "the file has no variable `width`", "its variables are those in its `vars`")
    ]
    assert said({"one": {"vars": ["width"], "args": {"width": 3}, "body": body}}, vars={"width": 8}) == [
        ("duplicate-name", "`width` is an argument of the block `one` already", None)
    ]
    assert said({"one": {"vars": ["width", "width"], "body": body}}, vars={"width": 8}) == [
        ("duplicate-name", "`width` stands twice in `vars` of the block `one`", None)
    ]
    assert said({"one": {"vars": {"width": 3}, "body": body}}, vars={"width": 8})[0] == (
        "type-mismatch",
        "`blocks.one.vars` must be a list of at least 1 values, each a text, not a mapping",
        "`vars` of a block lists names of the file's variables; values of its own stand under `let`",
    )
    wrong = said({"one": {"vars": ["width"], "body": body}}, vars={"width": "many"})
    assert wrong == [("formula-type", "`out` of `conv` must be an integer ≥ 1, not the text 'many'", None)]


def test_a_variable_is_renamed_in_the_blocks_that_name_it() -> None:
    document = Document(SPEC)
    assert document.diagnostics == ()
    lines = {4: "vars:", 7: "vars: [", 9: "factor * ", 15: "narrow: {", 16: "out: ="}
    for line, before in lines.items():
        row = SPEC.splitlines()[line - 1]
        found = occurrence_at(document, line, row.index("width", row.index(before)) + 1)
        assert found is not None
        assert [one.mark.line for one in same(document, found)] == [4, 7, 9, 15, 16, 18, 19]
    assert variables_at(document, ("blocks", "narrow", "body")) == ["factor", "out", "width"]
    assert variables_at(document, ("blocks", "twice", "body")) == []
    assert sorted(one.line for one in rename(document, found, "size").edits) == [4, 7, 9, 15, 16, 18, 19]

"""Where nothing is wrong but the figures that a file vouches for, the rest is known, and the figures are mended."""

from __future__ import annotations

from archspec.editor.document import Document
from archspec.editor.fixes import fixes
from archspec.editor.hints import hints
from archspec.editor.outline import lenses

SPEC = """\
archspec: 1
input: [3, 8, 8]
vars: {width: 4}
network: [{conv: {out: =width, kernel: 3}}, flatten]
expect: {params: 112}
variants:
  wide: {vars: {width: 8}, expect: {params: 224}}
"""  # 4·(3·9 + 1) = 112 parameters; of 8, 224


def test_a_change_that_its_figures_do_not_know_still_has_a_plan() -> None:
    document = Document(SPEC.replace("kernel: 3", "kernel: 1"))  # 4·(3 + 1) = 16, and 32
    assert [one.message for one in document.diagnostics] == [
        "`params` is 16, but 112 is expected",
        "`params` is 32, but 224 is expected",
    ]
    assert [one.plan.params for one in document.specs] == [16, 32]
    assert hints(document)[4].endswith("16 parameters, 768 MACs")
    assert [one.line for one in lenses(document)] == [4, 7]
    first, every = fixes(document, document.diagnostics[0])
    assert first.title == "write `16`"
    assert [(edit.line, edit.start, edit.stop, edit.text) for edit in first.edits] == [(5, 18, 21, "16")]
    assert every.title == "write all figures as they are"
    assert [(edit.line, edit.start, edit.stop, edit.text) for edit in every.edits] == [
        (5, 18, 21, "16"),
        (7, 45, 48, "32"),
    ]


def test_another_mistake_beside_them_hides_what_it_hides() -> None:
    document = Document(SPEC.replace("kernel: 3", "kernel: 9").replace("112", "1"))
    assert "expect-unmet" not in {one.code for one in document.diagnostics}
    assert document.specs == ()

"""What `check` notes of sound networks: branches that are taken for others, and gaps in what is enlarged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from archspec.spec import open_file

TAKES = "net.yaml:3:{}: note: `{}` takes {}, but the `concat` before it joins {} channels"
GAPS = "net.yaml:3:11: note: a `conv_transpose` whose kernel is smaller than its stride leaves gaps, which hold its bias alone"


@pytest.mark.parametrize(
    ("network", "notes"),
    [
        ("[concat: [relu, tanh], weighted_mean: 2]", []),
        ("[concat: [relu, tanh], weighted_mean: 3]",
            [TAKES.format(33, "weighted_mean", "3 branches of 4", "2 branches of 6, 6")]),
        ("[concat: [relu, {conv: {out: 12, kernel: 1}}], branch_mean: 2]",
            [TAKES.format(57, "branch_mean", "2 branches of 9", "2 branches of 6, 12")]),
        ("[{concat: [relu, tanh], axis: 1}, weighted_mean: 3]", []),
        ("[conv_transpose: {out: 8, kernel: 2, stride: 2}]", []),
        ("[conv_transpose: {out: 8, kernel: [3, 1], stride: 2, padding: same}]", [GAPS]),
        ("[conv_transpose: {out: 8, kernel: 2, stride: 3, dilation: 2}]", []),
    ],
)  # fmt: skip
def test_what_is_hardly_meant_is_noted(
    network: str, notes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.yaml").write_text(f"archspec: 1\ninput: [6, 16, 16]\nnetwork: {network}\n", encoding="utf-8")
    checked = open_file("net.yaml")[0].check()
    assert not checked.diagnostics
    assert [note.render() for note in checked.notes] == notes

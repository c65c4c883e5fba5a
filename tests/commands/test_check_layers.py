"""`archspec check --layers`: every layer with its place and figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

NET = """archspec: 1
name: Net
input: [3, 32, 32]
defaults: {act: relu, norm: batch_norm}
network:
  - conv_norm_act: {out: 16, stride: 2}
  - matmul:
      left: []
      right: [conv: {out: 16, kernel: 3, padding: 1}]
  - aux:
      name: early
      weight: 0.3
      body: [global_avg_pool, flatten, linear: 5]
  - flatten
  - linear: 10
variants:
  small: {input: [3, 4, 4]}
"""
# by hand: 4,096 values of 27 and of 144 products; a map of 16×16 times one of the same size, for 16 channels
SHOWN = """Net  -      3×32×32 → 10  43,839 parameters   807 KMACs
  layer                       line  output    parameters    MACs
  0.conv     conv                6  16×16×16         432   111 K
  0.norm     batch_norm          6  16×16×16          32       0
  0.act      relu                6  16×16×16           0       0
  1.right.0  conv                9  16×16×16       2,320   590 K
  1          matmul              7  16×16×16           0  65.5 K
  early.0    global_avg_pool    13  16×1×1             0       -
  early.1    flatten            13  16                 0       -
  early.2    linear             13  5                 85       -
  3          flatten            14  4096               0       0
  4          linear             15  10            40,970  41.0 K

Net  small  3×4×4 → 10     3,519 parameters  11.7 KMACs
  layer                       line  output  parameters    MACs
  0.conv     conv                6  16×2×2         432  1.73 K
  0.norm     batch_norm          6  16×2×2          32       0
  0.act      relu                6  16×2×2           0       0
  1.right.0  conv                9  16×2×2       2,320  9.22 K
  1          matmul              7  16×2×2           0     128
  early.0    global_avg_pool    13  16×1×1           0       -
  early.1    flatten            13  16               0       -
  early.2    linear             13  5               85       -
  3          flatten            14  64               0       0
  4          linear             15  10             650     640
"""


def test_each_layer_has_a_row_and_the_rows_sum_to_the_total(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    done = run("check", "net.yaml", "--layers")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == SHOWN


def test_json_has_the_rows(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    done = run("check", "net.yaml", "--layers", "--variant", "small", "--format", "json")
    (result,) = json.loads(done.stdout)["results"]
    assert result["rows"][3] == {
        "path": "1.right.0",
        "kind": "conv",
        "file": "net.yaml",
        "line": 9,
        "output": [16, 2, 2],
        "params": 2_320,
        "macs": 16 * 4 * 144,
        "aux": None,
    }
    assert [row["macs"] for row in result["rows"] if row["aux"]] == [0, 0, 0]
    assert sum(row["macs"] for row in result["rows"]) == result["macs"]
    assert sum(row["params"] for row in result["rows"]) == result["params"]


def test_a_file_that_is_extended_is_named(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET.partition("variants")[0])
    (tmp_path / "child.yaml").write_text("archspec: 1\nextends: net.yaml\nname: Child\ninput: [3, 4, 4]\n")
    done = run("check", "child.yaml", "--layers")
    assert done.stdout.splitlines()[2] == "  0.conv     conv              net.yaml:6  16×2×2         432  1.73 K"


def test_what_is_wrong_is_shown_and_no_table(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET.replace("kernel: 3", "kernel: 5"))
    done = run("check", "net.yaml", "--layers", "--variant", "small")
    assert (done.returncode, done.stdout) == (1, "")

"""`archspec summary` and `build --summary`: the tree with its figures, in every format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import archspec
from archspec.commands._summary import as_text
from archspec.language.finder import bundled
from archspec.views.memory import kept_bytes
from archspec.views.summary import BY, summary

NET = """archspec: 1
name: Net
input: [3, 32, 32]
defaults: {act: relu, norm: batch_norm}
network:
  stem:
    - conv_norm_act: {out: 16, stride: 2}
    - conv_norm_act: {out: 16}
      repeat: 3
  head:
    - global_avg_pool
    - flatten
    - linear: 10
"""
# by hand: 16·256 values of 27 products each, then three times 144; fields of 3, and 4 more for each further layer
TABLE = """Net  -  3×32×32 → 10  7,642 parameters  1.88 MMACs
part                    line  output    parameters          MACs           kept  field  stride
stem sequence              7  16×16×16       7,472   98%  1.88 M  100%   144 KB     15       2
  0 conv_norm_act          7  16×16×16         464    6%   111 K    6%  45.2 KB      3       2
  1 repeat                 8  16×16×16       7,008   92%  1.77 M   94%  98.7 KB     15       2
    0 ×3 conv_norm_act     8  16×16×16       7,008   92%  1.77 M   94%  98.7 KB     15       2
head sequence             11  10               170    2%     160   <1%     64 B    all       -
  0 global_avg_pool       11  16×1×1             0     -       0     -      0 B    all       -
  1 flatten               12  16                 0     -       0     -      0 B    all       -
  2 linear                13  10               170    2%     160   <1%     64 B    all       -
total                         10             7,642  100%  1.88 M  100%   144 KB
one sample in fp32: 240 KB in inference, 363 KB in training by SGD with momentum
"""
CSV = """path,kind,level,times,file,line,output,params,params_share,macs,macs_share,kept,kept_share,receptive_field,stride,shared_with
stem,sequence,0,1,net.yaml,7,16×16×16,7472,0.9778,1880064,0.9999,143872,0.9996,15,2,
head,sequence,0,1,net.yaml,11,10,170,0.0222,160,0.0001,64,0.0004,all,-,
"""
MARKDOWN = """| path | kind | level | times | file | line | output | params | params_share | macs | macs_share | kept | kept_share | receptive_field | stride | shared_with |
| :-- | :-- | --: | --: | :-- | --: | :-- | --: | --: | --: | --: | --: | --: | --: | --: | :-- |
| stem | sequence | 0 | 1 | net.yaml | 7 | 16×16×16 | 7472 | 0.9778 | 1880064 | 0.9999 | 143872 | 0.9996 | 15 | 2 |  |
| head | sequence | 0 | 1 | net.yaml | 11 | 10 | 170 | 0.0222 | 160 | 0.0001 | 64 | 0.0004 | all | - |  |
"""


@pytest.fixture
def net(tmp_path: Path) -> str:
    (tmp_path / "net.yaml").write_text(NET)
    return "net.yaml"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [([], TABLE), (["--by", "stage", "--format", "csv"], CSV), (["--by", "stage", "--format", "markdown"], MARKDOWN)],
    ids=["table", "csv", "markdown"],
)
def test_a_summary_shows_the_tree_with_equal_parts_folded(
    arguments: list[str], shown: str, run: Callable, net: str
) -> None:
    done = run("summary", net, *arguments)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", shown)


@pytest.mark.slow
def test_build_shows_the_summary_and_torchinfo_on_request(run: Callable, net: str) -> None:
    done = run("build", net, "--summary")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", TABLE)
    done = run("build", net, "--torchinfo", "--depth", "1")
    first, *table = done.stdout.splitlines()
    assert first == TABLE.splitlines()[0]
    assert "Total params: 7,642" in table


def test_json_has_rows_and_memory(run: Callable, net: str) -> None:
    (result,) = json.loads(run("summary", net, "--depth", "1", "--format", "json").stdout)["results"]
    assert [(row["path"], row["params"], row["output"]) for row in result["rows"]] == [
        ("stem", 7_472, [16, 16, 16]),
        ("head", 170, [10]),
    ]
    assert result["memory"]["training"]["parameters"] == 4 * 7_642
    assert result["memory"]["training"]["optimizer"] == 4 * 7_642
    assert result["memory"]["training"]["input"] == 4 * 3 * 32 * 32


def test_what_is_wrong_is_said(run: Callable, net: str) -> None:
    done = run("summary", "net.yaml", "--set", "defaults.act=rolu")
    assert (done.returncode, done.stdout) == (1, "")
    done = run("summary", "nope.yaml", "--format", "json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["errors"][0]["message"] == "cannot read nope.yaml: there is no such file"
    done = run("summary", net, "--variant", "wide")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("net.yaml")


@pytest.mark.parametrize("name", bundled())
@pytest.mark.parametrize("by", BY)
def test_rows_without_parts_sum_to_the_totals(name: str, by: str) -> None:
    plan = archspec.load(name).plan
    leaves = [row for row in summary(plan, by=by) if row.is_leaf]
    assert sum(row.params for row in leaves) == plan.params
    assert sum(row.macs for row in leaves) == plan.macs
    assert sum(row.kept for row in leaves) == kept_bytes(plan)


def test_csv_is_a_table(run: Callable) -> None:
    table = list(csv.DictReader(io.StringIO(run("summary", "resnet50", "--by", "layer", "--format", "csv").stdout)))
    assert {len(row) for row in table} == {16}
    assert sum(int(row["params"]) for row in table if row["level"] == "0") == 25_557_032


@pytest.mark.parametrize("width", [60, 80, 130])
def test_a_terminal_of_any_width_gets_whole_figures(width: int, net: str, tmp_path: Path) -> None:
    import os
    import pty
    import re
    import subprocess
    import sys

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "archspec", "summary", net, "--depth", "1"]
    environment = {**os.environ, "COLUMNS": str(width), "TERM": "xterm"}
    with subprocess.Popen(command, stdout=theirs, cwd=tmp_path, env=environment) as process:
        process.wait(60)
    text = re.sub(r"\x1b\[[0-9;]*m", "", os.read(ours, 65536).decode())
    os.close(ours)
    os.close(theirs)
    first, *table, _ = text.splitlines()
    assert first == TABLE.splitlines()[0]
    assert max(map(len, table)) <= width
    assert "…" not in text
    (stem,) = (line for line in table if line.startswith("stem"))
    assert ("7,472" if width > 110 else "7.47 K") in stem


SHARED = """archspec: 1
name: Shared
input: [8, 16, 16]
defaults: {act: relu, norm: batch_norm}
network:
  - {resnet: {width: 8}, share: body}
  - {resnet: {width: 8}, share: body}
  - concat:
      first: [{conv: {out: 8, kernel: 1}, share: head}]
      second: [relu, {conv: {out: 8, kernel: 1}, share: head}]
"""


def test_a_further_use_of_a_shared_part_names_the_first(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(SHARED)
    rows = summary(archspec.load(tmp_path / "net.yaml").plan)
    assert [(row.path, row.params, row.shared_with) for row in rows] == [
        ("0", 2 * 576 + 2 * 16, None),
        ("1", 0, "0"),
        ("2", 72, None),
        ("2.first", 72, None),
        ("2.first.0", 72, None),
        ("2.second", 0, None),
        ("2.second.0", 0, None),
        ("2.second.1", 0, "2.first.0"),
    ]
    shown = as_text(archspec.load(tmp_path / "net.yaml").plan).splitlines()
    assert [line.split()[4:6] for line in shown if " of " in line] == [["of", "0"], ["of", "2.first.0"]]

"""`archspec compare`: networks side by side, in every format, with their runs, and drawn."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

import archspec
from archspec.views.figures import depth, largest_field
from archspec.views.pareto import Point, best

NET = """archspec: 1
name: Net
input: [3, 32, 32]
vars: {width: 16}
network:
  - conv: {out: =width, kernel: 3, stride: 2, padding: 1}
  - relu
  - add:
      skip: []
      main: [conv: {out: =width, kernel: 3, padding: 1}, conv: {out: =width, kernel: 1}]
  - global_avg_pool
  - flatten
  - linear: 10
variants:
  wide: {vars: {width: 32}}
"""


@pytest.fixture
def net(tmp_path: Path) -> str:
    (tmp_path / "net.yaml").write_text(NET)
    return "net.yaml"


def plain(width: int) -> tuple[int, int]:
    """Parameters and MACs by hand."""
    weights = 27 * width + 9 * width * width + width * width
    return weights + 3 * width + 10 * width + 10, 256 * weights + 10 * width


def test_a_table_has_a_row_for_each_network(run: Callable, net: str) -> None:
    done = run("compare", f"{net}@wide", net)
    assert (done.returncode, done.stderr) == (0, "")
    heading, wide, narrow = done.stdout.splitlines()
    assert heading.split() == [
        "network",
        "parameters",
        "MACs",
        "kept",
        "inference",
        "training",
        "layers",
        "depth",
        "field",
    ]
    assert (plain(16), plain(32)) == ((3_210, 766_112), (11_530, 2_842_944))
    assert (wide.split()[:4], wide.split()[-3:]) == (["wide", "11,530", "2.84", "MMACs"], ["7", "4", "7"])
    assert (narrow.split()[:4], narrow.split()[-3:]) == (["net", "3,210", "766", "KMACs"], ["7", "4", "7"])


def test_csv_markdown_and_json_hold_the_same(run: Callable, net: str) -> None:
    table = list(csv.DictReader(io.StringIO(run("compare", f"{net}@*", "--format", "csv").stdout)))
    assert [(row["label"], int(row["params"]), int(row["macs"])) for row in table] == [
        ("net", *plain(16)),
        ("wide", *plain(32)),
    ]
    results = json.loads(run("compare", f"{net}@*", "--format", "json").stdout)["results"]
    assert [str(row["training"]) for row in results] == [row["training"] for row in table]
    lines = run("compare", net, "--format", "markdown").stdout.splitlines()
    assert lines[0] == "| network | parameters | MACs | kept | inference | training | layers | depth | field |"
    assert lines[1] == "| :-- | --: | --: | --: | --: | --: | --: | --: | --: |"
    assert lines[2].startswith("| net | 3,210 | 766 KMACs | ")


def test_rows_are_sorted(run: Callable, net: str) -> None:
    first = [
        line.split()[0]
        for line in run("compare", "digits", net, f"{net}@wide", "--sort", "-params").stdout.splitlines()
    ]
    assert first == ["network", "digits", "wide", "net"]


@pytest.mark.parametrize(
    ("name", "layers"), [("vgg16", 16), ("resnet18", 18), ("resnet50", 50), ("resnet152", 152), ("densenet121", 121)]
)
def test_depth_is_what_a_networks_name_says(name: str, layers: int) -> None:
    assert depth(archspec.load(name).plan) == layers


def test_the_field_is_that_before_all_is_seen() -> None:
    assert largest_field(archspec.load("vgg16").plan) == 212


def write_run(folder: Path, **changes: Any) -> None:
    folder.mkdir(parents=True)
    base = {"name": "net", "spec": "net.yaml", "variant": None, "data": "fake", "seed": 1, "epochs": 1, "params": 3_210}
    base |= {"macs": 766_112, "val_accuracy": 0.5, "test_accuracy": 0.25, "test_loss": 1.0, "best_epoch": 1}
    base |= {"seconds": 3.0, "images_per_second": 1000.0}
    (folder / "environment.json").write_text(
        json.dumps({"name": "net", "data": "fake", "seed": 1, "started": "", "key": ""})
    )
    (folder / "results.json").write_text(json.dumps(base | changes))


def test_the_best_run_of_a_network_is_shown(run: Callable, net: str, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "net")
    write_run(tmp_path / "runs" / "net-2", test_accuracy=0.75, images_per_second=900.0)
    write_run(tmp_path / "runs" / "other", params=1, test_accuracy=0.99)
    results = json.loads(run("compare", f"{net}@*", "--format", "json").stdout)["results"]
    assert [row["test_accuracy"] for row in results] == [0.75, None]
    heading, row, _ = run("compare", f"{net}@*").stdout.splitlines()
    assert heading.endswith("val accuracy  test accuracy  images/s")
    assert row.split()[-3:] == ["50.00%", "75.00%", "900"]


def test_a_folder_without_runs_is_noted_where_it_was_named(run: Callable) -> None:
    assert run("compare", "digits", "--out", "none").stderr == "note: there are no runs in none\n"
    assert run("compare", "digits").stderr == ""


@pytest.mark.slow
def test_a_plot_names_its_networks_and_axes(run: Callable, net: str, tmp_path: Path) -> None:
    done = run("compare", f"{net}@*", "--plot", "out.svg", "--y", "training", MPLBACKEND="none of its")
    assert (done.returncode, done.stderr) == (0, "drawn: out.svg\n")
    drawing = ElementTree.parse(tmp_path / "out.svg")
    texts = {one.text for one in drawing.iter("{http://www.w3.org/2000/svg}text")}
    assert {"net", "wide", "MACs", "training"} <= texts
    run("compare", f"{net}@*", "--plot", "out.PDF")
    assert (tmp_path / "out.PDF").read_bytes().startswith(b"%PDF")
    again = (tmp_path / "out.svg").read_bytes()
    run("compare", f"{net}@*", "--plot", "out.svg", "--y", "training")
    assert (tmp_path / "out.svg").read_bytes() == again


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.just("net")), max_size=20),
    st.tuples(st.booleans(), st.booleans()),
)
def test_the_line_joins_those_that_none_beats(points: list[Point], larger: tuple[bool, bool]) -> None:
    def beats(one: Point, other: Point) -> bool:
        better = [one[i] >= other[i] if more else one[i] <= other[i] for i, more in enumerate(larger)]  # type: ignore
        return all(better) and one[:2] != other[:2]

    expected = {point for point in points if not any(beats(other, point) for other in points)}
    assert set(best(points, larger=larger)) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "--sort", "paramz"], "there is no figure `paramz`\n  help: did you mean `params`?"),
        (
            ["digits", "--plot", "/none/out.svg"],
            "cannot write /none/out.svg: /none is not a folder that can be written to",
        ),
        (["digits", "--plot", "out.gif"], "cannot draw out.gif\n  help: its name ends in .svg, .pdf or .png"),
        (
            ["digits", "--plot", "out.svg", "--y", "val_accuracy"],
            "there is no figure `val_accuracy`\n  help: the figures are "
            "`params`, `macs`, `kept`, `inference`, `training`, `layers`, `depth`, `field`",
        ),
        (
            ["digits", "--sort", "-"],
            "there is no figure ``\n  help: the figures are "
            "`params`, `macs`, `kept`, `inference`, `training`, `layers`, `depth`, `field`",
        ),
        (["digits", "--x", "params"], "--x is of a plot\n  help: give its file: --plot out.svg"),
        (["digits@"], "there is no bundled spec `digits@`\n  help: did you mean `digits`?"),
        (["nope.yaml@wide"], "cannot read nope.yaml: there is no such file"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], message: str, run: Callable) -> None:
    done = run("compare", *arguments)
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")

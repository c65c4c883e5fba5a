"""`archspec fit`: the largest value within a budget, against trying every one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

import archspec
from archspec.views.fit import Search, Tried
from archspec.views.memory import training_memory

NET = """archspec: 1
name: Fit
input: [3, 16, 16]
vars: {width: 16, factor: 1.0, widths: [4, 8]}
defaults: {act: relu, norm: batch_norm}
network:
  - conv_norm_act: {out: =width}
  - conv: {out: =2 * width, kernel: 3, padding: 1, groups: 4}
  - global_avg_pool
  - flatten
  - linear: =int(10 * factor) + len(widths) - 2
"""


@pytest.fixture
def net(tmp_path: Path) -> str:
    (tmp_path / "net.yaml").write_text(NET)
    return "net.yaml"


def params(width: int) -> int:
    """By hand: two convolutions, the second in four groups, a norm, a classifier of ten classes."""
    return 27 * width + 2 * width + 9 * 2 * width * width // 4 + 2 * width + 10 * 2 * width + 10


def macs(width: int) -> int:
    return 256 * 27 * width + 256 * 9 * 2 * width * width // 4 + 20 * width


SHOWN = f"""Fit  -  3×16×16 → 10  1,978 parameters  406 KMACs
  width=1                                 no network: `groups` (4) of `conv` does not divide its 1 input channels
  width=2                                 no network: `groups` (4) of `conv` does not divide its 2 input channels
  width=3                                 no network: `groups` (4) of `conv` does not divide its 3 input channels
  width=4     {params(4)} parameters  46.2 KMACs  fits
  width=8     {params(8)} parameters   129 KMACs  fits
  width=16  {params(16):,} parameters   406 KMACs  ← largest that fits
  width=17                                no network: `groups` (4) of `conv` does not divide its 17 input channels
  width=18                                no network: `groups` (4) of `conv` does not divide its 18 input channels
  width=19                                no network: `groups` (4) of `conv` does not divide its 19 input channels
  width=20  {params(20):,} parameters   599 KMACs  too large
  width=24  {params(24):,} parameters   830 KMACs  too large
  width=32  {params(32):,} parameters  1.40 MMACs  too large
use it by --set width=16
"""


def test_fit_shows_the_value_and_what_was_tried(run: Callable, net: str) -> None:
    done = run("fit", net, "--vary", "width", "--params", "2.5K", "--macs", "1M")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", SHOWN)


@pytest.mark.parametrize(
    ("arguments", "limits"),
    [
        (["--params", "50K"], (50_000, 10**12)),
        (["--macs", "3M"], (10**12, 3_000_000)),
        (["--params", "46378", "--macs", "10G"], (46_378, 10**12)),
        (["--params", "46377"], (46_377, 10**12)),
        (["--params", "1M", "--to", "90"], (1_000_000, 10**12)),
    ],
)
def test_the_value_is_the_largest_of_all(
    arguments: list[str], limits: tuple[int, int], run: Callable, net: str
) -> None:
    (result,) = json.loads(run("fit", net, "--vary", "width", *arguments, "--format", "json").stdout)["results"]
    most = int(arguments[arguments.index("--to") + 1]) if "--to" in arguments else 1024
    fitting = [w for w in range(4, most + 1, 4) if params(w) <= limits[0] and macs(w) <= limits[1]]
    assert (result["value"], result["params"], result["macs"]) == (fitting[-1], params(fitting[-1]), macs(fitting[-1]))


def test_memory_is_that_of_a_step_of_a_batch(run: Callable, net: str, tmp_path: Path) -> None:
    done = run("fit", net, "--vary", "width", "--memory", "5MB@8", "--format", "json")
    (result,) = json.loads(done.stdout)["results"]

    def peak(width: int) -> int:
        plan = archspec.load(str(tmp_path / net), vars={"width": width}).plan
        return training_memory(plan, 8, "sgd", {"momentum": 0.9}).peak

    assert result["value"] == max(width for width in range(4, 160, 4) if peak(width) <= 5_000_000)
    assert result["figures"]["memory"] == peak(result["value"])


def test_steps_are_exact_and_the_end_is_named(run: Callable, net: str) -> None:
    done = run("fit", net, "--vary", "factor", "--params", "2011", "--step", "0.1", "--to", "1.3")
    assert done.stdout.splitlines()[-1] == "use it by --set factor=1.1"
    done = run("fit", net, "--vary", "factor", "--params", "5M", "--step", "0.1", "--to", "1.3")
    assert done.stdout.splitlines()[-2:] == [
        "note: 1.3 is the largest value that was asked for; --to allows more",
        "use it by --set factor=1.3",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary", "width"], "there is no limit to keep to\n  help: give --params 5M, --macs 600M or --memory 8GB@64"),
        (["--vary", "widht", "--params", "5M"], "the spec has no variable `widht`\n  help: did you mean `width`?"),
        (
            ["--vary", "widths", "--params", "5M"],
            "`widths` is no number\n  help: give the spec a variable that its lists are computed from",
        ),
        (
            ["--vary", "width", "--params", "5MB"],
            "`5MB` is no limit of params\n  help: write `--params 5M`, or a number",
        ),
        (
            ["--vary", "width", "--params", "100"],
            f"no value of `width` keeps to the limits: with 4 there are already {params(4)} parameters",
        ),
        (
            ["--vary", "width", "--params", "5M", "--to", "3"],
            "no value of `width` gives a network: with 1, `groups` (4) of `conv` does not divide its 1 input channels",
        ),
        (["--vary", "width", "--params", "5M", "--step", "0"], "--step is more than 0"),
        (["--vary", "width", "--params", "5M", "--to", "many"], "--to is a number, and `many` is none"),
        (
            ["--vary", "width", "--memory", "1GB@0"],
            "`0` is no size of a batch\n  help: write `--memory 8GB@64`",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], message: str, run: Callable, net: str) -> None:
    done = run("fit", net, *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


@given(st.lists(st.one_of(st.none(), st.integers(0, 50)), min_size=1, max_size=60), st.integers(0, 1500))
def test_a_search_finds_what_trying_all_finds(steps: list[int | None], limit: int) -> None:
    """Figures that grow, and numbers without a network between them."""
    figures, total = [], 0
    for step in steps:
        total += step or 0
        figures.append(None if step is None else {"params": total})
    best = Search(lambda index: Tried(index, figures[index]), {"params": limit}, len(steps) - 1).run()
    fitting = [index for index, figure in enumerate(figures) if figure is not None and figure["params"] <= limit]
    assert (None if best is None else best.index) == (fitting[-1] if fitting else None)


def test_where_a_figure_is_seen_to_fall_every_value_is_tried() -> None:
    figures = [1, 3, 2, 9, 8, 4, 3, 11]
    search = Search(lambda index: Tried(index, {"params": figures[index]}), {"params": 4}, 7)
    best = search.run()
    assert search.exhaustive
    assert best is not None
    assert best.index == 6

"""`archspec fit`: the largest value within a budget, against trying every one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, strategies as st

import archspec
from archspec.cli import cli
from archspec.views.fit import GridSearch, Search, Tried
from archspec.views.memory import training_memory

NET = """archspec: 1
name: Fit
input: [3, 16, 16]
vars: {width: 16, factor: 1.0, widths: [4, 8], kind: relu}
defaults: {act: relu, norm: batch_norm}
network:
  - conv_norm_act: {out: =width}
  - conv: {out: =2 * width, kernel: 3, padding: 1, groups: 4}
  - use: =kind
  - global_avg_pool
  - flatten
  - linear: =int(10 * factor) + len(widths) - 2
"""

HOW = "write `NAME`, `NAME:STEP`, `NAME=LOW..HIGH` or `NAME=LOW..HIGH:STEP`"


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
  width=4     {params(4)} parameters  46.2 KMACs  fits
  width=8     {params(8)} parameters   129 KMACs  fits
  width=16  {params(16):,} parameters   406 KMACs  ← largest that fits
  width=20  {params(20):,} parameters   599 KMACs  too large
  width=24  {params(24):,} parameters   830 KMACs  too large
  width=32  {params(32):,} parameters  1.40 MMACs  too large
  6 of the values tried give no network: with width=1, `groups` (4) of `conv` does not divide its 1 input channels
use it by --set width=16
"""


def test_fit_shows_the_value_and_what_was_tried(run: Callable, net: str) -> None:
    done = run("fit", net, "--vary", "width", "--params", "2.5K", "--macs", "1M")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", SHOWN)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "limits"),
    [
        (["--params", "50K"], (50_000, 10**12)),
        (["--macs", "3M"], (10**12, 3_000_000)),
        (["--params", "46378", "--macs", "10G"], (46_378, 10**12)),
        (["--params", "46377"], (46_377, 10**12)),
        (["--params", "1M", "--vary", "width=1..90"], (1_000_000, 10**12)),
    ],
)
def test_the_value_is_the_largest_of_all(
    arguments: list[str], limits: tuple[int, int], run: Callable, net: str
) -> None:
    vary = [] if "--vary" in arguments else ["--vary", "width"]
    (result,) = json.loads(run("fit", net, *vary, *arguments, "--format", "json").stdout)["results"]
    most = 90 if "--vary" in arguments else 1024
    fitting = [w for w in range(4, most + 1, 4) if params(w) <= limits[0] and macs(w) <= limits[1]]
    assert (result["values"]["width"], result["params"], result["macs"]) == (
        fitting[-1],
        params(fitting[-1]),
        macs(fitting[-1]),
    )


def test_memory_is_that_of_a_step_of_a_batch(run: Callable, net: str, tmp_path: Path) -> None:
    done = run("fit", net, "--vary", "width", "--memory", "5MB@8", "--format", "json")
    (result,) = json.loads(done.stdout)["results"]

    def peak(width: int) -> int:
        plan = archspec.load(str(tmp_path / net), vars={"width": width}).plan
        return training_memory(plan, 8, "sgd", {"momentum": 0.9}).peak

    assert result["values"]["width"] == max(width for width in range(4, 160, 4) if peak(width) <= 5_000_000)
    assert result["figures"]["memory"] == peak(result["values"]["width"])


def test_steps_are_exact_and_the_end_is_named(run: Callable, net: str) -> None:
    done = run("fit", net, "--vary", "factor=0.1..1.3:0.1", "--params", "2011")
    assert done.stdout.splitlines()[-1] == "use it by --set factor=1.1"
    done = run("fit", net, "--vary", "factor=0.1..1.3:0.1", "--params", "5M")
    assert done.stdout.splitlines()[-2:] == [
        "note: 1.3 is the largest value of factor that was tried; a range allows more",
        "use it by --set factor=1.3",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary", "width"], "there is no limit to keep to\n  help: give --params 5M, --macs 600M or --memory 8GB@64"),
        (["--vary", "widht", "--params", "5M"], "the spec has no variable `widht`\n  help: did you mean `width`?"),
        (["--vary", "kind", "--params", "5M"], '`kind` is neither a number nor a list of numbers: it is "relu"'),
        (
            ["--vary", "width", "--params", "5MB"],
            "`5MB` is no limit of params\n  help: write `--params 5M`, or a number",
        ),
        (
            ["--vary", "width", "--params", "100"],
            f"no value of `width` keeps to the limits: with 4 there are already {params(4)} parameters",
        ),
        (
            ["--vary", "width=1..3", "--params", "5M"],
            "no value of `width` gives a network: with 1, `groups` (4) of `conv` does not divide its 1 input channels",
        ),
        (["--vary", "width:0", "--params", "5M"], "the step of `width` has to be more than 0, not 0"),
        (["--vary", "width=1..many", "--params", "5M"], f"`many` is no number\n  help: {HOW}"),
        (
            ["--vary", "width=3", "--params", "5M"],
            f"`width=3` does not say which variable varies, and how\n  help: {HOW}",
        ),
        (["--vary", "width:", "--params", "5M"], f"`width:` has no step after its colon\n  help: {HOW}"),
        (["--vary", "width,width:2", "--params", "5M"], "`width` is varied twice"),
        (["--vary", "width=9..2", "--params", "5M"], "the largest value of `width` (2) is less than its least (9)"),
        (
            ["--vary", "factor:0.00001", "--params", "5M"],
            "`factor` has 6,400,000 values, and 100,000 are tried at most\n  help: give a larger step: `factor:0.001`",
        ),
        (
            ["--vary", "width=1..999999999", "--params", "5M"],
            "`width` has 999,999,999 values, and 100,000 are tried at most\n"
            "  help: give a larger step: `width=1..999999999:10000`",
        ),
        (
            ["--vary", "widths=0..4", "--params", "5M"],
            "`widths` is a list, and goes by its smallest number: that has to be more than 0\n"
            "  help: begin with 1 or more, not 0",
        ),
        (
            ["--vary", "width=1..5000,factor=1..3000:1", "--params", "5M"],
            "these are too many combinations: 3,000 besides the values of the variable that has the most\n"
            "  help: leave at most 2,000 by ranges and steps: NAME=LOW..HIGH:STEP",
        ),
        (
            ["--vary", "width", "--params", "5M", "--most", "macs"],
            "--most macs needs a limit of it\n  help: give --macs, or --most params",
        ),
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


def test_a_figure_that_falls_is_seen_where_the_first_value_is_too_large() -> None:
    figures = [9, 9, 8, 7, 7, 5, 4, 4]
    search = GridSearch(lambda place: {"memory": figures[place[0]]}, {"memory": 6}, [7], "memory")
    assert search.run() == (7,)
    assert search.exhaustive


# --- several variables ---

GRID = """archspec: 1
name: Grid
input: [3, 8, 8]
vars: {width: 8, depth: 2, widths: [4, 8, 6]}  # what varies
defaults: {act: relu, norm: none}
network:
  - conv_norm_act: {out: =width}
    repeat: =depth
  - for: {out: =widths}
    body:
      - conv: {out: =out, kernel: 1}
"""


def grid_figures(width: int, depth: int, widths: tuple[int, ...] = (4, 8, 6)) -> dict[str, int]:
    """By hand: 3×3 convolutions with biases, then 1×1 convolutions with biases, at 8×8 throughout."""
    weights = 27 * width + (depth - 1) * 9 * width * width
    weights += sum(a * b for a, b in itertools.pairwise((width, *widths)))
    return {"params": weights + sum(widths), "macs": 64 * weights}


def fit(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(cli, ["fit", *arguments, "--format", "json"])
    (found,) = json.loads(done.stdout)["results"]
    return dict(found)


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.yaml").write_text(GRID)
    return tmp_path / "grid.yaml"


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ({"params": 4000}, "params"),
        ({"params": 4000, "macs": 100_000}, "params"),
        ({"params": 4000, "macs": 100_000}, "macs"),
        ({"macs": 123_456}, "macs"),
    ],
)
def test_of_several_variables_the_best_of_all_combinations_is_found(
    limits: dict[str, int], most: str, grid: Path
) -> None:
    given = [f"--{name}={limit}" for name, limit in limits.items()]
    found = fit("grid.yaml", "--vary", "depth=1..5,width=2..40:2", *given, "--most", most)
    all_that_fit = [
        (figures[most], depth, width)
        for depth in range(1, 6)
        for width in range(2, 41, 2)
        if all((figures := grid_figures(width, depth))[name] <= limit for name, limit in limits.items())
    ]
    assert (found[most], found["values"]["depth"], found["values"]["width"]) == max(all_that_fit)
    assert len(found["tried"]) < 60  # of 100


def test_a_list_keeps_its_proportions(grid: Path) -> None:
    found = fit("grid.yaml", "--vary", "widths:2", "--params", "3000")
    scaled = {least: (least, 2 * least, (3 * least + 1) // 2) for least in range(2, 257, 2)}
    fitting = [one for one in scaled.values() if grid_figures(8, 2, one)["params"] <= 3000]
    assert tuple(found["values"]["widths"]) == fitting[-1]
    assert found["params"] == grid_figures(8, 2, fitting[-1])["params"]


@given(
    st.lists(st.lists(st.integers(0, 9), min_size=5, max_size=5), min_size=4, max_size=4),
    st.sets(st.tuples(st.integers(0, 3), st.integers(0, 4))),
    st.integers(0, 150),
)
def test_a_grid_is_searched_as_if_all_were_tried(steps: list[list[int]], without: set[Any], limit: int) -> None:
    """Figures that grow with both variables, and combinations without a network between them."""
    total = {(x, y): sum(steps[i][j] for i in range(x + 1) for j in range(y + 1)) for x in range(4) for y in range(5)}
    search = GridSearch(
        lambda place: "none" if place in without else {"params": total[place]},  # type: ignore[index]
        {"params": limit},
        [3, 4],
        "params",
    )
    fitting = [place for place in total if place not in without and total[place] <= limit]
    assert search.run() == max(fitting, key=lambda place: (total[place], place), default=None)
    assert not search.exhaustive


@given(st.lists(st.integers(0, 9), min_size=60, max_size=60), st.integers(0, 9))
def test_whether_figures_were_seen_to_fall_is_told_of_all_pairs(figures: list[int], limit: int) -> None:
    """Figures at random, of three variables."""
    places = list(itertools.product(range(3), range(5), range(4)))
    found = dict(zip(places, figures, strict=True))
    search = GridSearch(lambda place: {"params": found[place]}, {"params": limit}, [2, 4, 3], "params")
    best = search.run()
    tried = [(place, found[place]) for place in search.tried]
    fall = any(
        figure > other and all(a <= b for a, b in zip(place, above, strict=True))
        for place, figure in tried
        for above, other in tried
    )
    assert search.exhaustive == fall
    fitting = [place for place, _ in tried if found[place] <= limit]
    assert best == max(fitting, key=lambda place: (found[place], place), default=None)


# --- written as a variant ---

WRITTEN = """variants:
  small:
    vars: {depth: 4, width: 14}
    expect: {params: 5824, gmacs: 0.000372}
"""


def write(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["fit", "grid.yaml", "--params", "6K", *arguments])


def test_what_was_found_is_written_as_a_variant(grid: Path) -> None:
    done = write("--vary", "depth=1..5,width=2..40:2", "--write", "small")
    assert done.stdout.splitlines()[-1] == "wrote the variant small to grid.yaml"
    figures = grid_figures(14, 4)
    assert figures["params"] == 5824
    assert grid.read_text() == GRID + WRITTEN
    assert archspec.load(str(grid), "small").plan.params == 5824


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "variants:\n  # tiny\n  tiny:\n    vars: {width: 4}  # four\n# end\n",
            "variants:\n  # tiny\n  tiny:\n    vars: {width: 4}  # four\n  small:\n    vars: {width: 4, depth: 40}\n"
            "    expect: {params: 5838, gmacs: 0.000372}\n# end\n",
        ),
        (
            "variants: {tiny: {vars: {width: 4}}}  # one\n",
            "variants: {tiny: {vars: {width: 4}}, small: {vars: {width: 4, depth: 40}, "
            "expect: {params: 5838, gmacs: 0.000372}}}  # one\n",
        ),
    ],
)
def test_a_variant_is_added_to_others_with_what_it_is_a_variant_of(before: str, after: str, grid: Path) -> None:
    grid.write_text(GRID + before)
    assert write("--vary", "depth=1..40", "--variant", "tiny", "--write", "small").exit_code == 0
    assert grid_figures(4, 40)["params"] == 5838
    assert grid.read_text() == GRID + after


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (GRID + "variants:\n  small: {}\n", "small", "grid.yaml has a variant `small` already, in line 13"),
        (GRID, "my variant", "`my variant` is no name of a variant"),
    ],
)
def test_no_variant_is_written_over_another_or_by_no_name(text: str, name: str, message: str, grid: Path) -> None:
    grid.write_text(text)
    done = write("--vary", "width", "--write", name)
    assert str(done.exception).splitlines()[0] == message
    assert grid.read_text() == text


def test_files_that_come_with_archspec_stay_as_they_are() -> None:
    done = CliRunner().invoke(cli, ["fit", "digits", "--vary", "width", "--params", "1M", "--write", "mine"])
    assert str(done.exception) == (
        "`digits` comes with archspec, whose files are not changed\n"
        "  help: `archspec new mine --from digits` copies it to a file of your own; fit that"
    )

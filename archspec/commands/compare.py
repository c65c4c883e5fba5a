"""`archspec compare`: networks side by side, by their figures and their runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archspec.commands._common import diagnostics, echo_json, echo_notes, note_measured, plugin_option, result
from archspec.foundation.errors import UsageError, did_you_mean, escape, escape_line, join_words

if TYPE_CHECKING:
    from archspec.spec import Spec

RUNS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "val_accuracy": ("val accuracy", lambda v: f"{v:.2%}"),
    "test_accuracy": ("test accuracy", lambda v: f"{v:.2%}"),
    "images_per_second": ("images/s", lambda v: f"{v:,.0f}"),
}
"""What is known of a network's best run: headings, and how it is shown."""


@click.command("compare")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC[@VARIANT]...")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where runs are kept."
)
@click.option("--sort", metavar="FIGURE", help="Sort by this figure; -FIGURE: descending.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "csv", "markdown"]),
    default="table",
    show_default=True,
    help="How it is printed.",
)
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw two figures (.svg, .pdf or .png).")
@click.option("--x", metavar="FIGURE", default="macs", show_default=True, help="What the plot has along its width.")
@click.option("--y", metavar="FIGURE", help="And along its height.  [default: test_accuracy of runs, else params]")
@plugin_option
def command(
    specs: tuple[str, ...],
    out: Path,
    sort: str | None,
    output_format: str,
    plot: Path | None,
    x: str,
    y: str | None,
) -> None:
    """Compare networks: parameters, MACs, memory, depth, receptive field, and what their best runs reached.

    SPEC@VARIANT names a variant of a file; SPEC@* stands for all of them.

    FIGURE is params, macs, kept, inference, training, layers, depth, field, val_accuracy, test_accuracy or
    images_per_second. A plot's line joins the networks that no other one beats in both figures (Pareto).
    """
    for name in filter(None, (sort and sort.removeprefix("-"), x, y)):
        _known(name)
    if plot is not None and plot.suffix not in (".svg", ".pdf", ".png"):
        raise UsageError(f"cannot draw {escape_line(str(plot))}", help="its name ends in .svg, .pdf or .png")
    from archspec.foundation.errors import SpecError

    try:
        chosen = [one for name in specs for one in _load(name)]
    except (SpecError, UsageError) as error:
        if output_format != "json":
            raise
        echo_json([], diagnostics(error))
        raise click.exceptions.Exit(error.exit_status) from None
    for spec in chosen:
        echo_notes(spec.notes)
    rows = _rows(chosen, out)
    if sort is not None:
        rows = _sorted(rows, sort)
    _echo(rows, output_format)
    if plot is not None:
        has_runs = any(row["test_accuracy"] is not None for row in rows)
        _draw(rows, plot, x, y or ("test_accuracy" if has_runs else "params"))
        click.echo(f"drawn: {escape_line(str(plot))}", err=True)
    note_measured()


def _load(name: str) -> list[Spec]:
    from archspec.spec import load, open_file

    path, at, variant = name.rpartition("@")
    if not at:
        return [load(name)]
    if variant != "*":
        return [load(path, variant)]
    from archspec.foundation.errors import SpecError

    checked = open_file(path)[0].check()
    if checked.diagnostics:
        raise SpecError(list(checked.diagnostics))
    return list(checked.specs)


def _known(name: str) -> None:
    from archspec.views.figures import FIGURES

    names = [*FIGURES, *RUNS]
    if name not in names:
        hint = did_you_mean(name, names) or f"the figures are {join_words(names)}"
        raise UsageError(f"there is no figure `{escape_line(name)}`", help=hint)


def _rows(specs: list[Spec], out: Path) -> list[dict[str, Any]]:
    from archspec.views.figures import FIGURES

    runs = _runs(out)
    rows = []
    for spec in specs:
        plan = spec.plan
        figures = {name: one.of(plan) for name, one in FIGURES.items()}
        best = runs.get((Path(spec.file).name, plan.variant, plan.params, plan.macs), {})
        named = {"label": plan.variant or Path(spec.file).stem}
        rows.append(result(plan, spec.file) | named | figures | {name: best.get(name) for name in RUNS})
    return rows


def _runs(out: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """What the best finished run of each network reached, by its file's name, variant and figures."""
    if not out.is_dir():
        return {}
    from trainer.runs.folders import list_runs

    best: dict[tuple[Any, ...], dict[str, Any]] = {}
    for run in list_runs(out, lambda message: click.echo(escape(f"note: {message}"), err=True)):
        if (one := run.result) is None:
            continue
        key = (Path(one.spec).name, one.variant, one.params, one.macs)
        accuracy = one.metrics.get("test_accuracy")
        if accuracy is None:  # another task's
            continue
        if key not in best or best[key]["test_accuracy"] < accuracy:
            best[key] = {name: one.metrics[name] if name in one.metrics else getattr(one, name, None) for name in RUNS}
    return best


def _sorted(rows: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    name = sort.removeprefix("-")
    having = sorted((row for row in rows if row[name] is not None), key=lambda row: row[name], reverse=name != sort)
    return having + [row for row in rows if row[name] is None]


def _echo(rows: list[dict[str, Any]], output_format: str) -> None:
    from archspec.commands._tables import Table, echo_table
    from archspec.views.figures import FIGURES

    shown = [*FIGURES, *(name for name in RUNS if any(row[name] is not None for row in rows))]
    if output_format == "json":
        echo_json(rows, [])
        return
    exact = output_format == "csv"
    headings = ["label", "name", *shown] if exact else ["network", *(_heading(name) for name in shown)]
    cells = [
        [row["label"], *([row["name"]] if exact else []), *(_cell(row[name], name, exact=exact) for name in shown)]
        for row in rows
    ]
    names = 1 + exact
    spare = tuple(1 + shown.index(name) for name in ("layers", "kept", "depth", "inference", "field", "training"))
    echo_table(Table(headings, cells, "<" * names + ">" * len(shown), spare=spare), output_format)


def _heading(name: str) -> str:
    from archspec.views.figures import FIGURES

    return FIGURES[name].heading if name in FIGURES else RUNS[name][0]


def _cell(value: Any, name: str, *, exact: bool) -> str:
    from archspec.views.figures import FIGURES

    if value is None:
        return "" if exact else "-"
    if exact:
        return str(value)
    return FIGURES[name].show(value) if name in FIGURES else RUNS[name][1](value)


def _draw(rows: list[dict[str, Any]], file: Path, x: str, y: str) -> None:
    """Two figures against each other, with a line through those that no other network beats in both."""
    from archspec.views.pareto import best, draw

    points = [(row[x], row[y], row["label"]) for row in rows if row[x] is not None and row[y] is not None]
    if not points:
        raise UsageError(f"no network has both `{x}` and `{y}`: there is nothing to draw")
    line = best(points, larger=y in RUNS)
    draw(points, line, file, (_heading(x), _heading(y)))

"""`archspec compare`: networks side by side, by their figures and their runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archspec.commands._common import (
    diagnostics,
    echo_json,
    echo_notes,
    note_measured,
    plugin_option,
    result,
    split_variant,
)
from archspec.foundation.errors import UsageError, escape, escape_line, join_words
from archspec.foundation.spelling import did_you_mean

if TYPE_CHECKING:
    from archspec.spec import Spec
    from trainer.runs.folders import Result

Shown = dict[str, tuple[str, Callable[[Any], str]]]
"""Figures by name, each with its heading, and how it is shown."""


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
@click.option(
    "--x", metavar="FIGURE", default="macs", show_default=True, help="The figure on the plot's horizontal axis."
)
@click.option(
    "--y", metavar="FIGURE", help="The figure on the vertical axis.  [default: what runs measure, else params]"
)
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

    FIGURE is params, macs, kept, inference, training, layers, depth or field, or what runs measure: test_accuracy,
    images_per_second and others. A plot's line joins the networks that no other one beats in both figures (Pareto).
    """
    metrics, best, larger = _runs(out)
    shown = _shown() | metrics
    for name in filter(None, (sort and sort.removeprefix("-"), x, y)):
        if name not in shown:
            hint = did_you_mean(name, shown) or f"the figures are {join_words(list(shown))}"
            raise UsageError(f"there is no figure `{escape_line(name)}`", help=hint)
    if plot is not None and plot.suffix not in (".svg", ".pdf", ".png"):
        raise UsageError(f"cannot draw {escape_line(str(plot))}", help="its name ends in .svg, .pdf or .png")
    if plot is not None:
        from archspec.views.drawing.write import check_target

        check_target(str(plot))
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
    rows = [_row(spec, best, metrics) for spec in chosen]
    if sort is not None:
        rows = _sorted(rows, sort)
    _echo(rows, shown, output_format)
    if plot is not None:
        known = next((name for name in metrics if any(row[name] is not None for row in rows)), "params")
        _draw(rows, plot, (x, y or known), shown, larger)
        click.echo(f"drawn: {escape_line(str(plot))}", err=True)
        for row in rows:
            if lacking := [name for name in (x, y or known) if row[name] is None]:
                click.echo(f"note: {escape_line(row['label'])} has no {lacking[0]} and is not drawn", err=True)
    note_measured()


def _load(name: str) -> list[Spec]:
    from archspec.spec import load, open_file

    path, variant = split_variant(name)
    if variant != "*":
        return [load(path, variant)]
    from archspec.foundation.errors import SpecError

    checked = open_file(path)[0].check()
    if checked.diagnostics:
        raise SpecError(list(checked.diagnostics))
    return list(checked.specs)


def _shown() -> Shown:
    from archspec.views.figures import FIGURES

    return {name: (one.heading, one.show) for name, one in FIGURES.items()}


def _row(spec: Spec, best: dict[tuple[Any, ...], Result], metrics: Shown) -> dict[str, Any]:
    from archspec.views.figures import FIGURES

    plan = spec.plan
    run = best.get((Path(spec.file).name, plan.variant, plan.params, plan.macs))
    measured = {} if run is None else {**run.metrics, "images_per_second": run.images_per_second}
    named = {"label": plan.variant or Path(spec.file).stem}
    figures = {name: one.of(plan) for name, one in FIGURES.items()}
    return result(plan, spec.file) | named | figures | {name: measured.get(name) for name in metrics}


def _runs(out: Path) -> tuple[Shown, dict[tuple[Any, ...], Result], set[str]]:
    """What runs measure, each network's best finished run by file, variant and figures, and what is best large."""
    if not out.is_dir():
        return {}, {}, set()
    from archspec.commands.runs import metrics_of
    from trainer.runs.folders import list_runs

    runs = list_runs(out, lambda message: click.echo(escape(f"note: {message}"), err=True))
    if not runs:
        return {}, {}, set()
    measured = [one for run in runs if run.result is not None for one in run.task.metrics]
    larger = {name for one in measured if one.mode == "max" for name in (one.log_name, one.test_name)}
    metrics = metrics_of(runs) | {"images_per_second": ("images/s", lambda v: f"{v:,.0f}")}
    best: dict[tuple[Any, ...], Result] = {}
    for run in runs:
        if (one := run.result) is None:
            continue
        key = (Path(one.spec).name, one.variant, one.params, one.macs)
        if key not in best or _is_better(one, best[key], run.task.metric):
            best[key] = one
    return metrics, best, larger | {"images_per_second"}


def _is_better(one: Result, other: Result, metric: Any) -> bool:
    """By the task's first metric on the test images."""
    values = [result.metrics.get(metric.test_name) for result in (one, other)]
    if values[0] is None or values[1] is None:
        return values[0] is not None
    return values[0] > values[1] if metric.mode == "max" else values[0] < values[1]


def _sorted(rows: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    name = sort.removeprefix("-")
    having = sorted((row for row in rows if row[name] is not None), key=lambda row: row[name], reverse=name != sort)
    return having + [row for row in rows if row[name] is None]


def _echo(rows: list[dict[str, Any]], figures: Shown, output_format: str) -> None:
    from archspec.commands._tables import Table, echo_table

    if output_format == "json":
        echo_json(rows, [])
        return
    always = _shown()
    shown = [name for name in figures if name in always or any(row[name] is not None for row in rows)]
    exact = output_format == "csv"
    headings = ["label", "name", *shown] if exact else ["network", *(figures[name][0] for name in shown)]
    cells = []
    for row in rows:
        values = [(row[name], figures[name][1]) for name in shown]
        blank = "" if exact else "-"
        texts = [blank if value is None else str(value) if exact else show(value) for value, show in values]
        cells.append([row["label"], *([row["name"]] if exact else []), *texts])
    spare = tuple(1 + shown.index(name) for name in ("layers", "kept", "depth", "inference", "field", "training"))
    echo_table(Table(headings, cells, "<" * (1 + exact) + ">" * len(shown), spare=spare), output_format)


def _draw(rows: list[dict[str, Any]], file: Path, axes: tuple[str, str], shown: Shown, larger: set[str]) -> None:
    """Two figures against each other, with a line through those that no other network beats in both."""
    from archspec.views.pareto import best, draw

    x, y = axes
    points = [(row[x], row[y], row["label"]) for row in rows if row[x] is not None and row[y] is not None]
    if not points:
        raise UsageError(f"no network has both `{x}` and `{y}`: there is nothing to draw")
    draw(points, best(points, larger=(x in larger, y in larger)), file, (shown[x][0], shown[y][0]))

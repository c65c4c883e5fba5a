"""`archspec predict`: what a trained network says of images, or of the rows of tables."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archspec.commands._common import plugin_option
from archspec.foundation.errors import escape, escape_line

if TYPE_CHECKING:
    from trainer.runs.folders import Run


@click.command("predict")
@click.argument("run")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|TABLE...", type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="How many classes to show.")
@click.option(
    "--save",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write there the masks of a segmentation, or each table with its predictions, over no other file.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where runs are kept."
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json", "csv"]),
    default="text",
    help="For people, or for programs; csv has a row for each image.",
)
@plugin_option
def command(run: str, images: tuple[Path, ...], top: int, save: Path | None, out: Path, output_format: str) -> None:
    """Say what each IMAGE shows by the best weights of RUN, a run's folder or its name below --out.

    For a folder, the images in it and in its subfolders are taken. Images that cannot be read are named, and the exit
    status is then 2. For a run that was trained with a table or arrays, give tables or arrays with the same columns:
    their rows are predicted.
    """
    from trainer.runs.folders import find

    found = find(run, out)
    if not found.has_images:
        from trainer.runs.row_prediction import predict_rows

        _show_rows(found, predict_rows(found, images, top), save, output_format)
        return
    from trainer.runs.prediction import find_images, predict

    files = find_images(images)
    errors: list[tuple[Path, str]] = []
    progress = sys.stderr.isatty() and (output_format == "json" or not sys.stdout.isatty())
    answers = _readable(predict(found, files, top, save, progress=progress), errors)
    if output_format == "json":
        results = [{"image": str(image), **answer} for image, answer in answers]
        failures = [{"image": str(image), "message": message} for image, message in errors]
        click.echo(json.dumps({"results": results, "errors": failures}, indent=2))
    elif output_format == "csv":
        _write_csv(answers)
    else:
        for image, answer in answers:
            click.echo(escape(f"{image}: {found.task.describe(answer)}"))
    for image, message in errors if output_format != "json" else ():
        click.echo(escape(f"error: {image} cannot be read: {message}"), err=True)
    if errors:
        raise SystemExit(2)


def _show_rows(
    run: Run,
    rows: Iterator[tuple[Path, int, Mapping[str, str], dict[str, Any] | str]],
    save: Path | None,
    output_format: str,
) -> None:
    """Print the predictions of rows, and with `save` write each table with its predictions.

    Rows whose image cannot be read are named; the exit status is then 2.
    """
    from trainer.runs.prediction import write_new

    writer = csv.writer(sys.stdout, lineterminator="\n")
    results: list[dict[str, Any]] = []
    saved: dict[Path, list[dict[str, Any]]] = {}
    errors: list[tuple[Path, int, str]] = []
    begun = False
    for file, row, cells, answer in rows:
        if isinstance(answer, str):
            errors.append((file, row, answer))
            continue
        if save is not None:
            own = cells or {"row": str(row)}
            added = {name if name not in own else f"{name} predicted": one for name, one in _flat(answer).items()}
            saved.setdefault(file, []).append({**own, **added})
        if output_format == "json":
            results.append({"file": str(file), "row": row, **answer})
        elif output_format == "csv":
            flat = {"file": file, "row": row} | _flat(answer)
            if not begun:
                writer.writerow(flat)
            begun = True
            writer.writerow(flat.values())
        else:
            click.echo(escape(f"{file}, row {row}: {run.task.describe(answer)}"))
    if output_format == "json":
        failures = [{"file": str(file), "row": row, "message": message} for file, row, message in errors]
        click.echo(json.dumps({"results": results, "errors": failures}, indent=2))
    for file, row, message in errors if output_format != "json" else ():
        click.echo(escape(f"error: {file}, row {row}: {message}"), err=True)
    for file, lines in saved.items():
        assert save is not None
        text = io.StringIO(newline="")
        table = csv.writer(text, lineterminator="\n")
        table.writerow(lines[0])
        table.writerows(line.values() for line in lines)
        click.echo(f"written: {write_new(save, file.stem, '.csv', text.getvalue().encode())}", err=True)
    if errors:
        raise SystemExit(2)


def _readable(
    predicted: Iterator[tuple[Path, Any]], errors: list[tuple[Path, str]]
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The answers for images that can be read; the others go to `errors`."""
    for image, answer in predicted:
        if isinstance(answer, str):
            errors.append((image, answer))
        else:
            yield image, answer


def _write_csv(answers: Iterator[tuple[Path, dict[str, Any]]]) -> None:
    """A row for each image: its file, and what is predicted; of several classes, the next ones are numbered."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    shown = escape_line if sys.stdout.isatty() else str
    for number, (image, answer) in enumerate(answers):
        row = {"file": image} | _flat(answer)
        if number == 0:
            writer.writerow(row)
        writer.writerow(shown(str(value)) for value in row.values())


def _flat(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer as columns: of a mapping, its own; of a list of mappings, `class`, then `class_2`, `class_3`, …

    Texts of a list, of which each answer may have another number, share a column.
    """
    columns: dict[str, Any] = {}
    for name, value in answer.items():
        if isinstance(value, dict):
            columns |= value
            continue
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            columns[name] = " ".join(value)
            continue
        if not isinstance(value, list):
            columns[name] = value
            continue
        for rank, one in enumerate(value, 1):
            inner = one if isinstance(one, dict) else {name: one}
            columns |= {f"{key}_{rank}" if rank > 1 else key: item for key, item in inner.items() if key != "index"}
    return columns

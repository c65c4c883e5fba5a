"""`archspec test`: evaluate a run's weights on its test set."""

from __future__ import annotations

import json
from pathlib import Path

import click

from archspec.commands._common import format_option, plugin_option


@click.command("test")
@click.argument("run")
@click.option(
    "--data",
    metavar="FOLDER|FILE",
    help="Another folder of images, table or arrays to test on, or where the run's lie now.",
)
@click.option(
    "--data-folder", type=click.Path(path_type=Path), help="Where data sets lie, if no longer where they were."
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where runs are kept."
)
@format_option
@plugin_option
def command(run: str, data: str | None, data_folder: Path | None, out: Path, output_format: str) -> None:
    """Test the best weights of RUN, a run's folder or its name below --out, on the test set of its data."""
    from trainer.runs.folders import find

    trained = find(run, out)
    from trainer.runs.evaluation import test

    results = test(trained, data_folder, data)
    for note in results.get("notes", ()):
        click.echo(f"note: {note}", err=True)
    if output_format == "json":
        click.echo(json.dumps({"results": [{"run": str(trained.folder), **results}], "errors": []}, indent=2))
    else:
        measured = [
            (f"test {one.heading}", one.show(results[one.test_name]))
            for one in trained.task.metrics
            if one.test_name in results
        ]
        measured.append(("test loss", f"{results['test_loss']:.4f}"))
        what = "images" if trained.has_images else "samples"
        click.echo(
            f"{trained.name}, {results['weights']}, on the {results['images']:,} test {what} of {results['data']}: "
            f"{', '.join(f'{name} {value}' for name, value in measured)}"
        )
        for output in results.get("outputs", ()):
            keys = [(one, f"test_{output}_{one.name}") for one in trained.task.metrics]
            shown = [f"{one.heading} {one.show(results[key])}" for one, key in keys if key in results]
            click.echo(f"  {output}: {', '.join(shown)}, loss {results[f'test_{output}_loss']:.4f}")

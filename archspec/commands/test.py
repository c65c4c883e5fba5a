"""`archspec test`: a run's weights on its test set again."""

from __future__ import annotations

import json
from pathlib import Path

import click

from archspec.commands._common import format_option, plugin_option


@click.command("test")
@click.argument("run")
@click.option(
    "--data-folder", type=click.Path(path_type=Path), help="Where data sets lie, if no longer where they were."
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where runs are kept."
)
@format_option
@plugin_option
def command(run: str, data_folder: Path | None, out: Path, form: str) -> None:
    """Test the best weights of RUN, a run's folder or its name below --out, on the test set of its data."""
    from trainer.runs.folders import find

    found = find(run, out)
    from trainer.runs.evaluation import test

    scores = test(found, data_folder)
    if form == "json":
        click.echo(json.dumps({"results": [{"run": str(found.folder), **scores}], "errors": []}, indent=2))
    else:
        click.echo(
            f"{found.name}, {scores['weights']}, on the {scores['images']:,} test images of {scores['data']}: "
            f"test accuracy {scores['test_accuracy']:.2%}, test loss {scores['test_loss']:.4f}"
        )

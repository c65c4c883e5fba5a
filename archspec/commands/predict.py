"""`archspec predict`: what a trained network says of images."""

from __future__ import annotations

import json
from pathlib import Path

import click

from archspec.commands._common import format_option, plugin_option
from archspec.foundation.errors import escape


@click.command("predict")
@click.argument("run")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="How many classes to show.")
@click.option(
    "--save",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write predictions that are images there: the masks of a segmentation, over no other file.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where runs are kept."
)
@format_option
@plugin_option
def command(run: str, images: tuple[Path, ...], top: int, save: Path | None, out: Path, output_format: str) -> None:
    """Say what each IMAGE shows by the best weights of RUN, a run's folder or its name below --out.

    Images that cannot be read are named, and make the exit status 2.
    """
    from trainer.runs.folders import find

    found = find(run, out)
    from trainer.runs.evaluation import predict

    results, errors = predict(found, images, top, save)
    if output_format == "json":
        failures = [{"image": str(image), "message": message} for image, message in errors]
        click.echo(json.dumps({"results": results, "errors": failures}, indent=2))
    else:
        for result in results:
            click.echo(escape(f"{result['image']}: {found.task.describe(result)}"))
        for image, message in errors:
            click.echo(escape(f"error: {image} cannot be read: {message}"), err=True)
    if errors:
        raise SystemExit(2)

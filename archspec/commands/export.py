"""`archspec export`: a network as a file that works without archspec."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archspec.commands._common import (
    diagnostics,
    echo_json,
    format_option,
    note_measured,
    plugin_option,
    set_option,
    variant_option,
)
from archspec.foundation.errors import SpecError, UsageError, escape_line
from archspec.writing.files import default_mode

if TYPE_CHECKING:
    from archspec.exports import Format, Model, Written


@click.command("export")
@click.argument("spec", metavar="SPEC|RUN")
@click.option("--to", "target", metavar="FORMAT", help="The format: onnx, torch (.pt2), safetensors, ….")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="The file.  [default: the network's name, with the format's ending]  `-` writes text to standard output.",
)
@variant_option
@set_option
@click.option(
    "--weights",
    "origin",
    metavar="SOURCE",
    help="Whose weights it gets: a FILE's (.safetensors, or written by torch.save), a run's, or torchvision's "
    "(torchvision:resnet50).  [default: those of RUN; of SPEC, initial ones]",
)
@click.option(
    "--dynamic",
    type=click.Choice(["size", "batch", "none"]),
    help="Open dimensions: batch, height and width; the batch alone; or none.  [default: all that the network allows]",
)
@click.option(
    "--normalize",
    is_flag=True,
    help="Include the normalisation: the file takes images as uint8 from 0 to 255, rows in their own units.",
)
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where runs are kept."
)
@format_option
@plugin_option
def command(
    spec: str,
    target: str | None,
    output: str | None,
    variant: str | None,
    settings: tuple[str, ...],
    origin: str | None,
    dynamic: str | None,
    normalize: bool,
    force: bool,
    out: Path,
    output_format: str,
) -> None:
    """Write SPEC, or RUN with its best weights, class names and normalisation, as a file that works without archspec.

    A file with weights is read back, run and compared with the network before it gets its name. Auxiliary classifiers
    are left out, except from Python code, which holds no weights.
    """
    from archspec import exports

    try:
        format = exports.load(target or "")
        options = exports.Options(dynamic, normalize, _say)
        _check_options(format, options, origin, output, output_format)
        format.check()
        from archspec.commands._models import find_model

        model = find_model(spec, out, variant, settings, origin, weights=format.holds_weights, aux=format.keeps_aux)
        path = output or f"{model.name}{format.suffix}"
        written = _write(format, model, path, options, force=force)
    except (SpecError, UsageError) as error:
        if output_format != "json":
            raise
        echo_json([], diagnostics(error))
        raise click.exceptions.Exit(error.exit_status) from None
    if path != "-":
        _report(format, model, path, written, output_format)
    note_measured()


def _say(step: str) -> None:
    """Tell who waits at a terminal what is being done."""
    if sys.stderr.isatty():
        click.echo(f"{step} …", err=True)


def _check_options(format: Format, options: Any, origin: str | None, output: str | None, output_format: str) -> None:
    """Raises `UsageError` for options that mean nothing to a format."""
    for option, given in (("--dynamic", options.dynamic), ("--normalize", options.normalize)):
        if given and not format.takes_options:
            raise UsageError(f"{option} has no meaning with --to {format.name}")
    if origin is not None and not format.holds_weights:
        raise UsageError(
            f"--weights has no meaning with --to {format.name}: its files hold none",
            help="--to safetensors writes them to a file of their own",
        )
    if output == "-" and not format.is_text:
        raise UsageError(f"--to {format.name} writes no text: `-o -` is for formats that do")
    if output == "-" and output_format == "json":
        raise UsageError("`-o -` writes the file to standard output: it does not go with --format json")


def _write(format: Format, model: Model, path: str, options: Any, *, force: bool) -> Written:
    """Write a file under a temporary name beside its own, which it gets when the format has proven it."""
    if path != "-":
        _check_target(path, format.suffix, force=force)
    folder = os.path.dirname(os.path.abspath(path))
    if path == "-":
        import tempfile

        folder = tempfile.gettempdir()
    beside = os.path.join(folder, f".{secrets.token_hex(8)}{format.suffix}")
    try:
        written = format.write(model, beside, options)
        if path == "-":
            with open(beside, encoding="utf-8") as file:
                shutil.copyfileobj(file, sys.stdout)
        else:
            os.chmod(beside, default_mode())
            os.replace(beside, path)
        return written
    except OSError as error:
        raise UsageError(
            f"cannot write {escape_line(path)}: {error.strerror or error}",
            help="write it where there is room, and where you may write",
        ) from None
    finally:
        with contextlib.suppress(OSError):
            os.remove(beside)


def _check_target(path: str, suffix: str, *, force: bool) -> None:
    """Raises `UsageError` where a file could not be made, before any work is done for it."""
    shown = escape_line(path)
    folder = os.path.dirname(os.path.abspath(path))
    if not path.endswith(suffix):
        raise UsageError(f"cannot write {shown}: files of this format end in {suffix}")
    if os.path.isdir(path):
        raise UsageError(f"cannot write {shown}: it is a folder")
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write {shown}: {escape_line(folder)} is not a folder that can be written to")
    if os.path.exists(path) and not force:
        raise UsageError(f"{shown} exists already", help="name another file by -o, or replace it by --force")


def _report(format: Format, model: Model, path: str, written: Written, output_format: str) -> None:
    """Say what was written and proven."""
    from archspec.foundation.figures import show_bytes

    size = os.path.getsize(path)
    proof = written.proof
    if output_format == "json":
        found = {
            "file": path,
            "format": format.name,
            "bytes": size,
            "spec": model.spec.file,
            "name": model.plan.name,
            "variant": model.plan.variant,
            "weights": model.weights if format.holds_weights else None,
            "proof": None if proof is None else proof.to_dict(),
            **written.facts,
        }
        click.echo(json.dumps({"results": [found], "errors": []}, indent=2))
        return
    whose = f", {model.weights}" if format.holds_weights else ""
    click.echo(escape_line(f"{model.plan.title} → {path}: {show_bytes(size)}{whose}"))
    for line in (*written.lines, *([proof.text] if proof else ())):
        click.echo(escape_line(f"  {line}"))

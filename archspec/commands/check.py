"""`archspec check`: hold specs to the language and to the figures they vouch for."""

from __future__ import annotations

from typing import Any

import click

from archspec.commands._common import (
    diagnostics,
    echo_json,
    echo_notes,
    format_option,
    lines,
    note_measured,
    plugin_option,
    result,
    set_option,
    variants_option,
)
from archspec.foundation.errors import Diagnostic, Note, SpecError, UsageError


@click.command("check")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@set_option
@variants_option
@format_option
@plugin_option
def command(specs: tuple[str, ...], settings: tuple[str, ...], variants: tuple[str, ...], output_format: str) -> None:
    """Validate every variant of each SPEC, or those that are named, and print its shapes, parameters and GMACs."""
    from archspec.spec import open_file

    plans: list[tuple[str, Any]] = []
    errors: list[Diagnostic] = []
    notes: list[Note] = []
    status = 0
    for name in specs:
        try:
            file, implied = open_file(name)
            if implied and (others := [one for one in variants if one != implied]):
                raise UsageError(f"`{name}` is a variant itself; it has no variant `{others[0]}`")
            chosen = variants or ((implied,) if implied else None)
            checked = file.with_settings(set=settings).check(chosen and tuple(dict.fromkeys(chosen)))
        except (SpecError, UsageError) as error:
            errors += diagnostics(error)
            status = max(status, error.exit_status)
            continue
        plans += [(file.file, spec.plan) for spec in checked.specs]
        errors += checked.diagnostics
        notes += checked.notes
        status = max(status, 1 if checked.diagnostics else 0)
    if output_format == "json":
        echo_json([result(plan, spec) for spec, plan in plans], errors)
    else:
        for line in lines([plan for _, plan in plans]):
            click.echo(line)
        if errors:
            click.echo("\n\n".join(error.render() for error in errors), err=True)
    echo_notes(notes)
    note_measured()
    raise click.exceptions.Exit(status)

"""`archspec check`: hold specs to the language and to the figures they vouch for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from archspec.commands._common import (
    aligned,
    diagnostics,
    echo_notes,
    format_option,
    lines,
    note_measured,
    plugin_option,
    result,
    set_option,
    variants_option,
)
from archspec.foundation.errors import Diagnostic, Note, SpecError, UsageError, escape_line
from archspec.foundation.figures import show_macs_in_column
from archspec.foundation.shapes import show
from archspec.foundation.source import Mapping
from archspec.language.finder import refuse_variant
from archspec.plan.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from archspec.plan.partial import Hidden, PartialPlan
    from archspec.spec import Spec


@click.command("check")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@set_option
@variants_option
@click.option("--layers", is_flag=True, help="Print every layer: path, line, output shape, parameters, MACs.")
@format_option
@plugin_option
def command(
    specs: tuple[str, ...], settings: tuple[str, ...], variants: tuple[str, ...], layers: bool, output_format: str
) -> None:
    """Validate every variant of each SPEC, or those that are named, and print its shapes, parameters and MACs."""
    from archspec.spec import open_file

    plans: list[tuple[str, Any]] = []
    errors: list[Diagnostic] = []
    partial: list[PartialPlan] = []
    hidden: dict[Diagnostic, Hidden] = {}
    notes: list[Note] = []
    status = 0
    for name in specs:
        try:
            file, implied = open_file(name)
            if implied and (others := [one for one in variants if one != implied]):
                raise refuse_variant(name, others[0])
            chosen = variants or ((implied,) if implied else None)
            checked = file.with_settings(set=settings).check(chosen and tuple(dict.fromkeys(chosen)))
        except (SpecError, UsageError) as error:
            errors += diagnostics(error)
            status = max(status, error.exit_status)
            if isinstance(error, SpecError) and output_format == "json":
                partial += _partial_of_text(name)
            continue
        judged = [(spec, [*_mistakes_of_task(spec)]) for spec in checked.specs]
        plans += [(file.file, spec.plan) for spec, wrong in judged if not wrong]
        of_tasks = dict.fromkeys(one for _, wrong in judged for one in wrong)  # the same of several variants once
        errors += [*checked.diagnostics, *of_tasks]
        notes += checked.notes
        if output_format == "json":
            partial += checked.partial
            hidden |= checked.hidden()
        status = max(status, 1 if checked.diagnostics or of_tasks else 0)
    if output_format == "json":
        found = [result(plan, spec) | (_layers(plan) if layers else {}) for spec, plan in plans]
        wrong = [one.to_dict() | ({"hides": hidden[one].to_dict()} if one in hidden else {}) for one in errors]
        known = {"partial": [one.to_dict() for one in partial]} if partial else {}
        click.echo(json.dumps({"results": found, "errors": wrong, **known}, indent=2))
    else:
        for text in _texts([plan for _, plan in plans], layers):
            click.echo(text)
        if errors:
            click.echo("\n\n".join(error.render() for error in errors), err=True)
    echo_notes(notes)
    note_measured()
    raise click.exceptions.Exit(status)


def _mistakes_of_task(spec: Spec) -> Iterator[Diagnostic]:
    """What a recipe says that the task which it names does not take."""
    if "task" not in spec.train:
        return
    from archspec.foundation.errors import Fault
    from archspec.recipe.places import place
    from trainer import tasks

    section = spec.root.get("train")
    given = isinstance(section, Mapping) and "loss" in section.entries
    for keys, error in tasks.mistakes(spec.recipe, spec.plan, loss_given=given):
        fault = Fault("out-of-range", error.message, place(section, *keys) or spec.root.mark, help=error.help)
        yield fault.diagnostic()


def _partial_of_text(name: str) -> tuple[PartialPlan, ...]:
    """What is known of a file that is not YAML."""
    from archspec.editing import check_text
    from archspec.language import finder

    found = finder.find(name)
    return check_text(found.read(), found.path).partial


def _texts(plans: list[Plan], layers: bool) -> list[str]:
    """A line for each plan; with its layers below it, and an empty line before the next."""
    found = []
    for number, (line, plan) in enumerate(zip(lines(plans), plans, strict=True) if plans else ()):
        found += [*([""] if layers and number else []), line, *(_table(plan) if layers else [])]
    return found


def _table(plan: Plan) -> list[str]:
    from archspec.views.layers import rows

    table = [("layer", "", "line", "output", "parameters", "MACs")]
    for row in rows(plan):
        line = str(row.line) if row.file == plan.file else f"{escape_line(row.file)}:{row.line}"
        macs = "-" if row.aux else show_macs_in_column(row.macs)
        params = f"{row.params:,}" if row.module == row.path else f"of {row.module}"
        table.append((row.path, row.kind, line, show(row.output), params, macs))
    return [f"  {line}" for line in aligned(table, "<<><>>")]


def _layers(plan: Plan) -> dict[str, Any]:
    from archspec.views.layers import rows

    return {"rows": [row.to_dict() for row in rows(plan)]}

"""`archspec summary`: a network's tree with the figures of each part, without torch."""

from __future__ import annotations

import click

from archspec.commands._common import echo_notes, plugin_option, set_option, variant_option
from archspec.commands._tables import Table, echo_table


@click.command("summary")
@click.argument("spec")
@variant_option
@set_option
@click.option("--depth", type=click.IntRange(1), metavar="N", help="Show at most N levels.")
@click.option(
    "--by",
    type=click.Choice(["layer", "block", "stage"]),
    default="block",
    show_default=True,
    help="Go down to each layer, to each call of a block, or to the parts of the network itself.",
)
@click.option("--no-aux", "aux", flag_value=False, default=True, help="Leave auxiliary classifiers out.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json", "csv", "markdown"]),
    default="table",
    show_default=True,
    help="How it is printed.",
)
@plugin_option
def command(
    spec: str,
    variant: str | None,
    settings: tuple[str, ...],
    depth: int | None,
    by: str,
    aux: bool,
    output_format: str,
) -> None:
    """Print SPEC's tree: of each part its line, output shape, parameters, MACs, memory and receptive field.

    Memory is what a part keeps for the backward pass of one sample in fp32. Nothing is built: torch is not needed.
    """
    from archspec.commands._common import note_measured
    from archspec.commands._summary import as_json, as_table, as_text
    from archspec.foundation.errors import SpecError, UsageError
    from archspec.spec import load

    try:
        loaded = load(spec, variant, set=settings)
        plan = (loaded if aux else loaded.without_aux()).plan
    except (SpecError, UsageError) as error:
        if output_format == "json":
            from archspec.commands._common import diagnostics, echo_json

            echo_json([], diagnostics(error))
            raise click.exceptions.Exit(error.exit_status) from None
        raise
    echo_notes(loaded.notes)
    if output_format == "json":
        from archspec.commands._common import echo_json

        echo_json([as_json(plan, loaded.file, by=by, depth=depth)], [])
    elif output_format == "table":
        click.echo(as_text(plan, by=by, depth=depth), nl=False)
    else:
        table: Table = as_table(plan, by=by, depth=depth)
        echo_table(table, output_format)
    note_measured()

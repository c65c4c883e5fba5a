"""`archspec draw`: a picture of a network."""

from __future__ import annotations

import click

from archspec.commands._common import echo_notes, note_measured, plugin_option, set_option, variant_option


@click.command("draw")
@click.argument("spec")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="Where to draw it: a file that ends in .svg, .html (folds, zooms, searches), .png, .pdf or .mmd (Mermaid). A "
    "file that is there is replaced. `-` writes SVG to standard output.",
)
@variant_option
@set_option
@click.option("--depth", type=click.IntRange(0), help="Levels of the network to show open; by default, as fits a page.")
@click.option("--columns", type=click.IntRange(1), help="Columns of a long network; by default, as suits.")
@click.option("--no-aux", "aux", flag_value=False, default=True, help="Leave auxiliary classifiers out.")
@plugin_option
def command(
    spec: str,
    output: str,
    variant: str | None,
    settings: tuple[str, ...],
    depth: int | None,
    columns: int | None,
    aux: bool,
) -> None:
    """Draw SPEC: a picture for a paper, a lecture or a README, from its plan alone."""
    from archspec.spec import load
    from archspec.views.drawing.write import check_target, columns_note, write

    if output != "-":
        check_target(output)
    loaded = load(spec, variant, set=settings)
    echo_notes(loaded.notes)
    plan = loaded.plan if aux else loaded.plan.without_aux()
    if output == "-":
        from archspec.views.drawing.svg import svg

        click.echo(svg(plan, depth, columns), nl=False)
        notes = [note] if (note := columns_note(plan, depth, columns)) else []
    else:
        notes = write(plan, output, depth, columns)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    note_measured()

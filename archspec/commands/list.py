"""`archspec list`: what there is to build with."""

from __future__ import annotations

import click

from archspec.commands._common import plugin_option


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(["specs", "primitives", "blocks"]))
@plugin_option
def command(kind: str | None) -> None:
    """List the bundled specs, the primitives and the blocks, or only one KIND of them."""
    from archspec.language.vocabulary import library_block, library_names
    from archspec.layers.registry import primitives
    from archspec.plugins import load_installed

    load_installed()
    formatter = click.HelpFormatter(max_width=120)
    if kind in (None, "specs"):
        with formatter.section("Specs"):
            formatter.write_dl(_specs(), col_max=24)
    if kind in (None, "primitives"):
        with formatter.section("Primitives"):
            formatter.write_dl([(name, one.doc) for name, one in primitives().items()], col_max=24)
    if kind in (None, "blocks"):
        with formatter.section("Blocks"):
            formatter.write_dl([(name, library_block(name).doc) for name in library_names()], col_max=24)
    click.echo(formatter.getvalue().strip("\n"))


def _specs() -> list[tuple[str, str]]:
    from archspec.foundation.source import Mapping, Scalar
    from archspec.language.finder import bundled
    from archspec.spec import open_file

    rows = []
    for name in bundled():
        tree = open_file(name)[0].tree
        assert isinstance(tree, Mapping)
        description = tree.get("description")
        text = str(description.value) if isinstance(description, Scalar) else ""
        variants = tree.get("variants")
        if isinstance(variants, Mapping):
            text += f" Variants: {', '.join(variants.entries)}."
        rows.append((name, text))
    return rows

"""`archspec list`: what there is to build with."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from archspec.commands._common import plugin_option

KINDS = ("specs", "primitives", "blocks")


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.option("--format", "format", type=click.Choice(["text", "json"]), default="text", help="How it is printed.")
@plugin_option
def command(kind: str | None, format: str) -> None:
    """List the bundled specs, the primitives and the blocks, or only one KIND of them.

    In a pipe, each stands on a line of its own.
    """
    from archspec.plugins import load_installed

    load_installed()
    found = {one: LISTS[one]() for one in ([kind] if kind else KINDS)}
    if format == "json":
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    is_terminal = sys.stdout.isatty()
    formatter = click.HelpFormatter(max_width=120) if is_terminal else click.HelpFormatter(width=100_000)
    for one, entries in found.items():
        with formatter.section(one.capitalize()):
            formatter.write_dl(
                [(str(entry["name"]), _described(entry)) for entry in entries], col_max=24 if is_terminal else 99
            )
    click.echo(formatter.getvalue().strip("\n"))


def _described(entry: dict[str, str | list[str]]) -> str:
    text = str(entry["description"])
    return f"{text} Variants: {', '.join(entry['variants'])}." if entry.get("variants") else text


def _specs() -> list[dict[str, str | list[str]]]:
    from archspec.foundation.reading import first_text
    from archspec.language.finder import bundled, find, variants

    owners = variants()
    rows: list[dict[str, str | list[str]]] = []
    for name in bundled():
        description = first_text(find(name).read(), "description") or ""
        rows.append(
            {
                "name": name,
                "description": " ".join(description.split()),
                "variants": [one for one, owner in owners.items() if owner == name],
            }
        )
    return rows


def _primitives() -> list[dict[str, str | list[str]]]:
    from archspec.layers.registry import primitives

    return [{"name": name, "description": one.doc} for name, one in primitives().items()]


def _blocks() -> list[dict[str, str | list[str]]]:
    from archspec.foundation.reading import first_text
    from archspec.language.vocabulary import FOLDER, library_names

    return [
        {"name": name, "description": first_text(Path(FOLDER, f"{name}.yaml").read_bytes(), "doc") or ""}
        for name in library_names()
    ]


LISTS = {"specs": _specs, "primitives": _primitives, "blocks": _blocks}

"""`archspec schema`: the JSON Schema of spec files, for editors."""

from __future__ import annotations

import json

import click

from archspec.commands._common import plugin_option


@click.command("schema")
@plugin_option
def command() -> None:
    """Print the JSON Schema of spec files.

    Editors that know YAML complete and check specs with it: save it as archspec.schema.json, and begin a spec with
    the line "# yaml-language-server: $schema=archspec.schema.json".
    """
    from archspec.language.schema import spec_schema

    click.echo(json.dumps(spec_schema(), indent=2))

"""`archspec lsp`: a language server for editors."""

from __future__ import annotations

import click

from archspec.commands._common import plugin_option
from archspec.foundation.errors import UsageError


@click.command("lsp")
@click.option(
    "--stdio",
    is_flag=True,
    hidden=True,
    help="Accepted since many editors pass it; standard input and output are used anyway.",
)
@plugin_option
def command(stdio: bool) -> None:
    """Serve an editor by the Language Server Protocol, on standard input and output: errors, shapes, completion, …"""
    try:
        from archspec.editor.server import serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        raise UsageError(
            "the language server needs pygls, which is not installed", help="pip install 'archspec-nets[lsp]'"
        ) from None
    serve()

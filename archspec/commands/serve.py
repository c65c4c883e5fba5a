"""`archspec serve`: the page on this machine."""

from __future__ import annotations

import click

from archspec.commands._common import plugin_option
from archspec.foundation.errors import UsageError


@click.command("serve")
@click.argument("spec", required=False)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="A port; by default any that is free.")
@click.option("--open/--no-open", "opens", default=None, help="Open it in the browser; by default from a terminal.")
@plugin_option
def command(spec: str | None, port: int, opens: bool | None) -> None:
    """Show SPEC in the browser while you write it: errors, shapes, drawing and layers at each keystroke.

    The page is served on this machine alone, until Ctrl+C. It follows the file, and writes it when you save. Of a
    bundled spec, or without SPEC, it has no file, and is downloaded instead.
    """
    import sys

    from archspec.language import finder
    from archspec.page.server import PageServer

    if spec == finder.STANDARD_INPUT:
        raise UsageError("the page writes to a file, and standard input is none", help="give the file's path")
    found = finder.find(spec) if spec is not None else None
    own = found is not None and spec is not None and spec.endswith(finder.SUFFIXES)
    if found is not None and own:
        found.read()  # what cannot be read is said before anything is opened
    try:
        server = PageServer(found.path, port=port) if found and own else PageServer(None, spec or "digits", port)
    except OSError as error:
        raise UsageError(
            f"cannot serve on port {port}: {error.strerror or error}", help="without --port any free one is taken"
        ) from None
    with server:
        server.file()
        click.echo(f"{server.address}\nCtrl+C ends it", err=False)
        sys.stdout.flush()
        if opens or (opens is None and sys.stdout.isatty()):
            import webbrowser

            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("", err=True)

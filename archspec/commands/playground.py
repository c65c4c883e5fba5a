"""`archspec playground`: the page as static files."""

from __future__ import annotations

import click


@click.command("playground")
@click.option(
    "-o", "--output", required=True, metavar="DIR", help="The folder to write to; files of its own are replaced."
)
@click.option(
    "--pyodide",
    metavar="URL",
    help="Where the page finds Pyodide, Python for browsers: an address or a path below the page's. By default a CDN.",
)
def command(output: str, pyodide: str | None) -> None:
    """Write a page that checks, counts and draws specs in the browser, to be put on any web server.

    Nothing is computed on the server, and what is typed stays in the browser.
    """
    import os

    from archspec.foundation.figures import show_bytes
    from archspec.page.package import PYODIDE, write

    address = PYODIDE if pyodide is None else pyodide.rstrip("/") + "/"
    made = write(output, address)
    size = show_bytes(sum(map(os.path.getsize, made)))
    click.echo(
        f"{os.path.join(output, 'index.html')} and {len(made) - 1} files beside it, {size}; Pyodide from {address}"
    )

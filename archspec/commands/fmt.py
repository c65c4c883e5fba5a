"""`archspec fmt`: specs in their canonical form."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from archspec.foundation.errors import Fault, SpecError, UsageError, escape_line
from archspec.language.finder import STANDARD_INPUT


@click.command("fmt")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option("--check", is_flag=True, help="Write nothing; name the files that would change, and exit with status 1.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change, and exit with status 1 if anything.")
def command(specs: tuple[str, ...], check: bool, diff: bool) -> None:
    """Bring the files of specs, blocks and recipes into their canonical form; comments stay.

    SPEC is a file, a folder (all specs and blocks below it), or - for standard input, which is printed.
    """
    status = changed = unchanged = skipped = 0
    for path, is_named in _files(specs):
        try:
            content = _read(path)
            made = _format(content, path, is_named)
            if made is None or made == content:
                unchanged += made is not None
                skipped += made is None and is_named
                if made is not None and path == STANDARD_INPUT and not (check or diff):
                    click.echo(made, nl=False)
                continue
            changed += 1
            _deliver(path, content, made, check, diff)
        except (SpecError, UsageError) as error:
            prefix = "error: " if error.exit_status == 2 else ""
            click.echo(f"{prefix}{error}", err=True)
            status = max(status, error.exit_status)
    if not (changed or unchanged or skipped or status):
        raise UsageError("there is no spec to format")
    if specs != (STANDARD_INPUT,) and (changed or unchanged or status):
        click.echo(_summary(changed, unchanged, check or diff), err=True)
    raise click.exceptions.Exit(status or (1 if changed and (check or diff) else 0))


def _files(specs: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """The files, each once, and whether it was named itself."""
    from archspec.language.finder import SUFFIXES

    seen: set[str] = set()
    for path in specs:
        found = [path]
        if os.path.isdir(path):
            found = []
            for at, folders, files in os.walk(path):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                found += [os.path.join(at, file) for file in sorted(files) if file.endswith(SUFFIXES)]
        for file in found:
            if os.path.realpath(file) not in seen:
                seen.add(os.path.realpath(file))
                yield file, not os.path.isdir(path)


def _read(path: str) -> bytes:
    """A file's content. Raises `UsageError`."""
    from archspec.language.finder import FoundFile, bundled, variants

    if not os.path.exists(path) and (path in bundled() or path in variants()):
        raise UsageError(f"`{path}` is the name of a bundled spec, not a file", help="give the path of a file of yours")
    return FoundFile(path, path).read()


def _format(content: bytes, path: str, is_named: bool) -> bytes | None:
    """The canonical form; `None` for a file that is neither a spec nor a block nor a recipe. Raises `SpecError`."""
    from archspec.foundation.reading import read
    from archspec.foundation.source import Mapping
    from archspec.language.document import check_version
    from archspec.recipe.recipe import DEFAULTS
    from archspec.writing.canonical import format_spec

    shown = "standard input" if path == STANDARD_INPUT else path
    try:
        root = read(content, shown)
        if not isinstance(root, Mapping):
            raise Fault("type-mismatch", "a spec is a mapping that begins with `archspec: 1`", root.mark)
        is_spec = path == STANDARD_INPUT or not {"archspec", "body"}.isdisjoint(root.entries)
        if not is_spec and not (is_named and DEFAULTS.keys() >= root.entries.keys()):
            if is_named:
                click.echo(f"note: {escape_line(shown)} is no spec, block or recipe; it was not changed", err=True)
            return None
        check_version(root)
        return format_spec(content, shown).encode()
    except Fault as fault:
        if not is_named and b"\narchspec:" not in b"\n" + content:
            return None  # another file of the folder, whose form is not ours to judge
        raise SpecError([fault.diagnostic()]) from None


def _deliver(path: str, content: bytes, made: bytes, check: bool, diff: bool) -> None:
    """Show or write what changes. Raises `UsageError` where it cannot be written."""
    shown = escape_line(path)
    if diff:
        from difflib import unified_diff

        old, new = (text.decode("utf-8-sig").splitlines(keepends=True) for text in (content, made))
        click.echo("".join(_ended(line) for line in unified_diff(old, new, shown, shown)), nl=False)
    elif check:
        click.echo(f"would format {shown}")
    elif path == STANDARD_INPUT:
        click.echo(made, nl=False)
    else:
        from archspec.writing.files import replace

        replace(path, made)
        click.echo(f"formatted {shown}")


def _ended(line: str) -> str:
    """A line of a difference, as `diff` ends the last one of a file that has no end of line."""
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _summary(changed: int, unchanged: int, dry: bool) -> str:
    parts = []
    if changed:
        parts.append(f"{changed} file{'s' * (changed > 1)} {'would change' if dry else 'changed'}")
    if unchanged:
        parts.append(f"{unchanged} file{'s' * (unchanged > 1)} unchanged")
    return ", ".join(parts) or "no file was formatted"

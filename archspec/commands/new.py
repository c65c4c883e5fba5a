"""`archspec new`: a spec to start from."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archspec import __version__
from archspec.commands._common import echo_notes, lines, plugin_option, split_variant
from archspec.foundation.errors import UsageError, escape_line, join_words

if TYPE_CHECKING:
    from archspec.language.finder import FoundFile
    from archspec.spec import Spec

SCHEMA = "archspec.schema.json"
SCHEMA_LINE = f"# yaml-language-server: $schema={SCHEMA}"
"""What editors that know YAML look for in the first line."""


@click.command("new")
@click.argument("name")
@click.option("--from", "origin", metavar="SPEC", help="Copy this spec, a file or a bundled one, comments included.")
@click.option("--task", metavar="TASK", help="What it is to learn: classification (the default), segmentation, ….")
@click.option("--force", is_flag=True, help="Replace a file that exists.")
@plugin_option
def command(name: str, origin: str | None, task: str | None, force: bool) -> None:
    """Write NAME.yaml, a commented spec that checks and trains as it is, to be changed.

    Beside it, archspec.schema.json lets editors complete and check it, unless there is one already.
    """
    path = _target(name, force=force)
    if origin is not None and task is not None:
        raise UsageError(
            "--task has no meaning with --from: the copy learns what the spec does",
            help="say another in the copy: `train: {task: …}`",
        )
    if origin is None:
        files, variant = {path: _starter(path.stem, task)}, None
    else:
        from archspec.language.finder import find
        from archspec.spec import load

        source, chosen = split_variant(origin)
        found = find(source)
        load(source, chosen)  # a spec that is wrong is not copied
        files, variant = _copies(found, path), chosen or found.variant
    _refuse_others(files, path)
    spec = _write(files, path)
    _write_schema(path.parent)
    echo_notes(spec.notes)
    _report(spec, [*files], path, variant)


def _target(name: str, *, force: bool) -> Path:
    """The file to write. Raises `UsageError` where there is none, before anything is read."""
    shown = escape_line(name)
    stem = name[:-5] if name.endswith(".yaml") else name
    last = os.path.basename(stem)
    if not name.isprintable() or not re.search(r"\w", last) or last.startswith((".", "-")):
        raise UsageError(f"`{shown}` is no name for a spec", help="begin it with a letter or digit: `mine`")
    bare, ending = os.path.splitext(stem)
    if ending in (".yml", ".json", ".py", ".txt", ".pt", ".pt2", ".onnx"):
        cure = f"leave the ending out: `{escape_line(bare)}`"
        raise UsageError(f"`{shown}` is no name for a spec: it ends in `{ending}`", help=cure)
    path = Path(f"{stem}.yaml")
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {escape_line(str(path))}: there is no folder {escape_line(str(path.parent))}")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        why = "it is a folder" if path.is_dir() else f"{escape_line(str(path.parent))} cannot be written to"
        raise UsageError(f"cannot write {escape_line(str(path))}: {why}")
    if os.path.lexists(path) and not force:
        raise UsageError(
            f"{escape_line(str(path))} exists already", help="choose another name, or replace it by --force"
        )
    return path


def _starter(name: str, task: str | None) -> str:
    """The starter of a task. Raises `UsageError`."""
    from trainer import tasks

    chosen = tasks.load(task)
    if not chosen.starter:
        having = [one for one in tasks.names() if tasks.load(one).starter]
        raise UsageError(f"the task `{chosen.name}` has no starter", help=f"{join_words(having)} have one")
    return f"{SCHEMA_LINE}\narchspec: 1\nname: {_scalar(name)}\n{chosen.starter}"


def _copies(found: FoundFile, path: Path) -> dict[Path, str]:
    """A spec under a new name, and the files that it extends, which keep their places beside it."""
    text = found.read().decode("utf-8-sig", errors="replace")
    lines = [line for line in text.splitlines() if not line.startswith("# yaml-language-server:")]
    from archspec.language import finder

    is_ours = Path(found.path).is_relative_to(finder.folder())
    origin = f"# Copied from {escape_line(found.shown)}" + (f" of archspec {__version__}" if is_ours else "")
    heading, named = [SCHEMA_LINE, origin], _named(lines, path.stem)
    files = {path: "\n".join([*heading, *(named if _is_yaml(named) else lines), ""])}
    for base, content in _bases(Path(found.path), text).items():
        if os.path.realpath(path.parent / base) == os.path.realpath(path):
            message = f"the copy would take the name of a file that it extends, {escape_line(base.as_posix())}"
            raise UsageError(message, help="choose another name")
        files[path.parent / base] = content
    return files


def _is_yaml(lines: list[str]) -> bool:
    """Whether lines can be read, as where a name stands in a line of its own."""
    from archspec.foundation.errors import Fault
    from archspec.foundation.reading import read

    try:
        read("\n".join(lines).encode(), "the copy")
    except Fault:
        return False
    return True


def _named(lines: list[str], name: str) -> list[str]:
    """The lines of a spec with another name."""
    line = f"name: {_scalar(name)}"
    places = [number for number, one in enumerate(lines) if re.match(r"name\s*:", one)]
    if places:
        rest = lines[places[0] + 1 :]
        while rest and rest[0].startswith(" "):  # a name over several lines
            rest = rest[1:]
        return [*lines[: places[0]], line, *rest]
    first = next((number for number, one in enumerate(lines) if re.match(r"archspec\s*:", one)), -1)
    return [*lines[: first + 1], line, *lines[first + 1 :]]


def _bases(file: Path, text: str) -> dict[Path, str]:
    """The files that a spec extends, by their paths from it."""
    from archspec.foundation.reading import read
    from archspec.foundation.source import plain

    found: dict[Path, str] = {}
    at = Path()
    while (named := plain(read(text.encode(), file.name)).get("extends")) is not None:
        at = at.parent / named
        try:
            text = found[at] = (file.parent / at).read_text(encoding="utf-8-sig")
        except OSError as error:
            raise UsageError(f"cannot read {escape_line(str(file.parent / at))}: {error.strerror}") from None
    return found


def _scalar(name: str) -> str:
    """A text as YAML, in quotes where it could be read as anything else."""
    plain = re.fullmatch(r"[A-Za-z][\w-]*", name) and name.lower() not in ("true", "false", "null", "yes", "no", "on")
    return name if plain else json.dumps(name, ensure_ascii=False)


def _refuse_others(files: dict[Path, str], path: Path) -> None:
    """Raises `UsageError` where a file that is extended would replace another one of its name."""
    for other, content in files.items():
        if other == path or not os.path.lexists(other):
            continue
        if not other.is_file() or other.read_text(encoding="utf-8", errors="replace") != content:
            raise UsageError(
                f"the copy extends {escape_line(str(other))}, and another file of this name is there",
                help="write it into another folder: `archspec new other/NAME --from …`",
            )


def _write(files: dict[Path, str], path: Path) -> Spec:
    """Write the files, if the spec among them is valid. Raises `SpecError` and `UsageError`."""
    from archspec.spec import load

    beside = path.with_name(f".{secrets.token_hex(8)}.yaml")
    made = [other for other in files if other != path and not other.exists()]
    written: list[Path] = [beside]
    try:
        for other in made:
            other.parent.mkdir(parents=True, exist_ok=True)
            written.append(other)
            other.write_text(files[other], encoding="utf-8")
        beside.write_text(files[path], encoding="utf-8")
        load(str(beside))
        os.replace(beside, path)
    except BaseException as error:
        for one in written:
            with contextlib.suppress(OSError):
                os.remove(one)
        if isinstance(error, OSError):
            raise UsageError(f"cannot write {escape_line(str(path))}: {error.strerror}") from None
        raise
    return load(str(path))


def _write_schema(folder: Path) -> None:
    """Write the schema that the first line names, where there is none."""
    from archspec.language.schema import spec_schema

    with contextlib.suppress(OSError), open(folder / SCHEMA, "x", encoding="utf-8") as file:
        json.dump(spec_schema(), file, indent=2)


def _report(spec: Spec, files: list[Path], path: Path, variant: str | None) -> None:
    """Say what was written, and what to do with it."""
    from archspec.spec import load

    plan = load(str(path), variant).plan if variant else spec.plan
    click.echo(f"{escape_line(str(path))}: {lines([plan])[0]}")
    for other in files[1:]:
        click.echo(f"{escape_line(str(other))}: which it extends")
    shown = str(path) if path.parent != Path() else f"./{path}"
    shown = escape_line(shlex.quote(shown))
    chosen = f" --variant {variant}" if variant else ""
    given = spec.recipe.data if "data" in spec.resolved.get("train", {}) else "./"
    folder = " --data FOLDER" if given.startswith("./") else ""
    click.echo(f"  archspec check {shown}\n  archspec train {shown}{chosen}{folder}")

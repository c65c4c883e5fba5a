"""`archspec diff`: what differs between two networks."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from archspec.commands._common import (
    diagnostics,
    echo_notes,
    format_option,
    note_measured,
    plugin_option,
    result,
    split_variant,
)
from archspec.foundation.errors import UsageError, escape_line
from archspec.foundation.figures import show_macs, show_macs_in_column
from archspec.foundation.shapes import show
from archspec.language.inputs import show_inputs

if TYPE_CHECKING:
    from archspec.plan.plan import Plan
    from archspec.spec import Spec
    from archspec.views.difference import Change, Difference

MOST_NAMES = 3  # of weights that are named in a line
SIGNS = {"added": "+", "removed": "-", "moved": ">", "changed": "~", "resized": "=", "rewired": "~"}


@click.command("diff")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@format_option
@plugin_option
def command(old: str, new: str, output_format: str) -> None:
    """Show what differs between the networks OLD and NEW, not between the texts of their files.

    Each is a file or a bundled spec, SPEC@VARIANT for one of its variants, or REVISION:FILE for a file as a revision of
    git has it. The exit status is 0 where both compute the same, 1 where they differ, 2 where one cannot be read.
    """
    from archspec.foundation.errors import SpecError
    from archspec.views.difference import compare

    try:
        specs = [_load(old), _load(new)]
    except (SpecError, UsageError) as error:  # of a spec at fault, status 1 would say that they differ
        if output_format == "json":
            click.echo(json.dumps({"errors": [one.to_dict() for one in diagnostics(error)]}, indent=2))
        elif isinstance(error, UsageError):
            raise
        else:
            click.echo("\n\n".join(one.render() for one in error.diagnostics), err=True)
        raise click.exceptions.Exit(2) from None
    before, after = (spec.plan for spec in specs)
    difference = compare(before, after)
    if output_format == "json":
        click.echo(json.dumps(_data(before, after, difference), indent=2))
    else:
        for line in _lines(before, after, difference):
            click.echo(line)
    echo_notes(note for spec in specs for note in spec.notes)
    note_measured()
    raise click.exceptions.Exit(1 if difference.changes else 0)


def _load(target: str) -> Spec:
    """The spec of `SPEC`, `SPEC@VARIANT` or `REVISION:FILE`. Raises `UsageError`, `SpecError`."""
    from archspec.spec import load, open_file

    name, variant = split_variant(target)
    revision, colon, path = name.partition(":")
    if not colon or os.path.exists(name):
        return load(name, variant)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file, _ = open_file(_from_git(revision, path, folder))
        return file.spec(variant)


def _from_git(revision: str, path: str, folder: str) -> Any:
    """A file of a revision, with the specs of its folder, which it may extend, written to another folder."""
    import io
    import tarfile

    from archspec.language.finder import SUFFIXES, FoundFile

    given = f"{revision}:{path}"
    if not path.endswith(SUFFIXES):
        raise UsageError(f"cannot read {escape_line(given)}: a file's name ends in .yaml", help=_HELP)
    inside = _git("rev-parse", "--show-prefix", what=given).decode().rstrip("\n")
    at, name = os.path.split(os.path.normpath(os.path.join(inside, path.replace("\\", "/"))))
    tree = _git("rev-parse", "--verify", "--end-of-options", f"{revision}:{at}", what=given).decode().strip()
    # in git's own folder, `archive` does not look for the working directory in the tree
    own = os.fsdecode(_git("rev-parse", "--absolute-git-dir", what=given)).rstrip("\n")
    archive = _git(f"--git-dir={own}", "archive", tree, ":(glob)**/*.y*ml", what=given, folder=own)
    outside: list[str] = []

    def take(member: tarfile.TarInfo, to: str) -> tarfile.TarInfo | None:
        try:
            return tarfile.data_filter(member, to)
        except tarfile.FilterError:
            outside.append(member.name)
            return None

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter=take)
    if not os.path.isfile(os.path.join(folder, name)):
        why = "it is a link that leads out of its folder" if name in outside else "the revision has no such spec file"
        raise UsageError(f"cannot read {escape_line(given)}: {why}")
    return FoundFile(os.path.join(folder, name), given)


_HELP = "REVISION:FILE is a file as a revision of git has it, seen from this folder: `HEAD~1:net.yaml`"
_UNCLEAR = {
    "fatal: Needed a single revision": "git knows no such revision, or it has no such folder",
    "fatal: not a git repository (or any of the parent directories): .git": "this folder is in no repository of git",
}
"""What git says in words that only it understands."""


def _git(*arguments: str, what: str, folder: str | None = None) -> bytes:
    """What git prints, run in a folder. Raises `UsageError` with its own words where it fails."""
    import subprocess

    what = escape_line(what)
    environment = {name: value for name, value in os.environ.items() if folder is None or name != "GIT_WORK_TREE"}
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, check=False)
    except OSError as error:
        raise UsageError(f"cannot read {what}: git cannot be run: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it failed"]
        why = _UNCLEAR.get(said[0]) or f"git says: {escape_line(said[0])}"
        raise UsageError(
            f"cannot read {what}: {why}",
            help=_HELP,
        )
    return done.stdout


def _lines(old: Plan, new: Plan, difference: Difference) -> list[str]:
    from archspec.views.difference import fold

    names = [escape_line(plan.title) for plan in (old, new)]
    if not difference.changes:
        lines = [f"{names[0]} and {names[1]} compute the same: {new.params:,} parameters, {show_macs(new.macs)}"]
        if difference.renamed:
            first, second = difference.renamed[0]
            more = f", and {len(difference.renamed) - 1} more" if len(difference.renamed) > 1 else ""
            lines.append(f"layers with other paths: {escape_line(first)} → {escape_line(second)}{more}")
        return lines + _weights(difference)
    lines = [f"{names[0]} → {names[1]}", *(_line(group) for group in fold(difference.changes)), ""]
    ends = (show_inputs(old.takes), show_inputs(new.takes)), (show(old.output), show(new.output))
    for what, (before, after) in zip(("input", "output"), ends, strict=True):
        lines.append(f"{what:<12}{before}" + ("" if before == after else f" → {after}"))
    lines.append(f"{'parameters':<12}{old.params:,}" + _growth(old.params, new.params, f"{new.params:,}"))
    lines.append(
        f"{'MACs':<12}{show_macs_in_column(old.macs)}" + _growth(old.macs, new.macs, show_macs_in_column(new.macs))
    )
    lines.append(
        f"{'layers':<12}{old.root.layers:,}" + _growth(old.root.layers, new.root.layers, f"{new.root.layers:,}")
    )
    return lines + _weights(difference)


def _growth(old: int, new: int, shown: str) -> str:
    if old == new:
        return ""
    return f" → {shown}" + (f" ({(new - old) / old:+.1%})" if old else "")


def _line(group: list[Change]) -> str:
    """Changes that read alike, in a line."""
    change = group[0]
    paths = [one.new if one.new is not None else one.old or "" for one in group]
    where = escape_line(paths[0] or "network")
    if change.kind == "moved":
        where = f"{escape_line(change.old or '')} → {where}"
    if len(group) > 1:
        where += f" … {escape_line(paths[-1])}"
    count = f" ×{len(group)}" if len(group) > 1 else ""
    facts = [f"{name} {_value(old)} → {_value(new)}" for name, old, new in change.arguments]
    signed = change.kind not in ("added", "removed")
    params, macs = sum(one.params for one in group), sum(one.macs for one in group)
    for figure, shown in ((params, f"{abs(params):,} parameters"), (macs, show_macs(abs(macs)))):
        if figure:
            sign = ("+" if figure > 0 else "−") if signed else ""
            facts.append(sign + shown)
    return f"{SIGNS[change.kind]} {where}  {change.what}{count}" + (f"  {', '.join(facts)}" if facts else "")


def _value(value: Any) -> str:
    from archspec.plan.frames import short_value

    return escape_line(short_value(value))


def _weights(difference: Difference) -> list[str]:
    weights = difference.weights
    counts = [f"{len(weights.loaded)} of NEW load from OLD by name and shape"]
    for one, several, names in (
        ("has another shape", "have another shape", [name for name, _, _ in weights.misfits]),
        ("is new", "are new", weights.fresh),
        ("of OLD is left out", "of OLD are left out", weights.left_out),
    ):
        if names:
            shown = ", ".join(map(escape_line, names[:MOST_NAMES])) + (", …" if len(names) > MOST_NAMES else "")
            counts.append(f"{len(names)} {one if len(names) == 1 else several} ({shown})")
    return [f"{'weights':<12}" + "; ".join(counts)]


def _data(old: Plan, new: Plan, difference: Difference) -> dict[str, Any]:
    weights = difference.weights
    return {
        "old": result(old, old.file),
        "new": result(new, new.file),
        "same": not difference.changes,
        "changes": [change.to_dict() for change in difference.changes],
        "renamed": [{"old": first, "new": second} for first, second in difference.renamed],
        "weights": {
            "loaded": list(weights.loaded),
            "other_shape": [
                {"name": name, "old": list(before), "new": list(after)} for name, before, after in weights.misfits
            ],
            "left_out": list(weights.left_out),
            "new": list(weights.fresh),
        },
    }

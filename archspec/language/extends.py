"""`extends`: a spec laid over another one, which lies in its own folder or below."""

from __future__ import annotations

import os

from archspec.foundation.errors import Fault, Mark
from archspec.foundation.reading import read
from archspec.foundation.source import Mapping, Scalar, Value
from archspec.foundation.spelling import did_you_mean
from archspec.language.document import check_version
from archspec.language.finder import SUFFIXES, FoundFile
from archspec.language.overlay import merge

MAX_FILES = 10  # in one chain


def resolve_extends(tree: Value, path: str, shown: str) -> Value:
    """A file's tree laid over that of the file it extends, and so on down. Raises `Fault`, `UsageError`.

    `path` is where the file lies, `shown` how it is named to people.
    """
    chain: list[Mapping] = []
    seen = [os.path.realpath(path)]
    while isinstance(tree, Mapping) and "extends" in tree.entries:
        at, named = tree.entries["extends"]
        chain.append(tree.without("extends"))
        path, shown = _below(named, path, shown)
        if os.path.realpath(path) in seen:
            through = f", through {named.mark.text.name}" if len(chain) > 1 else ""
            raise Fault("extends-path", f"{shown} extends itself{through}", named.mark)
        if len(chain) >= MAX_FILES:
            raise Fault("extends-path", f"more than {MAX_FILES} files extend one another", at)
        seen.append(os.path.realpath(path))
        tree = read(FoundFile(path, shown).read(), shown)
        check_version(tree)
    for over in reversed(chain):
        if not isinstance(tree, Mapping):
            raise Fault("type-mismatch", "a spec is a mapping that begins with `archspec: 1`", tree.mark)
        merged = merge(_inherited(tree), over)
        tree = Mapping(over.mark, merged.entries)
    return tree


def _below(named: Value, path: str, shown: str) -> tuple[str, str]:
    """The path of the file that is named, and its name to people. Raises `Fault` where it may not be used."""
    name = named.value if isinstance(named, Scalar) else None
    if not isinstance(name, str):
        raise Fault("type-mismatch", "`extends` must be a path, `base.yaml` say", named.mark)
    if not name.isprintable():
        raise Fault("extends-path", "`extends` must be a path of printable characters", named.mark)
    folder = os.path.dirname(os.path.realpath(path))
    wanted = os.path.join(os.path.dirname(path), *name.split("/"))
    inside = os.path.commonpath([folder, os.path.realpath(wanted)]) == folder
    if os.path.isabs(name) or "\\" in name or ".." in name.split("/") or not inside:
        help = "write a path below this file's folder, with `/`: `base.yaml`, `bases/small.yaml`"
        raise Fault("extends-path", f"`{name}` does not lie in this file's folder or below", named.mark, help=help)
    if not name.endswith(SUFFIXES) or not os.path.isfile(wanted):
        bare = None if name.endswith(SUFFIXES) else f"`extends` names a file: `{name}.yaml`, copied to this folder"
        raise Fault(
            "extends-path",
            f"there is no spec `{name}` beside this file",
            named.mark,
            help=_near(wanted, path) or bare,
        )
    return wanted, "/".join([*shown.split("/")[:-1], *name.split("/")])


def _near(wanted: str, path: str) -> str | None:
    folder = os.path.dirname(wanted) or "."
    files = os.listdir(folder) if os.path.isdir(folder) else []
    others = [file for file in files if file.endswith(SUFFIXES) and os.path.isfile(os.path.join(folder, file))]
    others = [file for file in others if file != os.path.basename(path)]
    return did_you_mean(os.path.basename(wanted), others)


def _inherited(base: Mapping) -> Mapping:
    """What a spec passes on: all but its name, and the figures that it vouches for, which are another network's."""
    return without_expectations(base.without("name", "description"))


def without_expectations(tree: Mapping) -> Mapping:
    """A file less the figures that it vouches for, those of its variants included."""
    tree = tree.without("expect")
    variants = tree.get("variants")
    if isinstance(variants, Mapping):
        mark = tree.entries["variants"][0]
        kept = {
            name: (at, partial.without("expect") if isinstance(partial, Mapping) else partial)
            for name, (at, partial) in variants.entries.items()
        }
        tree = Mapping(tree.mark, tree.entries | {"variants": (mark, Mapping(variants.mark, kept))})
    return tree


def refuse_extends(tree: Value, mark: Mark) -> None:
    """Refuse `extends` in a spec that is no file. Raises `Fault`."""
    if isinstance(tree, Mapping) and "extends" in tree.entries:
        raise Fault("extends-path", "a spec given as data has no folder, so it cannot extend a file", mark)

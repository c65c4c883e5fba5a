"""Where specs are found: files by their path, bundled ones by name."""

from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TextIO

from archspec.foundation.errors import UsageError, escape_line
from archspec.foundation.spelling import did_you_mean

SUFFIXES = (".yaml", ".yml")
STANDARD_INPUT = "-"
"""The name by which a spec is read from standard input, whose files that it extends lie in the working directory."""


def name_file_kind(mode: int) -> str | None:
    """What a file is, by its mode, where it is none that can be read whole: a folder, a FIFO, a device."""
    if stat.S_ISREG(mode):
        return None
    return "a folder" if stat.S_ISDIR(mode) else "a FIFO, socket or device, not a file"


def explain_unreadable(path: str) -> str:
    """Why there is no file at a path, in words."""
    try:
        kind = name_file_kind(os.stat(path).st_mode)
    except (OSError, ValueError):
        kind = None
    return f"it is {kind}" if kind else "there is no such file"


@dataclass(frozen=True)
class FoundFile:
    """A spec file: its path, how it is shown to people, and the variant that was asked for by its own name."""

    path: str
    shown: str
    variant: str | None = None

    def read(self) -> bytes:
        """The file's content. Raises `UsageError`."""
        shown = escape_line(self.shown)
        if self.path == STANDARD_INPUT:
            return _read_once(sys.stdin)
        try:
            if kind := name_file_kind(os.stat(self.path).st_mode):  # a FIFO would be waited for
                raise UsageError(f"cannot read {shown}: it is {kind}")
            with open(self.path, "rb") as file:
                return file.read(2_000_000)  # more than a spec may have; enough to say so
        except (OSError, ValueError) as error:
            missing = isinstance(error, FileNotFoundError)
            what = explain_unreadable(self.path) if missing else getattr(error, "strerror", None) or error
            raise UsageError(f"cannot read {shown}: {what}") from None


@lru_cache(maxsize=1)
def _read_once(stream: TextIO | None) -> bytes:
    """What standard input holds; several may ask for it, such as two variants that are compared."""
    return stream.buffer.read(2_000_000) if stream is not None else b""


@cache
def folder() -> str:
    """The folder of the bundled specs: inside the installed package, or beside it in a checkout."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    inside = os.path.join(package, "specs")
    return inside if os.path.isdir(inside) else os.path.join(os.path.dirname(package), "specs")


@cache
def bundled() -> tuple[str, ...]:
    """The names of the bundled specs: `resnet`, `imagenet/resnet`, …"""
    names = []
    for at, _, files in os.walk(folder()):
        for file in files:
            if file.endswith(SUFFIXES):
                relative = os.path.relpath(os.path.join(at, file), folder())
                names.append(os.path.splitext(relative)[0].replace(os.sep, "/"))
    return tuple(sorted(names, key=lambda name: (name.count("/"), name)))


def _bundled(name: str, variant: str | None = None) -> FoundFile:
    return FoundFile(os.path.join(folder(), *f"{name}.yaml".split("/")), f"specs/{name}.yaml", variant)


def find(name: str) -> FoundFile:
    """The spec that a path, a bundled spec's name or a bundled variant's name means. Raises `UsageError`."""
    if name == STANDARD_INPUT:
        return FoundFile(name, "standard input")
    if name.endswith(SUFFIXES):
        if os.path.isfile(name):
            return FoundFile(name, name)
        what = explain_unreadable(name)
        folder_name = os.path.dirname(name) or "."
        files = os.listdir(folder_name) if os.path.isdir(folder_name) else []
        near = did_you_mean(
            os.path.basename(name),
            [file for file in files if file.endswith(SUFFIXES) and file != os.path.basename(name)],
        )
        raise UsageError(f"cannot read {escape_line(name)}: {what}", help=near)
    if name in bundled():
        return _bundled(name)
    if name in variants():
        return _bundled(variants()[name], name)
    hint = "a file's name ends in .yaml" if os.path.exists(name) else None
    if os.path.isdir(name):
        hint = f"{escape_line(name)} is a folder: name a file in it, which ends in .yaml"
    base, at, variant = name.partition("@")
    if at and (base == STANDARD_INPUT or base.endswith(SUFFIXES) or base in bundled()):
        cure = f"{escape_line(base)} --variant {escape_line(variant)}"
        hint = f"`SPEC@VARIANT` is for `compare` and `diff`; here, write `{cure}`"
    hint = hint or did_you_mean(name, [*bundled(), *variants()]) or "`archspec list specs` shows the bundled ones"
    raise UsageError(f"there is no bundled spec `{escape_line(name)}`", help=hint)


_KEY = re.compile(r"^  ([A-Za-z][\w.-]*):", re.MULTILINE)


@cache
def variants() -> dict[str, str]:
    """The bundled specs' variants, each with its spec's name; of two with one name, the spec's that comes first.

    Found by their indentation under `variants:`, as the bundled specs are written: to parse them all would take long.
    """
    found: dict[str, str] = {}
    for name in bundled():
        with open(_bundled(name).path, encoding="utf-8") as file:
            text = file.read()
        _, heading, section = text.partition("\nvariants:\n")
        if heading:
            section = re.split(r"^\S", section, maxsplit=1, flags=re.MULTILINE)[0]
            for variant in _KEY.findall(section):
                found.setdefault(variant, name)
    return found

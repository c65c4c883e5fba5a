"""Settings: values that are laid over a file from outside, each at a variable's name or a dotted path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archspec.foundation.errors import Fault, Mark, Text, join_words
from archspec.foundation.reading import read
from archspec.foundation.source import List, Mapping, Scalar, Value
from archspec.foundation.spelling import did_you_mean
from archspec.language.keywords import FILE_KEYS
from archspec.language.overlay import is_choice, is_named

MAX_KEYS = 20  # of a dotted path
_SECTIONS = tuple(key for key in FILE_KEYS if key != "extends")


@dataclass(frozen=True)
class Setting:
    """A value that is laid over a file from outside, and the path of keys where it belongs."""

    keys: tuple[str, ...]
    value: Value
    mark: Mark

    @property
    def partial(self) -> Mapping:
        """The setting as a partial spec."""
        value = self.value
        for key in reversed(self.keys):
            value = Mapping(self.mark, {key: (self.mark, value)})
        assert isinstance(value, Mapping)
        return value


def check_path(root: Mapping, setting: Setting) -> None:
    """Refuse a setting whose path leads through what is no mapping: its value would take the place of all of it."""
    below: Value = root
    for count, key in enumerate(setting.keys):
        path = setting.keys[:count]
        if not isinstance(below, Mapping):
            if (isinstance(below, Scalar) and below.value is None) or is_named(path) or is_choice(path):
                return
            what = "a list" if isinstance(below, List) else f"`{below.text}`"  # type: ignore[attr-defined]
            message = f"a dotted path leads through mappings, but `{'.'.join(path)}` is {what}"
            help = f"set all of it: `--set {'.'.join(path)}=…`"
            raise Fault("key-unknown", message, setting.mark, help=help)
        inner = below.get(key)
        if inner is None:
            return
        below = inner


def parse_setting(root: Mapping, assignment: str) -> Setting:
    """`name=value` or `dotted.path=value`, as given to `--set`, for a file. Raises `Fault`."""
    # what the shell gives need not be UTF-8
    assignment = assignment.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    path, equals, written = assignment.partition("=")
    whole = Mark(Text("--set", (assignment,)), 1, 1, max(1, len(path)))
    if not equals or not path:
        raise Fault("node-form", "a setting is `name=value`", whole, help="for example `--set train.epochs=3`")
    value = read(written.encode() or b"null", f"--set {path}")
    return make_setting(root, path, value, whole)


def make_setting(root: Mapping, path: str, value: Value, mark: Mark) -> Setting:
    """A value at the name of a file's variable, or at a dotted path. Raises `Fault`."""
    keys = path.split(".")
    if len(keys) > MAX_KEYS:
        raise Fault("too-large", f"a path has at most {MAX_KEYS} steps", mark)
    section = root.get("vars")
    variables = list(section.entries) if isinstance(section, Mapping) else []
    for key in keys:
        if key.isdigit():
            message = f"a dotted path leads through mappings, not into lists: `{key}` is no key"
            raise Fault("key-unknown", message, mark, help="set the whole list, or make a variable of what varies")
    sections = [key for key in _SECTIONS if key not in ("archspec", "variants", "expect")]
    if len(keys) == 1 and (keys[0] in variables or keys[0] not in _SECTIONS):
        keys = ["vars", *keys]
    if keys[0] not in sections:
        hint = did_you_mean(keys[0], sections)
        raise Fault("key-unknown", f"`{keys[0]}` is no section of a spec that can be set", mark, help=hint)
    if keys[0] == "vars" and len(keys) > 1 and keys[1] not in variables:
        raise unknown_variable(keys[1], variables, mark)
    return Setting(tuple(keys), value, mark)


def unknown_variable(name: str, known: Sequence[str], mark: Mark) -> Fault:
    hint = did_you_mean(name, known) or (f"its variables are {join_words(known)}" if known else "it has none")
    return Fault("variable-unknown", f"the spec has no variable `{name}`", mark, help=hint)

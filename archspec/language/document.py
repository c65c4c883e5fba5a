"""A spec file as a whole: its sections, its variants, and what is laid over it from outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from archspec.foundation.arguments import Schema, titled
from archspec.foundation.errors import Fault, Mark, Text, join_words
from archspec.foundation.reading import read
from archspec.foundation.report import Report
from archspec.foundation.schemas import as_written
from archspec.foundation.source import List, Mapping, Scalar, Value, values_within
from archspec.foundation.spelling import did_you_mean
from archspec.foundation.validate import faults
from archspec.language.inputs import INPUT_SCHEMA, SHAPE
from archspec.language.keywords import EXPECT_KEYS, FILE_KEYS
from archspec.language.names import ROLES
from archspec.layers import initializers
from archspec.layers.registry import primitives

VERSION = 1
MAX_KEYS = 20  # of a dotted path
_SECTIONS = tuple(key for key in FILE_KEYS if key != "extends")

_END = "(?![\\s\\S])"  # Python's `$` also matches before a last line break
_TEXT: Schema = {"title": "a line of text", "type": "string", "pattern": f"^[^\\x00-\\x1f\\x7f-\\x9f]*{_END}"}
_PARAGRAPH: Schema = {"title": "a text", "type": "string", "pattern": f"^[^\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f]*{_END}"}
_VALUE: Schema = {"type": ["string", "number", "boolean", "array", "null"]}


def section_schemas() -> dict[str, Schema]:
    """The JSON Schema of each section of a file; the grammar checks `network`, `blocks` and `defaults`."""
    return _section_schemas(len(primitives()), True)


def section_schema(key: str) -> Schema:
    """The JSON Schema of one section."""
    return _section_schemas(len(primitives()), key == "train")[key]


@cache
def _section_schemas(count: int, with_recipe: bool) -> dict[str, Schema]:
    """Made anew when a plugin has added primitives.

    The form of a recipe takes a fifth of a check's time to load: it is left out where a file has none.
    """
    train: Schema = {}
    partial_train: Schema = {}
    if with_recipe:
        from archspec.recipe import PARTIAL, SCHEMA

        train, partial_train = SCHEMA, PARTIAL
    sections: dict[str, Schema] = {
        "archspec": {"type": "integer"},
        "name": _TEXT,
        "description": _PARAGRAPH,
        "source": _TEXT,
        "input": INPUT_SCHEMA,
        "vars": as_written({"type": "object", "additionalProperties": _VALUE}),
        "defaults": as_written({"type": "object"}),
        "blocks": as_written({"type": "object"}),
        "network": {},
        "init": initializers.init_schema(primitives(), ROLES),
        "expect": as_written(
            {
                "type": "object",
                "properties": {key: keyword.schema for key, keyword in EXPECT_KEYS.items()} | {"output": SHAPE},
                "additionalProperties": False,
            }
        ),
        "train": train,
    }
    partial: Schema = {
        "type": "object",
        "properties": {key: schema for key, schema in sections.items() if key != "archspec"} | {"train": partial_train},
        "additionalProperties": False,
    }
    variant = as_written(titled("a mapping", as_written(partial), as_written({"type": "null"})))
    sections["variants"] = as_written({"type": "object", "additionalProperties": variant})
    return sections


def _outline_schema(with_recipe: bool) -> Schema:
    """The JSON Schema of a file; it says nothing of `train`, where that is asked for."""
    return {
        "type": "object",
        "properties": _section_schemas(len(primitives()), with_recipe),
        "required": [key for key, keyword in FILE_KEYS.items() if keyword.needed],
        "additionalProperties": False,
    }


@dataclass(frozen=True)
class Document:
    """A file that has the outline of a spec. What its sections hold is still to be elaborated."""

    root: Mapping

    @cached_property
    def variants(self) -> dict[str, Mark]:
        """The names of the variants, and where each stands."""
        section = self.root.get("variants")
        return {name: mark for name, (mark, _) in section.entries.items()} if isinstance(section, Mapping) else {}

    @cached_property
    def size(self) -> int:
        """How many values it holds, less its variants'."""
        waiting: list[Value] = [value for key, (_, value) in self.root.entries.items() if key != "variants"]
        count = 0
        while waiting:
            one = waiting.pop()
            count += 1
            waiting += values_within(one)
        return count

    def resolve(self, variant: str | None, settings: Sequence[Setting]) -> Mapping:
        """The file with a variant and settings laid over it. Raises `Fault` where it has no such variant or path."""
        root = self.root
        section = root.get("variants")
        root = root.without("variants")
        if variant is not None:
            partial = section.get(variant) if isinstance(section, Mapping) else None
            if partial is None:
                raise unknown_variant(variant, self.variants, root.mark)
            root = root.without("expect")
            if isinstance(partial, Mapping):
                root = merge(root, partial)
        for setting in settings:
            _check_path(root, setting)
            root = merge(root, setting.partial, through=setting.keys[:-1])
        if any(setting.keys[0] != "train" for setting in settings):
            # `expect` vouches for the network as it stands in the file
            root = root.without("expect")
        return root


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


def _check_path(root: Mapping, setting: Setting) -> None:
    """Refuse a setting whose path leads through what is no mapping: its value would take the place of all of it."""
    below: Value = root
    for count, key in enumerate(setting.keys):
        path = setting.keys[:count]
        if not isinstance(below, Mapping):
            if (isinstance(below, Scalar) and below.value is None) or _is_named(path) or _is_choice(path):
                return
            what = "a list" if isinstance(below, List) else f"`{below.text}`"  # type: ignore[attr-defined]
            message = f"a dotted path leads through mappings, but `{'.'.join(path)}` is {what}"
            help = f"set all of it: `--set {'.'.join(path)}=…`"
            raise Fault("key-unknown", message, setting.mark, help=help)
        inner = below.get(key)
        if inner is None:
            return
        below = inner


def unknown_variant(variant: str, known: dict[str, Mark], mark: Mark) -> Fault:
    hint = did_you_mean(variant, known) or (f"its variants are {join_words(known)}" if known else "it has no variants")
    return Fault("variant-unknown", f"there is no variant `{variant}`", mark, help=hint)


def parse(value: Value, report: Report) -> Document | None:
    """A file's tree as a document, or `None` where it has not even the outline of one. Reports what is wrong."""
    if not isinstance(value, Mapping):
        report.add(Fault("type-mismatch", "a spec is a mapping that begins with `archspec: 1`", value.mark))
        return None
    try:
        check_version(value)
    except Fault as other:
        report.add(other)
        return None
    for key, (mark, _) in value.entries.items():
        meant = None if key in FILE_KEYS else did_you_mean(key, FILE_KEYS)
        if meant and "`extends`" in meant:  # what else seems to be wrong may follow from it
            report.add(Fault("key-unknown", f"`{key}` is no key of a spec", mark, help=meant))
            return None
    for fault in faults_of(value):
        _explain_key(fault, value)
        report.add(fault)
    _check_variant_vars(value, report)
    return Document(value)


def _explain_key(fault: Fault, root: Mapping) -> None:
    """Say where a key belongs that stands among those of a file by mistake."""
    if fault.code != "key-unknown" or not (fault.help or "").startswith("its keys are"):
        return
    for key, (mark, value) in root.entries.items():
        if mark == fault.mark and key not in FILE_KEYS:
            below = "vars" if isinstance(value, Scalar) else "network"
            what = f"`{key}` is a variable" if isinstance(value, Scalar) else f"`{key}` is a part of the network"
            fault.help = f"if {what}, it stands under `{below}`; {fault.help}"


def check_version(value: Value) -> None:
    """Refuse a file in another version of the language. Raises `Fault`."""
    version = value.get("archspec") if isinstance(value, Mapping) else None
    if isinstance(version, Scalar) and isinstance(version.value, str) and version.value.startswith("="):
        raise Fault("type-mismatch", f"`archspec` is the number {VERSION} as it stands, no formula", version.mark)
    if isinstance(version, Scalar) and isinstance(version.value, int) and version.value != VERSION:
        message = f"the file is written in version {version.text} of the language"
        message += f"; this archspec reads version {VERSION}"
        raise Fault("version-unknown", message, version.mark, help="a newer archspec may read it")


def faults_of(root: Mapping) -> Iterator[Fault]:
    """Everything in a file, or in what is left of it with a variant chosen, that the schema refuses."""
    variants = root.get("variants")
    partial = [value for _, value in variants.entries.values()] if isinstance(variants, Mapping) else []
    for name, (mark, _) in variants.entries.items() if isinstance(variants, Mapping) else ():
        if name != name.strip() or name in ("", "-"):  # which tables show for the file without a variant
            help = "choose a word, `wide` say"
            yield Fault(
                "name-reserved", f"`{name}` cannot name a variant: nobody could tell it in a list", mark, help=help
            )
    with_recipe = any("train" in one.entries for one in (root, *partial) if isinstance(one, Mapping))
    yield from faults(root, _outline_schema(with_recipe), "")


def _check_variant_vars(root: Mapping, report: Report) -> None:
    """A variant may set the file's variables, not invent some: such a one would silently do nothing."""
    known = root.get("vars")
    names = known.entries if isinstance(known, Mapping) else {}
    variants = root.get("variants")
    for _, partial in variants.entries.values() if isinstance(variants, Mapping) else ():
        section = partial.get("vars") if isinstance(partial, Mapping) else None
        for name, (mark, _) in section.entries.items() if isinstance(section, Mapping) else ():
            if name not in names:
                report.add(unknown_variable(name, list(names), mark))


def unknown_variable(name: str, known: Sequence[str], mark: Mark) -> Fault:
    hint = did_you_mean(name, known) or (f"its variables are {join_words(known)}" if known else "it has none")
    return Fault("variable-unknown", f"the spec has no variable `{name}`", mark, help=hint)


def merge(base: Mapping, over: Mapping, path: tuple[str, ...] = (), through: tuple[str, ...] = ()) -> Mapping:
    """`over` laid over `base`: mappings merge, all else is replaced, but for what a setting's path leads `through`."""
    exclusive = _exclusive_keys(path)
    one_of_them = any(key in over.entries for key in exclusive)
    entries = {key: entry for key, entry in base.entries.items() if not (one_of_them and key in exclusive)}
    for key, (mark, value) in over.entries.items():
        below = base.get(key)
        here = (*path, key)
        if _is_named(here) and isinstance(below, Scalar) and below.value is not None:
            below = Mapping(below.mark, {"name": (below.mark, below)})
        if isinstance(value, Mapping) and isinstance(below, Mapping) and not _replaces(here, below, value, through):
            value = merge(below, value, here, through)
        entries[key] = (mark, value)
    return Mapping(base.mark, entries)


def _replaces(path: tuple[str, ...], below: Mapping, over: Mapping, through: tuple[str, ...]) -> bool:
    """Whether a mapping takes another's place whole: networks, blocks, and another choice among `{name: arguments}`."""
    path = path[2:] if path[0] == "variants" else path  # within a variant, where a spec is laid over another
    if not path:
        return False
    if path in (("network",), ("expect",)) or (path[0] == "blocks" and len(path) == 2):
        return through[: len(path)] != path
    if _is_option(path):
        return "name" in over.entries and _find_choice(path, over) != _find_choice(path, below)
    return _is_choice(path) and list(below.entries) != list(over.entries)


def _is_choice(path: tuple[str, ...]) -> bool:
    """Whether one name, or `{name: arguments}`, is chosen among others here."""
    return (path[0] == "defaults" and path[-1] in ROLES and len(path) == 2) or (path[0] == "init" and len(path) == 3)


def _is_option(path: tuple[str, ...]) -> bool:
    """Whether one of a recipe's options, by name or as `{name: …, …}`, is chosen here."""
    if len(path) != 2 or path[0] != "train":
        return False
    from archspec.recipe.choices import OPTIONS

    return path[1] in OPTIONS


def _is_named(path: tuple[str, ...]) -> bool:
    """Whether a name alone is short for a mapping that holds it."""
    return path == ("train", "data") or _is_option(path)


def _exclusive_keys(path: tuple[str, ...]) -> Sequence[str]:
    """Keys of a recipe of which one stands here at most."""
    if path[:1] != ("train",):
        return ()
    from archspec.recipe.choices import EXCLUSIVE

    return EXCLUSIVE.get(path, ())


def _find_choice(path: tuple[str, ...], section: Mapping) -> Any:
    """What a section of the recipe chooses by `name`; the default's name where it has none."""
    from archspec.recipe import DEFAULTS

    default = DEFAULTS[path[-1]]
    name = section.get("name")
    return name.value if isinstance(name, Scalar) else default["name"] if default and name is None else None


def parse_setting(document: Document, assignment: str) -> Setting:
    """`name=value` or `dotted.path=value`, as given to `--set`. Raises `Fault`."""
    # what the shell gives need not be UTF-8
    assignment = assignment.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    path, equals, written = assignment.partition("=")
    whole = Mark(Text("--set", (assignment,)), 1, 1, max(1, len(path)))
    if not equals or not path:
        raise Fault("node-form", "a setting is `name=value`", whole, help="for example `--set train.epochs=3`")
    value = read(written.encode() or b"null", f"--set {path}")
    return make_setting(document, path, value, whole)


def make_setting(document: Document, path: str, value: Value, mark: Mark) -> Setting:
    """A value at a variable's name or dotted path. Raises `Fault`."""
    keys = path.split(".")
    if len(keys) > MAX_KEYS:
        raise Fault("too-large", f"a path has at most {MAX_KEYS} steps", mark)
    section = document.root.get("vars")
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

"""A spec file as a whole: its sections, its variants, and how these are resolved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from archspec.foundation.arguments import Schema, titled
from archspec.foundation.errors import Fault, Mark, join_words
from archspec.foundation.report import Report
from archspec.foundation.schemas import as_written
from archspec.foundation.source import Mapping, Scalar, Value, values_within
from archspec.foundation.spelling import did_you_mean
from archspec.foundation.validate import faults
from archspec.language.inputs import INPUT_SCHEMA, SHAPE
from archspec.language.keywords import EXPECT_KEYS, FILE_KEYS
from archspec.language.names import ROLES
from archspec.language.overlay import merge
from archspec.language.settings import Setting, check_path, unknown_variable
from archspec.layers import initializers
from archspec.layers.registry import primitives

VERSION = 1

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
            check_path(root, setting)
            root = merge(root, setting.partial, through=setting.keys[:-1])
        if any(setting.keys[0] != "train" for setting in settings):
            # `expect` vouches for the network as it stands in the file
            root = root.without("expect")
        return root


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

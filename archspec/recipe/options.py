"""What the sections of a recipe choose among by name, each with its arguments, and the schemas of such choices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from archspec.foundation.arguments import Schema, choice


@dataclass(frozen=True)
class Option:
    """One of what can be chosen: a line about it, the types of its arguments, and which of these it needs."""

    doc: str
    arguments: Mapping[str, Schema] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    conditions: Mapping[str, Schema] = field(default_factory=dict)
    """What more holds of the arguments together, as keywords of JSON Schema."""
    source: str = ""
    added: Any = None
    """What makes it, where an installed package brought it (`archspec.recipe.added`)."""

    @property
    def schema(self) -> Schema:
        """The JSON Schema of its arguments."""
        return section(self.required, **self.arguments) | dict(self.conditions)


def section(required: Iterable[str] = (), **properties: Schema) -> Schema:
    """A mapping of these keys and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def refuse(what: Schema, code: str, words: str) -> Schema:
    """What fits a schema is refused here, with an error code and words of its own."""
    return {"not": what, "$comment": code, "description": words}


def choose(default: str | None, options: Mapping[str, Schema], *, null: bool = False) -> Schema:
    """`{name: NAME, …}` with the arguments of what the name chooses, or the name alone.

    Without a name, the default is meant. Where the name is a formula, its arguments are checked once it is computed;
    so each option is written as `if the name is another … else …`: a formula fulfils the condition, whatever it gives.
    """
    unnamed = {"required": ["name"]}
    alone = [
        refuse({"const": name}, "key-missing", f"needs arguments: `{_written(name, one['required'])}`")
        for name, one in options.items()
        if one["required"]
    ]
    written: Schema = {
        "title": "a name, or `{name: NAME, …}` with arguments" + (", or none" if null else ""),
        "type": ["object", "null"] if null else "object",
        "properties": {"name": choice(*options)},
        "allOf": [
            _arguments_of(name, one, unnamed if name == default else {}, choice(*options))
            for name, one in options.items()
        ],
    }
    if default is None:
        written["if"], written["then"] = {"type": "object"}, unnamed
    bare = choice(*options) | ({"allOf": alone} if alone else {})
    return {"if": {"type": "string"}, "then": bare, "else": written}


def add_option(schema: Schema, name: str, one: Schema) -> None:
    """Let a schema that `choose` made offer one more, with the schema of its arguments."""
    bare, written = schema["then"], schema["else"]
    bare["enum"].append(name)
    written["properties"]["name"]["enum"].append(name)
    written["allOf"].append(_arguments_of(name, one, {}, choice(name)))


def _arguments_of(name: str, one: Schema, unnamed: Schema, names: Schema) -> Schema:
    """What is asked of the arguments where `name` is chosen."""
    chosen = {"properties": {"name": {"not": {"const": name}}}} | unnamed
    return {"if": chosen, "else": one | {"properties": {"name": names} | one["properties"]}}


def _written(name: str, arguments: Iterable[str]) -> str:
    return "{" + ", ".join([f"name: {name}", *(f"{one}: …" for one in arguments)]) + "}"

"""One file laid over another: what is merged, and what is replaced whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archspec.foundation.source import Mapping, Scalar
from archspec.language.names import ROLES


def merge(base: Mapping, over: Mapping, path: tuple[str, ...] = (), through: tuple[str, ...] = ()) -> Mapping:
    """`over` laid over `base`: mappings merge, all else is replaced, but for what a setting's path leads `through`."""
    exclusive = _exclusive_keys(path)
    one_of_them = any(key in over.entries for key in exclusive)
    entries = {key: entry for key, entry in base.entries.items() if not (one_of_them and key in exclusive)}
    for key, (mark, value) in over.entries.items():
        below = base.get(key)
        here = (*path, key)
        if is_named(here) and isinstance(below, Scalar) and below.value is not None:
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
    return is_choice(path) and list(below.entries) != list(over.entries)


def is_choice(path: tuple[str, ...]) -> bool:
    """Whether one name, or `{name: arguments}`, is chosen among others here."""
    return (path[0] == "defaults" and path[-1] in ROLES and len(path) == 2) or (path[0] == "init" and len(path) == 3)


def _is_option(path: tuple[str, ...]) -> bool:
    """Whether one of a recipe's options, by name or as `{name: …, …}`, is chosen here."""
    if len(path) != 2 or path[0] != "train":
        return False
    from archspec.recipe.choices import OPTIONS

    return path[1] in OPTIONS


def is_named(path: tuple[str, ...]) -> bool:
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

"""The primitives that there are: whatever a file in `archspec/layers/primitives/` defines."""

from __future__ import annotations

import importlib
import os
from functools import cache
from types import ModuleType

from archspec.layers.primitive import Primitive


def register(known: dict[str, Primitive], module: ModuleType) -> None:
    """Add every primitive that a module defines (a class whose name begins with `_` is a base for others).

    Raises `ValueError` where a name is registered already: two of one name are an error, never a replacement.
    """
    for value in defined(module):
        if value.name in known:
            owner = type(known[value.name]).__module__
            raise ValueError(f"primitive `{value.name}` of {module.__name__} is already registered by {owner}")
        known[value.name] = value()


def defined(module: ModuleType) -> list[type[Primitive]]:
    """The classes of primitives that a module defines itself, but for bases."""
    return [
        value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Primitive)
        if value.__module__ == module.__name__ and not name.startswith("_")
    ]


@cache
def primitives() -> dict[str, Primitive]:
    """Every primitive by name, in the order of the files that define them; those of plugins that were loaded last."""
    known: dict[str, Primitive] = {}
    folder = os.path.join(os.path.dirname(__file__), "primitives")
    for file in sorted(os.listdir(folder)):
        if file.endswith(".py") and file != "__init__.py":
            register(known, importlib.import_module(f"archspec.layers.primitives.{file[:-3]}"))
    return known

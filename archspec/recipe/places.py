"""Where the values of a recipe stand in a file."""

from __future__ import annotations

from archspec.foundation.errors import Mark
from archspec.foundation.source import Mapping, Value


def place(train: Value | None, *keys: str, named: str | None = None) -> Mark | None:
    """Where the value stands that keys lead to from the section `train`, or the key `named` in it, if it is there.

    Where the value is not there, the section's own place.
    """
    value = train
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if named is not None and isinstance(value, Mapping) and named in value.entries:
        return value.entries[named][0]
    found = train if value is None else value
    return None if found is None else found.mark

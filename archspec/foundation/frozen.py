"""Values that nothing changes: as keys that tell them apart, as arguments that a plan keeps, and as JSON again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Pairs = tuple[tuple[str, Any], ...]
"""Names with values, in order; lists within are tuples."""


def freeze(value: Any) -> Any:
    """A value as an immutable, hashable one, in which `1`, `1.0` and `true` differ."""
    if isinstance(value, dict):
        return tuple((key, freeze(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return tuple(map(freeze, value))
    return (type(value), value)


def key_of(values: Iterable[Any]) -> tuple[Any, ...]:
    """Some values as a hashable key, in which `1`, `1.0` and `true` differ."""
    values = tuple(values)
    kinds = tuple(map(type, values))
    return (kinds, tuple(map(freeze, values))) if list in kinds or dict in kinds else (kinds, values)


def freeze_pairs(values: dict[str, Any]) -> Pairs:
    """Arguments as they stand in a plan: lists are tuples."""
    if list not in map(type, values.values()):
        return tuple(values.items())
    return tuple((name, _tupled(value)) for name, value in values.items())


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


def as_json(value: Any) -> Any:
    """A value with lists for its tuples, as JSON has them."""
    if isinstance(value, (tuple, list)):
        return [as_json(inner) for inner in value]
    return {key: as_json(inner) for key, inner in value.items()} if isinstance(value, dict) else value

"""What a file says of the images that its weights were trained with: values that can be meant."""

from __future__ import annotations

import math
from typing import Any

from archspec.foundation.schemas import fits
from archspec.recipe import RESIZES

_LARGEST = 2**31


def is_sound(name: str, value: Any) -> bool:
    """Whether a value (JSON types) can be what is known of images by this name; another program may have written it."""
    if name == "resize":
        return isinstance(value, dict) and _is_resize(value)
    if not isinstance(value, list) or not value:
        return False
    if name == "classes":
        return all(isinstance(one, str) for one in value)
    if any(isinstance(one, bool) or not isinstance(one, (int, float)) for one in value):
        return False
    if name == "input":
        return len(value) >= 2 and all(isinstance(one, int) and 0 < one < _LARGEST for one in value)
    least = 0.0 if name.endswith("std") else -math.inf
    return all(least < one < math.inf for one in value)


def _is_resize(value: dict[str, Any]) -> bool:
    name, arguments = value.get("name"), {key: one for key, one in value.items() if key != "name"}
    if not isinstance(name, str) or name == "weights" or name not in RESIZES:
        return False
    return fits(arguments, RESIZES[name].schema)

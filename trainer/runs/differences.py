"""What tells trainings apart that have one name: the settings of their specs and recipes that differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from archspec.foundation.errors import escape_line

LONGEST = 24
"""How many characters of a value are shown; longer ones are shown by a digest."""
_APART = ("train.seed", "train.data", "name", "description", "source")
"""What makes no other training, or is shown anyway."""


def settings(folder: Path) -> dict[str, str]:
    """The settings of a run by their dotted paths, as JSON; empty where its `spec.yaml` cannot be read.

    The seed and the data are left out.
    """
    try:
        with open(folder / "spec.yaml", encoding="utf-8") as file:
            content = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        found: dict[str, str] = {}
        if isinstance(content, dict) and _is_small(content):
            _flatten(content, "", found)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return {path: value for path, value in found.items() if path not in _APART}


MOST = 200_000
"""How many values a spec has at most; aliases can make endlessly many of a short file."""


def _is_small(content: Any) -> bool:
    """Whether a value holds no more than `MOST` others, each counted wherever it stands."""
    left, count = [content], 0
    while left and count <= MOST:
        value = left.pop()
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, set)) else ()
        left.extend(islice(inner, MOST))
        count += 1
    return count <= MOST


def _flatten(content: dict[Any, Any], above: str, found: dict[str, str]) -> None:
    for key, value in content.items():
        path = f"{above}{key}"
        if isinstance(value, dict) and value:
            _flatten(value, f"{path}.", found)
        else:
            found[path] = json.dumps(value, sort_keys=True, default=str)


def differences(several: Sequence[Mapping[str, str]]) -> list[str]:
    """Of each of several trainings, the settings in which they differ: `optimizer.lr=0.1 width=32`.

    Those of the recipe are named without `train.`, variables without `vars.`; `-` stands for what one does not have.
    """
    paths = [
        path
        for path in dict.fromkeys(path for one in several for path in one)
        if len({one.get(path) for one in several}) > 1
    ]
    return [" ".join(f"{_short(path)}={_shown(one.get(path))}" for path in paths) for one in several]


def _short(path: str) -> str:
    return path.removeprefix("train.").removeprefix("vars.")


def _shown(value: str | None) -> str:
    if value is None:
        return "-"
    text = value.strip('"')
    return escape_line(text) if len(text) <= LONGEST else "#" + hashlib.sha256(text.encode()).hexdigest()[:6]

"""What a recipe says of the columns of a table, where its data are one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archspec.foundation.arguments import Schema
from archspec.recipe.options import section

_NAME: Schema = {"title": "the name of a column", "type": "string", "pattern": "."}
_NAMES: Schema = {"type": "array", "items": _NAME, "minItems": 1}

DATA: Schema = {
    "if": {"type": "string"},
    "then": {"type": "string"},
    "else": section(
        name={"type": "string"},
        target={
            "if": {"type": "string"},
            "then": _NAME,
            "else": _NAMES | {"title": "a column's name, or a list of them"},
        },
        ignore=_NAMES,
        one_hot=_NAMES,
    )
    | {"title": "a text, or `{name: …, target: COLUMN, ignore: [COLUMN, …], one_hot: [COLUMN, …]}` of a table"},
}


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are targets, are left out, or become a feature for each of their values."""

    target: tuple[str, ...] = ()
    """Empty where the data say it."""
    ignore: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Columns:
        target = data.get("target", ())
        return cls(
            (target,) if isinstance(target, str) else tuple(target),
            tuple(data.get("ignore", ())),
            tuple(data.get("one_hot", ())),
        )

    def to_dict(self) -> dict[str, Any]:
        """What is said; a single target by its name alone."""
        target = self.target[0] if len(self.target) == 1 else list(self.target)
        made = {"target": target, "ignore": list(self.ignore), "one_hot": list(self.one_hot)}
        return {key: value for key, value in made.items() if value}

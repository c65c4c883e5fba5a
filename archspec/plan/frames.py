"""The steps that lead to a node, as errors and layers name them: calls of blocks, and passes of loops."""

from __future__ import annotations

from itertools import islice
from typing import Any

from archspec.foundation.errors import Frame, Mark, cut
from archspec.plan.nodes import Group


def frames_into(group: Group, index: int) -> tuple[Frame, ...]:
    """The step that leads from a group to one of its children, as errors name it."""
    if group.kind == "block":
        return (block_frame(group.block, group.arguments, group.mark),)
    if group.kind in ("for", "repeat"):
        return (pass_frame(group.kind, index, len(group.children)),)
    return (pass_frame("for", index, len(group.children)),) if group.looped else ()


def block_frame(name: str, arguments: dict[str, Any], mark: Mark) -> Frame:
    def label() -> str:
        shown = ", ".join(f"{key}={short_value(value)}" for key, value in islice(arguments.items(), MAX_SHOWN))
        return f"block `{name}` ({shown})" if shown else f"block `{name}`"

    return Frame(label, mark)


def pass_frame(kind: str, index: int, count: int) -> Frame:
    return Frame(f"row {index + 1} of `for`" if kind == "for" else f"pass {index + 1} of {count}")


MAX_SHOWN = 40  # values, in a line about a call
MAX_SHOWN_TEXT = 80  # characters of one


def short_value(value: Any) -> str:
    """A value as YAML writes it, in one line, cut where it is long."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        text = "[" + ", ".join(map(short_value, value[:MAX_SHOWN])) + "]"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key}: {short_value(inner)}" for key, inner in islice(value.items(), MAX_SHOWN)) + "}"
    else:
        text = str(value)
    return cut(text, MAX_SHOWN_TEXT)

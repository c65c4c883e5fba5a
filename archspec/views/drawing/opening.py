"""Which parts of a picture are shown open."""

from __future__ import annotations

from collections.abc import Callable

from archspec.views.drawing.outline import Outline
from archspec.views.drawing.part import Part


def open_to(outline: Outline, depth: int | None, most: int = 32) -> Callable[[Part], bool]:
    """Which parts are shown open.

    Args:
        outline: The network's parts.
        depth: How many levels of groups are open, small ones included. Without it, as many as make a picture of `most`
            boxes at most, and small groups stay closed.
        most: How many boxes, where no depth is given.
    """
    levels: dict[Part, int] = {}

    def reach(limit: int, small: bool) -> tuple[int, bool]:
        """The boxes that are shown with `limit` levels open, and whether there are more levels."""
        boxes, more = 0, False
        pending = [(outline.root, 0)]
        while pending:
            part, level = pending.pop()
            levels[part] = level
            if part.kind == "merge":
                pending += [(one, level) for branch in part.branches for one in branch]
            elif part.kind == "side" and not part.lines:
                pending += [(one, level) for one in part.children]
            elif part.make is None or (part.small and not small) or level >= limit:
                boxes += part.kind in ("layer", "group", "side")
                more = more or (part.make is not None and (small or not part.small))
            else:
                pending += [(one, level + 1) for one in part.children]
        return boxes, more

    limit = depth if depth is not None else 1
    _, more = reach(limit, depth is not None)
    while depth is None and more:
        boxes, more = reach(limit + 1, False)
        if boxes > most:
            break
        limit += 1

    def is_open(part: Part) -> bool:
        if part.kind == "side" and not part.lines:
            return True
        return part.make is not None and levels.get(part, limit) < limit and (depth is not None or not part.small)

    return is_open

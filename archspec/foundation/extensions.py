"""What installed packages add: entry points of a group, each a module of theirs under a name."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from archspec.foundation.errors import UsageError


def extensions(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by their names; nothing of theirs is imported yet."""
    return {point.name: point for point in entry_points(group=group)}


def load_extension(point: EntryPoint, attribute: str) -> Any:
    """What the module that an entry point names has under `attribute`. Raises `UsageError`."""
    what = f"`{point.value}` of {point.dist.name if point.dist else 'a package'}"
    try:
        module = point.load()
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{what}, which the entry point `{point.name}` of `{point.group}` names, cannot be imported: "
            f"{type(error).__name__}: {error}",
            help="correct the package, or uninstall it",
        ) from error
    if not hasattr(module, attribute):
        raise UsageError(
            f"{what}, which the entry point `{point.name}` of `{point.group}` names, has no `{attribute}`",
            help=f"its entry point names a module that defines `{attribute}`, without `:`",
        )
    return getattr(module, attribute)

"""archspec: convolutional networks from YAML specs, checked and counted without torch, then built as torch modules."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archspec.foundation.errors import ArchspecError, SpecError, UsageError
    from archspec.plan.plan import Plan
    from archspec.spec import Spec, build, from_dict, load

__version__ = "0.1.0"
__all__ = ["ArchspecError", "Plan", "Spec", "SpecError", "UsageError", "build", "from_dict", "load"]

_HOMES = {
    "ArchspecError": "foundation.errors",
    "SpecError": "foundation.errors",
    "UsageError": "foundation.errors",
    "Plan": "plan.plan",
}


def __dir__() -> list[str]:
    return [*globals(), *__all__]


def __getattr__(name: str) -> Any:
    """Names are imported when they are first used, so that `import archspec` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'archspec' has no attribute {name!r}")
    return getattr(import_module(f"archspec.{_HOMES.get(name, 'spec')}"), name)

"""Networks of several inputs, where only one tensor can be given."""

from __future__ import annotations

from archspec.foundation.errors import UsageError
from archspec.language.inputs import show_inputs
from archspec.plan.plan import Plan


def require_one_input(plan: Plan, who: str, cure: str) -> None:
    """Refuse a network of several inputs, where `who` gives it batches of one tensor. Raises `UsageError`."""
    if len(plan.takes) > 1:
        message = f"{who} networks of one input, but {plan.title} has {len(plan.takes)}: {show_inputs(plan.takes)}"
        raise UsageError(message, help=cure)

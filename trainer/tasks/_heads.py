"""Outputs beside the main one, as tasks check them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from archspec.foundation.shapes import Shape
from archspec.plan.nodes import NamedOutput
from archspec.plan.plan import Plan


@dataclass(frozen=True, repr=False)
class HeadPlan(Plan):
    """A plan of which a named output is taken for the main one, without auxiliary classifiers."""

    head: str = ""

    @classmethod
    def of(cls, plan: Plan, head: str) -> HeadPlan:
        """The plan with the output of this name."""
        return cls(**{one.name: getattr(plan, one.name) for one in fields(Plan)}, head=head)

    @property
    def output(self) -> Shape:
        return self.outputs[self.head]

    @property
    def title(self) -> str:
        return f"the output `{self.head}` of {super().title}"

    @property
    def aux(self) -> dict[str, NamedOutput]:
        return {}

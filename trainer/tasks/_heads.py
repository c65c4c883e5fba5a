"""Outputs of a network, each with its task, and its plan as that task checks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from archspec.foundation.shapes import Shape
from archspec.plan.nodes import NamedOutput
from archspec.plan.plan import Plan
from archspec.recipe.outputs import MAIN
from trainer.tasks.task import Task

if TYPE_CHECKING:
    from torch import Tensor


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


@dataclass(frozen=True)
class Head:
    """An output and its task, which learns some columns of the targets."""

    output: str
    task: Task
    start: int
    width: int

    def targets(self, every: Tensor) -> Tensor:
        """Its own targets, as its task takes them, of those of all `(N, T)`."""
        own = every[:, self.start : self.start + self.width]
        return own[:, 0].long() if self.task.targets == "classes" else own

    def names(self, every: Sequence[str] | None) -> list[str]:
        """The names of its classes or numbers, of `OUTPUT=name` of all outputs."""
        begin = f"{self.output}="
        return [name.removeprefix(begin) for name in every or () if name.startswith(begin)]

    def plan(self, plan: Plan) -> Plan:
        return plan if self.output == MAIN else HeadPlan.of(plan, self.output)

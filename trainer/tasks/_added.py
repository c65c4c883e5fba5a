"""Metrics of installed packages, which a recipe names after its task: `task: classification+kappa`.

A package's entry point of the group `archspec.metrics` names a module that defines `METRIC`, an `AddedMetric`; the
entry point's name is that of the metric.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.extensions import extensions, load_extension
from archspec.foundation.spelling import did_you_mean
from archspec.plan.plan import Plan
from trainer.tasks.task import Evaluation, Evaluator, MetricSpec, Task

if TYPE_CHECKING:
    from torch import Tensor
    from torchmetrics import Metric

GROUP = "archspec.metrics"


class AddedMetric(ABC):
    """A metric of a package."""

    doc: str
    """A line about it."""
    tasks: tuple[str, ...]
    """The names of the tasks whose outputs and targets it takes."""
    mode: str = "max"
    """`max` if greater is better, else `min`."""
    format_spec: str = ".4f"
    title: str = ""
    """What it is called in tables, where that is not its name."""

    @abstractmethod
    def make(self, outputs: int) -> Metric:
        """A torchmetrics metric, to be updated by a network's output and the targets, as its tasks have them.

        `outputs` is how many channels or numbers the network gives, the number of classes for example.
        """


def measuring(task: Task, names: Sequence[str]) -> Task:
    """A task that measures metrics of packages too, after its own. Raises `UsageError`."""
    known = extensions(GROUP)
    made: dict[str, AddedMetric] = {}
    for name in names:
        if name not in known:
            there = (
                f"there are {join_words(known)}" if known else "no installed package has an entry point of that group"
            )
            raise UsageError(
                f"there is no metric `{name}` of a package (`{GROUP}`)", help=did_you_mean(name, known) or there
            )
        found = load_extension(known[name], "METRIC")
        if not isinstance(found, AddedMetric):
            raise UsageError(
                f"`{known[name].value}`, the metric `{name}` of a package, has no `AddedMetric` as its `METRIC`"
            )
        if task.name not in found.tasks:
            raise UsageError(
                f"the metric `{name}` measures {join_words(found.tasks)}, and not {task.name}", help="leave it out"
            )
        if name in [one.name for one in task.metrics] or name in made or name == "loss":
            raise UsageError(f"{task.name} has a metric `{name}` already", help="leave it out")
        made[name] = found
    return _with(task, made)


def _with(task: Task, added: dict[str, AddedMetric]) -> Task:
    """The task with more metrics. Its class is the task's: what it evaluates is drawn as by it."""
    base: Any = type(task)
    full = "+".join([task.name, *added])
    specs = tuple(MetricSpec(name, one.mode, one.format_spec, one.title) for name, one in added.items())

    class Measuring(base):  # type: ignore[misc]
        name = full
        metrics = (*task.metrics, *specs)

        def measured(self, plan: Plan) -> tuple[MetricSpec, ...]:
            own = {one.name for one in base.measured(task, plan)}
            return tuple(one for one in self.metrics if one.name in own or one.name in added)

        def make_metrics(self, plan: Plan) -> dict[str, Metric]:
            own: dict[str, Metric] = base.make_metrics(self, plan)
            return own | {name: one.make(plan.output[0]) for name, one in added.items()}

        def evaluator(self) -> Evaluator:
            return _Evaluator(base.evaluator(self), added)

        def __reduce__(self) -> Any:
            return measuring, (task, tuple(added))

    made: Task = Measuring()
    return made


class _Evaluator(Evaluator):
    """A task's own, and the metrics of packages beside it."""

    def __init__(self, own: Evaluator, added: dict[str, AddedMetric]) -> None:
        self.own, self.added = own, added
        self.metrics: dict[str, Metric] = {}

    def update(self, output: Tensor, targets: Tensor) -> None:
        self.own.update(output, targets)
        if not self.metrics:
            self.metrics = {name: one.make(output.shape[1]).to(output.device) for name, one in self.added.items()}
        for metric in self.metrics.values():
            metric.update(output, targets)

    def compute(self, loss: float) -> Evaluation:
        found = self.own.compute(loss)
        # evaluations are frozen
        object.__setattr__(found, "added", {name: float(metric.compute()) for name, metric in self.metrics.items()})
        return found

"""Tasks, one in each file, which defines `TASK`. A file that is put here is found, and so is a package's.

A package names the module of its task as an entry point of the group `archspec.tasks`, under the task's name.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.extensions import extensions, load_extension
from archspec.foundation.spelling import did_you_mean
from archspec.plan.plan import Plan
from archspec.recipe import Recipe

if TYPE_CHECKING:
    from trainer.input.datasets import DataSet
from trainer.tasks._added import AddedMetric, measuring
from trainer.tasks.task import PREDICTIONS, Evaluation, Evaluator, MetricSpec, Task

__all__ = [
    "DEFAULT",
    "GROUP",
    "PREDICTIONS",
    "AddedMetric",
    "Evaluation",
    "Evaluator",
    "MetricSpec",
    "Task",
    "choose",
    "load",
    "mistakes",
    "names",
    "of_outputs",
    "refuse_detection",
]

GROUP = "archspec.tasks"
DEFAULT = "classification"
"""What is meant where runs of older versions name none."""


def names() -> list[str]:
    """The names of the tasks there are: ours, then those of installed packages."""
    ours = _ours()
    return [*ours, *(name for name in sorted(extensions(GROUP)) if name not in ours)]


def _ours() -> list[str]:
    files = os.listdir(os.path.dirname(__file__))
    return sorted(file[:-3] for file in files if file.endswith(".py") and file[0] != "_" and file != "task.py")


def load(name: str | None = None) -> Task:
    """A task by its name; without one, the classification of images. Raises `UsageError`."""
    name = name or DEFAULT
    base, *further = name.split("+")
    if further:
        return measuring(load(base), further)
    if re.fullmatch(r"[^=,]+=\w+:\d+(,[^=,]+=\w+:\d+)*", name):
        from trainer.tasks._several import Several

        return Several(name, load)
    if name in _ours():
        task: Task = importlib.import_module(f"trainer.tasks.{name}").TASK
        return task
    if point := extensions(GROUP).get(name):
        found = load_extension(point, "TASK")
        if not isinstance(found, Task):
            raise UsageError(f"`{point.value}`, the task `{name}` of a package, has no `Task` as its `TASK`")
        return found
    if "detect" in name.lower():
        raise UsageError(
            f"detection is out of archspec's scope: there is no task `{name}`",
            help=f"build the network and train it elsewhere; the tasks are {join_words(names())}",
        )
    hint = did_you_mean(name, names()) or f"there are {join_words(names())}"
    raise UsageError(f"there is no task `{name}`", help=hint)


def of_outputs(recipe: Recipe, data: DataSet) -> Task | None:
    """The task of outputs that have targets of their own; `None` where all learn the same. Raises `UsageError`."""
    if recipe.outputs is None or not recipe.outputs.heads or data.form is None:
        return None
    kinds = ("regression", "classification")
    parts = (
        f"{one.output}={kinds[one.classes is not None]}:{1 if one.classes else len(one.targets)}"
        for one in data.form.heads
    )
    name = ",".join(parts)
    if recipe.task not in (None, name):
        raise UsageError(
            f"the task is {recipe.task}, but `train.outputs` gives each output targets of its own",
            help="leave `train.task` out; each output may have a `task`",
        )
    return load(name)


def choose(name: str | None, targets: str, data: str) -> Task:
    """The task that a recipe names, or else the one that learns a data set's kind of targets. Raises `UsageError`."""
    if name is not None:
        task = load(name)
        if task.targets != targets:
            fitting = [one for one in names() if load(one).targets == targets]
            raise UsageError(
                f"the task {name} learns {task.targets}, but the data set `{data}` has {targets}",
                help=f"--set train.task={fitting[0]}" if fitting else "choose another data set",
            )
        return task
    found = [one for one in names() if one in _ours() and load(one).targets == targets]
    found = found or [one for one in names() if load(one).targets == targets]  # packages' where none of ours does
    if len(found) != 1:
        which = f"several tasks learn {targets}, those of the data set `{data}`: {join_words(found)}"
        none = f"no task learns {targets}, those of the data set `{data}`"
        raise UsageError(
            which if found else none,
            help=f"say which is meant: --set train.task={found[0]}" if found else f"there are {join_words(names())}",
        )
    return load(found[0])


def mistakes(recipe: Recipe, plan: Plan, *, loss_given: bool) -> Iterator[tuple[tuple[str, ...], UsageError]]:
    """What a recipe that names its task says that no data set can make right, each with the keys that lead to it.

    Args:
        recipe: The recipe.
        plan: The network's plan, of which metrics are measured.
        loss_given: Whether the recipe names its loss.
    """
    if recipe.task is None:
        return
    try:
        task = load(recipe.task)
    except UsageError as error:
        yield ("task",), error
        return
    stop = recipe.early_stopping.monitor if recipe.early_stopping else None
    judges: dict[tuple[str, ...], Callable[[], object]] = {
        ("loss",): lambda: task.with_loss(recipe, given=loss_given),
        ("early_stopping", "monitor"): lambda: task.metric_of(stop, plan=plan),
        ("monitor",): lambda: task.metric_of(recipe.monitor, "monitor", plan),
    }
    for keys, judge in judges.items():
        try:
            judge()
        except UsageError as error:
            yield keys, error


def refuse_detection(plan: Plan, *, certain: bool = True) -> None:
    """Raises `UsageError` for a network whose outputs have names or shapes of a detector's: they would not be trained.

    If not `certain`, the network fits no task, and shapes need not be of detectors alone.
    """
    from trainer.tasks import _detection

    _detection.refuse_named(plan, names())
    _detection.refuse_shaped(plan, names(), certain=certain)

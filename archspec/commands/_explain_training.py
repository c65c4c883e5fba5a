"""What the words of trainings mean that the trainer knows: tasks, data sets and metrics, also those of packages."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from archspec.foundation.errors import join_words
from archspec.foundation.extensions import extensions, load_extension
from archspec.language.glossary import LOSS, Meaning
from archspec.recipe import LOSSES

if TYPE_CHECKING:
    from trainer.tasks import MetricSpec, Task

PREFIXES = ("val_", "test_")
"""What stands before the names of metrics in logs and results."""
DOWNLOADED = ("cifar10", "cifar100", "fashion_mnist", "mnist", "oxford_pet_masks", "oxford_pets", "svhn")
"""The data sets of ours that lie in files of their own."""
KINDS = {
    "classes": "one class of each image, row or sequence",
    "label sets": "any number of labels of each image",
    "numbers": "one number or several of each image, row or sequence",
    "masks": "the class of each pixel",
    "images": "an image of each image",
}


def words() -> list[str]:
    """The names of all tasks, data sets and metrics."""
    from trainer import tasks

    measured = [one.name for name in _ours() for one in tasks.load(name).metrics]
    return list(dict.fromkeys([*tasks.names(), *_data_sets(), *measured, *extensions("archspec.metrics")]))


def meanings(word: str) -> list[Meaning]:
    """What a word means as a task, a data set, or a metric, which may have the name that it has in logs."""
    from trainer import tasks

    found = [_task(tasks.load(word))] if word in tasks.names() else []
    if (path := _data_sets().get(word)) is not None:
        found.append(_data_set(word, path))
    return [*found, *_metrics(word)]


def with_tasks(one: Meaning) -> Meaning:
    """The meaning of a loss, with the tasks that it is for; others as they are."""
    if one.kind != LOSS:
        return one
    from trainer import tasks

    added = LOSSES[one.word].added
    having = added.tasks if added else [name for name in _ours() if one.word in tasks.load(name).losses]
    return replace(one, facts=(("of", join_words(having)), *one.facts))


def _ours() -> list[str]:
    from trainer import tasks

    return [name for name in tasks.names() if name not in extensions(tasks.GROUP)]


def _task(task: Task) -> Meaning:
    facts = (
        ("learns", KINDS.get(task.targets, task.targets)),
        ("measures", join_words(one.name for one in task.metrics) + "; the first chooses the best weights"),
        ("losses", join_words(task.losses) + "; the first is its own"),
    )
    return Meaning(task.name, "a task of a recipe", task.doc, facts=facts, examples=_example(f"task: {task.name}"))


def _example(text: str) -> tuple[tuple[str, str], ...]:
    return (("example", f"train: {{{text}}}"),)


# --- data sets --------------------------------------------------------------------------------------------------------


def _data_sets() -> dict[str, str]:
    """The data sets there are, each with the module that loads it; `folder` is what paths lead to."""
    import trainer.tasks

    folder = os.path.join(os.path.dirname(os.path.dirname(trainer.tasks.__file__)), "data")
    files = [file[:-3] for file in os.listdir(folder) if file.endswith(".py") and file[0] != "_"]
    ours = {name: os.path.join(folder, f"{name}.py") for name in sorted(files) if name != "folder"}
    return {name: point.value for name, point in extensions("archspec.data").items()} | ours


def _data_set(name: str, where: str) -> Meaning:
    lies = "`--data-folder`, or fetched by `--download`" if name in DOWNLOADED else "with archspec, or made by it"
    if not os.path.isfile(where):
        lies = f"as `{where}` of a package says"
    doc = _docstring(where) or "A data set of a package."
    return Meaning(name, "a data set", doc, facts=(("lies", lies),), examples=_example(f"data: {name}"))


def _docstring(where: str) -> str:
    """The first line of a module, by its file or name; it is not run, since data sets import torch."""
    if not os.path.isfile(where):
        try:
            spec = find_spec(where)
        except (ImportError, ValueError):
            return ""
        where = (spec.origin or "") if spec else ""
    try:
        with open(where, encoding="utf-8") as file:
            said = ast.get_docstring(ast.parse(file.read()))
    except (OSError, SyntaxError, ValueError):
        return ""
    return said.partition("\n")[0] if said else ""


# --- metrics ----------------------------------------------------------------------------------------------------------


def _metrics(word: str) -> Iterator[Meaning]:
    from trainer import tasks

    name = next((word.removeprefix(prefix) for prefix in PREFIXES if word.startswith(prefix)), word)
    having: dict[str, tuple[MetricSpec, list[str]]] = {}
    for task in map(tasks.load, _ours()):
        for one in task.metrics:
            if one.name == name:
                having.setdefault(one.doc, (one, []))[1].append(task.name)
    for doc, (one, names) in having.items():
        yield _metric(word, doc, names, one.mode, f"monitor: {one.log_name}")
    if (point := extensions("archspec.metrics").get(name)) is not None:
        added = load_extension(point, "METRIC")
        example = f"task: {added.tasks[0]}+{name}, monitor: val_{name}"
        yield _metric(word, added.doc, list(added.tasks), added.mode, example)


def _metric(word: str, doc: str, names: list[str], mode: str, example: str) -> Meaning:
    better = "greater values" if mode == "max" else "smaller values"
    facts = (("of", join_words(names)), ("better", better))
    return Meaning(word, "a metric", doc, facts=facts, examples=_example(example))

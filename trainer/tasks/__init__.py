"""Tasks, one in each file, which defines `TASK`. A file that is put here is found."""

from __future__ import annotations

import importlib
import os

from trainer.tasks.task import MetricSpec, Task

__all__ = ["MetricSpec", "Task", "load", "names"]


def names() -> list[str]:
    """The names of the tasks there are."""
    files = os.listdir(os.path.dirname(__file__))
    return sorted(file[:-3] for file in files if file.endswith(".py") and file not in ("__init__.py", "task.py"))


def load(name: str = "classification") -> Task:
    """A task by its name; recipes name none, and mean the classification of images."""
    task: Task = importlib.import_module(f"trainer.tasks.{name}").TASK
    return task

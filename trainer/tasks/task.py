"""What a task is: how a network is held against data, in training and afterwards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric

from archspec.plan.plan import Plan
from archspec.recipe import Recipe
from trainer.input.datasets import DataSet


@dataclass(frozen=True)
class MetricSpec:
    """A number that says how good a network is: `accuracy` is logged as `val_accuracy`."""

    name: str
    mode: str
    """`max` where more is better, else `min`."""
    format_spec: str
    """How it is written, as a format specification."""

    @property
    def log_name(self) -> str:
        """The name under which that of the validation images is logged."""
        return f"val_{self.name}"

    def show(self, value: float) -> str:
        return format(value, self.format_spec)

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether a value is better than another one, or there is none."""
        return than is None or (value > than if self.mode == "max" else value < than)


class Task(ABC):
    """What networks learn."""

    metric: MetricSpec
    """By which the best weights of a run are chosen."""

    @abstractmethod
    def check(self, plan: Plan, data: DataSet, *, num_classes_given: bool) -> None:
        """Raises `UsageError` where a network's outputs do not fit a data set."""

    @abstractmethod
    def make_loss(self, recipe: Recipe) -> nn.Module:
        """The recipe's loss of a network's output and the labels, a mean over the images."""

    @abstractmethod
    def make_metric(self, plan: Plan) -> Metric:
        """What computes the score, updated by a network's output and the labels."""

    @abstractmethod
    def predictions(self, output: Tensor) -> tuple[Tensor, ...]:
        """What a network's output says of each image of a batch: tensors `(N, …)`."""

    @abstractmethod
    def summarize(self, predictions: Sequence[Tensor], labels: Tensor, loss: float) -> Any:
        """What comes of the answers to all images of a part, their labels and the mean loss."""

    @abstractmethod
    def predict(self, output: Tensor, class_names: Sequence[str] | None, top: int) -> list[dict[str, Any]]:
        """What a network's output for one image says, the likeliest first, `top` at most (JSON types)."""

"""The contract of a task: loss, metric and predictions, and whether a network's outputs fit a data set."""

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
    """Describes the metric that compares networks: `accuracy` is logged as `val_accuracy`."""

    name: str
    mode: str
    """`max` if greater is better, else `min`."""
    format_spec: str
    """The format specification of its values."""

    @property
    def log_name(self) -> str:
        """The name under which its value on the validation images is logged."""
        return f"val_{self.name}"

    def show(self, value: float) -> str:
        return format(value, self.format_spec)

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether a value is better than another one, or there is none."""
        return than is None or (value > than if self.mode == "max" else value < than)


class Task(ABC):
    """What a network learns: a loss, a metric and predictions."""

    metric: MetricSpec
    """The metric that chooses the best weights of a run."""

    @abstractmethod
    def check(self, plan: Plan, data: DataSet, *, num_classes_given: bool) -> None:
        """Raises `UsageError` where a network's outputs do not fit a data set."""

    @abstractmethod
    def make_loss(self, recipe: Recipe) -> nn.Module:
        """The recipe's loss of a network's output and the labels, a mean over the images."""

    @abstractmethod
    def make_metric(self, plan: Plan) -> Metric:
        """The torchmetrics metric, to be updated by a network's output and the labels."""

    @abstractmethod
    def predictions(self, output: Tensor) -> tuple[Tensor, ...]:
        """The predictions for each image of a batch, by a network's output: tensors `(N, …)`."""

    @abstractmethod
    def summarize(self, predictions: Sequence[Tensor], labels: Tensor, loss: float) -> Any:
        """Combine the predictions for all images of a split with their labels and the mean loss into an evaluation."""

    @abstractmethod
    def predict(self, output: Tensor, class_names: Sequence[str] | None, top: int) -> list[dict[str, Any]]:
        """The predictions for one image by a network's output, the likeliest first, `top` at most (JSON types)."""

"""The classification of images: each is of one class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import show
from archspec.plan.plan import Plan
from archspec.recipe import Recipe
from trainer.input.datasets import DataSet
from trainer.tasks.task import MetricSpec, Task


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a network: the predicted class of each image, its probability, the true class, the mean loss.

    Tensors `(N,)`, in the order of the images.
    """

    predicted: Tensor
    probability: Tensor
    labels: Tensor
    loss: float

    @property
    def accuracy(self) -> float:
        """The share of images whose class is right."""
        return int((self.predicted == self.labels).sum()) / len(self.labels)


class Classification(Task):
    """Each image is of one class, to which a network gives the greatest logit."""

    metric = MetricSpec("accuracy", "max", ".2%")

    def check(self, plan: Plan, data: DataSet, *, num_classes_given: bool) -> None:
        if plan.output != (data.classes,):
            cure = "end the network in `- linear: =num_classes`, with `vars: {num_classes: 10}`"
            if num_classes_given:
                cure = "leave `num_classes` alone: it follows the data set"
            raise UsageError(
                f"the data set `{data.name}` has {data.classes} classes, but {plan.title} gives {show(plan.output)}",
                help=cure,
            )
        for aux in plan.aux.values():
            if aux.shape != (data.classes,):
                raise UsageError(
                    f"the data set `{data.name}` has {data.classes} classes, but the auxiliary classifier "
                    f"`{aux.name}` of {plan.title} gives {show(aux.shape)}",
                    help="end its body in `- linear: =num_classes`",
                )

    def make_loss(self, recipe: Recipe) -> nn.Module:
        """The recipe's loss of logits `(N, classes)` and labels: classes `(N,)`, or their shares `(N, classes)`."""
        if recipe.loss.name == "cross_entropy":
            return nn.CrossEntropyLoss(label_smoothing=recipe.loss.label_smoothing)
        return BinaryCrossEntropy(recipe.loss.label_smoothing)

    def make_metric(self, plan: Plan) -> Metric:
        """The share of images whose class is right."""
        return MulticlassAccuracy(plan.output[0], average="micro")

    def predictions(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The predicted class of each image by logits `(N, classes)`, and its probability, `(N,)`."""
        probability, predicted = output.float().softmax(1).max(1)
        return predicted, probability

    def summarize(self, predictions: Sequence[Tensor], labels: Tensor, loss: float) -> Evaluation:
        predicted, probability = predictions
        return Evaluation(predicted, probability, labels, loss)

    def predict(self, output: Tensor, class_names: Sequence[str] | None, top: int) -> list[dict[str, Any]]:
        """The likeliest classes and their probabilities."""
        probabilities = output.float().softmax(0).cpu()
        likeliest = probabilities.topk(min(top, len(probabilities)))
        return [
            {"class": class_names[index] if class_names else str(index), "index": index, "probability": value}
            for value, index in zip(likeliest.values.tolist(), likeliest.indices.tolist(), strict=True)
        ]


class BinaryCrossEntropy(nn.Module):
    """Each class is a yes-or-no decision of its own: the mean over images and classes (https://arxiv.org/abs/2110.00476)."""

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of logits `(N, classes)` and labels `(N,)` or `(N, classes)`; smoothing is spread over classes."""
        classes = logits.shape[1]
        targets = functional.one_hot(labels, classes) if labels.ndim == 1 else labels
        targets = targets.to(logits.dtype) * (1 - self.label_smoothing) + self.label_smoothing / classes
        return functional.binary_cross_entropy_with_logits(logits, targets)


TASK = Classification()

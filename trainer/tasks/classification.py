"""The classification of images: each is of one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import show
from archspec.plan.plan import Plan
from archspec.recipe import Recipe
from trainer.tasks.task import Evaluation, Evaluator, MetricSpec, Task

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn
    from torchmetrics import Metric

    from trainer.input.datasets import DataSet, InMemory
    from trainer.input.loaders import Stream

MISTAKES = 24
"""How many mistakes are drawn at most."""


@dataclass(frozen=True)
class ClassEvaluation(Evaluation):
    """The predicted class of each image, its probability, the true class, the mean loss.

    Tensors `(N,)`, in the order of the images.
    """

    predicted: Tensor
    probability: Tensor
    labels: Tensor
    loss: float

    @property
    def count(self) -> int:
        return len(self.labels)

    @property
    def accuracy(self) -> float:
        """The share of images whose class is right."""
        return int((self.predicted == self.labels).sum()) / len(self.labels)

    @property
    def metrics(self) -> Mapping[str, float]:  # type: ignore[override]
        return {"accuracy": self.accuracy}

    def worst(self) -> Tensor:
        """The positions of the mistakes that the network is surest of, the surest first: `MISTAKES` at most."""
        wrong = (self.predicted != self.labels).nonzero().flatten()
        return wrong[self.probability[wrong].argsort(descending=True, stable=True)][:MISTAKES]


class ClassEvaluator(Evaluator):
    """Keeps of each image the likeliest class, its probability, and the true class."""

    def __init__(self) -> None:
        self.batches: list[tuple[Tensor, ...]] = []

    def update(self, output: Tensor, targets: Tensor) -> None:
        probability, predicted = output.float().softmax(1).max(1)
        self.batches.append(tuple(one.cpu() for one in (predicted, probability, targets)))

    def compute(self, loss: float) -> ClassEvaluation:
        import torch

        predicted, probability, labels = (torch.cat(part) for part in zip(*self.batches, strict=True))
        return ClassEvaluation(predicted, probability, labels, loss)


class Classification(Task):
    """Each image is of one class, to which a network gives the greatest logit."""

    name = "classification"
    doc = "Each image is of one class, to which the network gives the greatest logit."
    targets = "classes"
    metrics = (MetricSpec("accuracy", "max", ".2%"),)
    losses = ("cross_entropy", "binary_cross_entropy", "focal")
    mixes = True

    def evaluation_batch(self, recipe: Recipe) -> int:
        return 256

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

    def make_term(self, name: str, options: dict[str, Any]) -> nn.Module:
        """A loss of logits `(N, classes)` and labels: classes `(N,)`, or their shares `(N, classes)`."""
        from torch import nn

        from trainer.tasks._losses import BinaryCrossEntropy, Focal

        kinds: dict[str, type[nn.Module]] = {
            "cross_entropy": nn.CrossEntropyLoss,
            "binary_cross_entropy": BinaryCrossEntropy,
            "focal": Focal,
        }
        return kinds[name](**options)

    def make_metrics(self, plan: Plan) -> dict[str, Metric]:
        """The share of images whose class is right."""
        from torchmetrics.classification import MulticlassAccuracy

        return {"accuracy": MulticlassAccuracy(plan.output[0], average="micro")}

    def evaluator(self) -> ClassEvaluator:
        return ClassEvaluator()

    def predict(self, output: Tensor, class_names: Sequence[str] | None, top: int) -> list[dict[str, Any]]:
        """The likeliest classes and their probabilities."""
        probabilities = output.float().softmax(0).cpu()
        likeliest = probabilities.topk(min(top, len(probabilities)))
        return [
            {"class": class_names[index] if class_names else str(index), "index": index, "probability": value}
            for value, index in zip(likeliest.values.tolist(), likeliest.indices.tolist(), strict=True)
        ]

    def describe(self, prediction: Sequence[Mapping[str, Any]]) -> str:
        return ", ".join(f"{one['class']} {one['probability']:.1%}" for one in prediction)

    def draw(self, folder: Path, found: Evaluation, part: InMemory | Stream, class_names: Sequence[str]) -> None:
        """The confusion matrix, and the surest mistakes."""
        from trainer import drawing

        assert isinstance(found, ClassEvaluation)
        matrix = drawing.confusion_matrix(found.predicted, found.labels, len(class_names))
        drawing.confusion(matrix, class_names, folder / "confusion.png")
        wrong = found.worst().tolist()
        titles = [
            f"{class_names[int(found.labels[i])]}, taken for\n"
            f"{class_names[int(found.predicted[i])]} ({found.probability[i]:.0%})"
            for i in wrong
        ]
        title = "the surest of the wrong answers" if titles else "no mistakes"
        drawing.grid(drawing.batch_at(part, wrong)[0], titles, folder / "mistakes.png", 6, title)


TASK = Classification()

"""The classification of images: each is of one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import show
from archspec.plan.plan import Plan
from archspec.recipe import Recipe
from trainer.tasks._starters import CLASSIFICATION
from trainer.tasks.task import PREDICTIONS, Evaluation, Evaluator, MetricSpec, Rows, Task

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn
    from torchmetrics import Metric

    from trainer.input.datasets import DataSet, InMemory
    from trainer.input.loaders import Stream

MISTAKES = 24
"""How many mistakes are drawn at most."""
TOP_FROM = 11
"""From how many classes on it is measured how often the right one is among the five likeliest."""


@dataclass(frozen=True)
class ClassEvaluation(Evaluation):
    """The predicted class of each image, its probability, the true class, the mean loss.

    Tensors `(N,)`, in the order of the images.
    """

    predicted: Tensor
    probability: Tensor
    labels: Tensor
    loss: float
    classes: int
    """How many classes there are."""
    in_top: Tensor | None = None
    """Whether the true class is among the five likeliest, bool `(N,)`; `None` where that is not measured."""

    @property
    def count(self) -> int:
        return len(self.labels)

    @property
    def accuracy(self) -> float:
        """The share of images whose class is right."""
        return int((self.predicted == self.labels).sum()) / len(self.labels)

    @property
    def metrics(self) -> Mapping[str, float]:  # type: ignore[override]
        from trainer.tasks._classes import calibration_error
        from trainer.tasks._confusion import SCORES

        further = {name: float(SCORES[name](self.counts)) for name in ("balanced_accuracy", "f1")}
        top = {} if self.in_top is None else {"top5": int(self.in_top.sum()) / self.count}
        return {"accuracy": self.accuracy, **further, **top, "ece": float(calibration_error(self.bins))}

    @property
    def bins(self) -> Tensor:
        """The answers by their probability (`trainer.tasks._classes.bin_probabilities`), doubles."""
        from trainer.tasks._classes import bin_probabilities

        return bin_probabilities(self.probability.double(), self.predicted == self.labels)

    @property
    def counts(self) -> Tensor:
        """How often images of a class (row) are taken for a class (column): int64 `(classes, classes)`."""
        from trainer.tasks._confusion import confusion_matrix

        return confusion_matrix(self.predicted, self.labels, self.classes)

    def tables(self, class_names: Sequence[str]) -> Mapping[str, Rows]:
        """The prediction for each image, the confusion matrix, figures of each class, and of each probability."""
        from trainer.tasks._classes import calibration_rows

        names = list(class_names)
        answers = zip(self.labels.tolist(), self.predicted.tolist(), self.probability.tolist(), strict=True)
        matrix = self.counts.tolist()
        return {
            PREDICTIONS: [
                ("truth", "answer", "probability"),
                *((names[truth], names[answer], f"{value:.6f}") for truth, answer, value in answers),
            ],
            "confusion": [("truth", *names), *((name, *row) for name, row in zip(names, matrix, strict=True))],
            "classes": [("class", "images", "precision", "recall", "f1"), *self._figures(names)],
            "calibration": [("from", "to", "images", "probability", "right"), *calibration_rows(self.bins)],
        }

    def _figures(self, names: Sequence[str]) -> list[tuple[Any, ...]]:
        """Of each class how many images there are, precision, recall and F1; empty where that is a division by zero."""
        from math import nan

        from sklearn.metrics import precision_recall_fscore_support

        every = range(len(names))
        found = precision_recall_fscore_support(
            self.labels.numpy(), self.predicted.numpy(), labels=list(every), zero_division=nan
        )
        return [
            (names[i], int(found[3][i]), *("" if value[i] != value[i] else f"{value[i]:.6f}" for value in found[:3]))
            for i in every
        ]

    def notes(self, class_names: Sequence[str]) -> Sequence[str]:
        """Whether one answer to all images would do as well."""
        counts = self.labels.bincount()
        share, name = int(counts.max()) / self.count, class_names[int(counts.argmax())]
        if len(answers := set(self.predicted.tolist())) == 1:
            only = class_names[answers.pop()]
            right = self.accuracy
            return (f"all test images are taken for `{only}`, which {right:.2%} are: the network tells nothing apart",)
        if self.accuracy <= share:
            return (
                f"the test accuracy of {self.accuracy:.2%} is not above {share:.2%}, which the answer `{name}` to all "
                "images would reach",
            )
        return ()

    def worst(self) -> Tensor:
        """The positions of the mistakes that the network is surest of, the surest first: `MISTAKES` at most."""
        wrong = (self.predicted != self.labels).nonzero().flatten()
        return wrong[self.probability[wrong].argsort(descending=True, stable=True)][:MISTAKES]


class ClassEvaluator(Evaluator):
    """Keeps of each image the likeliest class, its probability, the true class, and whether that is near the top."""

    def __init__(self) -> None:
        self.batches: list[tuple[Tensor, ...]] = []
        self.classes = 0

    def update(self, output: Tensor, targets: Tensor) -> None:
        self.classes = output.shape[1]
        probability, predicted = output.float().softmax(1).max(1)
        found = [predicted, probability, targets]
        if self.classes >= TOP_FROM:
            from trainer.tasks._classes import is_in_top

            found.append(is_in_top(output, targets))
        self.batches.append(tuple(one.cpu() for one in found))

    def compute(self, loss: float) -> ClassEvaluation:
        import torch

        predicted, probability, labels, *top = (torch.cat(part) for part in zip(*self.batches, strict=True))
        return ClassEvaluation(predicted, probability, labels, loss, self.classes, *top)


class Classification(Task):
    """Each image is of one class, to which a network gives the greatest logit."""

    name = "classification"
    doc = "Each image is of one class, to which the network gives the greatest logit."
    targets = "classes"
    metrics = (
        MetricSpec("accuracy", "max", ".2%", doc="The share of images whose class is right."),
        MetricSpec("balanced_accuracy", "max", ".2%", doc="The mean of the accuracy over classes.", listed=False),
        MetricSpec("f1", "max", ".2%", "F1", "The mean of the F1 scores of the classes.", listed=False),
        MetricSpec(
            "top5",
            "max",
            ".2%",
            "top-5 accuracy",
            "The share of images whose class is among the five likeliest, of more than ten classes.",
            listed=False,
        ),
        MetricSpec(
            "ece",
            "min",
            ".2%",
            "calibration error",
            "How far probabilities are from how often answers are right, the mean over 15 ranges of probability.",
            listed=False,
        ),
    )
    losses = ("cross_entropy", "binary_cross_entropy", "focal")
    starter = CLASSIFICATION
    mixes = True
    balances = True

    def measured(self, plan: Plan) -> tuple[MetricSpec, ...]:
        """All, but for the top-5 accuracy of few classes, which would say little."""
        return tuple(one for one in self.metrics if one.name != "top5" or plan.output[0] >= TOP_FROM)

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

        from trainer.tasks._losses import BinaryCrossEntropy, Focal, WeightedCrossEntropy

        kinds: dict[str, type[nn.Module]] = {
            "cross_entropy": WeightedCrossEntropy if "weight" in options else nn.CrossEntropyLoss,
            "binary_cross_entropy": BinaryCrossEntropy,
            "focal": Focal,
        }
        return kinds[name](**options)

    def make_metrics(self, plan: Plan) -> dict[str, Metric]:
        """How often the right class is answered, and is among the likeliest, and by how much answers are too sure."""
        from torchmetrics.classification import MulticlassAccuracy

        from trainer.tasks._classes import TOP, CalibrationError, ClassScore

        classes = plan.output[0]
        made: dict[str, Metric] = {
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "balanced_accuracy": ClassScore(classes, "balanced_accuracy"),
            "f1": ClassScore(classes, "f1"),
            "ece": CalibrationError(),
        }
        if classes >= TOP_FROM:
            made["top5"] = MulticlassAccuracy(classes, top_k=TOP, average="micro")
        return made

    def evaluator(self) -> ClassEvaluator:
        return ClassEvaluator()

    def predict(self, output: Tensor, class_names: Sequence[str] | None, top: int) -> dict[str, Any]:
        """The likeliest classes and their probabilities."""
        probabilities = output.float().softmax(0).cpu()
        likeliest = probabilities.topk(min(top, len(probabilities)))
        return {
            "top": [
                {"class": class_names[index] if class_names else str(index), "index": index, "probability": value}
                for value, index in zip(likeliest.values.tolist(), likeliest.indices.tolist(), strict=True)
            ]
        }

    def describe(self, prediction: Mapping[str, Any]) -> str:
        return ", ".join(f"{one['class']} {one['probability']:.1%}" for one in prediction["top"])

    def draw(self, folder: Path, found: Evaluation, part: InMemory | Stream, class_names: Sequence[str]) -> None:
        """The confusion matrix, how sure answers are and how often right, and the surest mistakes."""
        from trainer import drawing
        from trainer.tasks._classes import draw_reliability

        assert isinstance(found, ClassEvaluation)
        draw_reliability(found.bins, folder / "reliability.png", drawing.unit_of(part))
        drawing.confusion(found.counts, class_names, folder / "confusion.png", drawing.unit_of(part))
        wrong = found.worst().tolist()
        titles = [
            f"{file}\n{class_names[int(found.labels[i])]}, taken for\n"
            f"{class_names[int(found.predicted[i])]} ({found.probability[i]:.0%})"
            for i, file in zip(wrong, drawing.files_at(part, wrong), strict=True)
        ]
        if wrong:
            title = "the surest of the wrong answers"
            drawing.grid(drawing.batch_at(part, wrong)[0], titles, folder / "mistakes.png", 6, title)


TASK = Classification()

"""Images of which each may have several labels, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import show
from archspec.plan.plan import Plan
from archspec.recipe import Recipe
from trainer.tasks._starters import MULTI_LABEL
from trainer.tasks.task import PREDICTIONS, Evaluation, Evaluator, MetricSpec, Rows, Task

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn
    from torchmetrics import Metric

    from trainer.input.datasets import DataSet, InMemory
    from trainer.input.loaders import Stream

THRESHOLD = 0.5
"""The probability above which an image is said to have a label."""
MISTAKES = 24
"""How many mistakes are drawn at most."""


@dataclass(frozen=True)
class LabelEvaluation(Evaluation):
    """The probability of each label, float `(N, labels)`, and whether the image has it, bool; the mean loss."""

    probabilities: Tensor
    truth: Tensor
    loss: float

    @property
    def count(self) -> int:
        return len(self.truth)

    @property
    def metrics(self) -> Mapping[str, float]:  # type: ignore[override]
        from trainer.tasks._labels import macro_f1, mean_average_precision

        return {
            "map": float(mean_average_precision(self.probabilities, self.truth)),
            "f1": float(macro_f1(self.probabilities, self.truth)),
        }

    @property
    def found(self) -> Tensor:
        """The labels that are said of each image, bool `(N, labels)`."""
        return self.probabilities > THRESHOLD

    def tables(self, class_names: Sequence[str]) -> Mapping[str, Rows]:
        """The labels of each image and the probabilities of all; average precision, precision, recall, F1 of each."""
        from trainer.tasks._labels import label_scores

        answers = zip(self.truth, self.found, self.probabilities.tolist(), strict=True)
        scores = label_scores(self.probabilities, self.truth)
        columns = [["" if one != one else f"{one:.6f}" for one in scores[name].tolist()] for name in scores]
        return {
            PREDICTIONS: [
                ("truth", "answer", *class_names),
                *(
                    (chosen(truth, class_names), chosen(found, class_names), *(f"{one:.6f}" for one in values))
                    for truth, found, values in answers
                ),
            ],
            "classes": [
                ("class", "images", *scores),
                *zip(class_names, self.truth.sum(0).tolist(), *columns, strict=True),
            ],
        }

    def notes(self, class_names: Sequence[str]) -> Sequence[str]:
        """Whether the network says the same of all images."""
        if self.count > 1 and bool((self.found == self.found[0]).all()):
            said = chosen(self.found[0], class_names) or "no label"
            return (f"the same is said of all test images: {said}",)
        return ()

    def worst(self) -> list[int]:
        """The positions of the images with wrong answers, those with the surest of them first: `MISTAKES` at most."""
        wrong = self.found != self.truth
        sureness = ((self.probabilities - THRESHOLD).abs() * wrong).amax(1)
        order = sureness.argsort(descending=True, stable=True)
        return [int(one) for one in order[wrong.any(1)[order]][:MISTAKES]]


def chosen(which: Tensor, class_names: Sequence[str]) -> str:
    """The labels of an image, with spaces between them."""
    return " ".join(name for name, one in zip(class_names, which.tolist(), strict=True) if one)


class LabelEvaluator(Evaluator):
    """Keeps the probabilities of all labels."""

    def __init__(self) -> None:
        self.probabilities: list[Tensor] = []
        self.truth: list[Tensor] = []

    def update(self, output: Tensor, targets: Tensor) -> None:
        self.probabilities.append(output.float().sigmoid().cpu())
        self.truth.append(targets.cpu() > THRESHOLD)

    def compute(self, loss: float) -> LabelEvaluation:
        import torch

        return LabelEvaluation(torch.cat(self.probabilities), torch.cat(self.truth), loss)


class MultiLabel(Task):
    """Each image has any number of labels; the sigmoid of a network's output is the probability of each."""

    name = "multi_label"
    doc = "Each image has any number of labels, for each of which the network gives a logit."
    targets = "label sets"
    metrics = (
        MetricSpec("map", "max", ".2%", "mAP", "The mean over labels of the average precision."),
        MetricSpec("f1", "max", ".2%", "F1", "The mean over labels of the F1 score of answers above one half."),
    )
    losses = ("binary_cross_entropy",)
    starter = MULTI_LABEL
    mixes = True

    def evaluation_batch(self, recipe: Recipe) -> int:
        return 256

    def check(self, plan: Plan, data: DataSet, *, num_classes_given: bool) -> None:
        for what, shape in (
            (plan.title, plan.output),
            *((f"the auxiliary classifier `{aux.name}` of {plan.title}", aux.shape) for aux in plan.aux.values()),
        ):
            if shape == (data.classes,):
                continue
            cure = "end the network in `- linear: =num_classes`, with `vars: {num_classes: 10}`"
            if num_classes_given:
                cure = "leave `num_classes` alone: it follows the data set"
            raise UsageError(
                f"the data set `{data.name}` has {data.classes} labels, but {what} gives {show(shape)}", help=cure
            )

    def make_term(self, name: str, options: dict[str, Any]) -> nn.Module:
        """A loss of logits and targets from 0 to 1, both `(N, labels)`."""
        from trainer.tasks._losses import BinaryCrossEntropy

        return BinaryCrossEntropy(**options)

    def make_metrics(self, plan: Plan) -> dict[str, Metric]:
        """The mean over labels of the average precision, and of F1."""
        from trainer.tasks._labels import LabelScore

        return {one.name: LabelScore(one.name) for one in self.metrics}

    def evaluator(self) -> LabelEvaluator:
        return LabelEvaluator()

    def predict(self, output: Tensor, class_names: Sequence[str] | None, top: int) -> dict[str, Any]:
        """The labels whose probability is above one half, and the likeliest ones with their probabilities."""
        probabilities = output.float().sigmoid().cpu().tolist()
        names = list(class_names or map(str, range(len(probabilities))))
        order = sorted(range(len(names)), key=lambda number: (-probabilities[number], number))
        return {
            "labels": [names[number] for number in order if probabilities[number] > THRESHOLD],
            "top": [
                {"class": names[number], "index": number, "probability": probabilities[number]}
                for number in order[:top]
            ],
        }

    def describe(self, prediction: Mapping[str, Any]) -> str:
        """All labels, and the probability of those that are among the likeliest."""
        known = {one["class"]: f" {one['probability']:.1%}" for one in prediction["top"]}
        return ", ".join(f"{name}{known.get(name, '')}" for name in prediction["labels"]) or "no label"

    def draw(self, folder: Path, found: Evaluation, part: InMemory | Stream, class_names: Sequence[str]) -> None:
        """The surest mistakes."""
        from trainer import drawing

        assert isinstance(found, LabelEvaluation)
        if wrong := found.worst():
            titles = [
                f"{file}\nhas {chosen(found.truth[i], class_names) or 'none'}\n"
                f"answer {chosen(found.found[i], class_names) or 'none'}"
                for i, file in zip(wrong, drawing.files_at(part, wrong), strict=True)
            ]
            title = "the surest of the wrong answers"
            drawing.grid(drawing.batch_at(part, wrong)[0], titles, folder / "mistakes.png", 6, title)


TASK = MultiLabel()

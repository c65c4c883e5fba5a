"""The regression of images: of each, one number or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import show
from archspec.plan.plan import Plan
from archspec.recipe import Recipe
from trainer.tasks._starters import REGRESSION
from trainer.tasks.task import PREDICTIONS, Evaluation, Evaluator, MetricSpec, Rows, Task

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn
    from torchmetrics import Metric

    from trainer.input.datasets import DataSet, InMemory
    from trainer.input.loaders import Stream

WORST = 24
"""How many images are drawn at most, those whose numbers are furthest off."""


@dataclass(frozen=True)
class NumberEvaluation(Evaluation):
    """The predicted numbers and the targets, floats `(N, K)` in the targets' units; the mean loss."""

    output: Tensor
    targets: Tensor
    loss: float

    @property
    def count(self) -> int:
        return len(self.targets)

    @property
    def metrics(self) -> Mapping[str, float]:  # type: ignore[override]
        from trainer.tasks._numbers import SCORES

        return {name: float(score(self.output, self.targets)) for name, score in SCORES.items()}

    def tables(self, class_names: Sequence[str]) -> Mapping[str, Rows]:
        """`predictions.csv`: each number and its prediction; `numbers.csv`: MAE, RMSE and R² of each."""
        from trainer.tasks._numbers import number_scores

        scores = number_scores(self.output, self.targets)
        columns = [["" if one != one else one for one in values.tolist()] for values in scores.values()]
        answers = zip(self.targets.tolist(), self.output.tolist(), strict=True)
        return {
            PREDICTIONS: [
                [one for name in class_names for one in (name, f"{name} predicted")],
                *([shorten(one) for pair in zip(*row, strict=True) for one in pair] for row in answers),
            ],
            "numbers": [["number", *scores], *map(list, zip(class_names, *columns, strict=True))],
        }

    def notes(self, class_names: Sequence[str]) -> Sequence[str]:
        """Which numbers the mean of the test images would do as well for."""
        from trainer.tasks._numbers import number_scores

        scores = number_scores(self.output, self.targets)["R2"].tolist()
        return [
            f"R² of `{name}` is {score:.3f}: its mean as the answer to all test images would do as well"
            for name, score in zip(class_names, scores, strict=True)
            if score <= 0
        ]

    def worst(self) -> list[int]:
        """The positions of the images whose numbers are furthest off by the spread of each, the furthest first."""
        errors = (self.output - self.targets).abs() / self.targets.std(0, correction=0).clamp(min=1e-12)
        return [int(one) for one in errors.amax(1).argsort(descending=True, stable=True)][:WORST]


def shorten(value: float) -> float:
    """A float32 number without the digits that are not known."""
    return float(f"{value:.7g}")


class NumberEvaluator(Evaluator):
    """Keeps all numbers."""

    def __init__(self) -> None:
        self.output: list[Tensor] = []
        self.targets: list[Tensor] = []

    def update(self, output: Tensor, targets: Tensor) -> None:
        self.output.append(output.float().cpu())
        self.targets.append(targets.cpu())

    def compute(self, loss: float) -> NumberEvaluation:
        import torch

        return NumberEvaluation(torch.cat(self.output), torch.cat(self.targets), loss)


class Regression(Task):
    """Each image has numbers; a network gives each in standard deviations from the mean of the training images."""

    name = "regression"
    doc = "Each image has one number or several, which the network gives."
    targets = "numbers"
    metrics = (
        MetricSpec("mae", "min", ".5g", "MAE", "The mean absolute error, in the units of the numbers."),
        MetricSpec("rmse", "min", ".5g", "RMSE", "The root of the mean squared error, in the units of the numbers."),
        MetricSpec(
            "r2",
            "max",
            ".4f",
            "R²",
            "The share of the variance that is explained: 1 is perfect, 0 what the mean would reach.",
        ),
    )
    losses = ("mean_squared_error", "mean_absolute_error", "charbonnier", "smooth_l1")
    starter = REGRESSION

    def evaluation_batch(self, recipe: Recipe) -> int:
        return 256

    def check(self, plan: Plan, data: DataSet, *, num_classes_given: bool) -> None:
        count = data.classes
        for what, shape in (
            (plan.title, plan.output),
            *((f"the auxiliary output `{aux.name}` of {plan.title}", aux.shape) for aux in plan.aux.values()),
        ):
            if shape != (count,):
                raise UsageError(
                    f"the data set `{data.name}` has {count} number{'s' * (count > 1)} for each image, but {what} "
                    f"gives {show(shape)}",
                    help="leave `num_classes` alone: it follows the data set"
                    if num_classes_given
                    else f"end the network in `- linear: {count}`",
                )
        first = data.train.labels[0].tolist()
        for name, value, fixed in zip(
            data.class_names, first, (data.train.labels == data.train.labels[0]).all(0).tolist(), strict=True
        ):
            if fixed:
                raise UsageError(
                    f"`{name}` is {value:g} for all training images of `{data.name}`: there is nothing to learn",
                    help="leave the column out",
                )

    def make_loss(self, recipe: Recipe, outputs: int = 1) -> nn.Module:
        """The recipe's loss, of numbers and targets in the targets' units."""
        from trainer.tasks._numbers import InDeviations

        return InDeviations(super().make_loss(recipe), outputs)

    def make_term(self, name: str, options: dict[str, Any]) -> nn.Module:
        """A loss of numbers and targets `(N, K)`, both in standard deviations of the training targets."""
        from trainer.tasks._losses import of_numbers

        return of_numbers(name, options)

    def make_answer(self, plan: Plan) -> nn.Module:
        from trainer.tasks._numbers import InUnits

        return InUnits(plan.output[0])

    def fit_answer(self, answer: nn.Module | None, loss: nn.Module, targets: Tensor) -> None:
        """Take mean and standard deviation of the training targets; 1 where that is 0."""
        from trainer.tasks._numbers import InDeviations, InUnits

        assert isinstance(answer, InUnits)
        assert isinstance(loss, InDeviations)
        exact = targets.double()
        std = exact.std(0, correction=0).float()
        std[std == 0] = 1
        answer.mean, answer.std = exact.mean(0).float(), std
        loss.std = std.clone()

    def make_metrics(self, plan: Plan) -> dict[str, Metric]:
        """MAE, RMSE and R² of all images together, means over the numbers."""
        from trainer.tasks._numbers import NumberScore

        return {one.name: NumberScore(one.name) for one in self.metrics}

    def evaluator(self) -> NumberEvaluator:
        return NumberEvaluator()

    def predict(self, output: Tensor, class_names: Sequence[str] | None, top: int) -> dict[str, Any]:
        """Each number by its name."""
        names = class_names or list(map(str, range(len(output))))
        return {"numbers": {name: shorten(value) for name, value in zip(names, output.tolist(), strict=True)}}

    def describe(self, prediction: Mapping[str, Any]) -> str:
        return ", ".join(f"{name} {value:.6g}" for name, value in prediction["numbers"].items())

    def draw(self, folder: Path, found: Evaluation, part: InMemory | Stream, class_names: Sequence[str]) -> None:
        """Each number against its prediction, and the images that are furthest off."""
        from trainer import drawing
        from trainer.tasks._scatter import scatter

        assert isinstance(found, NumberEvaluation)
        scatter(found.targets, found.output, class_names, folder / "scatter.png")
        worst = found.worst()
        shown = range(min(2, len(class_names)))
        titles = [
            "\n".join([file, *(f"{found.targets[i, k]:.4g} → {found.output[i, k]:.4g}" for k in shown)])
            for i, file in zip(worst, drawing.files_at(part, worst), strict=True)
        ]
        title = "the test images whose numbers are furthest off: number → answer"
        drawing.grid(drawing.batch_at(part, worst)[0], titles, folder / "mistakes.png", 6, title)


TASK = Regression()

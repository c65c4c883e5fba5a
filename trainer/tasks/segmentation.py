"""The segmentation of images: each pixel is of one class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import Shape, show
from archspec.plan.plan import Plan
from archspec.recipe import Recipe
from trainer.tasks._starters import SEGMENTATION
from trainer.tasks.task import Evaluation, Evaluator, MetricSpec, Rows, Task

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image
    from torch import Tensor, nn
    from torchmetrics import Metric

    from trainer.input.datasets import DataSet, InMemory
    from trainer.input.loaders import Stream

SHOWN = 4
"""How many images are drawn: so many of the first, and so many of the worst."""


@dataclass(frozen=True)
class PixelEvaluation(Evaluation):
    """How often pixels of a class (row) are taken for a class (column), int64 `(classes, classes)`; the mean loss.

    `masks` holds the predicted masks, uint8 `(H, W)`, of the first and the worst images by their positions, and
    `scores` the mean IoU of each image.
    """

    confusion: Tensor
    loss: float
    scores: list[float]
    masks: dict[int, Tensor]

    @property
    def count(self) -> int:
        return len(self.scores)

    @property
    def metrics(self) -> Mapping[str, float]:  # type: ignore[override]
        from trainer.tasks._confusion import SCORES

        return {one.name: float(SCORES[one.name](self.confusion)) for one in TASK.metrics}

    def tables(self, class_names: Sequence[str]) -> Mapping[str, Rows]:
        """`classes.csv`: IoU, Dice, precision and recall of each class, and its pixels."""
        from trainer.tasks._confusion import class_scores

        scores = class_scores(self.confusion)
        rows = [
            [name, *("" if value != value else value for value in values), int(pixels)]
            for name, *values, pixels in zip(
                class_names, *(scores[one].tolist() for one in scores), self.confusion.sum(1).tolist(), strict=True
            )
        ]
        return {"classes": [["class", *scores, "pixels"], *rows]}


class PixelEvaluator(Evaluator):
    """Adds up the pixels, and keeps the masks that are drawn."""

    def __init__(self) -> None:
        self.confusion: Tensor | None = None
        self.scores: list[float] = []
        self.masks: dict[int, Tensor] = {}

    def update(self, output: Tensor, targets: Tensor) -> None:
        from trainer.tasks._confusion import SCORES
        from trainer.tasks._pixels import confusions, predicted_masks

        found = predicted_masks(output, targets.shape[1:])
        counts = confusions(found, targets, output.shape[1])
        total = counts.sum(0).cpu()
        self.confusion = total if self.confusion is None else self.confusion + total
        first = len(self.scores)
        self.scores += [float(SCORES["mean_iou"](one)) for one in counts.cpu()]
        self.masks |= {first + number: mask for number, mask in enumerate(found.byte().cpu())}
        kept = {*range(SHOWN), *self.worst()}
        self.masks = {position: mask for position, mask in self.masks.items() if position in kept}

    def worst(self) -> list[int]:
        """The positions of the images with the lowest mean IoU, the lowest first."""
        return sorted(range(len(self.scores)), key=lambda position: (self.scores[position], position))[:SHOWN]

    def compute(self, loss: float) -> PixelEvaluation:
        assert self.confusion is not None
        masks = {
            position: self.masks[position] for position in [*range(SHOWN), *self.worst()] if position in self.masks
        }
        return PixelEvaluation(self.confusion, loss, self.scores, masks)


class Segmentation(Task):
    """Each pixel is of one class, to which a network gives the greatest logit."""

    name = "segmentation"
    doc = "Each pixel is of one class, to which the network gives the greatest logit."
    targets = "masks"
    metrics = (
        MetricSpec(
            "mean_iou",
            "max",
            ".2%",
            "mean IoU",
            "The mean over classes of intersection over union, of all pixels together.",
        ),
        MetricSpec(
            "dice", "max", ".2%", "Dice", "The mean over classes of Dice's coefficient, of all pixels together."
        ),
    )
    losses = ("cross_entropy", "dice", "focal", "tversky")
    starter = SEGMENTATION

    def check(self, plan: Plan, data: DataSet, *, num_classes_given: bool) -> None:
        for what, shape in (
            (plan.title, plan.output),
            *((f"the auxiliary classifier `{aux.name}` of {plan.title}", aux.shape) for aux in plan.aux.values()),
        ):
            if len(shape) == 3 and shape[0] == data.classes:
                continue
            cure = "end the network in `- conv: {out: =num_classes, kernel: 1}`, with `vars: {num_classes: 2}`"
            if num_classes_given:
                cure = "leave `num_classes` alone: it follows the data set"
            raise UsageError(
                f"the data set `{data.name}` has masks of {data.classes} classes, for an output of "
                f"{data.classes}×H×W, but {what} gives {show(shape)}",
                help=cure,
            )

    def make_term(self, name: str, options: dict[str, Any]) -> nn.Module:
        """A loss of logits `(N, classes, H, W)`, of the size of the masks or another, and masks `(N, H, W)`."""
        from trainer.tasks._losses import Dice, OfPixels, Tversky
        from trainer.tasks._pixels import Resized

        if name == "focal":
            return Resized(OfPixels(**{"gamma": 2.0, **options}))
        kinds: dict[str, type[nn.Module]] = {"cross_entropy": OfPixels, "dice": Dice, "tversky": Tversky}
        return Resized(kinds[name](**options))

    def check_recipe(self, recipe: Recipe, plan: Plan, class_names: Sequence[str]) -> None:
        """Raises `UsageError` where a loss weighs classes that there are not, or by how many images they have."""
        if any(one.options.get("weight") == "balanced" for one in recipe.loss.parts):
            raise UsageError(
                "`weight: balanced` counts the images of each class, and an image has pixels of several",
                help="give the weight of each class, `--set 'train.loss.weight={NAME: 2}'` for example",
            )
        super().check_recipe(recipe, plan, class_names)

    def make_metrics(self, plan: Plan) -> dict[str, Metric]:
        """Mean IoU and Dice of all pixels together, means over the classes that occur."""
        from trainer.tasks._pixels import PixelScore

        return {one.name: PixelScore(plan.output[0], one.name) for one in self.metrics}

    def evaluator(self) -> PixelEvaluator:
        return PixelEvaluator()

    def predict(self, output: Tensor, class_names: Sequence[str] | None, top: int) -> dict[str, Any]:
        """The classes that take up most of the image, and their shares of it."""
        classes = len(output)
        counts = output.argmax(0).flatten().bincount(minlength=classes).tolist()
        order = sorted(range(classes), key=lambda number: (-counts[number], number))
        return {
            "top": [
                {
                    "class": class_names[number] if class_names else str(number),
                    "index": number,
                    "share": counts[number] / sum(counts),
                }
                for number in order[:top]
            ]
        }

    def describe(self, prediction: Mapping[str, Any]) -> str:
        return ", ".join(f"{one['class']} {one['share']:.1%}" for one in prediction["top"] if one["share"])

    def picture(self, output: Tensor, size: tuple[int, int], input: Shape) -> Image:
        """The mask of an image of this height and width: the classes as the indices of a palette."""
        from PIL import Image

        from trainer.tasks._pixels import palette, predicted_masks

        mask = Image.fromarray(predicted_masks(output[None], size)[0].byte().cpu().numpy(), "P")
        mask.putpalette(palette(256).flatten().tolist())
        return mask

    def draw(self, folder: Path, found: Evaluation, part: InMemory | Stream, class_names: Sequence[str]) -> None:
        """Images with the masks that are meant and those that are predicted; the confusion of classes."""
        from trainer import drawing
        from trainer.tasks._pixels import draw_masks

        assert isinstance(found, PixelEvaluation)
        drawing.confusion(found.confusion, class_names, folder / "confusion.png", what="pixels")
        draw_masks(found.masks, found.scores, part, class_names, folder / "masks.png", SHOWN)


TASK = Segmentation()

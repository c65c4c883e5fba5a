"""The regression of images on images: less noise, more pixels, or how far away everything is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import Shape, show
from archspec.plan.plan import Plan
from archspec.recipe import Recipe
from trainer.tasks._starters import IMAGE_REGRESSION
from trainer.tasks.task import PREDICTIONS, Evaluation, Evaluator, MetricSpec, Rows, Task

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image
    from torch import Tensor, nn
    from torchmetrics import Metric

    from trainer.input.datasets import DataSet, InMemory
    from trainer.input.files import Files
    from trainer.input.loaders import Stream

SHOWN = 4
"""How many images are drawn: so many of the first, and so many of the worst."""


@dataclass(frozen=True)
class ImageEvaluation(Evaluation):
    """The scores of each image, floats `(N,)` by their names; the mean loss.

    `answers` holds what the network gives, uint8 `(C, H, W)`, of the first and the worst images by their positions.
    """

    scores: Mapping[str, Tensor]
    loss: float
    answers: dict[int, Tensor]

    @property
    def count(self) -> int:
        return len(self.scores["psnr"])

    @property
    def metrics(self) -> Mapping[str, float]:  # type: ignore[override]
        return {name: float(values.double().mean()) for name, values in self.scores.items()}

    def tables(self, class_names: Sequence[str]) -> Mapping[str, Rows]:
        """`predictions.csv`: the scores of each image."""
        rows = zip(*(values.tolist() for values in self.scores.values()), strict=True)
        return {PREDICTIONS: [list(self.scores), *([f"{one:.6g}" for one in row] for row in rows)]}


class ImageEvaluator(Evaluator):
    """Keeps the scores of all images, and the answers that are drawn."""

    def __init__(self) -> None:
        self.scores: dict[str, list[Tensor]] = {}
        self.answers: dict[int, Tensor] = {}
        self.psnr: list[float] = []

    def update(self, output: Tensor, targets: Tensor) -> None:
        from trainer.tasks._image_scores import as_pixels, image_scores

        scores = {name: values.cpu() for name, values in image_scores(output, targets).items()}
        for name, values in scores.items():
            self.scores.setdefault(name, []).append(values)
        first = len(self.psnr)
        self.psnr += scores["psnr"].tolist()
        kept = {*range(SHOWN), *self.worst()}
        self.answers = {position: answer for position, answer in self.answers.items() if position in kept}
        for number in range(len(targets)):
            if first + number in kept:
                self.answers[first + number] = as_pixels(output[number]).cpu()

    def worst(self) -> list[int]:
        """The positions of the images with the lowest PSNR, the lowest first."""
        return sorted(range(len(self.psnr)), key=lambda position: (self.psnr[position], position))[:SHOWN]

    def compute(self, loss: float) -> ImageEvaluation:
        import torch

        order = [position for position in dict.fromkeys([*range(SHOWN), *self.worst()]) if position in self.answers]
        scores = {name: torch.cat(values) for name, values in self.scores.items()}
        return ImageEvaluation(scores, loss, {position: self.answers[position] for position in order})


class ImageRegression(Task):
    """Each image has a target image; a network gives it in standard deviations from the mean of each channel."""

    name = "image_regression"
    doc = "Each image has a target image, as large or a multiple of it, which the network gives."
    targets = "images"
    metrics = (
        MetricSpec(
            "psnr", "max", ".2f", "PSNR (dB)", "The ratio of the greatest value to the error, in decibels; 100 at most."
        ),
        MetricSpec("ssim", "max", ".4f", "SSIM", "The structural similarity, 1 of equal images."),
        MetricSpec("mae", "min", ".4f", "MAE", "The mean absolute error of values from 0 to 1."),
    )
    losses = ("mean_squared_error", "mean_absolute_error", "charbonnier", "smooth_l1")
    starter = IMAGE_REGRESSION

    def measured(self, plan: Plan) -> tuple[MetricSpec, ...]:
        """All, but for SSIM of images that are smaller than its window."""
        from trainer.tasks._image_scores import WINDOW

        return tuple(one for one in self.metrics if one.name != "ssim" or min(plan.output[1:]) >= WINDOW)

    def check(self, plan: Plan, data: DataSet, *, num_classes_given: bool) -> None:
        channels = len(data.class_names)
        for what, shape in (
            (plan.title, plan.output),
            *((f"the auxiliary output `{aux.name}` of {plan.title}", aux.shape) for aux in plan.aux.values()),
        ):
            if len(shape) == 3 and shape[0] == channels and _scale(plan.input, shape):
                continue
            kind = "grey" if channels == 1 else f"of the channels {', '.join(data.class_names)}"
            size = show(plan.input[1:]) if len(plan.input) == 3 else "H×W"
            raise UsageError(
                f"the targets of `{data.name}` are {kind}, for an output of {channels}×{size} or a multiple of that "
                f"height and width, but {what} gives {show(shape)}",
                help=f"end the network in `- conv: {{out: {channels}, kernel: 3, padding: 1}}`; `conv_transpose`, "
                "`upsample` and `pixel_shuffle` enlarge",
            )

    def check_recipe(self, recipe: Recipe, plan: Plan, class_names: Sequence[str]) -> None:
        """Raises `UsageError` where an augmentation cannot move image and larger target alike."""
        from trainer.input.augment_batch import FLIPS, STILL

        uneven = [
            one.name
            for one in recipe.augment
            if one.name not in {*FLIPS, *STILL} and (one.kind.added is None or one.kind.added.moves)
        ]
        scale = _scale(plan.input, plan.output)
        if uneven and scale > 1:
            raise UsageError(
                f"`{uneven[0]}` moves images by pixels, and targets are {scale} times as large as they are",
                help="leave it out of `train.augment`; flips move both alike",
            )

    def fit_data(self, data: DataSet, input: Shape, output: Shape) -> DataSet:
        """The data set with targets of the shape of the output."""
        from trainer.input.datasets import InMemory
        from trainer.input.images import fit_to_input
        from trainer.input.pairs import ImagePairs

        def fitted(part: InMemory | Files) -> InMemory | Files:
            if isinstance(part, InMemory):
                return replace(part, labels=fit_to_input(part.labels, output).contiguous())
            assert isinstance(part, ImagePairs)
            return replace(part, target_shape=output)

        validation = data.validation and fitted(data.validation)
        return replace(data, train=fitted(data.train), test=fitted(data.test), validation=validation)

    def make_loss(self, recipe: Recipe, outputs: int = 1) -> nn.Module:
        """The recipe's loss of values from 0 to 1 and targets uint8."""
        from trainer.tasks._image_scores import OfImages

        return OfImages(super().make_loss(recipe), outputs)

    def make_term(self, name: str, options: dict[str, Any]) -> nn.Module:
        """A loss of images and targets `(N, C, H, W)`, both in standard deviations of the training targets."""
        from trainer.tasks._losses import of_numbers

        return of_numbers(name, options)

    def make_answer(self, plan: Plan) -> nn.Module:
        from trainer.tasks._image_scores import InValues

        return InValues(plan.output[0])

    def fit_answer(self, answer: nn.Module | None, loss: nn.Module, targets: Tensor) -> None:
        """Take mean and standard deviation of each channel of training targets uint8 `(N, C, H, W)`."""
        from trainer.input.images import statistics
        from trainer.tasks._image_scores import InValues, OfImages

        assert isinstance(answer, InValues)
        assert isinstance(loss, OfImages)
        mean, std = (one[:, None, None] for one in statistics(targets, tuple(targets.shape[1:])))
        if (std <= 1e-6).any():
            std = std.where(std > 1e-6, 1.0)
        answer.mean, answer.std = mean, std
        loss.std = std.clone()

    def make_metrics(self, plan: Plan) -> dict[str, Metric]:
        """PSNR, SSIM and MAE, means over the images."""
        from trainer.tasks._image_scores import ImageScore

        return {one.name: ImageScore(one.name) for one in self.measured(plan)}

    def evaluator(self) -> ImageEvaluator:
        return ImageEvaluator()

    def predict(self, output: Tensor, class_names: Sequence[str] | None, top: int) -> dict[str, Any]:
        """The height and width of what the network gives, and the mean of each channel, from 0 to 1."""
        names = class_names or list(map(str, range(len(output))))
        means = output.float().clamp(0, 1).mean((1, 2)).tolist()
        return {"size": list(output.shape[1:]), "mean": dict(zip(names, means, strict=True))}

    def describe(self, prediction: Mapping[str, Any]) -> str:
        height, width = prediction["size"]
        means = ", ".join(f"{name} {value:.3f}" for name, value in prediction["mean"].items())
        return f"an image of {height}×{width}, mean {means}"

    def picture(self, output: Tensor, size: tuple[int, int], input: Shape) -> Image:
        """The answer for an image of this height and width: so many times as large as the output is than the input."""
        from PIL import Image

        from trainer.input.resizing import bring_to_size
        from trainer.tasks._image_scores import as_pixels

        scale = _scale(input, output.shape)
        pixels = bring_to_size(as_pixels(output)[None].cpu(), [side * scale for side in size])[0]
        return Image.fromarray(pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy())

    def draw(self, folder: Path, found: Evaluation, part: InMemory | Stream, class_names: Sequence[str]) -> None:
        """The first images and the worst, each with the network's answer and its target."""
        from trainer.tasks._image_scores import draw_answers

        assert isinstance(found, ImageEvaluation)
        draw_answers(found.answers, found.scores["psnr"], part, folder / "images.png", SHOWN)


def _scale(input: Sequence[int], output: Sequence[int]) -> int:
    """By what an output is larger than the input, in height and width alike; 0 where it is no multiple."""
    if len(input) != 3 or output[1] % input[1] or output[2] % input[2]:
        return 0
    scale = output[1] // input[1]
    return scale if output[2] // input[2] == scale else 0


TASK = ImageRegression()

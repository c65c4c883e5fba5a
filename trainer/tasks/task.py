"""The contract of a task: which targets it learns, its loss, metrics, predictions and pictures.

Tasks are known without torch, so that runs can be listed without it: a task's file imports torch inside its methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.shapes import Shape, show
from archspec.foundation.spelling import did_you_mean
from archspec.plan.plan import Plan
from archspec.recipe import LOSSES, Loss, Recipe

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image
    from torch import Tensor, nn
    from torchmetrics import Metric

    from trainer.input.datasets import DataSet, InMemory
    from trainer.input.loaders import Stream

Rows = Sequence[Sequence[Any]]
"""A table: its headings, then its rows."""


PREDICTIONS = "predictions"
"""The name of a table of an evaluation whose rows are the images."""


@dataclass(frozen=True)
class MetricSpec:
    """Describes a metric: `accuracy` is logged as `val_accuracy`, and kept as `test_accuracy`."""

    name: str
    mode: str
    """`max` if greater is better, else `min`."""
    format_spec: str
    """The format specification of its values."""
    title: str = ""
    """What it is called in tables and pictures, where that is not its name."""
    doc: str = ""
    """What it is, in a line."""
    listed: bool = True
    """Whether tables of runs show it, which would have too many columns otherwise."""

    @property
    def log_name(self) -> str:
        """The name under which its value on the validation images is logged."""
        return f"val_{self.name}"

    @property
    def test_name(self) -> str:
        """The name under which its value on the test images is kept."""
        return f"test_{self.name}"

    @property
    def heading(self) -> str:
        return self.title or self.name.replace("_", " ")

    def show(self, value: float) -> str:
        return format(value, self.format_spec)

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether a value is better than another one, or there is none."""
        return than is None or (value > than if self.mode == "max" else value < than)


class Evaluation(ABC):
    """The metrics of a network's outputs for a whole split."""

    loss: float
    """The mean loss of the images."""
    metrics: Mapping[str, float]
    """The value of each metric that is measured, by its name."""
    added: Mapping[str, float] = MappingProxyType({})
    """The values of metrics that installed packages brought (`trainer.tasks._added`)."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many images were evaluated."""

    def tables(self, class_names: Sequence[str]) -> Mapping[str, Rows]:
        """What more there is to say, as tables by their names; each becomes a CSV file of the run.

        `PREDICTIONS` has a row for each image, in the order of the split; the image's file is put before it.
        """
        return {}

    def notes(self, class_names: Sequence[str]) -> Sequence[str]:
        """What a person should know before trusting the metrics, a line each."""
        return ()


class Evaluator(ABC):
    """Gathers what an evaluation needs of a network's outputs, batch by batch, so that not all have to be kept."""

    @abstractmethod
    def update(self, output: Tensor, targets: Tensor) -> None:
        """Takes a network's output for a batch, and the targets, on the same device."""

    @abstractmethod
    def compute(self, loss: float) -> Evaluation:
        """The evaluation of all batches, whose mean loss is given."""


class Task(ABC):
    """What a network learns."""

    name: str
    """The name of its file, without its suffix."""
    doc: str
    """A line about it."""
    targets: str
    """The kind of targets that it learns, as `DataSet.targets` has it."""
    metrics: tuple[MetricSpec, ...]
    """Its metrics, of validation and test. The first one chooses the best weights of a run."""
    losses: tuple[str, ...]
    """The names of the losses that it can be trained by. The first one is its own, where a recipe names none."""
    starter: str = ""
    """A spec to start from, from `input` on, which `archspec new` writes; empty, where there is none."""
    mixes: bool = False
    """Whether its targets can be mixed, as mixup and cutmix do."""
    balances: bool = False
    """Whether its targets are classes, which `sampler: balanced` can draw equally often."""

    @property
    def metric(self) -> MetricSpec:
        """The metric that chooses the best weights of a run."""
        return self.metrics[0]

    def measured(self, plan: Plan) -> tuple[MetricSpec, ...]:
        """Those of its metrics that are measured of a network."""
        return self.metrics

    def metric_of(
        self, monitor: str | None, key: str = "early_stopping.monitor", plan: Plan | None = None
    ) -> MetricSpec:
        """The metric of a name in logs, `val_…`; the task's first one for `None`. Raises `UsageError`.

        `key` is where in the recipe the name stands; with a `plan`, it has to be measured of that network.
        """
        measured = self.metrics if plan is None else self.measured(plan)
        known = {one.log_name: one for one in measured} | {"val_loss": MetricSpec("loss", "min", ".4f")}
        if monitor is None:
            return self.metric
        if monitor not in known:
            of = f" of {show(plan.output)}" if plan and monitor in (one.log_name for one in self.metrics) else ""
            raise UsageError(
                f"`train.{key}` is `{monitor}`, which {self.name}{of} does not measure",
                help=did_you_mean(monitor, known) or f"choose one of {join_words(known)}",
            )
        return known[monitor]

    def with_loss(self, recipe: Recipe, *, given: bool) -> Recipe:
        """The recipe, with this task's own loss where none is `given`. Raises `UsageError` for another task's loss."""
        from dataclasses import replace

        wrong = [one.name for one in recipe.loss.parts if not self._takes(one)]
        if wrong and not given:
            return replace(recipe, loss=Loss(self.losses[0]))
        if wrong:
            raise UsageError(
                f"the loss `{wrong[0]}` does not fit the task {self.name}",
                help=f"--set train.loss={self.losses[0]}; {join_words(self.losses)} would fit",
            )
        return recipe

    def _takes(self, loss: Loss) -> bool:
        """Whether it can be trained by a loss: one of its own, or of a package that names the task."""
        added = LOSSES[loss.name].added
        return self.name.partition("+")[0] in added.tasks if added else loss.name in self.losses

    def evaluation_batch(self, recipe: Recipe) -> int:
        """How many images are evaluated at once."""
        return recipe.batch_size

    @abstractmethod
    def check(self, plan: Plan, data: DataSet, *, num_classes_given: bool) -> None:
        """Raises `UsageError` where a network's outputs do not fit a data set."""

    def make_loss(self, recipe: Recipe, outputs: int = 1) -> nn.Module:
        """The recipe's loss of a network's output and the targets, a mean over the images.

        `outputs` is how many channels or numbers the network gives.
        """
        from trainer.tasks._losses import ClassWeights, Sum

        def make(one: Loss) -> nn.Module:
            options = one.options
            if (added := LOSSES[one.name].added) is not None:
                module: nn.Module = added.module({each.name: each.default for each in added.arguments} | options)
                return module
            if "weight" in options:
                options["weight"] = ClassWeights(options["weight"], outputs)
            return self.make_term(one.name, options)

        if not recipe.loss.terms:
            return make(recipe.loss)
        return Sum([make(one) for one in recipe.loss.terms], [one.factor for one in recipe.loss.terms])

    @abstractmethod
    def make_term(self, name: str, options: dict[str, Any]) -> nn.Module:
        """One of the task's losses by its name, with those of its arguments that are given.

        The weights of classes are a `trainer.tasks._losses.ClassWeights`.
        """

    def make_answer(self, plan: Plan) -> nn.Module | None:
        """What makes of a network's output that of the trained module, if anything; it is given to loss and metrics."""
        return None

    def fit_answer(  # noqa: B027 - there may be nothing to fit
        self, answer: nn.Module | None, loss: nn.Module, targets: Tensor
    ) -> None:
        """Set what `make_answer` and `make_loss` have made by the training targets, before the first step."""

    def fit_data(self, data: DataSet, input: Shape, output: Shape) -> DataSet:
        """The data set with targets of the form in which a network of these shapes gives them."""
        return data

    def check_recipe(self, recipe: Recipe, plan: Plan, class_names: Sequence[str]) -> None:
        """Raises `UsageError` where a recipe does not fit network and targets: a loss weighs classes there are not."""
        for one in recipe.loss.parts:
            weight = one.options.get("weight")
            unknown = [name for name in weight if name not in class_names] if isinstance(weight, Mapping) else []
            if unknown:
                raise UsageError(
                    f"`train.loss` weighs the class `{unknown[0]}`, which the data set does not have",
                    help=did_you_mean(unknown[0], class_names) or f"the classes are {join_words(class_names)}",
                )

    def fit_weights(self, loss: nn.Module, targets: Tensor, class_names: Sequence[str]) -> None:
        """Set the weights of classes in what `make_loss` has made, by the training targets, before the first step."""
        from trainer.tasks._losses import ClassWeights

        for part in loss.modules():
            if isinstance(part, ClassWeights):
                part.fit(targets, class_names)

    @abstractmethod
    def make_metrics(self, plan: Plan) -> dict[str, Metric]:
        """The torchmetrics metric of each name, to be updated by a network's output and the targets."""

    @abstractmethod
    def evaluator(self) -> Evaluator:
        """What gathers the outputs for a split."""

    @abstractmethod
    def predict(self, output: Tensor, class_names: Sequence[str] | None, top: int) -> dict[str, Any]:
        """The prediction for one image by a network's output (JSON types). `top`: how many classes at most."""

    @abstractmethod
    def describe(self, prediction: Mapping[str, Any]) -> str:
        """A prediction in a line."""

    def picture(self, output: Tensor, size: tuple[int, int], input: Shape) -> Image | None:
        """A prediction as an image file, for an image of this height and width; `None` where it is none.

        `input` is the shape of the network's input.
        """
        return None

    def draw(  # noqa: B027 - there may be none
        self, folder: Path, found: Evaluation, part: InMemory | Stream, class_names: Sequence[str]
    ) -> None:
        """Draw the pictures of an evaluation of the test images into a run's folder."""

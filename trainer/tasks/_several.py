"""Several outputs with a task and targets each, as one task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from archspec.foundation.errors import UsageError, join_words
from archspec.plan.plan import Plan
from archspec.recipe import Recipe
from archspec.recipe.outputs import MAIN
from trainer.tasks._heads import HeadPlan
from trainer.tasks.task import PREDICTIONS, Evaluation, Evaluator, MetricSpec, Rows, Task

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn
    from torchmetrics import Metric

    from trainer.input.datasets import DataSet, InMemory
    from trainer.input.loaders import Stream


@dataclass(frozen=True)
class Head:
    """An output and its task, which learns some columns of the targets."""

    output: str
    task: Task
    start: int
    width: int

    def targets(self, every: Tensor) -> Tensor:
        """Its own targets, as its task takes them, of those of all `(N, T)`."""
        own = every[:, self.start : self.start + self.width]
        return own[:, 0].long() if self.task.targets == "classes" else own

    def names(self, every: Sequence[str] | None) -> list[str]:
        """The names of its classes or numbers, of `OUTPUT=name` of all outputs."""
        begin = f"{self.output}="
        return [name.removeprefix(begin) for name in every or () if name.startswith(begin)]

    def plan(self, plan: Plan) -> Plan:
        return plan if self.output == MAIN else HeadPlan.of(plan, self.output)


class Several(Task):
    """Outputs of which each has a task and targets of its own. The first one's first metric is the task's.

    Its name says all: `species=classification:1,main=regression:2` has a class for the output `species` and two numbers
    for the last output. What networks give is a mapping of the outputs' names to tensors.
    """

    doc = "Each output learns targets of its own."
    targets = "targets of several outputs"

    def __init__(self, name: str) -> None:
        from trainer.tasks import load

        self.name = name
        heads: list[Head] = []
        for part in name.split(","):
            output, _, rest = part.partition("=")
            task, _, width = rest.partition(":")
            heads.append(Head(output, load(task), sum(one.width for one in heads), int(width)))
        self.heads = tuple(heads)
        self.metrics = tuple(
            replace(one, name=f"{head.output}_{one.name}", title=f"{head.output} {one.heading}")
            for head in heads
            for one in head.task.metrics
        )
        self.losses = tuple(dict.fromkeys(loss for head in heads for loss in head.task.losses))

    def measured(self, plan: Plan) -> tuple[MetricSpec, ...]:
        names = {f"{head.output}_{m.name}" for head in self.heads for m in head.task.measured(head.plan(plan))}
        return tuple(one for one in self.metrics if one.name in names)

    def with_loss(self, recipe: Recipe, *, given: bool) -> Recipe:
        if given and recipe.loss != Recipe.loss:  # a run's own recipe says the default
            raise UsageError(
                "`train.loss` is one loss, and `train.outputs` gives each output a task of its own",
                help="leave `loss` out: each output is trained by the loss of its task",
            )
        return recipe

    def evaluation_batch(self, recipe: Recipe) -> int:
        return 256

    def check(self, plan: Plan, data: DataSet, *, num_classes_given: bool) -> None:
        if plan.aux:
            raise UsageError(
                f"{plan.title} has the auxiliary classifier{'s' * (len(plan.aux) > 1)} {join_words(plan.aux)}, and "
                "outputs with targets of their own: what these would learn is not said",
                help="leave them out, or make outputs of them",
            )
        for head in self.heads:
            names = tuple(head.names(data.class_names))
            train = replace(data.train, labels=head.targets(data.train.labels))
            own = replace(data, class_names=names, targets=head.task.targets, train=train)
            head.task.check(head.plan(plan), own, num_classes_given=False)

    def make_loss(self, recipe: Recipe, outputs: int = 1) -> nn.Module:
        from trainer.tasks._several_modules import SeveralLosses

        assert recipe.outputs is not None
        weights = recipe.outputs.head_weights
        losses = [head.task.make_loss(head.task.with_loss(recipe, given=False), head.width) for head in self.heads]
        return SeveralLosses(self.heads, losses, [weights[head.output] for head in self.heads])

    def make_term(self, name: str, options: dict[str, Any]) -> nn.Module:
        raise AssertionError("each output has a loss of its own")

    def make_answer(self, plan: Plan) -> nn.Module:
        from trainer.tasks._several_modules import SeveralAnswers

        return SeveralAnswers({head.output: head.task.make_answer(head.plan(plan)) for head in self.heads})

    def fit_answer(self, answer: nn.Module | None, loss: nn.Module, targets: Tensor) -> None:
        from trainer.tasks._several_modules import SeveralAnswers, SeveralLosses

        assert isinstance(answer, SeveralAnswers)
        assert isinstance(loss, SeveralLosses)
        for head, one in zip(self.heads, loss.losses, strict=True):
            head.task.fit_answer(answer.of(head.output), one, head.targets(targets))

    def make_metrics(self, plan: Plan) -> dict[str, Metric]:
        from trainer.tasks._several_modules import MetricOfOne

        return {
            f"{head.output}_{name}": MetricOfOne(head, metric)
            for head in self.heads
            for name, metric in head.task.make_metrics(head.plan(plan)).items()
        }

    def evaluator(self) -> Evaluator:
        return SeveralEvaluator(self.heads)

    def predict(self, output: Any, class_names: Sequence[str] | None, top: int) -> dict[str, Any]:
        """Of each output the likeliest class and its probability, or its numbers."""
        made: dict[str, Any] = {}
        for head in self.heads:
            found = head.task.predict(output[head.output], head.names(class_names), 1)
            if "numbers" in found:
                made[head.output] = found["numbers"]
            else:
                best = found["top"][0]
                made[head.output] = {head.output: best["class"], f"{head.output} probability": best["probability"]}
        return made

    def describe(self, prediction: Mapping[str, Any]) -> str:
        said = []
        for output, found in prediction.items():
            if output in found:
                said.append(f"{output} {found[output]} {found[f'{output} probability']:.1%}")
            else:
                said += [f"{name} {value:.6g}" for name, value in found.items()]
        return ", ".join(said)

    def draw(self, folder: Path, found: Evaluation, part: InMemory | Stream, class_names: Sequence[str]) -> None:
        """The pictures of each output, in a folder of its own."""
        assert isinstance(found, SeveralEvaluation)
        for head, one in found.parts:
            (folder / head.output).mkdir(exist_ok=True)
            head.task.draw(folder / head.output, one, part, head.names(class_names))


@dataclass(frozen=True)
class SeveralEvaluation(Evaluation):
    """The evaluation of each output, and the mean loss of all together."""

    parts: tuple[tuple[Head, Evaluation], ...]
    loss: float

    @property
    def count(self) -> int:
        return self.parts[0][1].count

    @property
    def metrics(self) -> Mapping[str, float]:  # type: ignore[override]
        return {f"{head.output}_{name}": value for head, one in self.parts for name, value in one.metrics.items()}

    def tables(self, class_names: Sequence[str]) -> Mapping[str, Rows]:
        """The predictions of all outputs side by side; the other tables under the outputs' names."""
        made: dict[str, Rows] = {}
        answers: list[list[Any]] = [[] for _ in range(self.count + 1)]
        for head, one in self.parts:
            for name, rows in one.tables(head.names(class_names)).items():
                if name != PREDICTIONS:
                    made[f"{head.output}_{name}"] = rows
                    continue
                headings = [f"{head.output} {heading}" for heading in rows[0]]
                for line, row in zip(answers, [headings, *rows[1:]], strict=True):
                    line += row
        return {PREDICTIONS: answers, **made}

    def notes(self, class_names: Sequence[str]) -> Sequence[str]:
        return [f"{head.output}: {note}" for head, one in self.parts for note in one.notes(head.names(class_names))]


class SeveralEvaluator(Evaluator):
    """Gathers what each output's own evaluator needs."""

    def __init__(self, heads: Sequence[Head]) -> None:
        self.parts = [(head, head.task.evaluator()) for head in heads]

    def update(self, output: Any, targets: Tensor) -> None:
        for head, one in self.parts:
            one.update(output[head.output], head.targets(targets))

    def compute(self, loss: float) -> SeveralEvaluation:
        return SeveralEvaluation(tuple((head, one.compute(loss)) for head, one in self.parts), loss)


def rows_of(outputs: Any) -> Iterator[Any]:
    """What a network gives for each sample of a batch: a tensor, or of several outputs a mapping of these."""
    if not isinstance(outputs, dict):
        yield from outputs
        return
    for row in range(len(next(iter(outputs.values())))):
        yield {name: one[row] for name, one in outputs.items()}

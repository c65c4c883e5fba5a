"""A range test of the learning rate: it rises step by step, until the loss does too (https://arxiv.org/abs/1506.01186)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback

from archspec.foundation.errors import UsageError
from trainer.figures import BLUE, GREY, VERMILLION, figure_of, save
from trainer.processes.group import ProcessGroup
from trainer.runs import writing
from trainer.runs.job import Job
from trainer.trial.steps import try_out

LOWEST, HIGHEST = 1e-7, 10.0
STEPS = 100
"""Steps of the optimizer at most, over which the rate rises by the same factor each."""
SMOOTHING = 0.9
"""What share of itself the average of the losses keeps at each step."""
DIVERGED = 4.0
"""The test ends where the average is so many times the least one."""
SKIPPED = 10
"""Of the first steps, whose average is that of few losses, none is suggested."""


@dataclass(frozen=True)
class RangeTest:
    """Each step's learning rate and loss, and the average of the losses up to it."""

    rates: Sequence[float]
    losses: Sequence[float]
    smooth: Sequence[float]

    @property
    def suggestion(self) -> float | None:
        """The rate at which the average falls fastest; `None` where it never falls."""
        slopes = {
            i: self.smooth[i + 1] - self.smooth[i - 1] for i in range(SKIPPED, len(self.smooth) - 1)
        }  # rates are evenly spaced by their logarithm
        best = min(slopes, key=slopes.__getitem__, default=None)
        return None if best is None or slopes[best] >= 0 else self.rates[best]

    @property
    def least(self) -> float:
        """The rate at which the average is least: beyond it, training diverges."""
        return self.rates[min(range(len(self.smooth)), key=self.smooth.__getitem__)]

    def write(self, folder: Path) -> list[Path]:
        """Write the steps as `lr_find.csv`, and draw them, as PNG and SVG, into a folder."""
        rows = zip(self.rates, self.losses, self.smooth, strict=True)
        writing.write_table(folder / "lr_find.csv", [["lr", "loss", "average"], *rows])
        self._draw(folder / "lr_find.png")
        return [folder / f"lr_find.{suffix}" for suffix in ("csv", "png", "svg")]

    def _draw(self, file: Path) -> None:
        figure, (axes,) = figure_of(4.6, 3.0, 1)
        axes.plot(self.rates, self.losses, ".", color=GREY, markersize=3, alpha=0.6, label="loss of a batch")
        axes.plot(self.rates, self.smooth, color=BLUE, label="its average")
        if (rate := self.suggestion) is not None:
            axes.axvline(rate, color=VERMILLION, linestyle="--", linewidth=1.2, label=f"suggested: {rate:.1e}")
        low, high = min(self.smooth), max(self.smooth[: SKIPPED + 1])
        margin = 0.3 * (high - low) + 1e-9
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(low - margin, high + margin))
        axes.grid(alpha=0.25, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(frameon=False, fontsize=8, loc="outside upper center", ncols=3)
        save(figure, file)


def find_rate(job: Job, group: ProcessGroup, workers: int | None = None) -> RangeTest:
    """Train a new module of a job while its learning rate rises from `LOWEST` to `HIGHEST`.

    Everything else is as the recipe says, but for schedule, warm-up, averages and early stopping, which a few steps do
    not have. Raises `UsageError` where it runs out of memory, or its first losses are not finite.
    """
    recipe = replace(
        job.recipe,
        epochs=None,
        steps=STEPS,
        schedule=None,
        warmup=None,
        ema=None,
        early_stopping=None,
        validation=0,
        monitor=None,
    )
    rising = _Rising()
    try_out(replace(job, recipe=recipe), group, [rising], workers=workers)
    if len(rising.losses) <= SKIPPED:
        raise UsageError(
            f"the loss is not finite after {len(rising.losses)} steps at a learning rate of at most "
            f"{rising.rate(len(rising.losses)):.1e}",
            help="look at the initial weights (`init`), and at what the network's last layer gives",
        )
    return RangeTest(rising.rates, rising.losses, rising.smooth)


class _Rising(Callback):
    """Sets the rate of each step, and keeps its loss."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.smooth: list[float] = []
        self.average = 0.0
        self.begun: list[Any] = []
        self.factors: list[float] = []

    def rate(self, step: int) -> float:
        return float(LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1)))

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        (optimizer,) = trainer.optimizers
        # parts may learn at rates of their own, which keep their ratios
        highest = max(group["lr"] for group in optimizer.param_groups)
        self.factors = [group["lr"] / highest for group in optimizer.param_groups]

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, index: int) -> None:
        for group, factor in zip(trainer.optimizers[0].param_groups, self.factors, strict=True):
            group["lr"] = self.rate(trainer.global_step) * factor

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        self.begun.append(float(outputs["loss"]) * trainer.accumulate_grad_batches)
        if trainer.global_step == len(self.losses):
            return  # gradients are still accumulated
        loss, self.begun = sum(self.begun) / len(self.begun), []
        if not math.isfinite(loss):
            trainer.should_stop = True
            return
        self.rates.append(self.rate(len(self.losses)))
        self.losses.append(loss)
        self.average = SMOOTHING * self.average + (1 - SMOOTHING) * loss
        self.smooth.append(self.average / (1 - SMOOTHING ** len(self.losses)))
        if self.smooth[-1] > DIVERGED * min(self.smooth) > 0 and len(self.losses) > SKIPPED:
            trainer.should_stop = True

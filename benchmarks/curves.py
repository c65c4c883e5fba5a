"""Does rounding otherwise change how a network learns? Loss curves by default and with --exact, over several seeds.

    python benchmarks/curves.py [--steps 300] [--seeds 3] [--out FOLDER] [SPEC…]

Each network for CIFAR-10 trains on digits, at 3×32×32, by its own recipe in smaller batches, to which SGD's learning
rate is scaled. A seed fixes initial weights, batches and augmentation, so two trainings of one seed differ by rounding
alone. That difference grows from step to step, as any does in training, and matters if it is more than what another
seed makes. The table compares them: root mean squares, over steps, of the difference of two curves, each an average
over 20 steps. The curves are written as `curves.csv` and drawn as `curves.png` and `curves.svg`. It takes ten minutes
of one processor; a training whose losses are in `curves.csv` already is not repeated.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import Callback

from archspec.spec import load
from trainer.figures import BLUE, VERMILLION, figure_of, save
from trainer.processes.group import SINGLE_PROCESS
from trainer.runs.job import prepare
from trainer.trial.steps import try_out

BATCHES = {"resnet": 16, "preact": 16, "densenet": 8, "googlenet": 8}
"""The networks for CIFAR-10, each with a batch that one processor trains 300 times in about a minute."""
WINDOW = 20
"""Steps that a curve averages over."""
LAST = 50
"""Steps whose mean loss stands for the end of a training."""

Key = tuple[str, bool, int]
"""A network, whether it was trained with `exact`, and the seed."""


class Losses(Callback):
    """Keeps the loss of each step."""

    def __init__(self) -> None:
        self.kept: list[float] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
        self.kept.append(float(outputs["loss"]))


def trained(name: str, exact: bool, seed: int, steps: int) -> list[float]:
    """The losses of a training's first steps."""
    batch, own = BATCHES[name], load(name).recipe
    rate = own.optimizer.arguments["lr"] * (batch / own.batch_size if own.optimizer.name == "sgd" else 1)
    settings = {
        "data": "digits",
        "steps": steps,
        "batch_size": batch,
        "optimizer.lr": rate,
        "validation": 0,
        "seed": seed,
        "exact": str(exact).lower(),
    }
    spec = load(name, set=[f"train.{key}={value}" for key, value in settings.items()])
    losses = Losses()
    with tempfile.TemporaryDirectory() as folder:
        try_out(prepare(spec, Path(folder)), SINGLE_PROCESS, [losses])
    return losses.kept


def smooth(losses: Sequence[float]) -> list[float]:
    """The mean of each step's loss and those before it, up to `WINDOW`."""
    return [statistics.fmean(losses[max(0, step + 1 - WINDOW) : step + 1]) for step in range(len(losses))]


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    """The root of the mean, over steps, of the squared difference of two curves."""
    return statistics.fmean((a - b) ** 2 for a, b in zip(smooth(one), smooth(other), strict=True)) ** 0.5


def row(name: str, found: dict[Key, list[float]]) -> list[str]:
    """A network's line of the table."""
    seeds = sorted({seed for spec, _, seed in found if spec == name})
    exact, quick = ([found[name, kind, seed] for seed in seeds] for kind in (True, False))
    by_rounding = statistics.fmean(map(distance, exact, quick))
    by_seed = statistics.fmean(distance(a, b) for kind in (exact, quick) for a, b in combinations(kind, 2))
    ends = [[statistics.fmean(losses[-LAST:]) for losses in kind] for kind in (exact, quick)]
    shown = [f"{statistics.fmean(end):.3f} ± {statistics.stdev(end):.3f}" for end in ends]
    return [f"`{name}`", f"{by_rounding:.3f}", f"{by_seed:.3f}", *shown]


def draw(found: dict[Key, list[float]], names: Sequence[str], file: Path) -> None:
    """The curves of each network, a line for each training."""
    figure, panels = figure_of(7.2, 2.3, len(names))
    for axes, name in zip(panels, names, strict=True):
        for (spec, exact, _), losses in found.items():
            if spec == name:
                colour, style = (BLUE, "-") if exact else (VERMILLION, "--")
                axes.plot(smooth(losses), style, color=colour, linewidth=0.9)
        axes.set(title=name, xlabel="step", ylim=(0, None))
        axes.title.set_fontsize(9)
        axes.grid(alpha=0.25, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("loss")
    lines = [panels[0].plot([], [], style, color=colour)[0] for colour, style in ((BLUE, "-"), (VERMILLION, "--"))]
    seeds = len({seed for _, _, seed in found})
    words = [f"--exact, {seeds} seeds", "by default, the same seeds"]
    figure.legend(lines, words, frameon=False, fontsize=8, loc="outside upper center", ncols=2)
    save(figure, file)


def read(file: Path) -> dict[Key, list[float]]:
    """The losses that a `curves.csv` holds."""
    found: dict[Key, list[float]] = {}
    if file.exists():
        with open(file, encoding="utf-8", newline="") as lines:
            for one in csv.DictReader(lines):
                found.setdefault((one["spec"], one["exact"] == "true", int(one["seed"])), []).append(float(one["loss"]))
    return found


def write(file: Path, found: dict[Key, list[float]]) -> None:
    with open(file, "w", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines, lineterminator="\n")
        rows.writerow(["spec", "exact", "seed", "step", "loss"])
        for (name, exact, seed), losses in found.items():
            rows.writerows([name, str(exact).lower(), seed, step, repr(loss)] for step, loss in enumerate(losses))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("specs", nargs="*", metavar="SPEC", help=f"of {' '.join(BATCHES)}; without: all")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(), help="the folder of the files")
    given = parser.parse_args()
    names = given.specs or [*BATCHES]
    if unknown := set(names) - BATCHES.keys():
        parser.error(f"no network for CIFAR-10: {', '.join(sorted(unknown))}")
    if given.steps < LAST or given.seeds < 2:
        parser.error(f"--steps is at least {LAST}, --seeds at least 2")
    torch.set_num_threads(1)
    file = given.out / "curves.csv"
    kept = read(file)
    wanted = [(name, exact, seed) for name in names for seed in range(1, given.seeds + 1) for exact in (True, False)]
    for key in wanted:
        if len(kept.get(key, [])) != given.steps:
            kept[key] = trained(*key, given.steps)
            write(file, kept)
            print(f"{key[0]}, {'exact' if key[1] else 'by default'}, seed {key[2]}: {kept[key][-1]:.3f}", flush=True)
    found = {key: kept[key] for key in wanted}
    print("| network | difference by rounding | difference by seed | loss with `--exact` | loss by default |")
    print("|---|---|---|---|---|")
    for name in names:
        print(f"| {' | '.join(row(name, found))} |")
    draw(found, names, given.out / "curves.png")


if __name__ == "__main__":
    main()

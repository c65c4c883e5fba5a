"""How fast is a training? `archspec train` against the loop that a person would write, side by side in one run.

    python benchmarks/train.py [--compile] [--rounds 5] [--steps 20] [SPEC…]

Theirs: torchvision's CIFAR10 and PIL transforms, a DataLoader with two workers (on more processors, up to eight), a
LightningModule and Lightning's Trainer, fp32, on the same network: the module that is built from the spec. Ours: the
same recipe as `archspec train` carries it out, on the CPU with the defaults, or with `--compile`; on a GPU with
channels last, bfloat16 and CUDA graphs. The data is made up, in CIFAR-10's files.

Each side is a process of its own, since ours changes how memory is allocated in it. They take turns: while one trains
an epoch, the other waits; before each, they wait for other processes to come to rest. Not counted: the first epoch, the
first steps of each, what comes between epochs. What is printed is the median of the rounds, in images per second, the
median of their ratios, and the ratio of each side's fastest epoch, which other processes disturbed least.

Then Lightning's overhead: a step through the whole trainer (logs, callbacks, progress) against a plain loop of torch
that does the same with the same batches.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from cifar import write_data
from rich.console import Console
from rich.table import Table
from sides import SKIPPED, start

from archspec.spec import load

SPECS = ("googlenet", "resnet", "preact", "densenet")
WARM_UP = 1
"""Epochs before those that count."""


def wait_for_calm(seconds: float) -> None:
    """Wait until other processes leave nine tenths of the processors alone, at most so long; on Linux."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and Path("/proc/stat").exists():
        (busy, total), _, (later, all) = _ticks(), time.sleep(0.5), _ticks()
        if later - busy <= 0.1 * (all - total):
            return


def _ticks() -> tuple[int, int]:
    """What all processors have worked so far, and have worked or waited."""
    values = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(values) - values[3] - values[4], sum(values)


def measured(
    kinds: tuple[str, str], name: str, rounds: int, settings: Iterable[str], given: argparse.Namespace
) -> tuple[list[float], list[float]]:
    """The seconds of a step of two sides, whose epochs take turns, a value for each round."""
    epochs = WARM_UP + rounds
    settings = [f"train.batch_size={given.batch_size}", *settings]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_data(folder, given.batch_size * given.steps)
        started = [start(kind, folder / f"{kind}.log", name, epochs, folder, settings) for kind in kinds]
        processes, turns = zip(*started, strict=True)
        times: tuple[list[float], list[float]] = ([], [])
        try:
            for epoch in range(epochs):
                for one in (0, 1) if epoch % 2 else (1, 0):
                    wait_for_calm(given.wait)
                    turns[one].send(epoch)
                    seconds, *_ = turns[one].recv()
                    if epoch >= WARM_UP:
                        times[one].append(seconds / (given.steps - SKIPPED))
        except (EOFError, ConnectionError):
            ended = [process.join(5) or process.exitcode for process in processes]
            failed = next(kind for kind, code in zip(kinds, ended, strict=True) if code)
            raise SystemExit(f"{failed}, {name}:\n{(folder / f'{failed}.log').read_text()}") from None
        finally:
            for process in processes:
                process.join(60)
                process.kill()
    return times


def overhead(given: argparse.Namespace, settings: list[str]) -> dict[str, float]:
    """What the trainer adds to a plain loop's step, in milliseconds, and as a share of a plain step of ResNet-20.

    The former is measured with a network that costs next to nothing: beside a step that takes a hundred times as long,
    it would be less than what one step differs from another.
    """
    few = argparse.Namespace(**vars(given) | {"steps": 10 * given.steps})
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.yaml"
        spec = load("resnet").resolved | {"network": ["global_avg_pool", "flatten", {"linear": "=num_classes"}]}
        bare.write_text(json.dumps({key: spec[key] for key in ("archspec", "input", "vars", "network", "train")}))
        plain, ours = measured(("plain", "ours"), str(bare), 2 * given.rounds, settings, few)
    step, _ = measured(("plain", "theirs"), "resnet", given.rounds, settings, given)
    added = statistics.median(y - x for x, y in zip(plain, ours, strict=True))
    return {"ms": 1e3 * added, "share": added / statistics.median(step)}


def settings_of(given: argparse.Namespace) -> list[str]:
    if torch.cuda.is_available():
        fast = ["train.compile=true", "train.channels_last=true", "train.precision=bf16-mixed"]
    else:
        fast = ["train.compile=true", "train.channels_last=true"] if given.compile else []
    return [*fast, *given.set]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("specs", nargs="*", metavar="SPEC", help=f"specs for CIFAR-10; without: {' '.join(SPECS)}")
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each side that count")
    parser.add_argument("--steps", type=int, default=20, help=f"steps of an epoch, of which {SKIPPED} do not count")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--compile", action="store_true", help="ours with --compile")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of our recipe")
    parser.add_argument("--no-overhead", action="store_true", help="leave Lightning's overhead out")
    parser.add_argument(
        "--wait", type=float, default=60, help="how long to wait for other processes before an epoch, s"
    )
    parser.add_argument("--json", type=Path, help="also write what was measured to a file")
    given = parser.parse_args()
    if given.steps <= SKIPPED or given.rounds < 1:
        parser.error(f"--steps is at least {SKIPPED + 1}, --rounds at least 1")
    settings, load_before = settings_of(given), os.getloadavg()[0]
    table = Table(title=f"images/s: archspec train {' '.join(settings)} and a person's loop")
    for title in ("spec", "theirs", "ours", "ratio", "of the fastest", "of the rounds"):
        table.add_column(title, justify="left" if title == "spec" else "right")
    kept: dict[str, Any] = {"settings": settings, "specs": {}}
    for name in given.specs or SPECS:
        a, b = measured(("theirs", "ours"), name, given.rounds, settings, given)
        ratios = sorted(x / y for x, y in zip(a, b, strict=True))
        rates = [given.batch_size / statistics.median(one) for one in (a, b)]
        kept["specs"][name] = {"theirs": a, "ours": b, "ratio": statistics.median(ratios), "fastest": min(a) / min(b)}
        table.add_row(
            name,
            *(f"{rate:,.0f}" for rate in rates),
            f"{statistics.median(ratios):.2f}",
            f"{min(a) / min(b):.2f}",
            f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
        )
    console = Console(width=100)
    console.print(table)
    if not given.no_overhead:
        kept["overhead"] = overhead(given, settings)
        console.print(
            "Lightning, logs and callbacks: {ms:.2f} ms a step, {share:.1%} of resnet's".format(**kept["overhead"])
        )
    console.print(f"load average {load_before:.1f} before, {os.getloadavg()[0]:.1f} after; {os.cpu_count()} processors")
    if given.json:
        given.json.write_text(json.dumps(kept, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The README's table: how fast `archspec train` trains the networks for CIFAR-10 on a CPU, and a person's loop.

    python benchmarks/cpu.py [--minutes 7.5] [--json FILE] [SPEC…]

Four trainings of each network: the loop that a person would write (`benchmarks/train.py` says how), `archspec train`
by default, with `--exact`, and with `--compile`. They are processes that start together and then take turns, an epoch
of a few steps each, while the others wait, until the network's share of the time is used up. The table has the median,
over the rounds, of how many times as many images per second go through a step as in the person's loop; then the same of
processor time, which other processes on the machine disturb less. It needs Linux and a C++ compiler.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from cifar import write_data
from sides import SKIPPED, start

WAYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "a person's loop": ("theirs", ()),
    "defaults": ("ours", ()),
    "`--exact`": ("ours", ("train.exact=true",)),
    "`--compile`": ("ours", ("train.compile=true", "train.channels_last=true")),
}
PERSON = next(iter(WAYS))
SHAPES = {"resnet": (128, 15), "preact": (128, 15), "densenet": (64, 8), "googlenet": (64, 8)}
"""The images of a batch, and the steps of an epoch, of which `SKIPPED` do not count."""
EPOCHS = 1000
"""More than are trained: the processes are ended when time is up."""


@dataclass
class Training:
    """One network trained in one way: its process, and of each round the seconds and processor seconds of a step."""

    way: str
    process: Any
    turn: Connection
    log: Path
    steps: int
    seconds: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)

    def finish_turn(self, *, counts: bool = True) -> None:
        """Wait for the end of an epoch; with an error of the training, show it and end."""
        try:
            seconds, _, worked = self.turn.recv()
        except (EOFError, ConnectionError):
            self.process.join(5)
            raise SystemExit(f"{self.way} ended ({self.process.exitcode}):\n{self.log.read_text()}") from None
        if counts:
            self.seconds.append(seconds / self.steps)
            self.worked.append(worked / self.steps)


def measured(name: str, until: float) -> dict[str, Training]:
    """A network's trainings, after as many rounds as there is time for until a moment, two at least."""
    batch, steps = SHAPES[name]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_data(folder, batch * steps)
        trainings = {}
        for number, (way, (kind, settings)) in enumerate(WAYS.items()):
            log = folder / f"{number}.log"
            process, turn = start(kind, log, name, EPOCHS, folder, [f"train.batch_size={batch}", *settings])
            trainings[way] = Training(way, process, turn, log, steps - SKIPPED)
        ordered = [*trainings.values()]
        try:
            for one in ordered:  # the first epoch side by side: one of them compiles
                one.turn.send(0)
            for one in ordered:
                one.finish_turn(counts=False)
            took, rounds = 0.0, 0
            while rounds < 2 or time.monotonic() + took < until:
                began, rounds = time.monotonic(), rounds + 1
                for one in ordered:
                    one.turn.send(rounds)
                    one.finish_turn()
                ordered = [*ordered[1:], ordered[0]]  # so that none always follows the same one
                took = time.monotonic() - began
        finally:
            for one in ordered:
                one.process.kill()
                one.process.join()
    return trainings


def times_as_fast(trainings: dict[str, Training], of: Callable[[Training], Sequence[float]]) -> list[float]:
    """How many times as fast as the person's loop each other training is, by medians of the rounds' ratios."""
    base = of(trainings[PERSON])
    return [
        statistics.median(theirs / ours for theirs, ours in zip(base, of(one), strict=True))
        for way, one in trainings.items()
        if way != PERSON
    ]


def table(rows: dict[str, list[float]]) -> str:
    lines = [f"| network | {' | '.join([*WAYS][1:])} |", f"|---|{'---|' * (len(WAYS) - 1)}"]
    lines += [f"| `{name}` | {' | '.join(f'{one:.2f}' for one in row)} |" for name, row in rows.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("specs", nargs="*", metavar="SPEC", help=f"of {' '.join(SHAPES)}; without: all")
    parser.add_argument("--minutes", type=float, default=7.5, help="how long to measure, all in all")
    parser.add_argument("--json", type=Path, help="also write what was measured to a file")
    given = parser.parse_args()
    names, load_before = given.specs or [*SHAPES], os.getloadavg()[0]
    if unknown := set(names) - SHAPES.keys():
        parser.error(f"no network for CIFAR-10: {', '.join(sorted(unknown))}")
    began, found = time.monotonic(), {}
    for number, name in enumerate(names, 1):
        found[name] = measured(name, began + 60 * given.minutes * number / len(names))
        for way, one in found[name].items():
            rate, work = (SHAPES[name][0] / statistics.median(kept) for kept in (one.seconds, one.worked))
            print(
                f"{name}, {way}: {rate:,.0f} images/s, {work:,.0f} per second of a processor, "
                f"{len(one.seconds)} rounds",
                flush=True,
            )
    print(f"\nby time\n\n{table({name: times_as_fast(one, lambda each: each.seconds) for name, one in found.items()})}")
    worked = {name: times_as_fast(one, lambda each: each.worked) for name, one in found.items()}
    print(f"\nby processor time\n\n{table(worked)}\n")
    print(f"load average {load_before:.1f} before, {os.getloadavg()[0]:.1f} after; {os.cpu_count()} processors")
    if given.json:
        kept = {
            name: {way: {"seconds": one.seconds, "processor_seconds": one.worked} for way, one in ways.items()}
            for name, ways in found.items()
        }
        given.json.write_text(json.dumps(kept, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

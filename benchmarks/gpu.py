"""What `benchmarks/gpu.sh` measures on a GPU; each step adds what it finds to a JSON file.

    python benchmarks/gpu.py speed FILE     images/s and memory of five networks, each trained in five ways
    python benchmarks/gpu.py epochs FILE    the time of ten epochs of ResNet-20 on as many images as CIFAR-10 has
    python benchmarks/gpu.py show FILE      all of it as a table

The ways: the loop that a person would write (`benchmarks/train.py` says how), then `archspec train` by default, with
`--compile`, in bfloat16, and with both. All trainings are processes that start together, so that they compile side by
side; then they take turns, an epoch each, while the others wait. Images per second are medians of the rounds; memory is
what a process holds of the GPU's at most, without CUDA's own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))
from cifar import trust, write_data
from sides import SKIPPED, spec_of, start
from train import SPECS, WARM_UP

COMPILE = ("train.compile=true", "train.channels_last=true")
HALF = ("train.precision=bf16-mixed",)
WAYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "a person's loop": ("theirs", ()),
    "by default": ("ours", ()),
    "--compile": ("ours", COMPILE),
    "bf16": ("ours", (*HALF, "train.channels_last=true")),
    "--compile, bf16": ("ours", (*COMPILE, *HALF)),
}
LARGE = "resnet50"
LARGE_RECIPE = (
    "train.data=cifar10",  # made larger: 224² pixels as any others
    "train.augment=[{horizontal_flip: {p: 0.5}}, {random_resized_crop: {scale: [0.8, 1.0], ratio: [0.9, 1.1]}}]",
    "train.optimizer={name: sgd, lr: 0.1, momentum: 0.9, weight_decay: 1e-4}",
)


@dataclass
class Training:
    """One network trained in one way, in a process of its own, which waits for its turns."""

    name: str
    way: str
    batch: int
    steps: int
    process: Any
    turn: Connection
    log: Path
    seconds: list[float]
    held: int = 0
    failure: str = ""

    def take_turn(self, epoch: int) -> None:
        self.turn.send(epoch)

    def finish_turn(self, epoch: int) -> None:
        """Note the time of an epoch, or why there is none."""
        try:
            seconds, self.held, _ = self.turn.recv()
        except (EOFError, OSError):
            self.process.join(5)
            lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
            self.fail(f"ended ({self.process.exitcode}): {' | '.join(lines[-3:])[-300:]}")
            return
        if epoch >= WARM_UP:
            self.seconds.append(seconds / (self.steps - SKIPPED))

    def fail(self, why: str) -> None:
        self.failure = why
        self.process.kill()


def speed(given: argparse.Namespace) -> dict[str, Any]:
    epochs = WARM_UP + given.rounds
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as made:
        trainings: list[Training] = []
        for name in given.specs:
            large = name == LARGE
            batch, steps = (given.large_batch, given.large_steps) if large else (given.batch_size, given.steps)
            folder = Path(made) / f"{batch}x{steps}"
            if not folder.exists():
                write_data(folder, batch * steps)
            for number, way in enumerate(given.ways):
                kind, settings = WAYS[way]
                log = Path(made) / f"{name}-{number}.log"
                all_settings = [f"train.batch_size={batch}", *(LARGE_RECIPE if large else ()), *settings]
                process, turn = start(kind, log, name, epochs, folder, all_settings)
                trainings.append(Training(name, way, batch, steps, process, turn, log, []))
        try:
            warm_up(trainings, began + given.ready)
            ready = time.monotonic() - began
            for epoch in range(WARM_UP, epochs):
                for one in trainings:
                    if one.failure:
                        continue
                    if time.monotonic() > began + given.limit:
                        if not one.seconds:
                            one.fail("no time was left for it")
                        continue
                    one.take_turn(epoch)
                    if not one.turn.poll(given.patience):
                        one.fail(f"an epoch of {one.steps} steps took over {given.patience} s")
                        continue
                    one.finish_turn(epoch)
        finally:
            for one in trainings:
                one.process.join(0.1)
                one.process.kill()
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "torch": torch.__version__,
        "rounds": given.rounds,
        "seconds_to_start_and_compile": round(ready, 1),
        "trainings": [summary(one) for one in trainings],
    }


def warm_up(trainings: list[Training], until: float) -> None:
    """Have all trainings do their first epochs side by side; those that are not done in time are left out."""
    for epoch in range(WARM_UP):
        waiting = {one.turn: one for one in trainings if not one.failure}
        for one in waiting.values():
            one.take_turn(epoch)
        while waiting:
            done = wait(list(waiting), max(0.0, until - time.monotonic()))
            if not done:
                for one in waiting.values():
                    one.fail("was not ready in time")
                return
            for turn in done:
                waiting.pop(turn).finish_turn(epoch)  # type: ignore[call-overload]


def summary(one: Training) -> dict[str, Any]:
    found = {"network": one.name, "way": one.way, "batch": one.batch, "held_bytes": one.held, "failure": one.failure}
    if one.seconds and not one.failure:
        found |= {"images_per_second": one.batch / statistics.median(one.seconds), "step_seconds": one.seconds}
    return found


def epochs(given: argparse.Namespace) -> dict[str, Any]:
    """Ten epochs of ResNet-20 as `archspec train` does them, validation, checkpoints and test included."""
    from trainer import session
    from trainer.runs.job import prepare

    kind = "--compile, bf16" if given.fast else "by default"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_data(folder, given.images)
        trust(folder)
        settings = [*WAYS[kind][1], "train.validation=0.1"]
        began = time.monotonic()
        job = prepare(spec_of("resnet", given.epochs, settings), folder)
        result = session.train(job, folder / "runs", session.Options())
    return {
        "epochs": given.epochs,
        "images": given.images,
        "way": kind,
        "seconds": round(time.monotonic() - began, 1),
        "seconds_of_epochs": round(result.seconds, 1),
        "images_per_second": result.images_per_second,
    }


def show(found: dict[str, Any], console: Console) -> None:
    if measured := found.get("speed"):
        console.print(
            f"{measured['device']}, torch {measured['torch']}: images/s (times a person's), GiB of memory held; "
            f"medians of {measured['rounds']} rounds; "
            f"{measured['seconds_to_start_and_compile']:.0f} s until all {len(measured['trainings'])} had started"
        )
        console.print(speed_table(measured["trainings"]))
        for one in measured["trainings"]:
            if one["failure"]:
                console.print(f"{one['network']}, {one['way']}: {one['failure']}", markup=False, highlight=False)
    for key in ("epochs", "epochs_fast"):
        if one := found.get(key):
            console.print(
                f"{one['epochs']} epochs of ResNet-20, {one['images']:,} images, {one['way']}: {one['seconds']:.1f} s, "
                f"of which the epochs {one['seconds_of_epochs']:.1f} s ({one['images_per_second']:,.0f} images/s)"
            )


def speed_table(trainings: list[dict[str, Any]]) -> Table:
    table = Table()
    table.add_column("network")
    table.add_column("batch", justify="right")
    for way in WAYS:
        table.add_column(way, justify="right")
    by_name: dict[str, dict[str, dict[str, Any]]] = {}
    for one in trainings:
        by_name.setdefault(one["network"], {})[one["way"]] = one
    for name, ways in by_name.items():
        base = ways.get("a person's loop", {}).get("images_per_second")
        cells = [name, str(next(iter(ways.values()))["batch"])]
        for way in WAYS:
            one = ways.get(way, {})
            rate = one.get("images_per_second")
            times = f" ×{rate / base:.2f}" if rate and base and way != "a person's loop" else ""
            cells.append(f"{rate:,.0f}{times}, {one['held_bytes'] / 2**30:.1f}" if rate else "–")
        table.add_row(*cells)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "epochs", "show"])
    parser.add_argument("file", type=Path)
    parser.add_argument("specs", nargs="*", default=[*SPECS, LARGE])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="speed: ways to train")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=60, help=f"steps of an epoch, of which {SKIPPED} do not count")
    parser.add_argument("--large-batch", type=int, default=64, help=f"images of a batch of {LARGE}")
    parser.add_argument("--large-steps", type=int, default=40)
    parser.add_argument("--ready", type=float, default=160, help="how long all may take to start and compile, s")
    parser.add_argument("--limit", type=float, default=240, help="after how long no turn is begun, s")
    parser.add_argument("--patience", type=float, default=20, help="how long an epoch may take, s")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--fast", action="store_true", help="epochs: with --compile and in bfloat16")
    given = parser.parse_args()
    console = Console(width=130)
    found: dict[str, Any] = json.loads(given.file.read_text()) if given.file.exists() else {}
    if given.what == "show":
        show(found, console)
        return
    key = "epochs_fast" if given.what == "epochs" and given.fast else given.what
    found[key] = speed(given) if given.what == "speed" else epochs(given)
    given.file.write_text(json.dumps(found, indent=1), encoding="utf-8")
    show({key: found[key]}, console)


if __name__ == "__main__":
    main()

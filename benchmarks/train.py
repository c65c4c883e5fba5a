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
import hashlib
import json
import os
import pickle
import statistics
import tempfile
import time
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins.environments import LightningEnvironment
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torchvision import datasets, transforms

from archspec.spec import Spec, load

SPECS = ("googlenet", "resnet", "preact", "densenet")
SKIPPED = 3
"""Steps of each epoch that are not counted: the workers' first batches take longer than those that follow."""
WORKERS = min(8, max(2, os.cpu_count() or 2))
"""Of the person's DataLoader."""
WARM_UP = 1
"""Epochs before those that count."""


# --- the data ------------------------------------------------------------------------------------------------------


class Unchecked(datasets.CIFAR10):  # type: ignore[misc]
    """torchvision's CIFAR-10 of other images: their checksums are not asked for."""

    train_list = [[name, None] for name, _ in datasets.CIFAR10.train_list]  # noqa: RUF012
    test_list = [[name, None] for name, _ in datasets.CIFAR10.test_list]  # noqa: RUF012
    meta = datasets.CIFAR10.meta | {"md5": None}


def write_data(folder: Path, images: int) -> None:
    """CIFAR-10's pickled batches: five to train with, `images` in all, and one of 100 to test."""
    base = folder / datasets.CIFAR10.base_folder
    base.mkdir(parents=True)
    generator = np.random.default_rng(0)
    parts = [len(part) for part in np.array_split(np.arange(images), 5)]
    names = [name for name, _ in (*Unchecked.train_list, *Unchecked.test_list)]
    for name, count in zip(names, (*parts, 100), strict=True):
        labels = generator.integers(0, 10, count).tolist()
        data = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
        (base / name).write_bytes(pickle.dumps({"data": data, "labels": labels}, protocol=2))
    (base / Unchecked.meta["filename"]).write_bytes(pickle.dumps({"label_names": [f"class{i}" for i in range(10)]}))


def trust(folder: Path) -> None:
    """Tell torchvision the checksums of this data, in this process: `archspec train` asks for them."""

    def checksum(name: str) -> str:
        return hashlib.md5((folder / datasets.CIFAR10.base_folder / name).read_bytes()).hexdigest()

    kind: Any = datasets.CIFAR10
    kind.train_list = [[name, checksum(name)] for name, _ in kind.train_list]
    kind.test_list = [[name, checksum(name)] for name, _ in kind.test_list]
    kind.meta = kind.meta | {"md5": checksum(kind.meta["filename"])}


# --- taking turns --------------------------------------------------------------------------------------------------


class Turns(Callback):
    """Waits for its turn before each epoch, then gives the seconds that its steps took, but for the first.

    With them go the memory of a GPU that the process held at most so far, in bytes, and the seconds that processors
    worked for the steps, in this process and those that it started.
    """

    def __init__(self, turn: Connection) -> None:
        self.turn = turn
        self.began = self.worked = 0.0

    def start(self) -> None:
        self.turn.recv()

    def step(self, index: int) -> None:
        """After a step: the clock starts when the last one has ended that is not counted."""
        if index + 1 == SKIPPED:
            self.began, self.worked = now(), processor_seconds()

    def end(self) -> None:
        held = torch.cuda.max_memory_reserved() if torch.cuda.is_available() else 0
        self.turn.send((now() - self.began, held, processor_seconds() - self.worked))

    def on_train_epoch_start(self, *_: Any) -> None:
        self.start()

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, index: int) -> None:
        self.step(index)
        if index + 1 == trainer.num_training_batches:
            self.end()


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


def processor_seconds() -> float:
    """How long processors have worked for this process and those that it started and that still run; on Linux."""
    ticks = 0
    own = Path("/proc/self/task")
    children = [one for file in own.glob("*/children") for one in file.read_text().split()]
    for process in ["self", *children]:
        # after the name, which may hold spaces: the 14th field of the file is user time, the 15th that of the system
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


# --- the sides -----------------------------------------------------------------------------------------------------


def spec_of(name: str, epochs: int, settings: Iterable[str]) -> Spec:
    """A spec with its recipe, for so many epochs and without validation between them."""
    return load(name, set=[f"train.epochs={epochs}", "train.validation=0", *settings])


class Classifier(LightningModule):
    """As people write it."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.model = spec.build()
        self.recipe = spec.recipe

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        images, labels = batch
        logits = self.model(images)
        loss = nn.functional.cross_entropy(logits, labels)
        self.log("train_loss", loss, prog_bar=True)
        self.log("train_acc", (logits.argmax(1) == labels).float().mean(), prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        arguments = self.recipe.optimizer.arguments
        kind = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[self.recipe.optimizer.name]
        optimizer = kind(self.parameters(), **{key: float(value) for key, value in arguments.items()})
        return [optimizer], [torch.optim.lr_scheduler.MultiStepLR(optimizer, [100, 150], 0.1)]


def theirs(turn: Connection, name: str, epochs: int, folder: Path, settings: Iterable[str]) -> None:
    seed_everything(42, verbose=False)
    spec = spec_of(name, epochs, settings)
    change = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.RandomResizedCrop(spec.plan.input[-1], scale=(0.8, 1.0), ratio=(0.9, 1.1)),
            transforms.ToTensor(),
            transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        ]
    )
    images = Unchecked(folder, transform=change)
    batches = torch.utils.data.DataLoader(
        images,
        spec.recipe.batch_size,
        shuffle=True,
        num_workers=WORKERS,
        drop_last=True,
        persistent_workers=True,
        pin_memory=torch.cuda.is_available(),
        # as in a script: this process was spawned, and its workers would be too, each loading torch anew
        multiprocessing_context="fork" if "fork" in torch.multiprocessing.get_all_start_methods() else None,
    )
    trainer = Trainer(
        max_epochs=epochs,
        callbacks=[Turns(turn)],
        default_root_dir=str(folder / f"theirs-{name}"),
        # or Lightning looks for MPI's processes, where mpi4py is installed, which may wait for a network for ever
        plugins=[LightningEnvironment()],
    )
    trainer.fit(Classifier(spec), batches)


def ours(turn: Connection, name: str, epochs: int, folder: Path, settings: Iterable[str]) -> None:
    from trainer import session
    from trainer.runs.job import prepare

    trust(folder)
    make_engine: Any = session.make_engine

    def with_turns(*arguments: Any, **named: Any) -> Any:
        engine = make_engine(*arguments, **named)
        engine.callbacks.append(Turns(turn))
        return engine

    session.make_engine = with_turns
    job = prepare(spec_of(name, epochs, settings), folder)
    session.train(job, folder / "ours", session.Options(progress=True, pictures=False))


def plain(turn: Connection, name: str, epochs: int, folder: Path, settings: Iterable[str]) -> None:
    """What `ours` does, without Lightning, logs and checkpoints."""
    from trainer.input.loaders import loader
    from trainer.runs.job import prepare
    from trainer.steps import memory
    from trainer.steps.compute import move_to_device, optimize_execution
    from trainer.steps.module import SpecModule
    from trainer.steps.optim import make_optimizer, make_schedule

    trust(folder)
    turns, spec = Turns(turn), spec_of(name, epochs, settings)
    job = prepare(spec, folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module = SpecModule(spec.resolved | {"train": job.recipe.to_dict()}).to(device)
    optimizer = make_optimizer(job.recipe, module.network)
    batches = loader(move_to_device(job.train, device), job.recipe.batch_size, shuffle_by=42)
    schedule = make_schedule(job.recipe, optimizer, epochs * len(batches), len(batches))
    assert schedule is not None
    optimize_execution(module.network, job.recipe, device)
    half = torch.autocast(device.type, torch.bfloat16, enabled=job.recipe.precision == "bf16-mixed")
    with memory.keep_freed_memory():
        for epoch in range(epochs):
            turns.start()
            batches.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            for index, (images, labels) in enumerate(batches):
                with half:
                    loss = module.training_step((images.to(device), labels.to(device)), index)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                turns.step(index)
            turns.end()


SIDES = {"theirs": theirs, "ours": ours, "plain": plain}


def side(kind: str, log: Path, turn: Connection, *arguments: Any) -> None:
    """A process of one side: what it prints goes to a file, which is shown should it fail."""
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    SIDES[kind](turn, *arguments)


def start(
    kind: str, log: Path, name: str, epochs: int, folder: Path, settings: Iterable[str]
) -> tuple[Any, Connection]:
    """A process of one side on the data in a folder, and where its turns are given to it."""
    context = torch.multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=side, args=(kind, log, there, name, epochs, folder, settings))
    process.start()
    there.close()
    return process, here


# --- measuring -----------------------------------------------------------------------------------------------------


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

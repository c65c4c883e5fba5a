"""The trainings that are compared, a process each: a person's loop, `archspec train`, and a plain loop of torch.

They take turns, epoch by epoch: a training waits until it is told to begin one, and then says how long its steps took.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from cifar import Unchecked, trust
from pytorch_lightning import LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins.environments import LightningEnvironment
from torch import Tensor, nn
from torchvision import transforms

from archspec.spec import Spec, load

SKIPPED = 3
"""Steps of each epoch that are not counted: the workers' first batches take longer than those that follow."""
WORKERS = min(8, max(2, os.cpu_count() or 2))
"""Of the person's DataLoader."""


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

"""The processes of one training: how many there are, how they come together, and what they agree on.

Lightning starts them, or torchrun or SLURM has; each runs the same command. The first one, of rank 0, makes every
choice and writes every file. The others follow, and say nothing but what is wrong with themselves.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from pytorch_lightning.strategies import FSDPStrategy, Strategy
from torch import distributed

from archspec.foundation.errors import ArchspecError, UsageError
from trainer.runs.engine import quieten
from trainer.runs.resume import Stopped
from trainer.runs.watch import Diverged

T = TypeVar("T")


@dataclass(frozen=True)
class Machine:
    """What a training runs on. `None` is what torchrun or SLURM started, or one."""

    accelerator: str = "auto"
    """`cpu`, `gpu`, or `auto`: a GPU where there is one."""
    devices: int | None = None
    """How many devices of a node, each with a process of its own; -1 for all its GPUs."""
    num_nodes: int | None = None
    strategy: str = "auto"
    """`ddp`, `fsdp`, or `auto`: `ddp` where there are several processes."""

    def settled(self) -> Settled:
        """Raises `UsageError` where the machine has no such thing."""
        found = torch.cuda.device_count() or int(torch.backends.mps.is_available())
        accelerator = self.accelerator if self.accelerator != "auto" else "gpu" if found else "cpu"
        if accelerator == "gpu" and not found:
            raise UsageError("--accelerator gpu: there is no GPU here", help="leave it out to use the processor")
        launcher, nodes, devices = _launched() or ("", 1, 1)
        for option, asked, given in (("--num-nodes", self.num_nodes, nodes), ("--devices", self.devices, devices)):
            if launcher and asked not in (None, -1, given):
                raise UsageError(
                    f"{option} {asked}, but {launcher} started {given}",
                    help=f"leave {option} out: what {launcher} started is used",
                )
        if not launcher:
            nodes = self.num_nodes or 1
            devices = (found if accelerator == "gpu" else 1) if self.devices == -1 else self.devices or 1
        if accelerator == "gpu" and devices > found:
            each = "have each process see all GPUs of its machine (SLURM: --gpus-per-node, not --gpus-per-task)"
            raise UsageError(
                f"{devices} processes on this machine, but there {_are(found)} to be seen",
                help=f"{each if launcher else f'--devices {found}'}",
            )
        if self.strategy == "fsdp" and accelerator != "gpu":
            raise UsageError("--strategy fsdp: it needs GPUs, and this runs on the processor", help="--strategy ddp")
        return Settled(accelerator, devices, nodes, self.strategy, launcher)


@dataclass(frozen=True)
class Settled:
    """A machine that is there."""

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    launcher: str = ""
    """What started the processes, if it was not Lightning."""

    @property
    def processes(self) -> int:
        return self.devices * self.nodes

    def arguments(self, *, unused_parameters: bool = False) -> dict[str, Any]:
        """How Lightning's trainer is told so; some parameters may have no part in the loss."""
        strategy: str | Strategy = self.strategy
        if strategy == "fsdp":
            strategy = FSDPStrategy(state_dict_type="full")
        elif self.processes > 1:
            strategy = "ddp_find_unused_parameters_true" if unused_parameters else "ddp"
        return {
            "accelerator": self.accelerator,
            "devices": self.devices,
            "num_nodes": self.nodes,
            "strategy": strategy,
            "use_distributed_sampler": False,
        }

    def environment(self) -> ClusterEnvironment:
        """How Lightning finds the other processes."""
        if self.launcher == "srun":
            return SLURMEnvironment(auto_requeue=False)
        return TorchElasticEnvironment() if self.launcher == "torchrun" else LightningEnvironment()


class Followed(ArchspecError):
    """Rank 0 failed, and has said why."""

    def __init__(self, exit_status: int) -> None:
        super().__init__("another process failed")
        self.exit_status = exit_status


@dataclass(frozen=True)
class Ranks:
    """The processes of a training as one of them sees them; of one alone, by default."""

    machine: Settled = Settled()
    rank: int = 0
    size: int = 1
    group: Any = None
    """Through which they agree, on the processor and without a limit of time."""

    def told(self, make: Callable[[], T]) -> T:
        """What rank 0 makes of something, on every rank. Where it fails, all end."""
        if self.size == 1:
            return make()
        answer: list[Any] = [None, 0]
        if self.rank:
            distributed.broadcast_object_list(answer, 0, self.group)
            if answer[1]:
                raise Followed(answer[1])
            made: T = answer[0]
            return made
        try:
            made = make()
        except BaseException as error:
            answer[1] = 130 if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_status", 70)
            raise
        else:
            answer[0] = made
        finally:
            distributed.broadcast_object_list(answer, 0, self.group)
        return made

    def each(self, make: Callable[[], T]) -> T:
        """What each rank makes for itself, once rank 0 has made it: what can fail or be kept does so there first."""
        made: list[T] = []
        self.told(lambda: made.append(make()))
        return made[0] if made else make()

    def largest(self, number: int) -> int:
        """The largest of the ranks' numbers."""
        return int(max(self.all(number)))

    def all(self, number: float) -> list[float]:
        """The ranks' numbers, in their order."""
        if self.size == 1:
            return [number]
        numbers = torch.zeros(self.size, dtype=torch.float64)
        numbers[self.rank] = number
        distributed.all_reduce(numbers, group=self.group)
        return numbers.tolist()


ALONE = Ranks()


@contextmanager
def joined(machine: Settled) -> Iterator[Ranks]:
    """Starts the processes of a training unless that was done, and brings them together. Raises `UsageError`."""
    if machine.processes == 1:
        yield Ranks(machine)
        return
    ranks = _connected(machine)
    try:
        if ranks.rank == 0:
            yield ranks
            return
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield ranks
    except (Followed, Stopped, Diverged, KeyboardInterrupt) as error:  # which all ranks meet together
        if ranks.rank == 0:
            raise
        # who started the processes kills all when one fails: the first is given time to say why
        if not machine.launcher:
            sys.exit(0)
        time.sleep(5)
        sys.exit(getattr(error, "exit_status", 130))
    except ArchspecError as error:
        if ranks.rank:
            error.args = (f"process {ranks.rank} of {ranks.size}: {error}",)
        raise
    except RuntimeError as error:
        if not _lost(error):
            raise
        if ranks.rank:
            sys.exit(1)
        raise UsageError(
            "another process of this training ended; if it said why, that stands above",
            help="go on from the last checkpoint: archspec train --resume RUN",
        ) from None
    finally:
        distributed.destroy_process_group()


def _connected(machine: Settled) -> Ranks:
    quieten()
    try:
        engine = Trainer(
            **machine.arguments(),
            plugins=[machine.environment()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        launcher = engine.strategy.launcher
        assert launcher is not None
        launcher.launch(engine.strategy.setup_environment)
        group = distributed.new_group(backend="gloo", timeout=timedelta(days=365))
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"the {machine.processes} processes do not come together: {error}",
            help="docs/scale.md says how they are started",
        ) from None
    return Ranks(machine, engine.global_rank, engine.world_size, group)


def _launched() -> tuple[str, int, int] | None:
    """What started this process among others, on how many nodes, and how many on each; `None` if nothing did."""
    given = os.environ
    if "TORCHELASTIC_RUN_ID" in given:
        name, total, local = "torchrun", int(given["WORLD_SIZE"]), int(given["LOCAL_WORLD_SIZE"])
    elif int(given.get("SLURM_STEP_NUM_TASKS", 1)) > 1:  # srun's own: a batch script itself has none
        name, total = "srun", int(given["SLURM_STEP_NUM_TASKS"])
        local = total // int(given.get("SLURM_STEP_NUM_NODES", 1))
    else:
        return None
    if total % local:
        raise UsageError(f"{name} started {total} processes, not equally many on each node", help="start as many")
    return name, total // local, local


def _lost(error: RuntimeError) -> bool:
    """Whether an error says that another process is gone."""
    said = str(error)
    return isinstance(error, distributed.DistError) or "gloo" in said or "Connection closed by peer" in said


def _are(count: int) -> str:
    return "is 1 GPU" if count == 1 else f"are {count} GPUs"

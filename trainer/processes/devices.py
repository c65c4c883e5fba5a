"""The devices that a training is asked to run on, and those that are available."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning.plugins.environments import (  # type: ignore[attr-defined]
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from pytorch_lightning.strategies import FSDPStrategy, Strategy

from archspec.foundation.errors import UsageError


@dataclass(frozen=True)
class DeviceRequest:
    """Requested devices. `None`: the number that torchrun or SLURM started, else 1."""

    accelerator: str = "auto"
    """`cpu`, `gpu`, or `auto`: a GPU where there is one."""
    devices: int | None = None
    """Devices of each node, each with a process of its own; -1: all its GPUs."""
    num_nodes: int | None = None
    strategy: str = "auto"
    """`ddp`, `fsdp`, or `auto`: `ddp` where there are several processes."""

    def resolve(self) -> Devices:
        """The devices after checking what is available. Raises `UsageError` where these are not available."""
        found = torch.cuda.device_count() or int(torch.backends.mps.is_available())
        accelerator = self.accelerator if self.accelerator != "auto" else "gpu" if found else "cpu"
        if accelerator == "gpu" and not found:
            raise UsageError("--accelerator gpu: there is no GPU here", help="leave it out to use the CPU")
        launcher, nodes, devices = _detect_launcher() or ("", 1, 1)
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
            raise UsageError("--strategy fsdp: it needs GPUs, and this runs on the CPU", help="--strategy ddp")
        return Devices(accelerator, devices, nodes, self.strategy, launcher)


@dataclass(frozen=True)
class Devices:
    """Devices after checking what is available."""

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    launcher: str = ""
    """`torchrun` or `srun`, if one of them started the processes; empty if Lightning does."""

    @property
    def processes(self) -> int:
        return self.devices * self.nodes

    def arguments(self, *, unused_parameters: bool = False) -> dict[str, Any]:
        """Keyword arguments for Lightning's `Trainer`. `unused_parameters`: some parameters get no gradient."""
        strategy: str | Strategy = self.strategy
        if strategy == "fsdp":
            strategy = FSDPStrategy(state_dict_type="full")
        elif strategy == "ddp" or self.processes > 1:
            strategy = "ddp_find_unused_parameters_true" if unused_parameters else "ddp"
        return {
            "accelerator": self.accelerator,
            "devices": self.devices,
            "num_nodes": self.nodes,
            "strategy": strategy,
            "use_distributed_sampler": False,
        }

    def environment(self) -> ClusterEnvironment:
        """Lightning's plugin that finds the other processes."""
        if self.launcher == "srun":
            return SLURMEnvironment(auto_requeue=False)
        return TorchElasticEnvironment() if self.launcher == "torchrun" else LightningEnvironment()


def _detect_launcher() -> tuple[str, int, int] | None:
    """The launcher, its number of nodes, and of processes on each; `None` without a launcher."""
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


def _are(count: int) -> str:
    return "is 1 GPU" if count == 1 else f"are {count} GPUs"

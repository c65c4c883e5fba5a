"""Whether a training's memory suffices: what a step needs, by the plan, and what the machine has left."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from archspec.foundation.figures import show_bytes
from archspec.views.memory import training_memory
from trainer.input.vectors import sample_shape, takes_images
from trainer.processes.devices import Devices
from trainer.runs.job import Job

_LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
"""Files that say what a container may hold, and what it holds: of control groups of version 2, and of version 1."""


@dataclass(frozen=True)
class Need:
    """The memory that a step needs and that there is, in bytes."""

    batch: int
    """Samples of a step, on one device."""
    needed: int
    free: int | None
    """`None` where the system does not say."""
    where: str
    """Whose memory it is: the GPU's name, or `this machine`."""
    fitting: int
    """The largest batch whose step would fit, where this one's does not; 0 where none does."""
    worded: Callable[[str], str] = str
    """Makes sentences about images speak of samples, where the data set has no images."""

    @property
    def fits(self) -> bool | None:
        return None if self.free is None else self.needed <= self.free

    def line(self) -> str:
        """What a step needs, and what is free."""
        free = "" if self.free is None else f"; {show_bytes(self.free)} are free on {self.where}"
        return self.worded(f"a step with {self.batch:,} images needs about {show_bytes(self.needed)}{free}")

    def warning(self) -> str | None:
        """That a step will hardly fit, and what would; `None` where it fits or nobody knows."""
        if self.fits is not False:
            return None
        help = (
            f"a batch of {self.fitting:,} would fit: --set train.batch_size={self.fitting}"
            if self.fitting
            else self.worded(
                "not even one image would fit: take a smaller network or input, or `recompute: true` at a node"
            )
        )
        return f"memory will hardly suffice: {self.line()}\n  help: {help}"


def estimate(job: Job, devices: Devices) -> Need:
    """What a step of a job needs on each device, and what is free there before the first one.

    What a kernel needs for itself, an allocator's rounding and torch's own memory are not known; on a GPU, images that
    are moved there whole are not counted.
    """
    on_gpu = devices.accelerator == "gpu"
    together = 1 if on_gpu else devices.devices  # processes that share the memory
    batch = max(1, -(-job.recipe.batch_size // devices.processes))
    free = _free_on_gpu() if on_gpu else free_memory()

    def needed(batch: int) -> int:
        return together * step_memory(job, batch, threads=0 if on_gpu else torch.get_num_threads())

    fitting = 0
    if free is not None and needed(batch) > free:
        fitting = max((size for size in _halvings(batch) if needed(size) <= free), default=0) * devices.processes
    where = torch.cuda.get_device_name() if on_gpu else "this machine"
    return Need(batch, needed(batch), free, where, fitting, job.data.worded)


def _halvings(batch: int) -> list[int]:
    """Smaller batches, powers of two."""
    return [1 << exponent for exponent in range(batch.bit_length()) if 1 << exponent < batch]


def step_memory(job: Job, batch: int, *, threads: int = 0) -> int:
    """The bytes that a step of a job needs on one device, by the plan, with so many samples there.

    On a CPU, `threads` are those of each process.
    """
    recipe, plan = job.recipe, job.spec.plan
    arguments = {key: value for key, value in recipe.optimizer.arguments.items() if key != "lr"}
    precision = recipe.precision.removesuffix("-true")
    needed = training_memory(
        plan,
        batch,
        recipe.optimizer.name,
        arguments,
        precision,
        accumulates=recipe.accumulate > 1,
        channels_last=recipe.channels_last is True and takes_images(sample_shape(plan)),
        threads=threads,
    )
    return needed.peak + (needed.parameters if recipe.ema else 0)


def _free_on_gpu() -> int:
    return int(torch.cuda.mem_get_info()[0])


def free_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The machine's memory that is free or can be freed, in bytes, within the limit of a container; `None` if unknown.

    Where a system has no `/proc`, it is all of its memory.
    """
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return None
    for limit, used in _LIMITS:
        try:
            most, held = int((groups / limit).read_text()), int((groups / used).read_text())
        except (OSError, ValueError):  # no such group, or `max`: no limit
            continue
        free = min(free, max(0, most - held + _cached(groups)))
    return free


def _cached(groups: Path) -> int:
    """What a container holds only as long as nobody needs it: files that were read."""
    for file in ("memory.stat", "memory/memory.stat"):
        try:
            fields = dict(line.split() for line in (groups / file).read_text().splitlines())
            return int(fields.get("inactive_file", 0))
        except (OSError, ValueError):
            continue
    return 0

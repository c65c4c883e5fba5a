"""Start and connect the processes of one training: Lightning starts them, unless torchrun or SLURM has."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import timedelta

from pytorch_lightning import Trainer
from torch import distributed

from archspec.foundation.errors import ArchspecError, UsageError
from trainer.errors import Diverged, OtherProcessFailed, Stopped
from trainer.processes.devices import Devices
from trainer.processes.group import ProcessGroup
from trainer.quiet import mute_libraries

LAUNCHER_GRACE_SECONDS = 5
"""How long other ranks wait before they exit: a launcher kills all processes when the first one exits."""


@contextmanager
def process_group(devices: Devices) -> Iterator[ProcessGroup]:
    """Start the processes of a training, unless a launcher has, and connect them. Raises `UsageError`."""
    if devices.processes == 1:
        try:
            yield ProcessGroup(devices)
        finally:
            if distributed.is_initialized():  # by `ddp` or `fsdp` of one process
                distributed.destroy_process_group()
        return
    with mute_libraries():
        group = _connect(devices)
    try:
        if group.rank == 0:
            yield group
            return
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield group
    except (OtherProcessFailed, Stopped, Diverged, KeyboardInterrupt) as error:  # raised on all ranks
        if group.rank == 0:
            raise
        # the launcher kills all processes when one exits: wait so that rank 0 can report first
        if not devices.launcher:
            sys.exit(0)
        time.sleep(LAUNCHER_GRACE_SECONDS)
        sys.exit(getattr(error, "exit_status", 130))
    except ArchspecError as error:
        if group.rank:
            error.args = (f"process {group.rank} of {group.size}: {error.message}",)
        raise
    except RuntimeError as error:
        if not _is_disconnect(error):
            raise
        if group.rank:
            sys.exit(1)
        raise UsageError(
            "another process of this training ended; its error, if any, is printed above",
            help="resume from the last checkpoint: archspec train --resume RUN",
        ) from None
    finally:
        distributed.destroy_process_group()


def _connect(devices: Devices) -> ProcessGroup:
    try:
        engine = Trainer(
            **devices.arguments(),
            plugins=[devices.environment()],
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
            f"the {devices.processes} processes cannot connect: {error}",
            help="docs/scale.md says how to start them",
        ) from None
    return ProcessGroup(devices, engine.global_rank, engine.world_size, group)


def _is_disconnect(error: RuntimeError) -> bool:
    """Whether an error means that the connection to another process is lost."""
    message = str(error)
    return isinstance(error, distributed.DistError) or "gloo" in message or "Connection closed by peer" in message

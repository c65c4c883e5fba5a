"""How the processes of one training come together: Lightning starts them, or torchrun or SLURM has."""

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
from trainer.processes.devices import ResolvedMachine
from trainer.processes.ranks import Ranks
from trainer.quiet import quiet


@contextmanager
def joined(machine: ResolvedMachine) -> Iterator[Ranks]:
    """Starts the processes of a training unless that was done, and brings them together. Raises `UsageError`."""
    if machine.processes == 1:
        yield Ranks(machine)
        return
    with quiet():
        ranks = _connected(machine)
    try:
        if ranks.rank == 0:
            yield ranks
            return
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield ranks
    except (OtherProcessFailed, Stopped, Diverged, KeyboardInterrupt) as error:  # which all ranks meet together
        if ranks.rank == 0:
            raise
        # who started the processes kills all when one fails: the first is given time to say why
        if not machine.launcher:
            sys.exit(0)
        time.sleep(5)
        sys.exit(getattr(error, "exit_status", 130))
    except ArchspecError as error:
        if ranks.rank:
            error.args = (f"process {ranks.rank} of {ranks.size}: {error.message}",)
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


def _connected(machine: ResolvedMachine) -> Ranks:
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


def _lost(error: RuntimeError) -> bool:
    """Whether an error says that another process is gone."""
    said = str(error)
    return isinstance(error, distributed.DistError) or "gloo" in said or "Connection closed by peer" in said

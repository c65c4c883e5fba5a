"""Stop and resume: checkpoints at signals and intervals, and the state needed to resume exactly.

The random numbers of a training step depend on the seed and the step, the order of batches on the seed and the epoch.
So a checkpoint holds the position of the run, and the random states of whatever else samples numbers.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping, WeightAveraging

from trainer.errors import Stopped
from trainer.input.loaders import SIGNALS
from trainer.runs import checkpoints
from trainer.runs.monitor import EPOCHS_KEY, TrainingMonitor, check_finite
from trainer.undocumented import restart_in_evaluation

if TYPE_CHECKING:
    from trainer.processes.group import ProcessGroup


# Lightning keeps the state of a callback under `state_key`: these are the names in the checkpoints that there are.
LAST_KEY, RANDOM_KEY = "Last", "Randomness"
OURS = "use a checkpoint that archspec wrote"


class Signals:
    """Handles SIGTERM, SIGINT and SIGHUP inside the `with` block. In training, they wait for the end of the step.

    SIGHUP, by which a terminal says that it closes, stays ignored where it is (`nohup`). Outside of training, and at
    the second signal, the process ends at once: `Stopped` is raised.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number: int | None = None
        self.received = False
        """Whether this process itself received a signal (`number` may have come from another rank)."""
        self.training = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        self._before = self.install()
        return self

    def install(self) -> dict[int, Any]:
        """Install our handlers, also over Lightning's, which would exit at SIGTERM without saving.

        Returns the previous handlers.
        """
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {
            one: signal.signal(one, self._handle)
            for one in SIGNALS
            if one != getattr(signal, "SIGHUP", None) or signal.getsignal(one) != signal.SIG_IGN
        }

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again, self.received = self.received, True
        self.number = number
        if again or not self.training:
            raise self.stop_error("what came after the last checkpoint is not kept" if again else "")

    def stop_error(self, what: str) -> Stopped:
        """The error that ends the process."""
        name = signal.Signals(self.number or signal.SIGTERM).name
        message = f"stopped by {name}{': ' if what else ''}{what}"
        return Stopped(self.number or signal.SIGTERM, message, help=f"resume it: archspec train --resume {self.folder}")


class LastCheckpoint(Checkpoint):
    """Writes `last.ckpt` after every epoch (better or not), at a signal, and every N steps or minutes.

    A signal during validation is handled at once: the checkpoint holds the finished training steps of the epoch, and
    records that its validation is due. Resuming runs that validation from its first batch.
    """

    def __init__(
        self,
        folder: Path,
        signals: Signals,
        group: ProcessGroup,
        key: str,
        *,
        steps: int | None = None,
        minutes: float | None = None,
    ) -> None:
        self.path = folder / "checkpoints" / "last.ckpt"
        self.signals = signals
        self.group = group
        self.key = key
        self.every_steps = steps
        self.every_seconds = None if minutes is None else 60 * minutes
        self.saved_at = time.monotonic()
        self.since = 0
        self.position = (0, 0)
        self.validation_due = False

    @property
    def state_key(self) -> str:
        return LAST_KEY

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.signals.install()
        self.signals.training = True
        self.saved_at = time.monotonic()
        if self.validation_due:
            self._validate_first(trainer)
        for one in trainer.callbacks:  # type: ignore[attr-defined]
            # early stopping that had triggered before the interruption must trigger again
            if isinstance(one, EarlyStopping) and one.stopped_epoch:
                trainer.should_stop = True

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        self.since += 1
        if index + 1 >= trainer.num_training_batches or trainer.should_stop:
            return  # the epoch's end comes, with its validation
        if (index + 1) % trainer.accumulate_grad_batches:
            return  # a checkpoint holds no accumulated gradients
        due = (self.every_steps is not None and self.since >= self.every_steps) or (
            self.every_seconds is not None and time.monotonic() - self.saved_at >= self.every_seconds
        )
        if self._any_rank_due(due):
            self._save(trainer, (trainer.current_epoch, index + 1))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._any_rank_due(True)
        self._save(trainer, (trainer.current_epoch + 1, 0))

    def on_validation_batch_start(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        if self._any_rank_due(False):
            for one in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(one, WeightAveraging):  # swaps the weights back in, in place of their averages
                    one.on_validation_epoch_end(trainer, pl_module)
            self.validation_due = True
            done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
            self._save(trainer, (trainer.current_epoch, done))

    def _validate_first(self, trainer: Trainer) -> None:
        """Have Lightning resume an epoch whose training steps are done with its validation, from the first batch."""
        self.validation_due = False
        loop = trainer.fit_loop.epoch_loop
        loop.val_loop.batch_progress.reset()
        restart_in_evaluation(loop.val_loop)
        # an epoch that the training's last step cut short is then a whole one
        trainer.val_check_batch = trainer.fit_loop.max_batches = loop.batch_progress.current.completed
        trainer.should_stop = False

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint[checkpoints.RUN] = self.key  # of the best one too

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.signals.training = False

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        self.signals.training = False

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.position[0], "batch": self.position[1], "validation_due": self.validation_due}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.validation_due = state_dict["validation_due"]

    def _any_rank_due(self, due: bool) -> bool:
        """Whether any rank must save, for `due` or a signal. All ranks then save (and stop) together."""
        # One number says both: 0 for nothing, 1 for a checkpoint that is due, else 1 more than a signal's own number.
        # The maximum lets a signal win.
        number = self.group.all_reduce_max(1 + self.signals.number if self.signals.number else int(due))
        if number > 1:
            self.signals.number = number - 1
        return number > 0

    def _save(self, trainer: Trainer, position: tuple[int, int]) -> None:
        self.position = position
        for one in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(one, TrainingMonitor):
                one.sync_losses(trainer)  # a checkpoint holds sums, not the losses still on the device
        for logger in trainer.loggers:
            logger.save()  # what is logged is never behind the checkpoint
        trainer.save_checkpoint(self.path)
        self.saved_at, self.since = time.monotonic(), 0
        if self.signals.number is not None:
            epoch, batch = position
            place = "before its validation" if self.validation_due else f"after batch {batch}"
            where = f"epoch {epoch + 1}, {place}" if batch else f"after epoch {epoch}"
            raise self.signals.stop_error(f"saved {where}")


class RandomStates(Callback):
    """Saves the random states of torch, NumPy and Python in checkpoints and restores them."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] | None = None

    @property
    def state_key(self) -> str:
        return RANDOM_KEY

    def state_dict(self) -> dict[str, Any]:
        kind, keys, *rest = np.random.get_state()
        return {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
            "python": random.getstate(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.kept = state_dict

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        if self.kept is None:
            return
        torch.set_rng_state(self.kept["torch"].cpu())
        if len(self.kept["cuda"]) == torch.cuda.device_count() > 0:
            torch.cuda.set_rng_state_all([one.cpu() for one in self.kept["cuda"]])
        kind, keys, *rest = self.kept["numpy"]
        np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
        version, state, gauss = self.kept["python"]
        random.setstate((version, tuple(state), gauss))


class FiniteCheckpointIO(checkpoints.SafeCheckpointIO):
    """Refuses to write weights that are not finite, so that the last finite checkpoint stays."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        check_finite(checkpoint["state_dict"], checkpoint["global_step"])
        super().save_checkpoint(checkpoint, path)


def position(checkpoint: dict[str, Any], path: Path) -> tuple[int, int, int]:
    """Where a checkpoint was taken: whole epochs, batches of the next one, and steps of the optimizer in all.

    Raises `Damaged` where it does not say so.
    """
    states = [checkpoint["callbacks"].get(name) for name in (LAST_KEY, RANDOM_KEY, EPOCHS_KEY)]
    # Lightning passes over what is empty, and would go on with a new optimizer
    states += [*checkpoint["optimizer_states"], None][:1]
    if not all(isinstance(one, dict) and one for one in states):
        raise checkpoints.Damaged(f"the checkpoint {path} lacks the state of a part of its training", help=OURS)
    state = states[0]
    found = [state.get("epoch"), state.get("batch"), checkpoint["global_step"]]
    if not all(isinstance(one, int) and one >= 0 for one in found):
        raise checkpoints.Damaged(f"the checkpoint {path} does not say where in its training it was taken", help=OURS)
    epoch, batch, step = found
    return epoch, batch, step

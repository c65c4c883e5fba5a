"""Monitor a training: losses, epochs and time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from trainer.errors import Diverged

if TYPE_CHECKING:
    from trainer.processes.group import ProcessGroup
    from trainer.tasks import MetricSpec

EPOCHS_KEY = "Epochs"
"""Under which name checkpoints keep the state of `TrainingMonitor`."""
SYNC_EVERY = 50
"""After how many steps losses are copied from a GPU, which has to be waited for; on a CPU, after each."""


class TrainingMonitor(Callback):
    """Logs the mean loss, stops a training that diverges, prints a line after each epoch.

    Its state is part of checkpoints.
    """

    def __init__(self, epochs: int | None, group: ProcessGroup, metric: MetricSpec) -> None:
        self.metric = metric
        self.epochs = epochs
        self.group = group
        self.count = 0
        self.seconds = 0.0
        """Training time so far, including partial epochs before an interruption."""
        self.images = 0
        """How many images were trained with in that time."""
        self.began = time.perf_counter()
        self.started = False
        """Whether the first epoch of this process has begun: a checkpoint is loaded by then."""
        self.epoch_seconds = 0.0
        self.total = 0.0
        self.steps = 0
        self.pending: list[Tensor] = []

    @property
    def state_key(self) -> str:
        return EPOCHS_KEY

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.began = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.started = True

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, index: int) -> None:
        self.pending.append(outputs["loss"].detach() * trainer.accumulate_grad_batches)
        self.images += len(batch[1]) * self.group.size
        if len(self.pending) >= (1 if self.pending[0].device.type == "cpu" else SYNC_EVERY):
            self.sync_losses(trainer)

    def sync_losses(self, trainer: Trainer) -> None:
        """Copy the pending losses to the CPU and add them up. Raises `Diverged` at the first that is not finite."""
        if not self.pending:
            return
        losses = torch.stack(self.pending).double().cpu()
        self.pending = []
        bad = (~losses.isfinite()).nonzero().flatten()
        # all ranks end together, at the first bad loss of any of them
        if left := self.group.all_reduce_max(len(losses) - int(bad[0]) if len(bad) else 0):
            in_epoch = self.steps + len(losses) - left + 1
            batches = int(trainer.num_training_batches)
            raise Diverged(
                f"the training loss is not finite in step {trainer.current_epoch * batches + in_epoch} "
                f"(epoch {trainer.current_epoch + 1}, batch {in_epoch} of {batches}): the training diverges"
            )
        self.total += float(losses.sum())
        self.steps += len(losses)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.sync_losses(trainer)
        loss = sum(self.group.all_gather(self.total)) / max(1, self.steps * self.group.size)
        # logged here, not by Lightning after the epoch, so that it is on the disk when the checkpoint is
        pl_module.log("train_loss", loss, logger=False)
        for logger in trainer.loggers:
            logger.log_metrics({"train_loss": loss, "epoch": trainer.current_epoch}, trainer.global_step - 1)
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.count = trainer.current_epoch + 1
        self._add_time()
        print(self._line(loss, metrics), flush=True)
        self.total, self.steps, self.epoch_seconds = 0.0, 0, 0.0

    def state_dict(self) -> dict[str, Any]:
        self._add_time()
        names = ("count", "seconds", "images", "epoch_seconds", "steps")
        return {"totals": self.group.all_gather(self.total)} | {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        totals = state.pop("totals")
        self.total = totals[self.group.rank] if len(totals) == self.group.size else sum(totals) / len(totals)
        vars(self).update(state)

    def _add_time(self) -> None:
        now = time.perf_counter()
        self.seconds += now - self.began
        self.epoch_seconds += now - self.began
        self.began = now

    def _line(self, loss: float, metrics: dict[str, float]) -> str:
        of = f"/{self.epochs}" if self.epochs else ""
        parts = [f"epoch {self.count}{of}", f"loss {loss:.4f}"]
        if (value := metrics.get(self.metric.log_name)) is not None:
            parts += [f"val loss {metrics['val_loss']:.4f}", f"val {self.metric.heading} {self.metric.show(value)}"]
        return "  ".join([*parts, f"{self.epoch_seconds:.1f} s"])


def check_finite(state: dict[str, Any], step: int) -> None:
    """Raises `Diverged` where a `state_dict` holds a number that is not finite."""
    for name, tensor in state.items():
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise Diverged(f"the weights `{name}` are not finite after step {step}: the training diverges")

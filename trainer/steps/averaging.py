"""The exponential moving average of a network's weights."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage(WeightAveraging):
    """Averages weights and running statistics after each `every` steps.

    The nth average keeps a share `min(decay, (1 + n) / (10 + n))` of itself, as TensorFlow's
    `ExponentialMovingAverage` does: an average of few weights would be that of the first ones for long. Until there is
    one, the weights themselves are validated and kept.
    """

    def __init__(self, decay: float, every: int) -> None:
        super().__init__(use_buffers=True, multi_avg_fn=self._average)
        self.decay = decay
        self.every = every
        self.count = 0

    @property
    def state_key(self) -> str:
        return "EMAWeightAveraging"  # its name in the checkpoints that there are

    @property
    def exists(self) -> bool:
        """Whether there is an average yet."""
        return self._latest_update_step > 0

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        if step_idx is None or (step_idx + 1) % self.every:
            return False
        # counted by steps, not asked of the average: a GPU would have to be waited for
        self.count = (step_idx + 1) // self.every - 1
        return True

    def _average(self, averaged: Any, current: Any, _: Tensor | int) -> None:
        kept = min(self.decay, (1 + self.count) / (10 + self.count))
        if averaged[0].is_floating_point():
            get_ema_multi_avg_fn(kept)(averaged, current, self.count)  # type: ignore[no-untyped-call]
        else:  # counts of batches: their average would be rounded down, also where they stay as they are
            torch._foreach_copy_(averaged, current)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.exists:
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.exists:
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.exists:
            super().on_train_end(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self.exists:
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if "averaging_state" in checkpoint:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

"""Parts of a network that keep their weights and statistics, for good or for the first epochs of a training."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from torch import nn

from archspec.recipe import Freeze


class Freezing(Callback):
    """Has the parts that a recipe freezes keep their parameters and statistics.

    Frozen parameters get no gradient, so no optimizer changes them, nor does weight decay. Modules that keep statistics
    stay in evaluation; dropout goes on. What is frozen follows from the number of the epoch alone, so a resumed
    training does as one that was never interrupted.
    """

    def __init__(self, freeze: Freeze) -> None:
        self.freeze = freeze

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        # before DDP wraps the network, which waits for no gradient of what needs none then, and never will later
        freeze_parts(_network(pl_module), self.freeze, None)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.on_train_epoch_start(trainer, pl_module)  # a training resumed within an epoch does not start it again

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        freeze_parts(_network(pl_module), self.freeze, trainer.current_epoch)


def freeze_parts(network: nn.Module, freeze: Freeze, epoch: int | None) -> None:
    """Freeze what is frozen in an epoch, counted from 0, and train the rest; without an epoch, what is frozen for good.

    Modules that keep statistics are those with buffers that a `state_dict` holds.
    """
    # what is shared has several names, and is frozen by any of them
    names = [name for name, _ in network.named_parameters(remove_duplicate=False) if freeze.holds(name, epoch)]
    frozen = {id(network.get_parameter(name)) for name in names}
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) not in frozen)
    keeping = {
        id(module) for name, module in network.named_modules(remove_duplicate=False) if freeze.holds(name, epoch)
    }
    for module in network.modules():
        kept = {key for key, buffer in module._buffers.items() if buffer is not None}
        if kept - module._non_persistent_buffers_set:
            module.train(id(module) not in keeping)


def _network(module: LightningModule) -> Any:
    return module.network

"""The recipe of a training: its form, optimizers and augmentations, known without torch."""

from archspec.recipe.augmentations import AUGMENTATIONS, AppliedAugmentation
from archspec.recipe.optimizers import OPTIMIZERS
from archspec.recipe.options import Option
from archspec.recipe.recipe import (
    DEFAULTS,
    EXCLUSIVE,
    LOSSES,
    OPTIONS,
    PARTIAL,
    SCHEDULES,
    SCHEMA,
    Clip,
    EarlyStopping,
    Ema,
    Loss,
    Optimizer,
    Recipe,
    Schedule,
    Warmup,
    keys,
)

__all__ = [
    "AUGMENTATIONS",
    "DEFAULTS",
    "EXCLUSIVE",
    "LOSSES",
    "OPTIMIZERS",
    "OPTIONS",
    "PARTIAL",
    "SCHEDULES",
    "SCHEMA",
    "AppliedAugmentation",
    "Clip",
    "EarlyStopping",
    "Ema",
    "Loss",
    "Optimizer",
    "Option",
    "Recipe",
    "Schedule",
    "Warmup",
    "keys",
]

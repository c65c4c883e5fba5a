"""The recipe of a training: its form, optimizers and augmentations, known without torch."""

from archspec.recipe.augmentations import AUGMENTATIONS, AppliedAugmentation
from archspec.recipe.choices import EXCLUSIVE, LOSSES, OPTIONS, RESIZES, SCHEDULES
from archspec.recipe.columns import Columns
from archspec.recipe.optimizers import OPTIMIZERS
from archspec.recipe.options import Option
from archspec.recipe.outputs import Outputs
from archspec.recipe.parts import Freeze, LrScale
from archspec.recipe.recipe import DEFAULTS, Recipe
from archspec.recipe.schema import PARTIAL, SCHEMA
from archspec.recipe.sections import (
    Clip,
    EarlyStopping,
    Ema,
    Loss,
    Moments,
    Optimizer,
    Resize,
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
    "RESIZES",
    "SCHEDULES",
    "SCHEMA",
    "AppliedAugmentation",
    "Clip",
    "Columns",
    "EarlyStopping",
    "Ema",
    "Freeze",
    "Loss",
    "LrScale",
    "Moments",
    "Optimizer",
    "Option",
    "Outputs",
    "Recipe",
    "Resize",
    "Schedule",
    "Warmup",
    "keys",
]

"""Mute what Lightning, torch and matplotlib log about themselves."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric", "matplotlib")


@contextmanager
def mute_libraries() -> Iterator[None]:
    """Mute log messages and warnings of libraries inside the `with` block: most are advice for other data than ours.

    Afterwards, levels of loggers and filters of warnings are as they were.
    """
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for package in ("pytorch_lightning", "lightning_fabric"):
            warnings.filterwarnings("ignore", module=package)
        # compiling for a GPU: matrix products are left at full precision on purpose
        warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")
        # FSDP of one process, which has nobody to share its weights with
        warnings.filterwarnings("ignore", message="(FSDP is switching to use|When using) `+NO_SHARD`+")
        # float16: the first steps are left out until the loss is scaled well
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        for category in (FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", category=category)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

"""The Lightning module of a training, under the name by which checkpoints are loaded in Python."""

from trainer.steps.module import SpecModule

__all__ = ["SpecModule"]

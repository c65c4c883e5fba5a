"""The recipe of a training: its form, optimizers and augmentations, known without torch."""

"""Weights: read from files and from torchvision, loaded into networks, saved, and carried between two networks."""

from archspec.weights.files import load, metadata, read, save
from archspec.weights.published import transplant_torchvision
from archspec.weights.transplant import Example, Loaded, Skipped, TransplantError, transplant

__all__ = [
    "Example",
    "Loaded",
    "Skipped",
    "TransplantError",
    "load",
    "metadata",
    "read",
    "save",
    "transplant",
    "transplant_torchvision",
]

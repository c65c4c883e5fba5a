"""Weights: read from files and from torchvision, loaded into networks, saved, and carried between two networks."""

from archspec.weights.files import metadata, read, save
from archspec.weights.loaded import Loaded, Skipped
from archspec.weights.loading import load
from archspec.weights.published import transplant_torchvision
from archspec.weights.trace import TransplantError
from archspec.weights.transplant import Example, transplant

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

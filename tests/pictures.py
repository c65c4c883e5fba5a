"""Folders of small pictures, and what the tests of data make of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe
from trainer import data
from trainer.input.splits import prepare_splits

RECIPE = Recipe(validation=0.2)
SPEC = {
    "archspec": 1,
    "name": "Tiny",
    "input": [3, 16, 12],
    "vars": {"num_classes": 10},
    "network": [{"conv": {"out": 4, "kernel": 3}}, "global_avg_pool", "flatten", {"linear": "=num_classes"}],
    "train": {"epochs": 2, "validation": 0.2, "batch_size": 8},
}


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(UsageError) as caught:
        call()
    return str(caught.value)


def photo(file: Path, seed: int = 0, size: tuple[int, int] = (20, 14), mode: str = "RGB", **options: Any) -> Path:
    """A picture of smooth waves, (width, height)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    waves = np.random.default_rng(seed).uniform(0, 9, (3, 3))
    x, y = np.arange(size[0]) / size[0], np.arange(size[1])[:, None] / size[1]
    values = [np.sin(a * x + b * y + c) * 127 + 128 for a, b, c in waves]
    Image.fromarray(np.stack(values, -1).astype(np.uint8)).convert(mode).save(file, **options)
    return file


def photos(root: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 10) -> Path:
    for number, name in enumerate(classes):
        for i in range(count):
            photo(root / name / f"{i:03}.png", seed=100 * number + i, size=(20 + i, 14 + number))
    return root


def broken(root: Path) -> dict[str, str]:
    """Files that are no images for several reasons, and what is said of each."""
    whole = photo(root / "whole.jpg", size=(200, 200)).read_bytes()
    (root / "whole.jpg").unlink()
    (root / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "empty.png").write_bytes(b"")
    (root / "text.png").write_text("no image")
    (root / "gone.png").symlink_to(root / "nowhere.png")
    Image.fromarray(np.zeros((2, 2), np.float32)).save(root / "float.tif")
    return {
        "cut.jpg": "image file is truncated",
        "empty.png": "not an image",
        "float.tif": "its values are floats, of no known range",
        "gone.png": "No such file or directory",
        "text.png": "not an image",
    }


def data_of(root: Path, shape: tuple[int, int, int], **recipe: Any) -> tuple[Any, Any, Any]:
    ready = prepare_splits(data.load("folder", root), shape, replace(RECIPE, **recipe))
    return ready.train, ready.validation, ready.test

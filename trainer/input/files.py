"""Image files: decoded on demand to uint8, upright, grey or in colour."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from archspec.foundation.shapes import Shape
from archspec.recipe import Resize
from trainer.input.cache import files_fingerprint, read_cache, write_cache
from trainer.input.images import fit_to_input
from trainer.input.resizing import STRETCH

SUFFIXES = {".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
"""What the names of image files end in, in whatever case."""

DECODE_AHEAD = 1024
"""How many images are decoded ahead of their use."""


class Unreadable(Exception):
    """Why a file cannot be read as an image."""


@dataclass(frozen=True)
class Files:
    """Image files below a folder and their classes, int64 `(N,)`, or other targets, floats `(N, K)`.

    An image may be there several times, with other numbers beside it.
    """

    root: Path
    paths: tuple[str, ...]
    labels: Tensor
    rows: Tensor | None = field(default=None, kw_only=True)
    """The numbers beside each image that a network takes too, float32 `(N, features)`, if it does."""

    @property
    def channels(self) -> int:
        """3: files may hold colour; `fit_to_input` makes them what the network's input asks for."""
        return 3

    def __len__(self) -> int:
        return len(self.paths)

    def at(self, index: Tensor) -> Files:
        rows = None if self.rows is None else self.rows[index]
        return Files(self.root, tuple(self.paths[i] for i in index.tolist()), self.labels[index], rows=rows)

    @property
    def names(self) -> tuple[str, ...]:
        """All files that it is made of, by their paths below `root`."""
        return self.paths

    def file(self, position: int) -> Path:
        return self.root / self.paths[position]

    def differ_from(self, size: Sequence[int]) -> bool:
        """Whether a readable image has another height or width."""

        def differs(position: int) -> bool:
            try:
                with Image.open(self.file(position)) as image:
                    return image.size != (size[1], size[0])
            except Exception:  # said when it is decoded
                return False

        with ignore_pillow_warnings():
            return any(map(differs, range(len(self))))

    def decode(self, position: int) -> tuple[Tensor, Tensor]:
        """An image, uint8 `(C, H, W)`, and its target. Raises `Unreadable`."""
        return decode(self.file(position)), self.labels[position]

    def fitted(self, position: int, shape: Shape, resize: Resize = STRETCH) -> tuple[Tensor, Tensor]:
        """An image, uint8 of a network's input shape, and its target. Raises `Unreadable`."""
        image, target = self.decode(position)
        return fit_to_input(image[None], shape, resize)[0], target

    def empty_targets(self, shape: Shape) -> Tensor:
        """Memory for the targets of all images, which a network of this input shape is trained with."""
        return torch.empty_like(self.labels)

    def measured_targets(self) -> Tensor:
        """The targets that a task takes measures of before the first step."""
        return self.labels

    def decoded(self, shape: Shape, resize: Resize = STRETCH) -> Iterator[tuple[Tensor, Tensor] | Unreadable]:
        """Each image, uint8 of a network's input shape, with its target, or why it cannot be read, in turn.

        Several threads decode.
        """

        def read(position: int) -> tuple[Tensor, Tensor] | Unreadable:
            try:
                return self.fitted(position, shape, resize)
            except Unreadable as error:
                return error

        with ThreadPoolExecutor(usable_cpus()) as pool, ignore_pillow_warnings():
            for start in range(0, len(self), DECODE_AHEAD):
                yield from pool.map(read, range(start, min(start + DECODE_AHEAD, len(self))))


def content_fingerprint(files: Files) -> str:
    """Identifies images by their content, labels and paths below their folder, whatever their times and place.

    It is computed once for files in one state, and cached. Raises `OSError`.
    """

    def content(name: str) -> str:
        with open(files.root / name, "rb") as one:
            return hashlib.file_digest(one, "sha256").hexdigest()

    names = files.names
    key = {"content of": files_fingerprint(files.root / name for name in names)}
    contents = read_cache(key)
    if contents is None:
        with ThreadPoolExecutor(usable_cpus()) as pool:
            contents = hashlib.sha256("".join(pool.map(content, names)).encode()).hexdigest()
        write_cache(key, contents)
    rows = () if files.rows is None else (files.rows.tolist(),)
    return hashlib.sha256(repr((names, files.labels.tolist(), contents, *rows)).encode()).hexdigest()


def usable_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def ignore_pillow_warnings() -> Iterator[None]:
    """Ignore Pillow's warnings of odd or large, but readable files inside the `with` block."""
    with warnings.catch_warnings():
        for category in (UserWarning, Image.DecompressionBombWarning):
            warnings.simplefilter("ignore", category)
        yield


def decode(file: Path) -> Tensor:
    """An image file's pixels as uint8 `(1, H, W)` if it is grey, else `(3, H, W)`; of an animation, the first picture.

    The EXIF orientation is applied, transparency is put on white, 16 bits are scaled to 8. Raises `Unreadable`.
    """
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # a named pipe would never end
            raise Unreadable("a folder" if os.path.isdir(file) else "no regular file")
        with Image.open(file) as image:
            image.load()
            try:
                upright = ImageOps.exif_transpose(image)
            except Exception:  # damaged EXIF data raise anything, and the pixels are intact
                upright = image
            pixels = _eight_bits(upright)
    except Unreadable:
        raise
    except MemoryError:
        raise
    except Exception as error:  # what decoders raise is as manifold as what files can hold
        raise Unreadable(describe_failure(error)) from error
    return torch.from_numpy(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1).copy())


def describe_failure(error: Exception) -> str:
    """Why a file cannot be read, in a line, by what its decoder raised."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombError):
        pixels, most = re.findall(r"\d+", str(error))[:2]
        return f"it has {int(pixels):,} pixels, and {int(most):,} are read at most"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _eight_bits(image: Image.Image) -> np.ndarray[Any, Any]:
    """Pixels `(H, W)` of a grey image, `(H, W, 3)` of any other."""
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise Unreadable("its values have more than 16 bits")
        return ((wide + 128) // 257).astype(np.uint8)
    if image.mode == "F":
        raise Unreadable("its values are floats, of no known range")
    grey = image.mode in ("1", "L", "LA", "La")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        colour = image.convert("RGBA")
        white = Image.new("RGBA", colour.size, "white")
        image = Image.alpha_composite(white, colour)
    return np.array(image.convert("L" if grey else "RGB"))

"""How fast do images stream from a folder? Ours, and the loop that a person would write, side by side in one run.

    python benchmarks/files.py [--images 20000] [--size 96] [--input 64] [--rounds 3] [--workers 2] [--folder FOLDER]

A folder of random JPEG files in ten classes is made, and deleted afterwards. Theirs: torchvision's ImageFolder with its
transforms (random_resized_crop, horizontal flip, tensors, normalised) and a DataLoader. Ours: the stream that
`archspec train` takes for sets larger than memory, with the same augmentation and number of workers, to normalised
batches. Each round goes through all images once by either, in turns; nothing is trained. What is printed is images per
second, the medians of the rounds, and the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import datasets
from torchvision.transforms import v2

from archspec.recipe import AppliedAugmentation, Recipe
from trainer import data
from trainer.input import splits
from trainer.processes.group import SINGLE_PROCESS
from trainer.steps.compute import training_loader

BATCH = 64
CLASSES = 10


def make_images(folder: Path, count: int, size: int) -> None:
    """JPEG files of smooth random images, which compress as photographs do."""
    random = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"class{number % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8))
        coarse.resize((size + number % 16, size)).save(place / f"{number:06}.jpg", quality=90)


def theirs(folder: Path, side: int, workers: int) -> int:
    """Go through all images once as a person would; how many there were."""
    steps = [
        v2.RandomResizedCrop(side),
        v2.RandomHorizontalFlip(),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5] * 3, [0.25] * 3),
    ]
    found = datasets.ImageFolder(str(folder), v2.Compose(steps))
    batches = torch.utils.data.DataLoader(found, BATCH, shuffle=True, drop_last=True, num_workers=workers)
    return sum(len(images) for images, _ in batches)


def ours(folder: Path, side: int, workers: int) -> int:
    """Go through all training images once as `archspec train` does; how many there were."""
    augment = tuple(AppliedAugmentation(name) for name in ("random_resized_crop", "horizontal_flip"))
    recipe = Recipe(batch_size=BATCH, augment=augment, validation=0)
    ready = splits.prepare_splits(data.load(str(folder), folder), (3, side, side), recipe)
    batches = training_loader(ready.train, recipe, torch.device("cpu"), group=SINGLE_PROCESS, workers=workers)
    mean, std = torch.full((3, 1, 1), 0.5), torch.full((3, 1, 1), 0.25)
    return sum(len((images / 255 - mean) / std) for images, _ in batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("images", 20_000), ("size", 96), ("input", 64), ("rounds", 3), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path, help="where the images are made for the time being")
    given = parser.parse_args()
    splits.MEMORY_LIMIT = 0  # as a set that is larger
    rates: dict[str, list[float]] = {"theirs": [], "ours": []}
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        root = Path(place)
        make_images(root / "train", given.images, given.size)
        make_images(root / "test", 2 * CLASSES, given.size)
        ours(root, given.input, given.workers)  # the statistics, which are determined once and cached
        for _ in range(given.rounds):
            for name, folder, go in (("theirs", root / "train", theirs), ("ours", root, ours)):
                start = time.perf_counter()
                count = go(folder, given.input, given.workers)
                rates[name].append(count / (time.perf_counter() - start))
                print(f"{name}: {rates[name][-1]:,.0f} images/s", flush=True)
    ratios = [mine / other for mine, other in zip(rates["ours"], rates["theirs"], strict=True)]
    medians = ", ".join(f"{name} {statistics.median(found):,.0f} images/s" for name, found in rates.items())
    shown = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"{given.images:,} JPEG files, {given.workers} workers: {medians}; ratio {shown}")


if __name__ == "__main__":
    main()

"""How fast do images stream from a folder? Ours, and the loop that a person would write, side by side in one run.

    python benchmarks/files.py [--images 20000] [--size 96] [--input 64] [--rounds 3] [--workers 2] [--folder FOLDER]

A folder of random JPEG files in ten classes is made, and deleted afterwards. Theirs: torchvision's ImageFolder with its
transforms (random_resized_crop, horizontal flip, tensors, normalised) and a DataLoader. Ours: the stream that
`archspec train` takes for sets larger than memory, with the same augmentation and number of workers, to normalised
batches. Each round goes through all images once by either, in turns; nothing is trained. What is printed is images per
second, and the processor time of an image, which a busy machine changes less: medians of the rounds, and of ratios.
"""

from __future__ import annotations

import argparse
import gc
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
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
    torch.set_num_threads(1)
    found: dict[str, list[tuple[float, float]]] = {"theirs": [], "ours": []}
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        root = Path(place)
        make_images(root / "train", given.images, given.size)
        make_images(root / "test", 2 * CLASSES, given.size)
        ours(root, given.input, given.workers)  # the statistics, which are determined once and cached
        for _ in range(given.rounds):
            for name, folder, go in (("theirs", root / "train", theirs), ("ours", root, ours)):
                found[name].append(measured(lambda go=go, folder=folder: go(folder, given.input, given.workers)))
                print(f"{name}: {found[name][-1][0]:,.0f} images/s, {found[name][-1][1]:.2f} ms", flush=True)
    print(f"{given.images:,} JPEG files, {given.workers} workers, medians:")
    for name, rounds in found.items():
        rate, cost = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"  {name}: {rate:,.0f} images/s, {cost:.2f} ms of processor time for an image")
    pairs = list(zip(found["ours"], found["theirs"], strict=True))
    rates, costs = [a[0] / b[0] for a, b in pairs], [b[1] / a[1] for a, b in pairs]
    clock, cost = statistics.median(rates), statistics.median(costs)
    print(f"  ours / theirs: {clock:.2f} by the clock, {cost:.2f} by processor time")


def measured(go: Callable[[], int]) -> tuple[float, float]:
    """Images per second, and milliseconds of processor time for an image, the workers' too."""
    before, start = processor_time(), time.perf_counter()
    count = go()
    seconds = time.perf_counter() - start
    gc.collect()  # the workers end, and their time is known
    return count / seconds, 1e3 * (processor_time() - before) / count


def processor_time() -> float:
    """Seconds of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()

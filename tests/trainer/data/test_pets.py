"""Oxford-IIIT Pets, in files made as they are published: lists, photographs of unequal sizes, trimaps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe
from trainer import data
from trainer.input.masks import IGNORED
from trainer.input.splits import prepare_splits

BREEDS = ("Abyssinian", "american_bulldog", "Egyptian_Mau")
HEADER = "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\n"


def make_pets(folder: Path) -> Path:
    """Four images of each breed, two to train with, in the files that the archives hold."""
    root = folder / "oxford-iiit-pet"
    trimaps = root / "annotations" / "trimaps"
    trimaps.mkdir(parents=True)
    (root / "images").mkdir()
    lines: dict[str, list[str]] = {"trainval": [], "test": []}
    for label, breed in enumerate(BREEDS, 1):
        for number in range(1, 5):
            name, size = f"{breed}_{number}", (8 + number, 10 + label)
            Image.fromarray(np.full((*size, 3), 60 * label, np.uint8)).save(root / "images" / f"{name}.jpg")
            trimap = np.full(size, 2, np.uint8)
            trimap[2:6, 2:8], trimap[3:5, 3:7] = 3, 1
            Image.fromarray(trimap).save(trimaps / f"{name}.png")
            species = 2 if breed[0].islower() else 1
            lines["trainval" if number < 3 else "test"].append(f"{name} {label} {species} {label}\n")
    for part, listed in lines.items():
        (root / "annotations" / f"{part}.txt").write_text("".join(listed))
    (root / "annotations" / "list.txt").write_text(HEADER + "".join(lines["trainval"] + lines["test"]))
    return root


def test_breeds_are_classes_as_published(tmp_path: Path, own_cache: Path) -> None:
    make_pets(tmp_path)
    found = data.load("oxford_pets", tmp_path)
    assert found.class_names == ("Abyssinian", "American Bulldog", "Egyptian Mau")
    assert found.train.labels.tolist() == found.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.test.paths[2:4] == ("images/american_bulldog_3.jpg", "images/american_bulldog_4.jpg")  # type: ignore[union-attr]
    parts = prepare_splits(found, (3, 8, 8), Recipe(validation=0))
    assert [len(one) for one in (parts.train, parts.test)] == [6, 6]
    assert sorted(parts.train.images.flatten(1)[:, 0].tolist()) == [60, 60, 120, 120, 180, 180]  # type: ignore[union-attr]


def test_trimaps_are_masks_whose_outline_does_not_count(tmp_path: Path, own_cache: Path) -> None:
    make_pets(tmp_path)
    found = data.load("oxford_pet_masks", tmp_path)
    assert (found.class_names, found.targets) == (("background", "pet"), "masks")
    image, mask = found.train.decode(0)  # type: ignore[union-attr]
    assert image.shape == (3, 9, 11)
    assert mask.shape == (9, 11)
    assert [int((mask == value).sum()) for value in (0, 1, IGNORED)] == [9 * 11 - 24, 8, 16]
    assert found.files_fingerprint != data.load("oxford_pets", tmp_path).files_fingerprint


DAMAGED = "\n  help: remove ROOT, and have it fetched anew by --download"
WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (
        lambda root: root.rename(root.with_name("elsewhere")),
        "the data set `NAME` is not there; it was looked for in ROOT\n"
        "  help: --download fetches it; or unpack images.tar.gz and annotations.tar.gz in oxford-iiit-pet in FOLDER, "
        "or name its folder by --data-folder",
    ),
    "no folder of images": (
        lambda root: (root / "images").rename(root / "pictures"),
        "the data set `NAME` is damaged: ROOT/annotations/trainval.txt: Dataset not found. You can use download=True "
        f"to download it{DAMAGED}",
    ),
    "no list": (
        lambda root: (root / "annotations" / "test.txt").unlink(),
        f"the data set `NAME` is damaged: ROOT/annotations/test.txt: No such file or directory{DAMAGED}",
    ),
    "no image": (
        lambda root: (root / "images" / "Abyssinian_4.jpg").unlink(),
        "the data set `NAME` is damaged: ROOT/annotations/test.txt lists Abyssinian_4.jpg, which is not there"
        f"{DAMAGED}",
    ),
    "a short line": (
        lambda root: (root / "annotations" / "trainval.txt").write_text("Abyssinian_1 1\n"),
        "the data set `NAME` is damaged: ROOT/annotations/trainval.txt: not enough values to unpack (expected 4, "
        f"got 2){DAMAGED}",
    ),
    "an empty list": (
        lambda root: (root / "annotations" / "trainval.txt").write_text(""),
        f"the data set `NAME` is damaged: ROOT/annotations/trainval.txt lists nothing{DAMAGED}",
    ),
}


@pytest.mark.parametrize("name", ["oxford_pets", "oxford_pet_masks"])
@pytest.mark.parametrize("what", WRONG)
def test_what_is_missing_is_said(what: str, name: str, tmp_path: Path) -> None:
    spoil, message = WRONG[what]
    root = make_pets(tmp_path)
    spoil(root)
    with pytest.raises(UsageError) as caught:
        data.load(name, tmp_path)
    said = str(caught.value).replace(str(root), "ROOT").replace(str(tmp_path), "FOLDER").replace(f"`{name}`", "`NAME`")
    assert said == message

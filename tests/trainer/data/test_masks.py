"""Folders of images with masks: their layouts, classes and palettes, and what is wrong with them, said before training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe
from trainer import data
from trainer.input import splits
from trainer.input.loaders import Stream, loader
from trainer.input.masks import IGNORED, MaskFiles
from trainer.input.splits import prepare_splits

pytestmark = pytest.mark.usefixtures("own_cache")

RECIPE = Recipe(validation=0, augment=(), normalize=False)
SHAPE = (3, 6, 8)


def put(file: Path, pixels: Any, mode: str | None = None, palette: list[int] | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels, dtype=np.uint8), mode)
    if palette:
        image.putpalette(palette + [0] * (768 - len(palette)))  # or fewer bits are written than the values need
    image.save(file)


def pair(root: Path, name: str, mask: Any, images: str = "images", masks: str = "masks", **options: Any) -> None:
    """An image whose red channel is its mask."""
    values = np.asarray(mask, dtype=np.uint8)
    put(root / images / f"{name}.png", np.stack([values, values, values], 2))
    put(root / masks / f"{name}.png", values, **options)


def blocks(number: int) -> np.ndarray[Any, Any]:
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[:3, :4] = number % 3
    mask[4, 5] = IGNORED
    return mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(10):
        pair(tmp_path / "scenes", f"{number:02}", blocks(number))
    return tmp_path / "scenes"


def refused(root: Path) -> str:
    """What is said of a data set, when it is found or when its images are read."""
    with pytest.raises(UsageError) as caught:
        prepare_splits(data.load(str(root), root), SHAPE, RECIPE)
    return str(caught.value).replace(str(root), "ROOT")


def test_images_and_masks_of_one_name_belong_together(folder: Path) -> None:
    found = data.load(str(folder), folder)
    assert (found.targets, found.class_names) == ("masks", ("0", "1", "2"))
    parts = prepare_splits(found, SHAPE, RECIPE)
    assert (len(parts.train), len(parts.test)) == (8, 2)
    for part in (parts.train, parts.test):
        assert torch.equal(part.images[:, 0], part.labels)  # type: ignore[union-attr]
    assert sorted(int(mask.max(initial=0, where=mask != IGNORED)) for mask in parts.train.labels.numpy())  # type: ignore[union-attr]


def test_a_stream_gives_the_masks_that_memory_gives(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found = data.load(str(folder), folder)
    for shape in (SHAPE, (3, 12, 16), (3, 3, 4)):
        small = prepare_splits(found, shape, RECIPE)
        with monkeypatch.context() as patch:
            patch.setattr(splits, "MEMORY_LIMIT", 0)
            large = prepare_splits(found, shape, RECIPE)
        assert isinstance(large.test, Stream)
        for (images, masks), (streamed, streamed_masks) in zip(
            loader(small.test, 2), loader(large.test, 2), strict=True
        ):
            assert torch.equal(images, streamed)
            assert torch.equal(masks, streamed_masks)
            assert masks.shape[1:] == shape[1:]
    assert capfd.readouterr().err.count("reading 10 images once") == 3


@pytest.mark.parametrize(
    ("images", "masks"), [("images/{}", "masks/{}"), ("{}/images", "{}/masks")], ids=["parts within", "parts first"]
)
def test_parts_may_have_folders(tmp_path: Path, images: str, masks: str) -> None:
    for part, count in (("train", 4), ("val", 2), ("test", 1)):
        for number in range(count):
            pair(tmp_path, f"{part}{number}", blocks(number), images.format(part), masks.format(part))
    found = data.load(str(tmp_path), tmp_path)
    assert found.validation is not None
    assert [len(one) for one in (found.train, found.validation, found.test)] == [4, 2, 1]


def test_a_palettes_indices_are_the_classes(tmp_path: Path) -> None:
    palette = [9, 9, 9, 200, 0, 0, 0, 200, 0]
    for number in range(4):
        pair(tmp_path, str(number), blocks(number), mode="P", palette=palette)
    parts = prepare_splits(data.load(str(tmp_path), tmp_path), SHAPE, RECIPE)
    assert torch.equal(parts.train.images[:, 0], parts.train.labels)  # type: ignore[union-attr]


def test_values_and_colours_mean_what_classes_txt_says(tmp_path: Path) -> None:
    mask = np.array([[0, 255, 7], [0, 0, 255]])
    pair(tmp_path / "values", "a", mask)
    pair(tmp_path / "values", "b", mask)
    (tmp_path / "values" / "classes.txt").write_text("background 0\nthe thing 255\nIgnore 7\n")
    found = data.load(str(tmp_path / "values"), tmp_path)
    assert found.class_names == ("background", "the thing")
    assert isinstance(found.train, MaskFiles)
    assert found.train.decode(0)[1].tolist() == [[0, 1, IGNORED], [0, 0, 1]]
    root = tmp_path / "colours"
    for name in "ab":
        put(root / "images" / f"{name}.png", np.zeros((1, 3, 3)))
        put(root / "masks" / f"{name}.png", [[[0, 0, 0], [250, 3, 1], [255, 255, 255]]])
    (root / "classes.txt").write_text("background 0 0 0\nsign 250 3 1\nignore 255 255 255\n\n")
    found = data.load(str(root), tmp_path)
    assert isinstance(found.train, MaskFiles)
    assert found.train.decode(0)[1].tolist() == [[0, 1, IGNORED]]


def test_pascal_vocs_layout_is_known(tmp_path: Path) -> None:
    """Its masks have a palette; 255 is the border of objects."""
    for name in ("2007_1", "2007_2", "2007_3"):
        values = blocks(2) * np.uint8(7)  # 255 becomes 249
        values[4, 5] = IGNORED
        put(tmp_path / "JPEGImages" / f"{name}.png", np.zeros((6, 8, 3)))
        (tmp_path / "JPEGImages" / f"{name}.png").rename(tmp_path / "JPEGImages" / f"{name}.jpg")
        put(tmp_path / "SegmentationClass" / f"{name}.png", values, "P", [0, 0, 0, 128, 0, 0])
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_1\n2007_3\n")
    (lists / "val.txt").write_text("2007_2\n")
    found = data.load(str(tmp_path), tmp_path)
    assert (len(found.train), len(found.test), found.validation) == (2, 1, None)
    assert (found.classes, found.class_names[0], found.class_names[14]) == (21, "background", "motorbike")
    assert isinstance(found.test, MaskFiles)
    assert set(found.test.decode(0)[1].unique().tolist()) == {0, 14, IGNORED}
    (lists / "train.txt").write_text("2007_1\n2007_9\n")
    assert refused(tmp_path) == (
        "ROOT/JPEGImages/2007_9.jpg, which ROOT/ImageSets/Segmentation/train.txt lists, is not there\n"
        "  help: unpack the set anew"
    )


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no mask": (
        lambda root: (root / "masks" / "03.png").unlink(),
        "the image ROOT/images/03.png has no mask of that name in ROOT/masks\n  help: add the mask, or remove the image",
    ),
    "no image": (
        lambda root: [(root / "images" / f"0{number}.png").unlink() for number in (3, 4)],
        "the mask ROOT/masks/03.png has no image of that name in ROOT/images, nor have 1 others\n"
        "  help: add the image, or remove the mask",
    ),
    "lossy": (
        lambda root: (root / "masks" / "03.png").rename(root / "masks" / "03.jpg"),
        "the mask ROOT/masks/03.jpg is in a format that changes values\n  help: save masks as PNG files",
    ),
    "two of one name": (
        lambda root: put(root / "images" / "03.bmp", np.zeros((6, 8, 3))),
        "ROOT/images/03.bmp and ROOT/images/03.png have one name\n  help: rename or remove one of them",
    ),
    "another size": (
        lambda root: put(root / "masks" / "03.png", np.zeros((5, 8))),
        "1 of the 10 images of `ROOT` cannot be read\n"
        "    ROOT/images/03.png: its mask masks/03.png is 5×8, the image 6×8\n"
        "  help: repair or remove them, or skip them by --skip-unreadable",
    ),
    "beyond the classes": (
        lambda root: (root / "classes.txt").write_text("ground\nsky\n"),
        "3 of the 10 images of `ROOT` cannot be read\n"
        "    ROOT/images/02.png: its mask masks/02.png has the value 2 at row 0, column 0, not one of 2 classes\n"
        "    ROOT/images/08.png: its mask masks/08.png has the value 2 at row 0, column 0, not one of 2 classes\n"
        "    ROOT/images/05.png: its mask masks/05.png has the value 2 at row 0, column 0, not one of 2 classes\n"
        "  help: repair or remove them, or skip them by --skip-unreadable",
    ),
    "an unlisted value": (
        lambda root: (root / "classes.txt").write_text("ground 0\nsky 1\nignore 255\nsea 3"),
        "3 of the 10 images of `ROOT` cannot be read\n"
        "    ROOT/images/02.png: its mask masks/02.png has the value 2 at row 0, column 0, none of the 4 in classes.txt\n"
        "    ROOT/images/08.png: its mask masks/08.png has the value 2 at row 0, column 0, none of the 4 in classes.txt\n"
        "    ROOT/images/05.png: its mask masks/05.png has the value 2 at row 0, column 0, none of the 4 in classes.txt\n"
        "  help: repair or remove them, or skip them by --skip-unreadable",
    ),
    "in colour": (
        lambda root: put(root / "masks" / "03.png", np.zeros((6, 8, 3))),
        "the classes of ROOT cannot be found: mask ROOT/masks/03.png is in colour: classes.txt has to say what the "
        "colours mean, `NAME R G B` a line\n"
        "  help: name the classes in ROOT/classes.txt, one each line, or correct the mask",
    ),
    "0 and 255": (
        lambda root: [put(root / "masks" / f"{n:02}.png", 255 * (blocks(n) == 1)) for n in range(10)],
        "the masks of ROOT hold the values 0 and 255 alone: is 255 a class, or what is not known?\n"
        "  help: say so in ROOT/classes.txt, a line for each class: `background 0` and `object 255`",
    ),
    "one class": (
        lambda root: [put(root / "masks" / f"{n:02}.png", np.zeros((6, 8))) for n in range(10)],
        "the masks of ROOT hold one class, and two at least are needed\n  help: correct the masks",
    ),
    "gaps": (
        lambda root: [put(root / "masks" / f"{n:02}.png", 64 * np.minimum(blocks(n), 2)) for n in range(10)],
        "the masks of ROOT hold the values 0, 64, 128, and none of 126 values below 128: which are classes?\n"
        "  help: say so in ROOT/classes.txt, a line for each class: `NAME 0` and `NAME 64`, and so on",
    ),
    "a name with more": (
        lambda root: (root / "masks" / "03.png").rename(root / "masks" / "03_mask.png"),
        "the image ROOT/images/03.png has no mask of that name in ROOT/masks\n"
        "  help: give both the same name: 03_mask.png may belong to it",
    ),
    "a folder beside parts": (
        lambda root: [pair(root, "a", blocks(1), f"images/{part}", f"masks/{part}") for part in ("Train", "more")],
        "ROOT/images has `more` beside `Train`: these are parts\n"
        "  help: move it away: train, val and test are what is used",
    ),
    "a number beyond": (
        lambda root: (root / "classes.txt").write_text("ground 0\nsky 256\n"),
        "ROOT/classes.txt, line 2: `sky 256` is no class\n"
        "  help: write a name, `NAME VALUE` or `NAME RED GREEN BLUE`, each number from 0 to 255",
    ),
    "numbers for some": (
        lambda root: (root / "classes.txt").write_text("ground 0\nsky\n"),
        "ROOT/classes.txt lists some classes with numbers and others without\n"
        "  help: write for each a name, `NAME VALUE` or `NAME RED GREEN BLUE`, each number from 0 to 255",
    ),
    "a name twice": (
        lambda root: (root / "classes.txt").write_text("ground\nsky\nground\n"),
        "ROOT/classes.txt lists the name `ground` twice\n  help: give each class a line of its own",
    ),
    "no training set": (
        lambda root: (root / "images").rename(root / "x") and pair(root, "a", blocks(1), "images/val", "masks/val"),
        "ROOT has no part `train`\n"
        "  help: put images and masks of the same names in `images` and `masks`, or such folders in train, val and test",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_masks_is_said(folder: Path, name: str) -> None:
    change, message = WRONG[name]
    change(folder)
    assert sorted(refused(folder).splitlines()) == sorted(message.splitlines())  # files stand in the order of the parts

"""Folders of images: which files they are, and what is read of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import RECIPE, broken, data_of, photo, photos, refused
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from trainer import data
from trainer.input import splits
from trainer.input.files import Files, Unreadable, decode
from trainer.input.splits import prepare_splits, split

pytestmark = pytest.mark.usefixtures("own_cache")


# --- folders of images: which files --------------------------------------------------------------------------------


def test_a_folder_is_a_data_set_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = photos(tmp_path / "photos", ("dog", "cat", "big bird"))
    monkeypatch.chdir(tmp_path)
    for name in ("./photos", "photos", str(root), "photos/"):
        loaded = data.load(name, tmp_path / "elsewhere")
        assert (loaded.name, loaded.class_names) == (name, ("big bird", "cat", "dog"))
        assert (len(loaded.train), len(loaded.test), loaded.validation) == (24, 6, None)
    by_name = data.load("folder", root)
    assert by_name.train.paths == loaded.train.paths
    for part in (loaded.train, loaded.test):
        assert isinstance(part, Files)
        assert [loaded.class_names[label] for label in part.labels] == [path.split("/")[0] for path in part.paths]
        assert part.labels.bincount().tolist() == [len(part) // 3] * 3


def test_the_test_images_of_a_folder_stay_where_some_are_added(tmp_path: Path) -> None:
    root = photos(tmp_path, count=20)
    before = data.load("folder", root)
    assert not set(before.train.paths) & set(before.test.paths)
    photo(root / "cat" / "another.png", seed=900)
    after = data.load("folder", root)
    assert len(set(before.test.paths) - set(after.test.paths)) <= 1
    assert len(after.train) + len(after.test) == 41


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_folders_for_the_parts_are_kept(val: str, tmp_path: Path) -> None:
    for part, count in {"train": 4, val: 2, "test": 3}.items():
        photos(tmp_path / part, count=count)
    loaded = data.load("folder", tmp_path)
    assert loaded.class_names == ("cat", "dog")
    assert [len(part) for part in split(loaded, RECIPE)] == [8, 4, 6]
    assert loaded.validation.paths[0] == f"{val}/cat/000.png"


def test_without_a_folder_for_the_test_val_is_tested(tmp_path: Path) -> None:
    photos(tmp_path / "train", count=10)
    photos(tmp_path / "val", count=2)
    loaded = data.load("folder", tmp_path)
    assert loaded.validation is None
    assert [len(part) for part in split(loaded, RECIPE)] == [16, 4, 4]
    assert loaded.test.paths[0] == "val/cat/000.png"


def test_train_alone_is_split(tmp_path: Path) -> None:
    photos(tmp_path / "train", count=10)
    loaded = data.load("folder", tmp_path)
    assert (len(loaded.train), len(loaded.test)) == (16, 4)


def test_classes_may_be_called_train_and_test(tmp_path: Path) -> None:
    loaded = data.load("folder", photos(tmp_path / "a", ("train", "bus")))
    assert loaded.class_names == ("bus", "train")
    loaded = data.load("folder", photos(tmp_path / "b", ("train", "test")))
    assert loaded.class_names == ("test", "train")


def test_a_class_may_be_missing_in_the_test(tmp_path: Path) -> None:
    photos(tmp_path / "train", ("a", "b", "c"))
    photos(tmp_path / "test", ("b", "c"), count=2)
    (tmp_path / "test" / "a").mkdir()
    loaded = data.load("folder", tmp_path)
    assert loaded.test.labels.tolist() == [1, 1, 2, 2]


def test_which_files_are_images(tmp_path: Path) -> None:
    """Suffixes in any case, folders within folders, links; not what is hidden, nor what has another suffix."""
    root = photos(tmp_path / "photos", count=2)
    photo(root / "cat" / "UPPER.PNG")
    photo(root / "cat" / "Mixed.JpEg", format="JPEG")
    photo(root / "cat" / "2020" / "may" / "deep.webp")
    photo(root / "dog" / ".hidden.png")
    photo(root / ".thumbnails" / "x.png")
    (root / "dog" / "._002.png").write_bytes(b"of macOS")
    (root / "dog" / "notes.txt").write_text("no image")
    (root / "README").write_text("no image")
    photo(tmp_path / "elsewhere" / "linked.png")
    (root / "dog" / "link.png").symlink_to(tmp_path / "elsewhere" / "linked.png")
    (root / "dog" / "more").symlink_to(tmp_path / "elsewhere")
    (root / "dog" / "loop").symlink_to(root / "dog")
    (root / "fish").symlink_to(photos(tmp_path / "other", ("fish",), count=2) / "fish")
    loaded = data.load("folder", root)
    assert sorted(loaded.train.paths + loaded.test.paths) == [
        "cat/000.png",
        "cat/001.png",
        "cat/2020/may/deep.webp",
        "cat/Mixed.JpEg",
        "cat/UPPER.PNG",
        "dog/000.png",
        "dog/001.png",
        "dog/link.png",
        "dog/more/linked.png",
        "fish/000.png",
        "fish/001.png",
    ]
    assert loaded.notes == (f"2 files below {root} are no image by the suffix, and left out",)


LAYOUT = "give each class a subfolder with its images, or make such subfolders in train, val and test"


def test_folders_that_are_no_data_set_say_why(tmp_path: Path) -> None:
    def said(root: Path) -> str:
        return refused(lambda: data.load(str(root), tmp_path)).replace(str(root), "ROOT")

    assert said(tmp_path / "absent") == f"ROOT is not there\n  help: {LAYOUT}"
    assert said(photo(tmp_path / "one.png")) == f"ROOT is a file, no folder of images\n  help: {LAYOUT}"
    (tmp_path / "empty").mkdir()
    few = "but a class each is needed, and two at least"
    assert said(tmp_path / "empty") == f"ROOT has no subfolders, {few}\n  help: {LAYOUT}"
    assert said(photos(tmp_path / "a", ("cat",))) == f"ROOT has one subfolder, `cat`, {few}\n  help: {LAYOUT}"
    root = photos(tmp_path / "b")
    (root / "eel").mkdir()
    (root / "fox").mkdir()
    suffixes = ".bmp .gif .jfif .jpeg .jpg .pgm .png .ppm .tif .tiff .webp"
    assert said(root) == (
        f"no image is in the folders `eel`, `fox` of ROOT\n  help: put in images ({suffixes}), or remove them"
    )
    (root / "fox").rmdir()
    assert said(root) == f"no image is in the folder `eel` of ROOT\n  help: put in images ({suffixes}), or remove it"
    photo(root / "stray.JPG")
    assert said(root) == "ROOT/stray.JPG lies in no class's folder\n  help: move it into one, or remove it"
    root = photos(tmp_path / "c", ("cat", "dog"), count=1)
    assert said(root) == (
        "the class `cat` in ROOT has one image: none could be tested\n  help: add some, or make folders train and test"
    )
    root = tmp_path / "d"
    photos(root / "train")
    photos(root / "test", ("cat", "cow"))
    assert said(root) == (
        "ROOT/test has the class `cow`, which the training set has not\n  help: give both the same subfolders"
    )
    root = tmp_path / "e"
    photos(root / "train")
    (root / "test" / "cat").mkdir(parents=True)
    assert said(root) == f"ROOT/test holds no images\n  help: {LAYOUT}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos")
    (root / "cat").chmod(0)
    try:
        message = refused(lambda: data.load("folder", root))
    finally:
        (root / "cat").chmod(0o755)
    assert message == f"cannot read {root}/cat: Permission denied\n  help: see to it that it can be read"


# --- images in files -----------------------------------------------------------------------------------------------


def test_pixels_are_pillows(tmp_path: Path) -> None:
    file = photo(tmp_path / "a.png")
    assert torch.equal(decode(file), functional.pil_to_tensor(Image.open(file)))
    grey = photo(tmp_path / "b.png", mode="L")
    assert torch.equal(decode(grey), functional.pil_to_tensor(Image.open(grey)))
    for mode, name in (("P", "p.png"), ("CMYK", "c.jpg"), ("YCbCr", "y.jpg"), ("1", "one.png")):
        file = photo(tmp_path / name, mode=mode)
        expected = Image.open(file).convert("L" if mode == "1" else "RGB")
        assert torch.equal(decode(file), functional.pil_to_tensor(expected)), mode


def test_transparent_parts_lie_on_white(tmp_path: Path) -> None:
    clear = np.zeros((4, 6, 4), np.uint8)
    clear[:, :3] = (10, 20, 30, 255)
    clear[:, 5] = (0, 0, 0, 127)
    expected = np.full((4, 6, 3), 255)
    expected[:, :3] = (10, 20, 30)
    expected[:, 5] = 128
    Image.fromarray(clear).save(tmp_path / "rgba.png")
    assert decode(tmp_path / "rgba.png").permute(1, 2, 0).tolist() == expected.tolist()
    Image.fromarray(clear).convert("LA").save(tmp_path / "la.png")
    assert decode(tmp_path / "la.png")[0, 0].tolist() == [18, 18, 18, 255, 255, 128]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "p.png", transparency=1)
    assert decode(tmp_path / "p.png")[:, 0].T.tolist() == [[10, 20, 30], [255, 255, 255]]


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    values = np.array([[0, 257, 128 * 257, 65535, 300]], np.uint16)
    for name in ("a.png", "a.tif", "a.pgm"):
        Image.fromarray(values).save(tmp_path / name)
        assert decode(tmp_path / name).tolist() == [[[0, 1, 128, 255, 1]]], name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = photo(tmp_path / "a.png", exif=exif)
    stored = functional.pil_to_tensor(Image.open(file))
    upright = {
        1: stored,
        2: stored.flip(2),
        3: stored.flip(1, 2),
        4: stored.flip(1),
        5: stored.transpose(1, 2),
        6: stored.rot90(-1, (1, 2)),
        7: stored.flip(1, 2).transpose(1, 2),
        8: stored.rot90(1, (1, 2)),
    }
    assert torch.equal(decode(file), upright[orientation])


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_images_of_very_many_pixels_are_read_quietly_or_refused_in_words(tmp_path: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(tmp_path / "large.png")  # above Pillow's limit for a warning
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    files = Files(tmp_path, ("large.png", "bomb.png"), torch.zeros(2, dtype=torch.int64))
    large, bomb = files.decoded((1, 8, 8))
    assert tuple(large[0].shape) == (1, 8, 8)
    assert str(bomb) == "it has 400,000,000 pixels, and 178,956,970 are read at most"


def test_of_an_animation_the_first_picture_counts(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((5, 5), value, np.uint8)) for value in (50, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert set(decode(tmp_path / "a.gif").flatten().tolist()) == {50}


def test_files_that_are_no_images_say_why(tmp_path: Path) -> None:
    for name, why in broken(tmp_path).items():
        with pytest.raises(Unreadable) as caught:
            decode(tmp_path / name)
        assert str(caught.value).startswith(why), name


@pytest.mark.parametrize("memory", [10**9, 0])
def test_unreadable_files_are_refused_or_skipped_and_counted(
    memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits, "MEMORY_LIMIT", memory)
    root = photos(tmp_path / "photos")
    assert [len(part) for part in data_of(root, (3, 8, 8))] == [13, 3, 4]
    faults = broken(root / "dog")
    loaded = data.load("folder", root)
    expected = sorted(f"    {root}/dog/{name}: " for name in faults)
    message = refused(lambda: prepare_splits(loaded, (3, 8, 8), RECIPE))
    first, *named, help = message.splitlines()
    assert first == f"5 of the 25 images of `{root}` cannot be read"
    assert [line[: len(start)] for line, start in zip(sorted(named), expected, strict=True)] == expected
    assert help == "  help: repair or remove them, or skip them by --skip-unreadable"
    ready = prepare_splits(loaded, (3, 8, 8), RECIPE, skip_unreadable=True)
    assert sum(len(part) for part in (ready.train, ready.validation, ready.test)) == 20
    assert ready.notes[0].splitlines()[0] == (f"5 of the 25 images of `{root}` cannot be read, and were skipped")
    monkeypatch.setattr(splits, "MAX_NAMED_FILES", 2)
    assert "\n    and 3 more\n" in refused(lambda: prepare_splits(loaded, (3, 8, 8), RECIPE))


def test_a_class_of_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    root = photos(tmp_path, count=5)
    for file in (root / "dog").iterdir():
        file.write_bytes(b"")
    message = refused(lambda: prepare_splits(data.load("folder", root), (3, 8, 8), RECIPE, skip_unreadable=True))
    assert message.endswith("\nNothing is left of the class `dog`\n  help: repair or remove them")


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 10, 6)])
def test_images_of_all_sizes_and_kinds_are_brought_to_the_input(shape: tuple[int, int, int], tmp_path: Path) -> None:
    photo(tmp_path / "a" / "large.jpg", 1, (301, 77))
    photo(tmp_path / "a" / "small.png", 2, (1, 1))
    photo(tmp_path / "b" / "grey.png", 3, (9, 9), mode="L")
    photo(tmp_path / "b" / "clear.png", 4, (7, 30), mode="RGBA")
    loaded = data.load("folder", tmp_path)
    train, _, test = data_of(tmp_path, shape, validation=0)
    for part, files in ((train, loaded.train), (test, loaded.test)):
        assert tuple(part.images.shape) == (2, *shape)
        for image, path in zip(part.images, files.paths, strict=True):
            expected = functional.pil_to_tensor(Image.open(tmp_path / path).convert("RGB"))
            if shape[0] == 1 and "grey" in path:
                expected = expected[:1]
            elif shape[0] == 1:
                expected = functional.rgb_to_grayscale(expected)
            expected = functional.resize(expected, list(shape[1:]), InterpolationMode.BILINEAR, antialias=True)
            assert torch.equal(image, expected), path

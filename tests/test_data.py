"""Data sets: what is published, folders of images, and how they are made ready for a network."""

from __future__ import annotations

import gzip
import os
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from published import COUNT, idx, write_all, write_cifar, write_idx, write_svhn
from torchvision import datasets
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from archspec.augmentations import AUGMENTATIONS
from archspec.errors import UsageError
from archspec.spec import from_dict
from trainer import cache, data, parts
from trainer.data import DataSet, Labelled
from trainer.files import Files, Unreadable, decode
from trainer.images import fitted, statistics
from trainer.loaders import Batches, Stream, loader
from trainer.parts import bring, split
from trainer.run import prepare, train
from trainer.transforms import transform

pytestmark = pytest.mark.usefixtures("own_cache")

RECIPE = {"validation": 0.2, "seed": 42, "normalize": True, "augment": []}
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


# --- published sets ------------------------------------------------------------------------------------------------


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_all(tmp_path / "data", monkeypatch)
    return tmp_path / "data"


PUBLISHED = ["cifar10", "cifar100", "fashion_mnist", "mnist", "svhn"]


@pytest.mark.parametrize("name", ["digits", "fake", *PUBLISHED])
def test_a_data_set_gives_whole_labelled_images(name: str, data_folder: Path) -> None:
    loaded = data.load(name, data_folder)
    assert loaded.name == name
    assert loaded.classes == len(set(loaded.class_names)) == (100 if name == "cifar100" else 10)
    for part in (loaded.train, loaded.test):
        assert isinstance(part, Labelled)
        assert part.images.dtype == torch.uint8
        assert part.images.ndim == 4
        assert part.labels.dtype == torch.int64
        assert len(part.images) == len(part.labels) == len(part) > 0
        assert set(part.labels.tolist()) == set(range(loaded.classes))
    again = data.load(name, data_folder)
    assert torch.equal(again.train.images, loaded.train.images)
    assert again.stamp == loaded.stamp
    assert (loaded.stamp is None) == (name in ("digits", "fake"))


def test_every_data_set_is_tested_here() -> None:
    assert data.names() == sorted(["digits", "fake", "folder", *PUBLISHED])


def test_digits_are_scikit_learns(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    digits = data.load("digits", tmp_path)
    assert (len(digits.train), len(digits.test)) == (1437, 360)
    ours = torch.cat([digits.train.images, digits.test.images]).flatten(1)
    theirs = torch.as_tensor(load_digits().data)
    assert sorted((ours.double() / 255 * 16).round().tolist()) == sorted(theirs.tolist())


@pytest.mark.parametrize(("name", "kind"), [("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)])
def test_cifar_is_read_as_published(name: str, kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write_cifar(kind, tmp_path, monkeypatch)
    loaded = data.load(name, tmp_path)
    *training, test = written.values()
    assert torch.equal(loaded.train.images, torch.as_tensor(np.concatenate(training)).view(-1, 3, 32, 32))
    assert torch.equal(loaded.test.images, torch.as_tensor(test).view(-1, 3, 32, 32))
    assert loaded.test.labels.tolist() == [i % loaded.classes for i in range(len(test))]
    assert loaded.class_names[:2] == ("class0", "class1")


@pytest.mark.parametrize(("name", "kind"), [("mnist", datasets.MNIST), ("fashion_mnist", datasets.FashionMNIST)])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_read_packed_and_unpacked(name: str, kind: Any, packed: bool, tmp_path: Path) -> None:
    written = write_idx(kind, tmp_path, packed=packed)
    loaded = data.load(name, tmp_path)
    assert torch.equal(loaded.train.images[:, 0], torch.as_tensor(written["train"]))
    assert torch.equal(loaded.test.images[:, 0], torch.as_tensor(written["t10k"]))
    if not packed:  # which torchvision reads too
        theirs = kind(tmp_path, train=False)
        assert torch.equal(loaded.test.images[:, 0], theirs.data)
        assert torch.equal(loaded.test.labels, theirs.targets)
    assert loaded.class_names[3] == ("Dress" if name == "fashion_mnist" else "3")


def test_svhn_is_read_as_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write_svhn(tmp_path, monkeypatch)
    loaded = data.load("svhn", tmp_path)
    assert torch.equal(loaded.train.images, torch.as_tensor(written["train"]).permute(3, 2, 0, 1))
    assert loaded.test.labels.tolist() == [(i % 10 + 1) % 10 for i in range(COUNT)]


CURES = {
    "cifar10": ("cifar-10-batches-py", "unpack cifar-10-python.tar.gz"),
    "cifar100": ("cifar-100-python", "unpack cifar-100-python.tar.gz"),
    "mnist": ("MNIST/raw", "put train-images-idx3-ubyte.gz and the other three files in MNIST/raw"),
    "fashion_mnist": (
        "FashionMNIST/raw",
        "put train-images-idx3-ubyte.gz and the other three files in FashionMNIST/raw",
    ),
    "svhn": ("", "put train_32x32.mat and test_32x32.mat"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_missing_set_says_where_it_was_looked_for_and_what_to_do(name: str, tmp_path: Path) -> None:
    place, cure = CURES[name]
    assert refused(lambda: data.load(name, tmp_path / "d")) == (
        f"the data set `{name}` is not there; it was looked for in {(tmp_path / 'd' / place).as_posix()}\n"
        f"  help: --download fetches it; or {cure} in {tmp_path}/d, or name its folder by --data-folder"
    )


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar-10-batches-py/data_batch_3"),
        ("cifar100", "cifar-100-python/meta"),
        ("mnist", "MNIST/raw/t10k-labels-idx1-ubyte.gz"),
        ("svhn", "test_32x32.mat"),
    ],
)
def test_a_set_that_lacks_a_file_names_it(name: str, file: str, data_folder: Path) -> None:
    (data_folder / file).unlink()
    assert refused(lambda: data.load(name, data_folder)) == (
        f"the data set `{name}` is damaged: {Path(file).name} is missing in {(data_folder / file).parent}\n"
        f"  help: --download fetches it anew; or {CURES[name][1]} in {data_folder}, or name its folder by --data-folder"
    )


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar-10-batches-py/data_batch_3"),
        ("cifar10", "cifar-10-batches-py/batches.meta"),
        ("cifar100", "cifar-100-python/train"),
        ("svhn", "test_32x32.mat"),
    ],
)
def test_a_file_that_is_not_as_published_is_named(name: str, file: str, data_folder: Path) -> None:
    damaged = data_folder / file
    damaged.write_bytes(damaged.read_bytes()[:-10])
    assert refused(lambda: data.load(name, data_folder)) == (
        f"the data set `{name}` is damaged: {damaged} is not as published\n"
        f"  help: --download fetches it anew; or {CURES[name][1]} in {data_folder}, or name its folder by --data-folder"
    )


def test_damaged_idx_files_are_named_with_what_is_wrong(data_folder: Path) -> None:
    raw = data_folder / "MNIST" / "raw"
    sound = {file.name: file.read_bytes() for file in raw.iterdir()}
    labels = "train-labels-idx1-ubyte.gz"
    end = (
        f"\n  help: --download fetches it anew; or {CURES['mnist'][1]} in {data_folder}, "
        "or name its folder by --data-folder"
    )
    wrong = np.zeros(29, np.uint8)
    for name, content, fault in (
        (labels, b"\0" * 50, "Not a gzipped file (b'\\x00\\x00')"),
        (labels, sound[labels][:-10], "Compressed file ended before the end-of-stream marker was reached"),
        (labels, gzip.compress(idx(wrong[None])), "no IDX file of bytes with 1 axes"),
        (labels, gzip.compress(idx(wrong)[:-4]), "25 values where 29 are announced"),
        (labels, gzip.compress(idx(wrong)), None),
        (labels, gzip.compress(idx(np.full(COUNT, 10, np.uint8))), None),
    ):
        (raw / name).write_bytes(content)
        said = f"{raw / name}: {fault}" if fault else f"the labels of {raw / name} are not those of its images"
        assert refused(lambda: data.load("mnist", data_folder)) == f"the data set `mnist` is damaged: {said}{end}"
        (raw / name).write_bytes(sound[name])
    images = raw / "t10k-images-idx3-ubyte.gz"
    images.write_bytes(sound[images.name][:40] + b"\xff" * 40 + sound[images.name][80:])
    assert refused(lambda: data.load("mnist", data_folder)).startswith(f"the data set `mnist` is damaged: {images}: ")


@pytest.mark.parametrize("name", PUBLISHED)
def test_nothing_is_downloaded_unless_asked_for(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def no_network(request: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(request)
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    refused(lambda: data.load(name, tmp_path))
    assert not asked
    message = refused(lambda: data.load(name, tmp_path, download=True))
    assert asked
    assert message.startswith(f"the data set `{name}` could not be downloaded to {tmp_path}: ")
    assert message.endswith(f"\n  help: try again, or {CURES[name][1]} there yourself")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address of a server of what lies in it."""
    (tmp_path / "server").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "server"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        Thread(target=serving.serve_forever, daemon=True).start()
        yield tmp_path / "server", f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_a_missing_set_is_downloaded(server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an archive as published, by torchvision's own download."""
    place, address = server
    written = write_cifar(datasets.CIFAR10, place, monkeypatch)
    with tarfile.open(place / "cifar-10-python.tar.gz", "w:gz") as tar:
        tar.add(place / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{address}/cifar-10-python.tar.gz")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", None)
    loaded = data.load("cifar10", tmp_path / "data", download=True)
    assert torch.equal(loaded.test.images.flatten(1), torch.as_tensor(written["test_batch"]))
    (tmp_path / "data" / "cifar-10-batches-py" / "test_batch").write_bytes(b"damaged")
    assert len(data.load("cifar10", tmp_path / "data", download=True).test) == COUNT


# --- folders of images: which files --------------------------------------------------------------------------------


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
    suffixes = ".bmp .gif .jpeg .jpg .pgm .png .ppm .tif .tiff .webp"
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


def test_of_an_animation_the_first_picture_counts(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((5, 5), value, np.uint8)) for value in (50, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert set(decode(tmp_path / "a.gif").flatten().tolist()) == {50}


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
        "empty.png": "it is no image",
        "float.tif": "its values are floats, of no known range",
        "gone.png": "No such file or directory",
        "text.png": "it is no image",
    }


def test_files_that_are_no_images_say_why(tmp_path: Path) -> None:
    for name, why in broken(tmp_path).items():
        with pytest.raises(Unreadable) as caught:
            decode(tmp_path / name)
        assert str(caught.value).startswith(why), name


@pytest.mark.parametrize("memory", [10**9, 0])
def test_unreadable_files_are_refused_or_skipped_and_counted(
    memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MEMORY", memory)
    root = photos(tmp_path / "photos")
    assert [len(part) for part in data_of(root, (3, 8, 8))] == [13, 3, 4]
    faults = broken(root / "dog")
    loaded = data.load("folder", root)
    expected = sorted(f"    {root}/dog/{name}: " for name in faults)
    message = refused(lambda: bring(loaded, (3, 8, 8), RECIPE))
    first, *named, help = message.splitlines()
    assert first == f"5 of the 25 images of `{root}` cannot be read"
    assert [line[: len(start)] for line, start in zip(sorted(named), expected, strict=True)] == expected
    assert help == "  help: mend or remove them, or leave them out by --skip-unreadable"
    ready = bring(loaded, (3, 8, 8), RECIPE, skip_unreadable=True)
    assert sum(len(part) for part in (ready.train, ready.validation, ready.test)) == 20
    assert ready.notes[0].splitlines()[0] == (f"5 of the 25 images of `{root}` cannot be read, and were left out")
    monkeypatch.setattr(parts, "SHOWN", 2)
    assert "\n    and 3 more\n" in refused(lambda: bring(loaded, (3, 8, 8), RECIPE))


def data_of(root: Path, shape: tuple[int, int, int], **recipe: Any) -> tuple[Any, Any, Any]:
    ready = bring(data.load("folder", root), shape, RECIPE | recipe)
    return ready.train, ready.validation, ready.test


def test_a_class_of_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    root = photos(tmp_path, count=5)
    for file in (root / "dog").iterdir():
        file.write_bytes(b"")
    message = refused(lambda: bring(data.load("folder", root), (3, 8, 8), RECIPE, skip_unreadable=True))
    assert message.endswith("\nNothing is left of the class `dog`\n  help: mend or remove them")


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


# --- small sets in memory, large ones as streams -------------------------------------------------------------------


def test_a_small_training_set_is_in_memory_and_a_large_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = photos(tmp_path)
    held = 13 * 3 * 8 * 8
    for memory, kind in ((held, Labelled), (held - 1, Stream)):
        monkeypatch.setattr(parts, "MEMORY", memory)
        assert {type(part) for part in data_of(root, (3, 8, 8))} == {kind}


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The same folder in memory, and streamed."""
    loaded = data.load("folder", photos(tmp_path / "photos"))
    small = bring(loaded, (3, 8, 8), RECIPE)
    monkeypatch.setattr(parts, "MEMORY", 0)
    return small, bring(loaded, (3, 8, 8), RECIPE)


def test_a_stream_gives_what_memory_gives(both: tuple[Any, Any], capfd: pytest.CaptureFixture[str]) -> None:
    small, large = both
    for one, other in ((small.train, large.train), (small.validation, large.validation), (small.test, large.test)):
        for (images, labels), (streamed, streamed_labels) in zip(loader(one, 3), loader(other, 3), strict=True):
            assert torch.equal(images, streamed)
            assert torch.equal(labels, streamed_labels)
    for ours, theirs in zip(small.statistics, large.statistics, strict=True):
        assert torch.equal(ours, theirs)
    shuffled = [torch.cat([labels for _, labels in loader(part.train, 4, shuffle_by=7)]) for part in both]
    assert torch.equal(*shuffled)


def collected(part: Stream, epoch: int) -> torch.Tensor:
    batches = loader(part, 4, shuffle_by=0)
    batches.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    return torch.cat([images for images, _ in batches])


def test_streamed_images_are_drawn_each_by_itself_whatever_the_workers(
    both: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = both[1].train
    repeated = Stream(stream.files.at(torch.zeros(12).long()), (3, 8, 8), ["random_resized_crop"], 2)
    drawn = []
    for workers, epoch in ((0, 0), (1, 0), (2, 0), (2, 1)):
        monkeypatch.setattr("trainer.loaders.MOST_WORKERS", workers)
        monkeypatch.setattr("trainer.loaders.processors", lambda: 2)
        state = torch.get_rng_state()
        drawn.append(collected(repeated, epoch))
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[3])
    assert len({tuple(image.flatten().tolist()) for image in drawn[0]}) == 12


def test_streamed_images_can_be_mixed(both: tuple[Any, Any]) -> None:
    stream = both[1].train.augmented(["horizontal_flip", "mixup"], 2)
    images, labels = next(iter(loader(stream, 8, shuffle_by=0)))
    assert tuple(images.shape) == (8, 3, 8, 8)
    assert tuple(labels.shape) == (8, 2)
    assert images.dtype == torch.uint8
    assert labels.sum(1).tolist() == pytest.approx([1] * 8)
    assert ((labels > 0) & (labels < 1)).any()


def test_a_file_that_vanishes_is_named_without_a_traceback(
    both: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    test = both[1].test
    test.files.file(0).unlink()
    for workers in (0, 1):
        monkeypatch.setattr("trainer.loaders.MOST_WORKERS", workers)
        assert refused(lambda: list(loader(test, 2))) == (
            f"{test.files.file(0)} can no longer be read: No such file or directory\n"
            "  help: leave the images alone while they are used"
        )


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_streams(name: str) -> None:
    image = torch.randint(0, 256, (3, 30, 20), dtype=torch.uint8)
    arguments: dict[str, Any] = {
        "color_jitter": {"brightness": [1.4, 0.2], "hue": 0.1},
        "rotation": {"degrees": [20, -20]},
        "erasing": {"p": 1.0},
    }
    changed = [transform([{name: arguments.get(name, {})}], (3, 16, 16))(image) for _ in range(20)]
    assert {(tuple(one.shape), one.dtype) for one in changed} == {((3, 16, 16), torch.uint8)}
    kinds = len({tuple(one.flatten().tolist()) for one in changed})
    assert kinds == {"mixup": 1, "cutmix": 1, "horizontal_flip": 2, "vertical_flip": 2}.get(name, kinds)
    assert kinds > 5 or name in ("mixup", "cutmix", "horizontal_flip", "vertical_flip")
    noise = transform([{"erasing": {"p": 1.0, "scale": [0.3, 0.33]}}], (3, 16, 16))(torch.zeros(3, 16, 16).byte())
    assert len(noise.unique()) > 30


def test_crops_of_streams_are_cut_from_the_files_own_pixels() -> None:
    """A large image's crop is not of the resized image, which would be blurred; after other changes it is."""
    checkers = ((torch.arange(64)[:, None] + torch.arange(64)) % 2 * 255).byte().expand(3, -1, -1)
    small = {"random_resized_crop": {"scale": [8 * 8 / 64**2, 8 * 8 / 64**2], "ratio": [1, 1]}}
    sharp = transform(["horizontal_flip", small], (3, 8, 8))(checkers)
    assert set(sharp.flatten().tolist()) == {0, 255}
    blurred = transform(["rotation", small], (3, 8, 8))(checkers)
    assert blurred.max() < 255


# --- means and deviations, kept ------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (1, 32, 24), (3, 5, 5)])
def test_images_are_brought_to_the_input(channels: int, shape: tuple[int, int, int]) -> None:
    images = torch.randint(0, 256, (4, channels, 8, 8), dtype=torch.uint8)
    result = fitted(images, shape)
    assert tuple(result.shape) == (4, *shape)
    assert result.dtype == torch.uint8
    if shape == (3, 8, 8) and channels == 1:
        assert all(torch.equal(result[:, c], images[:, 0]) for c in range(3))
    if shape == (channels, 8, 8):
        assert torch.equal(result, images)


def test_statistics_are_the_training_sets_own() -> None:
    images = torch.randint(0, 256, (50, 3, 8, 8), dtype=torch.uint8)
    mean, std = statistics(images, (3, 8, 8))
    values = images.double() / 255
    assert mean == pytest.approx(values.mean((0, 2, 3)).float(), abs=1e-6)
    assert std == pytest.approx(values.std((0, 2, 3), unbiased=False).float(), abs=1e-6)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images statistics were computed of, each time."""
    counts: list[int] = []

    def watched(images: torch.Tensor, shape: Any) -> Any:
        counts.append(len(images))
        return statistics(images, shape)

    monkeypatch.setattr(parts, "statistics", watched)
    return counts


def measured(root: Path, shape: tuple[int, int, int] = (3, 8, 8), **recipe: Any) -> torch.Tensor:
    ready = bring(data.load("folder", root), shape, RECIPE | recipe)
    assert ready.statistics is not None
    for ours, expected in zip(ready.statistics, statistics(ready.train.images, shape), strict=True):
        assert torch.equal(ours, expected)
    return ready.statistics[0]


def test_statistics_are_computed_once_for_files_in_one_state(tmp_path: Path, computed: list[int]) -> None:
    root = photos(tmp_path / "photos")
    first = measured(root)
    assert torch.equal(measured(root), first)
    assert len(computed) == 1
    for changed in ({"seed": 1}, {"validation": 0.3}):
        measured(root, **changed)
    measured(root, shape=(3, 6, 8))
    measured(root, shape=(1, 8, 8))
    assert len(computed) == 5
    assert torch.equal(measured(root), first)
    assert len(computed) == 5
    bring(data.load("folder", root), (3, 8, 8), RECIPE | {"normalize": False})
    assert len(computed) == 5


def test_changed_files_are_measured_anew(tmp_path: Path, computed: list[int]) -> None:
    root = photos(tmp_path / "photos")
    measured(root)
    loaded = data.load("folder", root)
    file = loaded.train.file(0)
    state = file.stat()
    content = bytearray(file.read_bytes())
    photo(file, seed=77, size=(20, 14))
    replaced = file.read_bytes()
    # even of the same size, and with its time set back
    if len(replaced) < len(content):
        file.write_bytes(replaced + b"\0" * (len(content) - len(replaced)))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    measured(root)
    assert len(computed) == 2
    photo(root / "cat" / "new.png")
    measured(root)
    assert len(computed) == 3
    (root / "cat" / "new.png").unlink()
    (root / "cat" / "001.png").rename(root / "dog" / "new.png")
    measured(root)
    assert len(computed) == 4


@pytest.mark.parametrize(
    "damage",
    [b"", b"{}", b"[1]", b"null", b"\xff\xfe", b'{"key": 1, "value": 2, "sha256": 3}', "number", "cut", "folder"],
)
def test_damaged_statistics_are_computed_anew(
    damage: bytes | str, tmp_path: Path, own_cache: Path, computed: list[int]
) -> None:
    root = photos(tmp_path / "photos")
    measured(root)
    (kept,) = (own_cache / "archspec").iterdir()
    text = kept.read_bytes()
    if damage == "number":
        place = text.index(b'"mean": [0.') + 12
        kept.write_bytes(text[:place] + (b"1" if text[place : place + 1] != b"1" else b"2") + text[place + 1 :])
    elif damage == "cut":
        kept.write_bytes(text[:-5])
    elif damage == "folder":
        kept.unlink()
        kept.mkdir()
    elif isinstance(damage, bytes):
        kept.write_bytes(damage)
    measured(root)
    assert len(computed) == 2
    if damage != "folder":
        assert kept.read_bytes() == text
        assert [file.name for file in kept.parent.iterdir()] == [kept.name]


def test_statistics_of_another_key_are_not_used(own_cache: Path) -> None:
    cache.remember({"data": "a"}, {"mean": [0.5]})
    assert cache.recall({"data": "a"}) == {"mean": [0.5]}
    (kept,) = (own_cache / "archspec").iterdir()
    other = kept.with_name("x.json")
    cache.remember({"data": "b"}, {"mean": [0.6]})
    other = next(file for file in kept.parent.iterdir() if file != kept)
    other.write_bytes(kept.read_bytes())
    assert cache.recall({"data": "b"}) is None


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computed: list[int]
) -> None:
    root = photos(tmp_path / "photos")
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    measured(root)
    measured(root)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", _no_home)
    measured(root)
    assert len(computed) == 3


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_the_survey_of_a_stream_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parts, "MEMORY", 0)
    root = photos(tmp_path / "photos")
    (root / "cat" / "003.png").write_bytes(b"")
    said = "reading 20 images once, for their mean and deviation, and for damage …\n"
    for expected in (said, ""):
        ready = bring(data.load("folder", root), (3, 8, 8), RECIPE, skip_unreadable=True)
        assert capsys.readouterr().err == expected
        assert len(ready.train) + len(ready.validation) + len(ready.test) == 19
        assert f"{root}/cat/003.png: it is no image" in ready.notes[0]
    refused(lambda: bring(data.load("folder", root), (3, 8, 8), RECIPE))
    photo(root / "cat" / "003.png")
    assert len(data_of(root, (3, 8, 8))[0]) == 13
    assert capsys.readouterr().err == said


# --- splits and batches --------------------------------------------------------------------------------------------


def of(count: int, name: str = "made") -> DataSet:
    images = torch.arange(count).to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2).contiguous()
    part = Labelled(images, torch.arange(count) % 2)
    return DataSet(name, ("a", "b"), part, part)


@pytest.mark.parametrize(("share", "kept"), [(0, 0), (0.2, 10), (7, 7), (0.97, 48), (49, 49)])
def test_validation_images_are_drawn_from_the_training_set(share: float, kept: int) -> None:
    train, validation, test = split(of(50), RECIPE | {"validation": share})
    assert (len(train), len(validation), len(test)) == (50 - kept, kept, 50)
    both = torch.cat([train.images, validation.images]).flatten(1)[:, 0]
    assert sorted(both.tolist()) == list(range(50))
    again = split(of(50), RECIPE | {"validation": share})[1]
    assert torch.equal(again.images, validation.images)
    if kept == 10:
        assert not torch.equal(split(of(50), RECIPE | {"seed": 1})[1].images, validation.images)


@pytest.mark.parametrize(("share", "count"), [(50, 50), (0.999, 50), (0.001, 0), (80, 80)])
def test_a_split_that_leaves_a_part_empty_is_refused(share: float, count: int) -> None:
    assert refused(lambda: split(of(50), RECIPE | {"validation": share})) == (
        f"a validation set of {count} images cannot be drawn from the 50 of `made`\n  help: --set train.validation=0.1"
    )


def test_the_last_partial_batch_is_dropped_in_training_alone(tmp_path: Path) -> None:
    part = data.load("digits", tmp_path).test
    assert [len(labels) for _, labels in loader(part, 128, shuffle_by=0)] == [128, 128]
    assert [len(labels) for _, labels in loader(part, 128)] == [128, 128, 104]


def test_every_epoch_has_its_own_order_and_sees_each_image_once() -> None:
    orders = []
    for seed, epoch in ((1, 0), (1, 1), (1, 0), (2, 0)):
        batches = Batches(64, 16, seed)
        batches.set_epoch(epoch)
        orders.append([position for batch in batches for position in batch])
        assert sorted(orders[-1]) == list(range(64))
        seeded = Batches(64, 16, seed, seeded=True)
        seeded.set_epoch(epoch)
        assert [position for _, batch in seeded for position in batch] == orders[-1]
        assert len({number for number, _ in seeded}) == 4
    assert orders[0] == orders[2]
    assert len({tuple(order) for order in orders}) == 3


# --- training on a folder ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [10**9, 0])
def test_a_folder_is_trained_on(memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MEMORY", memory)
    root = photos(tmp_path / "photos", count=20)
    recipe = SPEC["train"] | {"data": str(root), "augment": ["horizontal_flip", "random_resized_crop", "cutmix"]}  # type: ignore[operator]
    ready = prepare(from_dict(SPEC | {"train": recipe}, "tiny"), tmp_path)
    assert ready.spec.plan.output == (2,)
    result = train(ready, tmp_path / "runs", progress=False)
    assert result.data == str(root)
    assert 0 <= result.test_accuracy <= 1
    without = replace(ready, validation=ready.test.at(torch.tensor([]).long())) if memory else None
    if without:
        result = train(without, tmp_path / "runs", progress=False)
        assert (result.val_accuracy, result.best_epoch) == (None, 2)


def test_train_takes_a_folder(run: Callable[..., Any], tmp_path: Path, own_cache: Path) -> None:
    import yaml

    root = photos(tmp_path / "photos", count=20)
    (root / "cat" / "007.png").write_bytes(b"")
    (root / "notes.txt").write_text("no image")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SPEC))
    command = ("train", "tiny.yaml", "--data", "./photos")
    done = run(*command, XDG_CACHE_HOME=str(own_cache))
    assert done.returncode == 2
    assert done.stderr == (
        "error: 1 of the 40 images of `./photos` cannot be read\n"
        f"    {root}/cat/007.png: it is no image\n"
        "  help: mend or remove them, or leave them out by --skip-unreadable\n"
    )
    done = run(*command, "--skip-unreadable", XDG_CACHE_HOME=str(own_cache))
    assert done.returncode == 0, done.stderr
    assert "trained on ./photos" in done.stdout
    assert done.stderr == (
        f"note: 1 file below {root} is no image by the suffix, and left out\n"
        "note: 1 of the 40 images of `./photos` cannot be read, and were left out\n"
        f"    {root}/cat/007.png: it is no image\n"
    )
    assert not list(root.glob("*.json"))

"""Data sets as they are published, and their parts."""

from __future__ import annotations

import gzip
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from pictures import RECIPE, refused
from published import COUNT, idx, write_all, write_cifar, write_idx, write_svhn
from torchvision import datasets

from trainer import data
from trainer.input.datasets import DataSet, InMemory
from trainer.input.loaders import Batches, loader
from trainer.input.splits import split

pytestmark = pytest.mark.usefixtures("own_cache")


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
        assert isinstance(part, InMemory)
        assert part.images.dtype == torch.uint8
        assert part.images.ndim == 4
        assert part.labels.dtype == torch.int64
        assert len(part.images) == len(part.labels) == len(part) > 0
        assert set(part.labels.tolist()) == set(range(loaded.classes))
    again = data.load(name, data_folder)
    assert torch.equal(again.train.images, loaded.train.images)
    assert again.files_fingerprint == loaded.files_fingerprint
    assert (loaded.files_fingerprint is None) == (name in ("digits", "fake"))


def test_every_data_set_is_tested_here() -> None:
    # in test_segmentation.py, test_folder.py, test_image_regression.py and test_pets.py
    elsewhere = ["digit_scenes", "folder", "noisy_digits", "oxford_pet_masks", "oxford_pets"]
    elsewhere += ["iris", "wine", "breast_cancer", "diabetes", "digit_rows"]  # in test_vectors.py
    assert data.names() == sorted(["digits", "fake", *PUBLISHED, *elsewhere])


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


# --- splits and batches --------------------------------------------------------------------------------------------


def of(count: int, name: str = "made") -> DataSet:
    images = torch.arange(count).to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2).contiguous()
    part = InMemory(images, torch.arange(count) % 2)
    return DataSet(name, ("a", "b"), part, part)


@pytest.mark.parametrize(("share", "kept"), [(0, 0), (0.2, 10), (7, 7), (0.97, 48), (49, 49)])
def test_validation_images_are_drawn_from_the_training_set(share: float, kept: int) -> None:
    train, validation, test = split(of(50), replace(RECIPE, validation=share))
    assert (len(train), len(validation), len(test)) == (50 - kept, kept, 50)
    both = torch.cat([train.images, validation.images]).flatten(1)[:, 0]
    assert sorted(both.tolist()) == list(range(50))
    again = split(of(50), replace(RECIPE, validation=share))[1]
    assert torch.equal(again.images, validation.images)
    if kept == 10:
        assert not torch.equal(split(of(50), replace(RECIPE, seed=1))[1].images, validation.images)


@pytest.mark.parametrize(("share", "count"), [(50, 50), (0.999, 50), (0.001, 0), (80, 80)])
def test_a_split_that_leaves_a_part_empty_is_refused(share: float, count: int) -> None:
    assert refused(lambda: split(of(50), replace(RECIPE, validation=share))) == (
        f"a validation set of {count} images cannot be drawn from the 50 of `made`\n  help: --set train.validation=0.1"
    )


def test_where_a_tenth_is_no_image_one_is_proposed() -> None:
    assert refused(lambda: split(of(4), replace(RECIPE, validation=0.1))) == (
        "a validation set of 0 images cannot be drawn from the 4 of `made`\n  help: --set train.validation=1"
    )
    assert len(split(of(4), replace(RECIPE, validation=1))[1]) == 1


def test_the_last_partial_batch_is_dropped_in_training_alone(tmp_path: Path) -> None:
    part = data.load("digits", tmp_path).test
    assert [len(labels) for _, labels in loader(part, 128, shuffle_by=0)] == [128, 128]
    evaluated = [labels for _, labels in loader(part, 128)]
    assert [len(labels) for labels in evaluated] == [120, 120, 120]
    assert torch.equal(torch.cat(evaluated), part.labels)


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

"""The parts of a data set: recognised or refused, drawn of each class alike, and what is odd about them is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pictures import RECIPE, photo, photos, refused

from trainer import data
from trainer.input import splits as splitting
from trainer.input.datasets import DataSet, InMemory
from trainer.input.splits import prepare_splits, split

pytestmark = pytest.mark.usefixtures("own_cache")

SHAPE = (3, 8, 8)


# --- which folders are parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        {"train": "Train", "val": "val", "test": "test"},
        {"train": "training", "test": "testing"},
        {"train": "TRAIN", "val": "Validation", "test": "Test"},
        {"train": "Training"},
    ],
    ids=lambda names: "-".join(names.values()),
)
def test_parts_are_known_in_whatever_case(names: dict[str, str], tmp_path: Path) -> None:
    for name in names.values():
        photos(tmp_path / name, count=6)
    photo(tmp_path / "__MACOSX" / "train" / "._cat.png")
    photo(tmp_path / names["train"] / "cat" / "__MACOSX" / "x.png")
    loaded = data.load("folder", tmp_path)
    assert loaded.class_names == ("cat", "dog")
    for part, files in {"train": loaded.train, "val": loaded.validation, "test": loaded.test}.items():
        if files is not None:
            folder = names.get(part, names["train"])
            assert {path.split("/")[0] for path in files.paths} == {folder}
    total = len(loaded.train) + len(loaded.test) + len(loaded.validation or ())
    assert total == 12 * len(names)
    assert loaded.notes == ()


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            ("train", "val", "test", "extra"),
            "ROOT has `extra` beside `test`, `train`, `val`: these are parts, and no classes\n"
            "  help: move it away: train, val and test are what is used",
        ),
        (
            ("train", "holdout"),
            "ROOT has `holdout` beside `train`: these are parts, and no classes\n"
            "  help: move it away: train, val and test are what is used",
        ),
        (
            ("train", "training", "test"),
            "ROOT has the folders `train` and `training`, which mean the same\n  help: keep one",
        ),
        (
            ("val", "test"),
            "ROOT has `test`, `val`, but no folder `train`\n  help: give each class a subfolder with its images, or make "
            "such subfolders in train, val and test",
        ),
    ],
    ids=lambda one: "-".join(one) if isinstance(one, tuple) else None,
)
def test_what_is_neither_parts_nor_classes_is_refused(folders: tuple[str, ...], message: str, tmp_path: Path) -> None:
    for name in folders:
        photos(tmp_path / name, count=2)
    assert refused(lambda: data.load("folder", tmp_path)).replace(str(tmp_path), "ROOT") == message


def test_a_class_train_may_have_folders_within(tmp_path: Path) -> None:
    photos(tmp_path, ("bus", "car"))
    photos(tmp_path / "train", ("steam", "diesel"))
    assert data.load("folder", tmp_path).class_names == ("bus", "car", "train")


# --- validation images -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_validation_images_are_drawn_of_each_class_alike(seed: int) -> None:
    counts = torch.tensor([300, 20, 10])
    labels = torch.repeat_interleave(torch.arange(3), counts)[torch.randperm(330)]
    part = InMemory(torch.arange(330).view(-1, 1, 1, 1), labels)
    train, validation, _ = split(
        DataSet("made", ("a", "b", "c"), part, part), replace(RECIPE, validation=0.1, seed=seed)
    )
    assert validation.labels.bincount(minlength=3).tolist() == [30, 2, 1]
    assert train.labels.bincount().tolist() == [270, 18, 9]
    assert sorted(torch.cat([train.images, validation.images]).flatten().tolist()) == list(range(330))


# --- what is said ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [0, 10**9], ids=["streamed", "in memory"])
def test_images_in_several_parts_and_classes_that_a_part_lacks_are_said(
    memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splitting, "MEMORY_LIMIT", memory)
    for number, part in enumerate(("train", "val", "test")):
        for label, name in enumerate(("ant", "bee", "cow")):
            for i in range(4):
                photo(tmp_path / part / name / f"{i}.png", seed=100 * number + 10 * label + i)
    shutil.rmtree(tmp_path / "val" / "cow")
    shutil.copy(tmp_path / "train" / "ant" / "0.png", tmp_path / "test" / "ant" / "other.png")
    shutil.copy(tmp_path / "train" / "ant" / "1.png", tmp_path / "test" / "bee" / "other.png")
    shutil.copy(tmp_path / "train" / "bee" / "2.png", tmp_path / "val" / "bee" / "again.png")
    shutil.copy(tmp_path / "train" / "cow" / "2.png", tmp_path / "train" / "cow" / "again.png")  # within a part
    # files of one size, but not the same
    photo(tmp_path / "train" / "cow" / "raw.bmp", seed=5)
    photo(tmp_path / "test" / "cow" / "raw.bmp", seed=6)
    notes = prepare_splits(data.load("folder", tmp_path), SHAPE, RECIPE).notes
    assert notes == (
        "the validation set has no images of `cow`",
        f"1 image of the validation set is in the training set too: {tmp_path}/val/bee/again.png is "
        f"{tmp_path}/train/bee/2.png",
        f"2 images of the test set are in the training set too: {tmp_path}/test/ant/other.png is "
        f"{tmp_path}/train/ant/0.png, and so on",
        f"1 image has the content of one in another class: {tmp_path}/test/bee/other.png, of `bee`, is "
        f"{tmp_path}/train/ant/1.png, of `ant`",
    )


def test_sound_parts_are_not_spoken_of(tmp_path: Path) -> None:
    assert prepare_splits(data.load("folder", photos(tmp_path)), SHAPE, RECIPE).notes == ()


def test_of_many_classes_that_are_missing_the_number_is_said(tmp_path: Path) -> None:
    names = tuple(f"class{i}" for i in range(8))
    photos(tmp_path / "train", names, count=2)
    photos(tmp_path / "test", names[:2], count=1)
    notes = prepare_splits(data.load("folder", tmp_path), SHAPE, replace(RECIPE, validation=0)).notes
    assert notes[0] == "the test set has no images of 6 of the 8 classes"


@pytest.mark.slow
def test_the_notes_are_printed_before_the_first_step(run: Callable, tmp_path: Path) -> None:
    photos(tmp_path / "photos" / "train", ("cat", "dog"), count=16)
    photos(tmp_path / "photos" / "test", ("cat",), count=2)
    arguments = ["digits", "--data", "./photos", "--epochs", "1", "--set", "train.batch_size=8"]
    done = run("train", *arguments, "--set", "train.optimizer={name: sgd, lr: 1.0e+18}")
    assert done.returncode == 2  # it diverges
    notes = [line for line in done.stderr.splitlines() if line.startswith(("note", "error"))]
    assert notes[0] == "note: the test set has no images of `dog`"
    assert notes[1].startswith("note: 1 image of the test set is in the training set too: ")  # the other: in validation
    assert notes[-1].startswith("error: the training loss is not finite")

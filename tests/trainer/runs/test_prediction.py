"""Prediction of many images: folders, batches, tables; named pipes are none."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pictures import SPEC, photo, photos

from archspec.spec import from_dict
from trainer.runs import prediction
from trainer.runs.folders import find
from trainer.runs.job import prepare
from trainer.session import Options, train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prediction")
    recipe = SPEC["train"] | {"data": str(photos(folder / "photos")), "batch_size": 4}  # type: ignore[operator]
    train(prepare(from_dict(SPEC | {"train": recipe}, "net"), folder), folder / "runs", Options(pictures=False))
    return folder / "runs"


def test_a_folder_stands_for_the_images_in_it(run: Callable, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    root = photos(tmp_path / "new", count=3)
    photo(root / "cat" / "deep" / "Last.JFIF", format="JPEG")
    photo(root / "__MACOSX" / "cat" / "x.png")
    photo(root / "cat" / ".hidden.png")
    (root / "notes.txt").write_text("none")
    one = photo(tmp_path / "one.png", seed=5)
    done = run("predict", "net", "new", "one.png", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)["results"]
    names = ["cat/000.png", "cat/001.png", "cat/002.png", "cat/deep/Last.JFIF"]
    names += ["dog/000.png", "dog/001.png", "dog/002.png"]
    assert [result["image"] for result in found] == [*(f"new/{name}" for name in names), one.name]
    # each by itself gives the same
    alone = json.loads(run("predict", "net", "new/dog/001.png", "--format", "json").stdout)["results"][0]
    assert alone["image"] == found[5]["image"]
    for a, b in zip(alone["top"], found[5]["top"], strict=True):
        assert (a["class"], a["probability"]) == (b["class"], pytest.approx(b["probability"], rel=1e-5))

    table = list(csv.DictReader(io.StringIO(run("predict", "net", "new", "one.png", "--format", "csv").stdout)))
    assert list(table[0]) == ["file", "class", "probability", "class_2", "probability_2"]
    for row, result in zip(table, found, strict=True):
        assert row["file"] == result["image"]
        assert row["class"] == result["top"][0]["class"]
        assert float(row["probability_2"]) == pytest.approx(result["top"][1]["probability"], rel=1e-5)

    text = run("predict", "net", "new", "one.png").stdout.splitlines()
    first = found[0]["top"]
    assert text[0] == (
        f"new/cat/000.png: {first[0]['class']} {first[0]['probability']:.1%}, "
        f"{first[1]['class']} {first[1]['probability']:.1%}"
    )


def test_what_is_no_image_is_named_and_the_others_are_predicted(run: Callable, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    photo(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "text.png").write_text("no image")
    done = run("predict", "net", "pipe.png", "a.png", "text.png", "gone.png", "--format", "csv", "--top", "1")
    assert done.returncode == 2
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["file", "a.png"]
    assert done.stderr == (
        "error: pipe.png cannot be read: no regular file\n"
        "error: text.png cannot be read: not an image\n"
        "error: gone.png cannot be read: No such file or directory\n"
    )
    (tmp_path / "empty").mkdir()
    done = run("predict", "net", "empty")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "error: no image is in the folder empty\n  help: images end in .bmp .gif .jfif .jpeg "
    )


def test_many_images_are_predicted_in_batches(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [photo(tmp_path / f"{i}.png", seed=i) for i in range(7)]
    (tmp_path / "3.png").write_text("no image")
    answers = {}
    for size in (1, 3, 7, 64):
        monkeypatch.setattr(prediction, "BATCH", size)
        found = list(prediction.predict(find("net", runs), files, 1))
        assert [file for file, _ in found] == files
        assert found[3][1] == "not an image"
        answers[size] = [answer["top"][0]["probability"] for i, (_, answer) in enumerate(found) if i != 3]
    assert all(one == pytest.approx(answers[1], rel=1e-5) for one in answers.values())

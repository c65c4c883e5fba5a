"""A run knows its images by what they are: moved, copied, or seen from another folder; renamed classes are others."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pictures import SPEC, photo, photos

from archspec.spec import from_dict
from trainer.input import splits
from trainer.runs import checkpoints, folders
from trainer.runs.evaluation import test as on_test_set
from trainer.runs.identity import fingerprint
from trainer.runs.job import prepare
from trainer.session import Options, resume_run, train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_cache", "without_pictures")]


def trained(tmp_path: Path, **recipe: Any) -> Path:
    photos(tmp_path / "photos", count=20)
    section = SPEC["train"] | {"data": str(tmp_path / "photos"), "batch_size": 4} | recipe  # type: ignore[operator]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "remove_previous", lambda _: None)
        return Path(train(prepare(from_dict(SPEC | {"train": section}, "net"), tmp_path), tmp_path / "runs").folder)


def unfinished(folder: Path) -> Path:
    """As it was after the epoch before the last."""
    (folder / "results.json").unlink()
    os.replace(folder / "checkpoints" / "last.previous.ckpt", folder / "checkpoints" / "last.ckpt")
    return folder


def test_a_run_is_tested_from_another_folder(run: Callable, tmp_path: Path) -> None:
    photos(tmp_path / "photos")
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(SPEC))
    done = run("train", "net.yaml", "--data", "./photos", "--out", "kept")
    assert done.returncode == 0, done.stderr
    (tmp_path / "elsewhere").mkdir()
    kept = json.loads((tmp_path / "kept" / "net" / "results.json").read_text())
    where = os.getcwd()
    try:
        os.chdir(tmp_path / "elsewhere")
        found = folders.read(Path("../kept/net"))
        assert found is not None
        results = on_test_set(found, None, None)
    finally:
        os.chdir(where)
    assert results["test_accuracy"] == kept["test_accuracy"]


@pytest.mark.parametrize("memory", [0, 10**9], ids=["streamed", "in memory"])
def test_images_that_were_moved_or_copied_are_the_runs_own(
    memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits, "MEMORY_LIMIT", memory)
    folder = trained(tmp_path)
    before = json.loads((folder / "results.json").read_text())
    shutil.copytree(tmp_path / "photos", tmp_path / "copy")  # other inodes, other times
    shutil.rmtree(tmp_path / "photos")
    run = folders.read(unfinished(folder))
    assert run is not None
    with pytest.raises(folders.UsageError) as caught:
        resume_run(run, None, Options(pictures=False), print)
    assert str(caught.value) == (
        f"the images of the run {folder} are not in {tmp_path}/photos\n  help: say where they are by --data"
    )
    result = resume_run(run, None, Options(pictures=False), print, source=str(tmp_path / "copy"))
    assert result.metrics == {name: before[name] for name in result.metrics}
    assert {"val_accuracy", "test_accuracy", "test_loss"} <= result.metrics.keys()


def test_a_run_is_tested_on_its_own_test_images_wherever_these_lie_and_says_which_others_it_learned(
    tmp_path: Path,
) -> None:
    run = folders.read(trained(tmp_path))
    assert run is not None
    own = on_test_set(run, None, None)
    photos = tmp_path / "photos"
    shutil.copytree(photos, tmp_path / "copy")
    for source in (photos, tmp_path / "copy"):
        assert on_test_set(run, None, str(source)) == own | {"data": str(source)}
    photo(tmp_path / "copy" / "cat" / "new.png", seed=999)
    more = on_test_set(run, None, str(tmp_path / "copy"))
    assert more["images"] == 41
    train, validation = (int(note.partition(" ")[0]) for note in more["notes"])
    assert train + validation + own["images"] == 40
    assert [note.partition(": ")[0] for note in more["notes"]] == [
        f"{train} images of the test set are in the training set too",
        f"{validation} images of the test set are in the validation set too",
    ]


@pytest.mark.parametrize("memory", [0, 10**9], ids=["streamed", "in memory"])
def test_a_changed_image_makes_another_set(memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "MEMORY_LIMIT", memory)
    root = photos(tmp_path / "photos")
    spec = from_dict(SPEC | {"train": SPEC["train"] | {"data": str(root)}})  # type: ignore[operator]
    first = fingerprint(prepare(spec, tmp_path))
    for file in root.rglob("*.png"):
        os.utime(file, (0, 0))
    assert fingerprint(prepare(spec, tmp_path)) == first
    photo(root / "cat" / "003.png", seed=999, size=(23, 14))
    second = fingerprint(prepare(spec, tmp_path))
    assert second != first
    (root / "cat").rename(root / "cow")
    assert fingerprint(prepare(spec, tmp_path)) not in (first, second)


def test_a_renamed_class_is_refused(run: Callable, tmp_path: Path) -> None:
    trained(tmp_path)
    (tmp_path / "photos" / "cat").rename(tmp_path / "photos" / "zebra")
    for command in (["test", "net"], ["train", "--resume", "net"]):
        (tmp_path / "runs" / "net" / "results.json").unlink(missing_ok=True)
        done = run(*command)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"error: the classes of `{tmp_path}/photos` are not those that the run runs/net was trained with: `zebra` is "
            "new, `cat` is missing\n  help: give the folders of the classes the names that they had\n"
        )


def test_a_run_is_tested_on_other_images(run: Callable, tmp_path: Path) -> None:
    trained(tmp_path, epochs=3)
    photos(tmp_path / "new", ("dog",), count=7)
    done = run("test", "net", "--data", "new", "--format", "json")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert (result["images"], result["data"]) == (7, "new")
    names = [str(file) for file in sorted((tmp_path / "new" / "dog").iterdir())]
    predicted = json.loads(run("predict", "net", *names, "--top", "1", "--format", "json").stdout)["results"]
    right = sum(one["top"][0]["class"] == "dog" for one in predicted) / 7
    assert result["test_accuracy"] == pytest.approx(right)
    # of a folder with parts, the test part
    photos(tmp_path / "parts" / "train", count=2)
    photos(tmp_path / "parts" / "test", count=3)
    assert json.loads(run("test", "net", "--data", "parts", "--format", "json").stdout)["results"][0]["images"] == 6
    photos(tmp_path / "odd", ("dog", "eel"), count=2)
    done = run("test", "net", "--data", "odd")
    assert (done.returncode, done.stderr) == (
        2,
        f"error: {tmp_path}/odd has the class `eel`, which the training set has not\n"
        "  help: give both the same subfolders\n",
    )


@pytest.mark.parametrize("memory", [0, 10**9], ids=["streamed", "in memory"])
def test_a_crop_of_large_photographs_is_the_same_streamed_and_in_memory(
    memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is drawn of a photograph are its own pixels, not those of the image squashed to the input."""
    monkeypatch.setattr(splits, "MEMORY_LIMIT", memory)
    for name in ("a", "b"):
        for i in range(6):
            photo(tmp_path / "photos" / name / f"{i}.png", seed=i + 10 * (name == "b"), size=(640, 480))
    recipe = {"data": str(tmp_path / "photos"), "batch_size": 2, "augment": ["horizontal_flip", "random_resized_crop"]}
    job = prepare(from_dict(SPEC | {"train": SPEC["train"] | recipe}), tmp_path)  # type: ignore[operator]
    from trainer.input.augment_image import transform
    from trainer.input.files import decode
    from trainer.input.loaders import Stream

    assert isinstance(job.train, Stream)
    images, _ = job.train[7, [0, 1]]  # type: ignore[misc]
    import torch

    torch.manual_seed(7)
    change = transform(job.recipe.augment, (3, 16, 12))
    for position in (0, 1):
        assert torch.equal(images[position], change(decode(job.train.files.file(position)), torch.tensor(0))[0])

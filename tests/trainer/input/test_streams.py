"""Parts in memory and as streams, the statistics that are kept of them, and training on them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pictures import RECIPE, SPEC, data_of, photo, photos, refused

from archspec.recipe import AUGMENTATIONS, AppliedAugmentation
from archspec.spec import from_dict
from trainer import data
from trainer.input import cache, splits
from trainer.input.augment_image import transform
from trainer.input.datasets import InMemory
from trainer.input.images import fit_to_input, statistics
from trainer.input.loaders import Stream, loader
from trainer.input.splits import prepare_splits
from trainer.runs.job import prepare
from trainer.session import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_cache")]

LABEL = torch.tensor(0)


# --- small sets in memory, large ones as streams -------------------------------------------------------------------


def test_a_small_training_set_is_in_memory_and_a_large_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = photos(tmp_path)
    held = 13 * 3 * 8 * 8
    for memory, kind in ((held, InMemory), (held - 1, Stream)):
        monkeypatch.setattr(splits, "MEMORY_LIMIT", memory)
        assert {type(part) for part in data_of(root, (3, 8, 8))} == {kind}


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The same folder in memory, and streamed."""
    loaded = data.load("folder", photos(tmp_path / "photos"))
    small = prepare_splits(loaded, (3, 8, 8), RECIPE)
    monkeypatch.setattr(splits, "MEMORY_LIMIT", 0)
    return small, prepare_splits(loaded, (3, 8, 8), RECIPE)


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
    repeated = Stream(
        stream.files.at(torch.zeros(12).long()), (3, 8, 8), [AppliedAugmentation("random_resized_crop")], 2
    )
    drawn = []
    for workers, epoch in ((0, 0), (1, 0), (2, 0), (2, 1)):
        monkeypatch.setattr("trainer.input.loaders.MOST_WORKERS", workers)
        monkeypatch.setattr("trainer.input.loaders.usable_cpus", lambda: 2)
        state = torch.get_rng_state()
        drawn.append(collected(repeated, epoch))
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[3])
    assert len({tuple(image.flatten().tolist()) for image in drawn[0]}) == 12


def test_streamed_images_can_be_mixed(both: tuple[Any, Any]) -> None:
    stream = both[1].train.augmented([AppliedAugmentation("horizontal_flip"), AppliedAugmentation("mixup")], 2)
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
        monkeypatch.setattr("trainer.input.loaders.MOST_WORKERS", workers)
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
    changed = [
        transform([AppliedAugmentation(name, arguments.get(name, {}))], (3, 16, 16))(image, LABEL)[0] for _ in range(20)
    ]
    assert {(tuple(one.shape), one.dtype) for one in changed} == {((3, 16, 16), torch.uint8)}
    kinds = len({tuple(one.flatten().tolist()) for one in changed})
    assert kinds == {"mixup": 1, "cutmix": 1, "horizontal_flip": 2, "vertical_flip": 2}.get(name, kinds)
    assert kinds > 5 or name in ("mixup", "cutmix", "horizontal_flip", "vertical_flip")
    erasing = AppliedAugmentation("erasing", {"p": 1.0, "scale": [0.3, 0.33]})
    noise = transform([erasing], (3, 16, 16))(torch.zeros(3, 16, 16).byte(), LABEL)[0]
    assert len(noise.unique()) > 30


def test_crops_of_streams_are_cut_from_the_files_own_pixels() -> None:
    """A large image's crop is not of the resized image, which would be blurred; after other changes it is."""
    checkers = ((torch.arange(64)[:, None] + torch.arange(64)) % 2 * 255).byte().expand(3, -1, -1)
    small = AppliedAugmentation("random_resized_crop", {"scale": [8 * 8 / 64**2, 8 * 8 / 64**2], "ratio": [1, 1]})
    sharp = transform([AppliedAugmentation("horizontal_flip"), small], (3, 8, 8))(checkers, LABEL)[0]
    assert set(sharp.flatten().tolist()) == {0, 255}
    blurred = transform([AppliedAugmentation("rotation"), small], (3, 8, 8))(checkers, LABEL)[0]
    assert blurred.max() < 255


# --- means and deviations, kept ------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (1, 32, 24), (3, 5, 5)])
def test_images_are_brought_to_the_input(channels: int, shape: tuple[int, int, int]) -> None:
    images = torch.randint(0, 256, (4, channels, 8, 8), dtype=torch.uint8)
    result = fit_to_input(images, shape)
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

    monkeypatch.setattr(splits, "statistics", watched)
    return counts


def measured(root: Path, shape: tuple[int, int, int] = (3, 8, 8), **recipe: Any) -> torch.Tensor:
    ready = prepare_splits(data.load("folder", root), shape, replace(RECIPE, **recipe))
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
    prepare_splits(data.load("folder", root), (3, 8, 8), replace(RECIPE, normalize=False))
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
    cache.write_cache({"data": "a"}, {"mean": [0.5]})
    assert cache.read_cache({"data": "a"}) == {"mean": [0.5]}
    (kept,) = (own_cache / "archspec").iterdir()
    other = kept.with_name("x.json")
    cache.write_cache({"data": "b"}, {"mean": [0.6]})
    other = next(file for file in kept.parent.iterdir() if file != kept)
    other.write_bytes(kept.read_bytes())
    assert cache.read_cache({"data": "b"}) is None


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
    monkeypatch.setattr(splits, "MEMORY_LIMIT", 0)
    root = photos(tmp_path / "photos")
    (root / "cat" / "003.png").write_bytes(b"")
    said = "reading 20 images once, for their mean and standard deviation, and for damage …\n"
    for expected in (said, ""):
        ready = prepare_splits(data.load("folder", root), (3, 8, 8), RECIPE, skip_unreadable=True)
        assert capsys.readouterr().err == expected
        assert len(ready.train) + len(ready.validation) + len(ready.test) == 19
        assert f"{root}/cat/003.png: not an image" in ready.notes[0]
    refused(lambda: prepare_splits(data.load("folder", root), (3, 8, 8), RECIPE))
    photo(root / "cat" / "003.png")
    assert len(data_of(root, (3, 8, 8))[0]) == 13
    assert capsys.readouterr().err == said


# --- training on a folder ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [10**9, 0])
def test_a_folder_is_trained_on(memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "MEMORY_LIMIT", memory)
    root = photos(tmp_path / "photos", count=20)
    recipe = SPEC["train"] | {"data": str(root), "augment": ["horizontal_flip", "random_resized_crop", "cutmix"]}  # type: ignore[operator]
    ready = prepare(from_dict(SPEC | {"train": recipe}, "tiny"), tmp_path)
    assert ready.spec.plan.output == (2,)
    result = train(ready, tmp_path / "runs", progress=False)
    assert result.data == str(root)
    assert 0 <= result.metrics["test_accuracy"] <= 1
    without = replace(ready, validation=ready.test.at(torch.tensor([]).long())) if memory else None
    if without:
        result = train(without, tmp_path / "runs", progress=False)
        assert (result.metrics["val_accuracy"], result.best_epoch) == (None, 2)


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
        f"    {root}/cat/007.png: not an image\n"
        "  help: repair or remove them, or skip them by --skip-unreadable\n"
    )
    done = run(*command, "--skip-unreadable", XDG_CACHE_HOME=str(own_cache))
    assert done.returncode == 0, done.stderr
    assert "trained on ./photos" in done.stdout
    assert done.stderr == (
        f"note: 1 file below {root} is no image by the suffix, and left out\n"
        "note: 1 of the 40 images of `./photos` cannot be read, and were skipped\n"
        f"    {root}/cat/007.png: not an image\n"
        "note: all test images are taken for `cat`, which 50.00% are: the network tells nothing apart\n"
    )
    assert not list(root.glob("*.json"))

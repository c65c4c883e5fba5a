"""A spec and its data brought together: once for all trainings of a command."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pictures import SPEC, photos

import archspec
from archspec.spec import from_dict
from trainer.input import files, splits
from trainer.input.datasets import InMemory
from trainer.input.loaders import Stream
from trainer.runs.job import DataCache, Job, prepare
from trainer.runs.logits import note_logits

WIDER = SPEC | {"name": "Wider", "network": ["global_avg_pool", "flatten", {"linear": 20}, {"linear": "=num_classes"}]}


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded, one for each time."""
    names: list[str] = []
    decode = files.decode

    def counted(file: Path) -> torch.Tensor:
        names.append(f"{file.parent.name}/{file.name}")
        return decode(file)

    monkeypatch.setattr(files, "decode", counted)
    return names


def jobs(root: Path, cache: DataCache | None) -> list[Job]:
    """Two specs, each with two seeds."""
    specs = [
        from_dict(spec | {"train": spec["train"] | {"data": str(root), "seed": seed}})  # type: ignore[operator]
        for spec in (SPEC, WIDER)
        for seed in (1, 2)
    ]
    return [prepare(spec, root, cache=cache) for spec in specs]


def test_several_trainings_decode_each_image_once_and_get_what_each_would_alone(
    tmp_path: Path, own_cache: Path, decoded: list[str]
) -> None:
    root = photos(tmp_path / "photos")
    shared = jobs(root, DataCache())
    assert sorted(decoded) == [f"{name}/{i:03}.png" for name in ("cat", "dog") for i in range(10)]
    alone = jobs(root, None)
    assert len(decoded) == 5 * 20
    for ours, theirs in zip(shared, alone, strict=True):
        for part in ("train", "validation", "test"):
            a, b = getattr(ours, part), getattr(theirs, part)
            assert isinstance(a, InMemory)
            assert torch.equal(a.images, b.images)
            assert torch.equal(a.labels, b.labels)
        assert ours.statistics is not None
        assert theirs.statistics is not None
        assert all(map(torch.equal, ours.statistics, theirs.statistics))
    assert shared[0].train is shared[2].train, "the same seed: held in memory once"
    assert not torch.equal(shared[0].train[[0]][0], shared[1].train[[0]][0]), "another seed, another split"


def test_what_is_streamed_is_augmented_by_each_recipe(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits, "MEMORY_LIMIT", 0)
    root, cache = photos(tmp_path / "photos"), DataCache()
    recipe = {"data": str(root), "epochs": 1, "batch_size": 4}
    plain, flip = (
        prepare(from_dict(SPEC | {"train": recipe | {"augment": augment}}), root, cache=cache)
        for augment in ([], ["horizontal_flip"])
    )
    assert isinstance(plain.train, Stream)
    assert isinstance(flip.train, Stream)
    assert plain.train is not flip.train
    assert [one.name for one in flip.recipe.augment] == ["horizontal_flip"]


def test_a_softmax_before_a_loss_that_has_its_own_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "archspec: 1\ninput: [1, 8, 8]\nnetwork: [flatten, linear: 10, softmax]\ntrain: {data: digits}\n"
    Path("net.yaml").write_text(text)
    spec = archspec.load("net.yaml")
    assert prepare(spec, tmp_path).notes == (
        "net ends in `softmax` (net.yaml:3:32), and the loss `cross_entropy` applies a softmax of its own: "
        "leave the layer out; `predict` gives probabilities all the same",
    )
    assert note_logits(spec.plan, spec.replace(set=["train.loss=mean_squared_error"]).recipe) == []
    assert prepare(spec.replace(set=["network=[flatten, linear: 10, relu]"]), tmp_path).notes == ()

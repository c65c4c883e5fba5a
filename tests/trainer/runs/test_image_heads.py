"""Images of which each output learns targets of its own: columns of a `targets.csv`, trained, tested and predicted."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from archspec.commands import predict, test as test_command
from archspec.foundation.errors import UsageError
from archspec.spec import from_dict
from trainer.runs import folders
from trainer.runs.evaluation import load_network
from trainer.runs.job import prepare
from trainer.session import Options, train

SPEC: dict[str, Any] = {
    "archspec": 1,
    "name": "Heads",
    "input": [1, 6, 6],
    "network": [
        {"conv": {"out": 4, "kernel": 3}},
        "relu",
        "flatten",
        {"save": "body"},
        {"linear": 2},
        {"output": "side"},
        {"load": "body"},
        {"linear": 1},
    ],
    "train": {
        "data": "images",
        "outputs": {"side": {"target": "bright"}, "main": {"target": "mean", "weight": 0.5}},
        "epochs": 2,
        "batch_size": 8,
        "augment": ["horizontal_flip"],
    },
}
COUNT = 30


def make_images(folder: Path, rows: Any = None, header: str = "file,bright,mean,place", seed: int = 0) -> None:
    """Images that are brighter on the left or on the right, with their mean as a share of 255."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(seed)
    lines = []
    for i in range(COUNT):
        pixels = random.integers(0, 128, (6, 6)).astype(np.uint8)
        pixels[:, 3 * (i % 2) :][:, :3] += 100
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
        lines.append([f"{i:02}.png", "right" if i % 2 else "left", f"{pixels.mean() / 255:.4f}", "hall"])
    with open(folder / "targets.csv", "w", newline="", encoding="utf-8") as text:
        csv.writer(text).writerows([header.split(","), *(rows(lines) if rows else lines)])


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_images(tmp_path / "images")
    return tmp_path


def spec(**of_train: Any) -> Any:
    return from_dict(SPEC | {"train": SPEC["train"] | of_train}, "heads")


def test_each_output_learns_its_columns_of_a_class_or_of_numbers(images: Path) -> None:
    job = prepare(spec(), images)
    assert job.task.name == "side=classification:1,main=regression:1"
    assert job.data.class_names == ("side=left", "side=right", "main=mean")
    assert job.notes == (f"no output learns the column `place` of {images}/images/targets.csv",)
    for name, pixels, target in zip(job.test.names, job.test.images, job.test.labels, strict=True):  # type: ignore[union-attr]
        wanted = [int(name[:2]) % 2, round(pixels.double().mean().item() / 255, 4)]
        assert target.tolist() == torch.tensor(wanted).tolist()


@pytest.mark.slow
def test_a_run_of_images_with_two_tasks_trains_tests_and_predicts(images: Path) -> None:
    job = prepare(spec(), images)
    run = folders.find(train(job, images / "runs", Options(pictures=True)).folder, images)
    module = load_network(run).module
    assert (run.folder / "side" / "confusion.png").is_file()
    assert (run.folder / "main" / "scatter.png").is_file()
    outputs: Any = module(job.test.images)  # type: ignore[union-attr]
    right = (outputs["side"].argmax(1) == job.test.labels[:, 0]).float().mean().item()  # type: ignore[union-attr]
    error = (outputs["main"][:, 0] - job.test.labels[:, 1]).abs().mean().item()  # type: ignore[union-attr]
    done = CliRunner().invoke(test_command.command, [str(run.folder), "--format", "json"])
    (found,) = json.loads(done.output)["results"]
    assert found["test_side_accuracy"] == pytest.approx(right)
    assert found["test_main_mae"] == pytest.approx(error, abs=1e-6)

    first = job.test.names[0]  # type: ignore[union-attr]
    done = CliRunner().invoke(predict.command, [str(run.folder), f"images/{first}", "--format", "json"])
    (answer,) = json.loads(done.output)["results"]
    assert answer["side"]["side"] == ("left", "right")[int(outputs["side"][0].argmax())]
    assert answer["main"]["mean"] == pytest.approx(outputs["main"][0, 0].item(), abs=1e-5)

    make_images(images / "others", seed=1)
    done = CliRunner().invoke(test_command.command, [str(run.folder), "--data", "others", "--format", "json"])
    assert json.loads(done.output)["results"][0]["images"] == COUNT
    make_images(images / "more", header="file,bright,mean,other", seed=2)
    done = CliRunner().invoke(test_command.command, [str(run.folder), "--data", "more"])
    assert (done.exit_code, str(done.exception)) == (
        1,
        f"{images}/more/targets.csv has a column `other`, which training has not\n"
        "  help: remove it; training has `bright`, `mean`",
    )


@pytest.mark.parametrize(
    ("rows", "outputs", "message"),
    [
        (
            lambda lines: [*lines[:4], [*lines[4][:1], "", *lines[4][2:]], *lines[5:]],
            {},
            "{file}, line 6: the column `bright` is empty, and no value is made up for it\n"
            "  help: fill it in, or remove the image and its line",
        ),
        (
            None,
            {"side": {"target": "brigth"}},
            "{file} has no column `brigth`, which `outputs.side.target` names\n  help: did you mean `bright`?",
        ),
        (
            lambda lines: [[line[0], str(i % 3), *line[2:]] for i, line in enumerate(lines)],
            {},
            "the target `bright` of {file} holds whole numbers, which may be classes or amounts\n  help: say which: "
            "`outputs: {{side: {{target: bright, task: classification}}}}`, or `task: regression`",
        ),
        (
            None,
            {"main": {"target": "place", "task": "regression"}},
            "{file}, line 3: `hall` in the column `place` is no finite number\n  help: name one target of texts, or "
            "several of numbers",
        ),
        (
            None,
            {"side": {"target": "mean"}, "main": {"target": "bright"}},
            "the data set `images` has 1 number for each image, but the output `side` of Heads gives 2\n"
            "  help: end the network in `- linear: 1`",
        ),
    ],
)
def test_targets_that_do_not_fit_are_named(rows: Any, outputs: Any, message: str, images: Path) -> None:
    make_images(images / "images", rows)
    with pytest.raises(UsageError) as caught:
        prepare(spec(outputs=SPEC["train"]["outputs"] | outputs), images)
    assert str(caught.value) == message.format(file=images / "images" / "targets.csv")


def test_images_without_targets_of_several_outputs_are_refused(images: Path) -> None:
    (images / "images" / "targets.csv").unlink()
    with pytest.raises(UsageError) as caught:
        prepare(spec(), images)
    assert str(caught.value) == (
        f"`train.outputs` names targets, columns of a `targets.csv` beside the images, and {images}/images has none\n"
        "  help: add one with `file` and a column for each target; or give the outputs weights, "
        "`outputs: {NAME: 0.4}`, to learn the same targets"
    )

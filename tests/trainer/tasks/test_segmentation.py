"""Segmentation: its losses and scores against torch, torchmetrics and scikit-learn; trained, tested, predicted."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kills import assert_resumes_alike
from PIL import Image
from sklearn.metrics import jaccard_score, precision_score, recall_score
from torch import Tensor
from torch.nn import functional
from torchmetrics.classification import MulticlassF1Score, MulticlassJaccardIndex

from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe
from archspec.spec import from_dict
from trainer import data
from trainer.data import digit_scenes
from trainer.input.masks import IGNORED
from trainer.runs.job import prepare
from trainer.steps.module import SpecModule
from trainer.tasks._pixels import palette
from trainer.tasks.segmentation import TASK

CLASSES = 5
SPEC = {
    "archspec": 1,
    "name": "Pixels",
    "input": [3, 8, 8],
    "vars": {"num_classes": 3},
    "network": [
        {"conv": {"out": 8, "kernel": 3, "padding": 1}},
        "batch_norm",
        "relu",
        {"dropout": 0.2},
        {"conv": {"out": "=num_classes", "kernel": 1}},
    ],
}


def batch(seed: int = 0, count: int = 6) -> tuple[Tensor, Tensor]:
    """Logits and masks, of which some pixels are unknown, and one class never occurs."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, CLASSES, 7, 9, generator=generator)
    masks = torch.randint(CLASSES - 1, (count, 7, 9), generator=generator).byte()
    masks[torch.rand(masks.shape, generator=generator) < 0.15] = IGNORED
    return logits, masks


def made(**loss: Any) -> torch.nn.Module:
    return TASK.make_loss(Recipe.from_dict({"loss": loss["loss"]}))


# --- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_torchs(smoothing: float) -> None:
    logits, masks = batch()
    ours = made(loss={"name": "cross_entropy", "label_smoothing": smoothing})(logits, masks)
    theirs = functional.cross_entropy(logits, masks.long(), ignore_index=IGNORED, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs)


def test_masks_without_a_known_pixel_cost_nothing() -> None:
    logits = torch.randn(2, CLASSES, 4, 4, requires_grad=True)
    for name in TASK.losses:
        loss = made(loss=name)(logits, torch.full((2, 4, 4), IGNORED, dtype=torch.uint8))
        loss.backward()
        assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)
        assert bool(logits.grad.isfinite().all())


def test_focal_loss_is_written_out() -> None:
    logits, masks = batch(1)
    expected = []
    probabilities = logits.double().softmax(1)
    for n, row, column in (masks != IGNORED).nonzero().tolist():
        p = float(probabilities[n, int(masks[n, row, column]), row, column])
        expected.append(-((1 - p) ** 1.5) * np.log(p))
    assert float(made(loss={"name": "focal", "gamma": 1.5})(logits, masks)) == pytest.approx(
        np.mean(expected), rel=1e-5
    )


@pytest.mark.parametrize(
    ("loss", "alpha", "beta", "smooth"),
    [
        ({"name": "tversky", "alpha": 0.2, "beta": 0.6, "smooth": 2.0}, 0.2, 0.6, 2.0),
        ({"name": "dice", "smooth": 3.0}, 0.5, 0.5, 1.5),
    ],
)
def test_overlaps_are_written_out(loss: dict[str, Any], alpha: float, beta: float, smooth: float) -> None:
    logits, masks = batch(2)
    probabilities, expected = logits.double().softmax(1), []
    for n in range(len(masks)):
        known = masks[n] != IGNORED
        for label in range(CLASSES):
            p, t = probabilities[n, label][known], (masks[n][known] == label).double()
            hits, wrong, missed = (p * t).sum(), (p * (1 - t)).sum(), ((1 - p) * t).sum()
            expected.append(1 - (hits + smooth) / (hits + alpha * wrong + beta * missed + smooth))
    assert float(made(loss=loss)(logits, masks)) == pytest.approx(float(sum(expected)) / len(expected), rel=1e-5)


def test_losses_are_added_up_by_their_factors() -> None:
    logits, masks = batch(3)
    parts = [float(made(loss=name)(logits, masks)) for name in ("cross_entropy", "dice")]
    both = made(loss=["cross_entropy", {"name": "dice", "factor": 0.5}])(logits, masks)
    assert float(both) == pytest.approx(parts[0] + 0.5 * parts[1], rel=1e-6)


def test_logits_of_another_size_are_brought_to_the_masks() -> None:
    logits, masks = batch(4)
    large = functional.interpolate(logits, (21, 27), mode="bilinear", align_corners=False)
    wide = masks.repeat_interleave(3, 1).repeat_interleave(3, 2)
    for name in TASK.losses:
        torch.testing.assert_close(made(loss=name)(logits, wide), made(loss=name)(large, wide))


# --- scores -----------------------------------------------------------------------------------------------------------


def test_scores_are_torchmetrics() -> None:
    metrics = TASK.make_metrics(from_dict(SPEC | {"vars": {"num_classes": CLASSES}}).plan)
    theirs = {
        "mean_iou": MulticlassJaccardIndex(CLASSES, average="macro", ignore_index=IGNORED),
        "dice": MulticlassF1Score(CLASSES, average="macro", ignore_index=IGNORED, multidim_average="global"),
    }
    evaluator = TASK.evaluator()
    for seed in range(3):
        logits, masks = batch(seed)
        logits[:, -1] -= 9  # the class that never occurs is never found either: it does not count
        evaluator.update(logits, masks)
        for name, one in theirs.items():
            one.update(logits, masks.long())
            metrics[name].update(logits, masks)
    found = evaluator.compute(0.0)
    for name, one in theirs.items():
        assert float(metrics[name].compute()) == pytest.approx(float(one.compute()), abs=1e-6)
        assert found.metrics[name] == pytest.approx(float(one.compute()), abs=1e-6)


def test_the_table_of_classes_is_scikit_learns() -> None:
    logits, masks = batch(5)
    evaluator = TASK.evaluator()
    evaluator.update(logits, masks)
    names = [f"class {number}" for number in range(CLASSES)]
    heading, *rows = evaluator.compute(0.0).tables(names)["classes"]
    assert heading == ["class", "IoU", "Dice", "precision", "recall", "pixels"]
    truth, found = masks[masks != IGNORED].numpy(), logits.argmax(1)[masks != IGNORED].numpy()
    options: dict[str, Any] = {"labels": range(CLASSES), "average": None, "zero_division": np.nan}
    columns = [jaccard_score(truth, found, labels=range(CLASSES), average=None, zero_division=0)]
    columns += [2 * columns[0] / (1 + columns[0])]
    columns += [score(truth, found, **options) for score in (precision_score, recall_score)]
    for number, (row, *values) in enumerate(zip(rows, *columns, strict=True)):
        assert (row[0], row[5]) == (names[number], int((truth == number).sum()))
        assert [np.nan if value == "" else value for value in row[1:5]] == pytest.approx(values, nan_ok=True)


# --- checks -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_network_without_a_class_for_each_pixel_is_refused(tmp_path: Path) -> None:
    spec = SPEC | {"network": ["flatten", {"linear": "=num_classes"}], "train": {"data": "digit_scenes"}}
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(spec), tmp_path)
    assert str(caught.value) == (
        "the data set `digit_scenes` has masks of 11 classes, for an output of 11×H×W, but Pixels gives 11\n"
        "  help: end the network in `- conv: {out: =num_classes, kernel: 1}`, with `vars: {num_classes: 2}`"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            {"task": "classification"},
            "the task classification learns classes, but the data set `digit_scenes` has masks\n"
            "  help: --set train.task=segmentation",
        ),
        (
            {"loss": "binary_cross_entropy"},
            "the loss `binary_cross_entropy` does not fit the task segmentation\n"
            "  help: --set train.loss=cross_entropy; `cross_entropy`, `dice`, `focal`, `tversky` would fit",
        ),
        (
            {"augment": ["mixup"]},
            "`mixup` mixes the targets of images, and those of segmentation cannot be mixed\n"
            "  help: leave it out of `train.augment`",
        ),
        (
            {"early_stopping": {"patience": 1, "monitor": "val_accuracy"}},
            "`train.early_stopping.monitor` is `val_accuracy`, which segmentation does not measure\n"
            "  help: choose one of `val_mean_iou`, `val_dice`, `val_loss`",
        ),
    ],
)
def test_recipes_of_other_tasks_are_refused(recipe: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(SPEC | {"train": {"data": "digit_scenes", **recipe}}), tmp_path)
    assert str(caught.value) == message


@pytest.mark.slow
def test_the_scenes_are_the_same_each_time_and_their_digits_are_apart() -> None:
    first, second = (digit_scenes.load(Path()) for _ in range(2))
    for one, other in ((first.train, second.train), (first.test, second.test)):
        assert torch.equal(one.images, other.images)  # type: ignore[union-attr]
        assert torch.equal(one.labels, other.labels)  # type: ignore[union-attr]
    assert (len(first.train), len(first.test), first.classes) == (1500, 300, 11)
    for part in (first.train, first.test):
        assert set(part.labels.unique().tolist()) == set(range(11))  # type: ignore[union-attr]
        ink = part.labels > 0  # type: ignore[union-attr]
        grey = part.images.float().mean(1)  # type: ignore[union-attr]
        assert float(grey[ink].mean()) > float(grey[~ink].mean()) + 80  # masks lie on what is drawn


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Small images of bright squares and dark ones, each with its mask; a border that is unknown."""
    random = np.random.default_rng(0)
    root = tmp_path / "scenes"
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for number in range(60):
        image = random.integers(100, 150, (8, 8, 3), dtype=np.uint8)
        mask = np.zeros((8, 8), dtype=np.uint8)
        for label, value in ((1, 250), (2, 5)):
            top, left = random.integers(0, 5, 2)
            image[top : top + 4, left : left + 4] = value
            mask[top : top + 4, left : left + 4] = label
        mask[0] = IGNORED
        Image.fromarray(image).save(root / "images" / f"{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    (root / "classes.txt").write_text("ground\nbright\ndark\n")
    return root


RECIPE = {
    "epochs": 3,
    "batch_size": 8,
    "validation": 0.25,
    "normalize": True,
    "augment": ["horizontal_flip", {"rotation": {"degrees": 10}}, {"random_resized_crop": {"scale": [0.6, 1.0]}}],
    "loss": ["cross_entropy", "dice"],
    "optimizer": {"name": "adamw", "lr": 0.05},
    "schedule": "cosine",
}


@pytest.mark.slow
def test_a_network_is_trained_tested_listed_and_predicts_masks(
    run: Callable[..., Any], scenes: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.yaml").write_text(json.dumps(SPEC | {"train": RECIPE | {"data": str(scenes), "epochs": 20}}))
    done = run("train", "net.yaml")
    assert done.returncode == 0, done.stderr
    assert "val mean IoU" in done.stdout
    folder = tmp_path / "runs" / "net"
    kept = json.loads((folder / "results.json").read_text())
    assert kept["task"] == "segmentation"
    assert kept["test_mean_iou"] > 0.8
    with open(folder / "metrics.csv") as text:
        logged = [float(row["val_mean_iou"]) for row in csv.DictReader(text) if row["val_mean_iou"]]
    assert max(logged) == pytest.approx(kept["val_mean_iou"], abs=1e-6)
    tested = run("test", "net").stdout
    figures = f"mean IoU {kept['test_mean_iou']:.2%}, test Dice {kept['test_dice']:.2%}"
    assert tested == (
        f"net, best.ckpt, on the 12 test images of {scenes}: test {figures}, test loss {kept['test_loss']:.4f}\n"
    )
    header, line = run("runs").stdout.splitlines()
    assert "val mean IoU  test mean IoU  test Dice" in header
    assert f"{kept['test_dice']:.2%}" in line
    with open(folder / "classes.csv") as text:
        rows = list(csv.DictReader(text))
    assert [row["class"] for row in rows] == ["ground", "bright", "dark"]
    assert np.mean([float(row["IoU"]) for row in rows]) == pytest.approx(kept["test_mean_iou"])
    for name in ("curves", "confusion", "masks", "augmentation"):
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) > 200

    image, wide = scenes / "images" / "7.png", tmp_path / "7.png"
    with Image.open(image) as picture:
        picture.resize((20, 12)).save(wide)
    said = run("predict", "net", image, wide, "--save", "masks", "--format", "json")
    results = json.loads(said.stdout)["results"]
    assert [one["saved"] for one in results] == ["masks/7.png", "masks/7-2.png"]  # the second is not written over it
    with Image.open(tmp_path / "masks" / "7.png") as picture:
        assert (picture.mode, picture.size) == ("P", (8, 8))
        mask = np.array(picture)
        assert np.array_equal(np.array(picture.convert("RGB")), palette(256).numpy()[mask])
    with Image.open(tmp_path / "masks" / "7-2.png") as picture:
        assert picture.size == (20, 12)
    module = SpecModule.load_from_checkpoint(folder / "checkpoints" / "best.ckpt", weights_only=True).eval()
    with Image.open(image) as picture:
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        assert np.array_equal(mask, module(pixels)[0].argmax(0).numpy())
    shares = {one["class"]: one["share"] for one in results[0]["top"]}
    assert shares["ground"] == pytest.approx(float((mask == 0).mean()))
    plain = run("predict", "net", image)
    assert plain.stdout.startswith(f"{image}: ground {shares['ground']:.1%}, ")


@pytest.mark.slow
def test_masks_are_saved_for_tasks_that_predict_them_alone(run: Callable[..., Any], tmp_path: Path) -> None:
    linear = SPEC | {
        "input": [1, 8, 8],
        "vars": {"num_classes": 10},
        "network": ["flatten", {"linear": "=num_classes"}],
    }
    (tmp_path / "linear.yaml").write_text(json.dumps(linear | {"train": {"epochs": 1}}))
    assert run("train", "linear.yaml").returncode == 0
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(tmp_path / "a.png")
    done = run("predict", "linear", "a.png", "--save", "masks")
    assert (done.returncode, done.stderr) == (
        2,
        "error: classification predicts no images that could be saved\n  help: leave --save out\n",
    )


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 4, 6, 9])
def test_killed_at_a_step_it_goes_on_to_the_same_end(step: int, scenes: Path, tmp_path: Path) -> None:
    recipe = RECIPE | {"data": str(scenes)}
    found = data.load(str(scenes), scenes)
    assert found.targets == "masks"

    def job() -> Any:
        return prepare(from_dict(SPEC | {"train": recipe}, "net"), tmp_path)

    assert_resumes_alike(job, step, tmp_path)

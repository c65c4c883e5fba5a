"""Numbers of images: losses and scores against torch and scikit-learn; trained, tested, predicted, killed, resumed."""

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
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from torch import Tensor
from torch.nn import functional

from archspec.foundation.errors import UsageError
from archspec.spec import from_dict
from trainer.runs import checkpoints
from trainer.runs.job import prepare
from trainer.session import make_module
from trainer.tasks.regression import TASK

SPEC = {
    "archspec": 1,
    "name": "Numbers",
    "input": [1, 16, 16],
    "network": [
        {"conv": {"out": 16, "kernel": 3, "padding": 1}},
        "batch_norm",
        "relu",
        {"max_pool": 2},
        {"conv": {"out": 32, "kernel": 3, "padding": 1}},
        "batch_norm",
        "relu",
        "global_avg_pool",
        "flatten",
        {"linear": 2},
    ],
}
RECIPE = {
    "epochs": 3,
    "batch_size": 32,
    "validation": 0.2,
    "optimizer": {"name": "adamw", "lr": 0.01},
    "schedule": "cosine",
}


def make_squares(root: Path, count: int) -> Path:
    """Images of a bright square, PNG files; its area in square micrometres and its grey, of very different sizes."""
    random = np.random.default_rng(0)
    root.mkdir()
    lines = ["file,area,grey"]
    for number in range(count):
        pixels = random.integers(0, 30, (16, 16), dtype=np.uint8)
        side, grey = random.integers(3, 12), random.integers(80, 255)
        top, left = random.integers(0, 17 - side, 2)
        pixels[top : top + side, left : left + side] = grey
        Image.fromarray(pixels).save(root / f"{number}.png")
        lines.append(f"{number}.png,{40_000 + 1000 * side**2},{grey / 255:.4f}")
    (root / "targets.csv").write_text("\n".join(lines) + "\n")
    return root


def batch(seed: int, count: int = 30) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randn(count, 2, generator=generator) * torch.tensor([500.0, 0.1]) + torch.tensor([9000.0, 3.0])
    return targets + torch.randn(count, 2, generator=generator) * torch.tensor([90.0, 0.2]), targets


# --- losses and scores ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "theirs"),
    [
        ("mean_squared_error", functional.mse_loss),
        ("mean_absolute_error", functional.l1_loss),
        ({"name": "smooth_l1", "beta": 0.3}, lambda one, other: functional.smooth_l1_loss(one, other, beta=0.3)),
    ],
)
def test_losses_are_torchs_of_standardised_numbers(
    loss: Any, theirs: Callable[[Tensor, Tensor], Tensor], tmp_path: Path
) -> None:
    root = make_squares(tmp_path / "squares", 60)
    job = prepare(from_dict(SPEC | {"train": {"data": str(root), "loss": loss, "batch_size": 8}}), tmp_path)
    module = make_module(job).eval()
    images, targets = job.train[list(range(20))]  # type: ignore[index]
    every = job.train.labels.double().numpy()  # type: ignore[union-attr]
    mean, std = torch.tensor(every.mean(0)), torch.tensor(every.std(0))
    with torch.no_grad():
        raw = module.network(module.normalize(images)).double()
        output = module(images)
    torch.testing.assert_close(output.double(), raw * std + mean, rtol=1e-5, atol=1e-4)
    expected = theirs(raw, (targets.double() - mean) / std)
    assert float(module.loss(output, targets)) == pytest.approx(float(expected), rel=1e-4)


def test_scores_are_scikit_learns() -> None:
    metrics, evaluator = TASK.make_metrics(from_dict(SPEC).plan), TASK.evaluator()
    batches = [batch(seed) for seed in range(3)]
    for output, targets in batches:
        evaluator.update(output, targets)
        for one in metrics.values():
            one(output, targets)
    output, targets = (torch.cat(part).double().numpy() for part in zip(*batches, strict=True))
    theirs = {
        "mae": mean_absolute_error(targets, output),
        "rmse": root_mean_squared_error(targets, output),
        "r2": r2_score(targets, output),
    }
    found = evaluator.compute(0.5)
    assert dict(found.metrics) == pytest.approx(theirs, rel=1e-6)
    assert {name: float(one.compute()) for name, one in metrics.items()} == pytest.approx(theirs, rel=1e-6)
    tables = found.tables(["a", "b"])
    assert tables["numbers"][0] == ["number", "MAE", "RMSE", "R2"]
    for number, row in enumerate(tables["numbers"][1:]):
        expected = [
            score(targets[:, number], output[:, number])
            for score in (mean_absolute_error, root_mean_squared_error, r2_score)
        ]
        assert list(row) == ["ab"[number], *(pytest.approx(one, rel=1e-6) for one in expected)]
    assert found.notes(["a", "b"]) == (
        [f"R² of `b` is {r2_score(targets[:, 1], output[:, 1]):.3f}: its mean as the answer to all test images would "
         "do as well"]
    )  # fmt: skip


# --- checks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "recipe", "message"),
    [
        (
            ["flatten", {"linear": 1}],
            {},
            "the data set `{data}` has 2 numbers for each image, but Numbers gives 1\n"
            "  help: end the network in `- linear: 2`",
        ),
        (
            SPEC["network"],
            {"augment": ["mixup"]},
            "`mixup` mixes the targets of images, and those of regression cannot be mixed\n"
            "  help: leave it out of `train.augment`",
        ),
        (
            SPEC["network"],
            {"loss": "cross_entropy"},
            "the loss `cross_entropy` does not fit the task regression\n"
            "  help: --set train.loss=mean_squared_error; `mean_squared_error`, `mean_absolute_error`, "
            "`charbonnier`, `smooth_l1` would fit",
        ),
    ],
)
def test_specs_and_recipes_that_do_not_fit_are_refused(
    network: Any, recipe: dict[str, Any], message: str, tmp_path: Path
) -> None:
    root = make_squares(tmp_path / "squares", 20)
    spec = {**SPEC, "network": network, "train": {"data": str(root), "batch_size": 4, **recipe}}
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(spec), tmp_path)
    assert str(caught.value) == message.format(data=root)


def test_a_number_that_is_the_same_for_all_images_is_refused(tmp_path: Path) -> None:
    root = make_squares(tmp_path / "squares", 20)
    lines = (root / "targets.csv").read_text().splitlines()
    (root / "targets.csv").write_text("\n".join([lines[0], *(f"{line.rpartition(',')[0]},2.5" for line in lines[1:])]))
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(SPEC | {"train": {"data": str(root), "batch_size": 4}}), tmp_path)
    assert str(caught.value) == (
        f"`grey` is 2.5 for all training images of `{root}`: there is nothing to learn\n  help: leave the column out"
    )


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_network_is_trained_tested_listed_and_predicts_numbers(run: Callable[..., Any], tmp_path: Path) -> None:
    squares = make_squares(tmp_path / "squares", 800)
    (tmp_path / "net.yaml").write_text(json.dumps(SPEC | {"train": RECIPE | {"data": str(squares), "epochs": 25}}))
    done = run("train", "net.yaml")
    assert (done.returncode, "val MAE" in done.stdout) == (0, True), done.stderr
    folder = tmp_path / "runs" / "net"
    kept = json.loads((folder / "results.json").read_text())
    assert kept["task"] == "regression"
    assert kept["test_r2"] > 0.95
    with open(folder / "metrics.csv") as text:
        logged = [float(row["val_mae"]) for row in csv.DictReader(text) if row["val_mae"]]
    assert min(logged) == pytest.approx(kept["val_mae"], rel=1e-5)  # the least error is the best
    figures = f"MAE {kept['test_mae']:.5g}, test RMSE {kept['test_rmse']:.5g}, test R² {kept['test_r2']:.4f}"
    assert run("test", "net").stdout == (
        f"net, best.ckpt, on the 160 test images of {squares}: test {figures}, test loss {kept['test_loss']:.4f}\n"
    )
    header, line = run("runs").stdout.splitlines()
    assert "val MAE  test MAE  test RMSE  test R²" in header
    assert f"{kept['test_r2']:.4f}" in line
    with open(folder / "predictions.csv") as text:
        rows = list(csv.DictReader(text))
    with open(squares / "targets.csv") as text:
        meant = {row["file"]: row for row in csv.DictReader(text)}
    for row in rows:
        assert [float(row[one]) for one in ("area", "grey")] == [
            float(meant[row["file"]][one]) for one in ("area", "grey")
        ]
    truth = [[float(row["area"]), float(row["grey"])] for row in rows]
    given = [[float(row["area predicted"]), float(row["grey predicted"])] for row in rows]
    assert r2_score(truth, given) == pytest.approx(kept["test_r2"], abs=1e-5)
    assert mean_absolute_error(truth, given) == pytest.approx(kept["test_mae"], rel=1e-4)
    for name in ("curves", "scatter", "mistakes"):
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) > 200

    image = squares / rows[0]["file"]
    numbers = json.loads(run("predict", "net", image, "--format", "json").stdout)["results"][0]["numbers"]
    assert [numbers["area"], numbers["grey"]] == pytest.approx(given[0], rel=1e-5)
    assert run("predict", "net", image).stdout == (f"{image}: area {numbers['area']:.6g}, grey {numbers['grey']:.6g}\n")
    header, line = run("predict", "net", image, "--format", "csv").stdout.splitlines()
    assert header == "file,area,grey"
    assert [float(one) for one in line.split(",")[1:]] == pytest.approx(given[0], rel=1e-5)


@pytest.mark.slow
def test_killed_it_goes_on_to_the_same_end(tmp_path: Path) -> None:
    root = make_squares(tmp_path / "squares", 200)

    def job() -> Any:
        return prepare(from_dict(SPEC | {"train": RECIPE | {"data": str(root)}}, "net"), tmp_path)

    whole = assert_resumes_alike(job, 7, tmp_path)
    weights = checkpoints.load(whole / "checkpoints" / "last.ckpt")["state_dict"]
    assert weights.keys() >= {"answer.mean", "answer.std", "loss.std"}

"""Several labels of an image: scores against scikit-learn; trained, tested, predicted, killed and resumed."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kills import assert_resumes_alike
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score
from torch import Tensor
from torch.nn import functional

from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe
from archspec.spec import from_dict
from trainer.runs.job import prepare
from trainer.tasks.multi_label import TASK

SPEC = {
    "archspec": 1,
    "name": "Pairs",
    "input": [1, 8, 16],
    "vars": {"num_classes": 5},
    "network": [
        {"conv": {"out": 32, "kernel": 3, "padding": 1}},
        "batch_norm",
        "relu",
        {"conv": {"out": 64, "kernel": 3, "padding": 1}},
        "batch_norm",
        "relu",
        {"max_pool": 2},
        "flatten",
        {"dropout": 0.2},
        {"linear": "=num_classes"},
    ],
}
RECIPE = {"epochs": 3, "batch_size": 32, "validation": 0.2, "optimizer": {"name": "adamw", "lr": 0.005}}


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Images of two digits side by side, PNG files, and the set of the digits in `labels.csv`."""
    return make_pairs(tmp_path / "pairs", 900)


def make_pairs(root: Path, count: int) -> Path:
    digits, random = load_digits(), np.random.default_rng(0)
    root.mkdir()
    lines = ["file,labels"]
    for number in range(count):
        two = random.choice(len(digits.target), 2)
        pixels = np.concatenate(list(digits.images[two]), 1) * 15.9
        Image.fromarray(pixels.astype(np.uint8)).save(root / f"{number}.png")
        lines.append(f"{number}.png,{' '.join(sorted({f'd{digit}' for digit in digits.target[two]}))}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


def batch(seed: int, count: int = 40, labels: int = 4) -> tuple[Tensor, Tensor]:
    """Logits and sets of labels, of which the last never occurs."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, labels, generator=generator)
    truth = (torch.rand(count, labels, generator=generator) < 0.4).float()
    truth[:, -1] = 0
    return logits, truth


# --- loss and scores --------------------------------------------------------------------------------------------------


def test_the_loss_is_torchs() -> None:
    logits, truth = batch(0)
    ours = TASK.make_loss(Recipe.from_dict({"loss": "binary_cross_entropy"}))(logits, truth)
    torch.testing.assert_close(ours, functional.binary_cross_entropy_with_logits(logits, truth))


def test_scores_are_scikit_learns_of_the_labels_that_occur() -> None:
    """Also where the logits of a batch all lie between 0 and 1, and so could be taken for probabilities."""
    metrics, evaluator = TASK.make_metrics(from_dict(SPEC).plan), TASK.evaluator()
    logits, truth = (torch.cat(part) for part in zip(*map(batch, range(3)), strict=True))
    logits[:40] = logits[:40].sigmoid()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for part in range(3):
            here = slice(40 * part, 40 * part + 40)
            evaluator.update(logits[here], truth[here])
            for one in metrics.values():
                one(logits[here], truth[here])
        found = evaluator.compute(0.25)
        values = {name: float(one.compute()) for name, one in metrics.items()}
    shown, said = truth[:, :-1].numpy(), (logits > 0)[:, :-1].numpy()
    theirs = {
        "map": average_precision_score(shown, logits[:, :-1].numpy(), average="macro"),
        "f1": f1_score(shown, said, average="macro"),
    }
    assert values == pytest.approx(theirs, abs=1e-6)
    assert dict(found.metrics) == pytest.approx(theirs, abs=1e-6)
    heading, *rows = found.tables(["a", "b", "c", "d"])["classes"]
    assert heading == ("class", "images", "average precision", "precision", "recall", "f1")
    for number, row in enumerate(rows[:-1]):
        one, answer = shown[:, number], said[:, number]
        expected = [average_precision_score(one, logits[:, number].numpy())]
        expected += [score(one, answer) for score in (precision_score, recall_score, f1_score)]
        assert (row[0], row[1]) == ("abc"[number], one.sum())
        assert [float(value) for value in row[2:]] == pytest.approx(expected, abs=2e-6)
    assert tuple(rows[-1]) == ("d", 0, "", "", "", "")


def test_it_is_noted_when_the_same_is_said_of_all_images() -> None:
    evaluator = TASK.evaluator()
    evaluator.update(torch.tensor([[3.0, -1.0, 2.0], [1.0, -2.0, 0.1]]), torch.eye(3)[:2])
    assert evaluator.compute(0.0).notes(["a", "b", "c"]) == ("the same is said of all test images: a c",)


# --- checks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "recipe", "message"),
    [
        (
            ["flatten", {"linear": 7}],
            {},
            "the data set `{data}` has 10 labels, but Pairs gives 7\n"
            "  help: end the network in `- linear: =num_classes`, with `vars: {{num_classes: 10}}`",
        ),
        (
            SPEC["network"],
            {"task": "classification"},
            "the task classification learns classes, but the data set `{data}` has label sets\n"
            "  help: --set train.task=multi_label",
        ),
        (
            SPEC["network"],
            {"loss": "cross_entropy"},
            "the loss `cross_entropy` does not fit the task multi_label\n"
            "  help: --set train.loss=binary_cross_entropy; `binary_cross_entropy` would fit",
        ),
        (
            SPEC["network"],
            {"early_stopping": {"patience": 1, "monitor": "val_accuracy"}},
            "`train.early_stopping.monitor` is `val_accuracy`, which multi_label does not measure\n"
            "  help: choose one of `val_map`, `val_f1`, `val_loss`",
        ),
    ],
)
def test_specs_and_recipes_that_do_not_fit_are_refused(
    network: Any, recipe: dict[str, Any], message: str, tmp_path: Path
) -> None:
    root = make_pairs(tmp_path / "pairs", 60)
    spec = {**SPEC, "network": network, "train": {"data": str(root), **recipe}}
    if network is not SPEC["network"]:
        del spec["vars"]
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(spec), tmp_path)
    assert str(caught.value) == message.format(data=root)


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_network_is_trained_tested_listed_and_predicts_labels(
    run: Callable[..., Any], pairs: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.yaml").write_text(json.dumps(SPEC | {"train": RECIPE | {"data": str(pairs), "epochs": 20}}))
    done = run("train", "net.yaml")
    assert (done.returncode, "val mAP" in done.stdout) == (0, True), done.stderr
    folder = tmp_path / "runs" / "net"
    kept = json.loads((folder / "results.json").read_text())
    assert kept["task"] == "multi_label"
    assert kept["test_map"] > 0.93
    assert kept["test_f1"] > 0.85
    with open(folder / "metrics.csv") as text:
        logged = [float(row["val_map"]) for row in csv.DictReader(text) if row["val_map"]]
    assert max(logged) == pytest.approx(kept["val_map"], abs=1e-6)
    figures = f"test mAP {kept['test_map']:.2%}, test F1 {kept['test_f1']:.2%}, test loss {kept['test_loss']:.4f}\n"
    assert run("test", "net").stdout == f"net, best.ckpt, on the 180 test images of {pairs}: {figures}"
    header, line = run("runs").stdout.splitlines()
    assert "val mAP  test mAP  test F1" in header
    assert f"{kept['test_f1']:.2%}" in line
    names = [f"d{digit}" for digit in range(10)]
    with open(folder / "predictions.csv") as text:
        rows = list(csv.DictReader(text))
    with open(pairs / "labels.csv") as text:
        meant = {row["file"]: row["labels"] for row in csv.DictReader(text)}
    assert len(rows) == 180
    for row in rows:
        assert row["truth"] == meant[row["file"]]
        assert row["answer"] == " ".join(name for name in names if float(row[name]) > 0.5)
    truth = [[name in row["truth"].split() for name in names] for row in rows]
    given = [[float(row[name]) for name in names] for row in rows]
    assert average_precision_score(truth, given, average="macro") == pytest.approx(kept["test_map"], abs=1e-4)
    with Image.open(folder / "mistakes.png") as picture:
        assert min(picture.size) > 200

    image = pairs / rows[0]["file"]
    result = json.loads(run("predict", "net", image, "--format", "json").stdout)["results"][0]
    assert set(result["labels"]) == set(rows[0]["answer"].split())
    assert [one["class"] for one in result["top"][: len(result["labels"])]] == result["labels"]
    assert result["top"][0]["probability"] == pytest.approx(max(given[0]), abs=1e-4)
    shown = ", ".join(f"{one['class']} {one['probability']:.1%}" for one in result["top"] if one["probability"] > 0.5)
    assert run("predict", "net", image).stdout == f"{image}: {shown or 'no label'}\n"
    several = run("predict", "net", *(pairs / row["file"] for row in rows[:9]), "--format", "csv", "--top", "1").stdout
    table = list(csv.DictReader(several.splitlines()))
    assert list(table[0]) == ["file", "labels", "class", "probability"]
    assert [sorted(row["labels"].split()) for row in table] == [sorted(row["answer"].split()) for row in rows[:9]]
    other = run("test", "net", "--data", "digits")
    assert (other.returncode, other.stderr) == (
        2,
        "error: digits has classes, but the run was trained with label sets\n  help: choose other images\n",
    )


@pytest.mark.slow
def test_killed_with_mixed_images_it_goes_on_to_the_same_end(tmp_path: Path) -> None:
    root = make_pairs(tmp_path / "pairs", 200)
    recipe = RECIPE | {"data": str(root), "augment": ["mixup", "cutmix"]}

    def job() -> Any:
        return prepare(from_dict(SPEC | {"train": recipe}, "net"), tmp_path)

    assert_resumes_alike(job, 7, tmp_path)

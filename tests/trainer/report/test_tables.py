"""Comparisons: a row for each training, wide and narrow; and what is said of the answers of a classifier."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console
from sklearn.metrics import precision_recall_fscore_support

from archspec.spec import from_dict
from trainer.logs import read_log
from trainer.report.tables import compared, print_table
from trainer.runs.folders import Result
from trainer.runs.job import prepare
from trainer.session import Options, train
from trainer.tasks.classification import ClassEvaluation

SPEC: dict[str, Any] = {"archspec": 1, "input": [1, 8, 8], "network": ["flatten", {"linear": 10}], "vars": {"width": 8}}
MEASURED = Result(
    name="net",
    spec="net.yaml",
    variant=None,
    data="digits",
    seed=1,
    epochs=10,
    params=650,
    macs=640,
    metrics={"val_accuracy": 0.5, "test_accuracy": 0.25, "test_loss": 1.5},
    best_epoch=1,
    seconds=3.0,
    images_per_second=1000,
    folder="",
)


def result(folder: Path, accuracy: float, *, seed: int = 1, name: str = "net", **train: Any) -> Result:
    """A result whose run has a spec of these settings."""
    place = folder / f"{len(list(folder.iterdir()))}"
    place.mkdir()
    (place / "spec.yaml").write_text(yaml.safe_dump(SPEC | {"train": {"seed": seed, "data": "digits"} | train}))
    metrics = {"val_accuracy": accuracy, "test_accuracy": accuracy, "test_loss": 1.0}
    return replace(MEASURED, name=name, seed=seed, metrics=metrics, folder=str(place))


def shown(results: list[Result], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    print_table(results, console)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def test_trainings_of_one_name_are_merged_if_their_seeds_alone_differ(tmp_path: Path) -> None:
    sgd, adam = {"name": "sgd", "lr": 0.1}, {"name": "adam", "lr": 0.1}
    results = [
        result(tmp_path, 0.1, optimizer=sgd),
        result(tmp_path, 0.3, optimizer=sgd, seed=2),
        result(tmp_path, 0.9, optimizer=adam),
        result(tmp_path, 0.5, name="other"),
    ]
    headings, rows = compared(results)
    assert headings[:5] == ["spec", "settings", "runs", "val accuracy", "test accuracy"]
    assert [row[:4] for row in rows] == [
        ["net", "optimizer.name=sgd", "2", "20.00 ± 14.14%"],
        ["net", "optimizer.name=adam", "1", "90.00%"],
        ["other", "", "1", "50.00%"],
    ]


def test_two_specs_of_one_name_have_a_row_each(tmp_path: Path) -> None:
    one, other = result(tmp_path, 0.1), result(tmp_path, 0.9)
    text = (Path(other.folder) / "spec.yaml").read_text().replace("width: 8", "width: 16")
    (Path(other.folder) / "spec.yaml").write_text(text)
    _, rows = compared([one, other])
    assert [row[:3] for row in rows] == [["net", "width=8", "10.00%"], ["net", "width=16", "90.00%"]]


@pytest.mark.parametrize("width", [80, 60, 200])
def test_tables_fit_the_terminal(width: int, tmp_path: Path) -> None:
    results = [result(tmp_path, 0.5, name="a_network"), result(tmp_path, 0.75, name="another_network")]
    lines = shown(results, width)
    table = [line for line in lines if line.startswith(("┏", "┃", "│", "└"))]
    assert max(map(len, table)) <= width
    # no heading and no cell is broken within a word
    for word in ("accuracy", "another_network", "75.00%"):
        assert any(word in line for line in table)
    left = [line for line in lines if line.startswith("left out")]
    assert left == {
        200: [],
        80: ["left out, since the terminal is narrow: images/s"],
        60: ["left out, since the terminal is narrow: MACs, epochs, images/s, time"],
    }.get(width)


def test_a_single_run_is_a_list_where_its_table_does_not_fit(tmp_path: Path) -> None:
    assert shown([result(tmp_path, 0.5)], 40)[:5] == [
        "spec           net",
        "val accuracy   50.00%",
        "test accuracy  50.00%",
        "parameters     650",
        "MACs           640",
    ]


# --- what is said of answers -----------------------------------------------------------------------------------------


def evaluation(labels: list[int], predicted: list[int]) -> ClassEvaluation:
    return ClassEvaluation(torch.tensor(predicted), torch.full((len(labels),), 0.5), torch.tensor(labels), 0.1, 3)


@pytest.mark.parametrize(
    ("predicted", "notes"),
    [
        (
            [0] * 10,
            ("all test images are taken for `a`, which 70.00% are: the network tells nothing apart",),
        ),
        (
            [1, *[0] * 9],
            ("the test accuracy of 60.00% is not above 70.00%, which the answer `a` to all images would reach",),
        ),
        ([0] * 7 + [1, 1, 0], ()),
    ],
)
def test_the_share_that_a_constant_answer_would_reach_is_said(predicted: list[int], notes: tuple[str, ...]) -> None:
    assert tuple(evaluation([0] * 7 + [1, 1, 2], predicted).notes(("a", "b", "c"))) == notes


def test_figures_of_classes_are_scikit_learns() -> None:
    labels, predicted = [0] * 7 + [1, 1, 2], [0, 0, 0, 1, 1, 0, 0, 1, 0, 0]
    tables = evaluation(labels, predicted).tables(("a", "b", "c"))
    found = precision_recall_fscore_support(labels, predicted, labels=[0, 1, 2], zero_division=0.0)
    header, *rows = tables["classes"]
    assert header == ("class", "images", "precision", "recall", "f1")
    for i, row in enumerate(rows):
        figures = [0.0 if value == "" else float(value) for value in row[2:]]
        assert [row[0], row[1]] == ["abc"[i], found[3][i]]
        assert figures == pytest.approx([part[i] for part in found[:3]], abs=1e-6)
    assert rows[2][2] == ""  # nothing was taken for `c`
    assert tables["confusion"] == [("truth", "a", "b", "c"), ("a", 5, 2, 0), ("b", 1, 1, 0), ("c", 1, 0, 0)]


@pytest.mark.slow
@pytest.mark.usefixtures("own_cache")
def test_predictions_name_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pictures import SPEC as PHOTOS, photos

    recipe = {"data": str(photos(tmp_path / "photos")), "batch_size": 4, "epochs": 1}
    recipe |= {"optimizer": {"name": "sgd", "lr": 1e-30}}
    job = prepare(from_dict(PHOTOS | {"train": PHOTOS["train"] | recipe}, "net"), tmp_path)  # type: ignore[operator]
    folder = Path(train(job, tmp_path / "runs", Options(pictures=False)).folder)
    with open(folder / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "truth", "answer", "probability"]
    assert [row["file"] for row in rows] == list(job.data.test.paths)  # type: ignore[union-attr]
    assert all(row["truth"] == row["file"].split("/")[0] for row in rows)
    accuracy = sum(row["truth"] == row["answer"] for row in rows) / len(rows)
    assert accuracy == json.loads((folder / "results.json").read_text())["test_accuracy"]
    if accuracy == 0.5:
        assert "note: " in capsys.readouterr().err
    (epoch,) = read_log(folder / "metrics.csv")
    assert {"epoch", "step", "train_loss", "val_loss", "val_accuracy"} <= epoch.keys()

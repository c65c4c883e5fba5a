"""Networks of vectors and sequences: checked, standardised, trained, tested, predicting, killed and resumed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from kills import assert_resumes_alike

from archspec.commands import predict as predict_command, test as test_command
from archspec.foundation.errors import SpecError, UsageError
from archspec.spec import from_dict
from trainer.input.vectors import moments_shape
from trainer.runs import folders
from trainer.runs.evaluation import test as evaluate_run
from trainer.runs.job import prepare
from trainer.runs.row_prediction import predict_rows
from trainer.session import Options, make_module, train
from trainer.steps.module import SpecModule

SPEC: dict[str, Any] = {
    "archspec": 1,
    "name": "MLP",
    "input": ["=features"],
    "vars": {"features": 4, "num_classes": 3},
    "network": [{"linear": 16}, "batch_norm", "relu", {"dropout": 0.1}, {"linear": "=num_classes"}],
    "train": {"data": "iris", "epochs": 3, "batch_size": 16},
}
QUIET = Options(pictures=False)


def spec(**changes: Any) -> Any:
    train_section = SPEC["train"] | changes.pop("train", {})
    return from_dict(SPEC | changes | {"train": train_section}, "net")


def people(folder: Path, count: int = 60) -> Path:
    random = np.random.default_rng(0)
    with open(folder / "people.csv", "w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(["age", "city", "buys"])
        for age in random.integers(18, 80, count):
            writer.writerow([age, random.choice(["Oslo", "Rome"]), "yes" if age > 40 else "no"])
    return folder / "people.csv"


# --- checks -----------------------------------------------------------------------------------------------------------


def test_what_is_said_of_images_alone_is_refused_by_check() -> None:
    with pytest.raises(SpecError) as caught:
        spec(train={"augment": ["rotation"], "resize": "pad", "normalize": "imagenet"})
    assert [(one.code, one.message, one.help) for one in caught.value.diagnostics] == [
        (
            "out-of-range",
            "`train.augment` changes images (`rotation`), but the input of the network, 4, is no image",
            "leave it out",
        ),
        (
            "out-of-range",
            "`train.resize` says how images are resized, but the input of the network, 4, is no image",
            "leave it out",
        ),
        (
            "out-of-range",
            "`train.normalize` gives the mean and standard deviation of the channels of images, but the input of the "
            "network, 4, is no image",
            "`normalize: data`, the default, standardises each feature by the training samples",
        ),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"input": [5]},
            "the data set `iris` has 4 features: `sepal length (cm)`, `sepal width (cm)`, `petal length (cm)`, `petal "
            "width (cm)`, but the network's input is 5\n  help: write `input: [4]`; or `input: [=features]` with "
            "`vars: {features: 4}`, which then follows the data set",
        ),
        (
            {"input": [8, 9], "network": ["flatten", {"linear": 10}], "train": {"data": "digit_rows"}},
            "the data set `digit_rows` has samples of 8×8, but the network's input is 8×9\n  help: write `input: [8, 8]`",
        ),
        (
            {"input": [1, 8, 8], "network": ["flatten", {"linear": 3}]},
            "the data set `iris` has 4 features: `sepal length (cm)`, `sepal width (cm)`, `petal length (cm)`, `petal "
            "width (cm)`, but the network's input is 1×8×8\n  help: write `input: [4]`",
        ),
        (
            {"train": {"validation": 500}},
            "a validation set of 500 samples cannot be drawn from the 120 of `iris`\n"
            "  help: --set train.validation=0.1",
        ),
        (
            {"train": {"data": "diabetes"}, "network": [{"linear": 2}]},
            "the data set `diabetes` has 1 number for each sample, but MLP gives 2\n"
            "  help: end the network in `- linear: 1`",
        ),
    ],
)
def test_what_does_not_fit_is_said_of_samples(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(spec(**changes), tmp_path)
    assert str(caught.value) == message


# --- standardisation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "shape", "axes"),
    [
        ([{"linear": 3}, "flatten", {"linear": 10}], (8,), (0, 1)),
        (["relu", {"conv_1d": {"out": 4, "kernel": 3}}, "flatten", {"linear": 10}], (8, 1), (0, 2)),
        ([{"permute": [1, 0]}, {"conv_1d": {"out": 4, "kernel": 3}}, "flatten", {"linear": 10}], (8,), (0, 1)),
    ],
)
def test_features_are_standardised_along_the_axis_that_the_first_layer_takes_them_from(
    network: list[Any], shape: tuple[int, ...], axes: tuple[int, ...], tmp_path: Path
) -> None:
    job = prepare(spec(input=[8, 8], network=network, train={"data": "digit_rows"}), tmp_path)
    assert moments_shape(job.spec.plan) == shape
    module, samples = make_module(job).eval(), job.train.images.numpy()  # type: ignore[union-attr]
    mean, std = samples.mean(axes, dtype=float), samples.astype(float).std(axes)
    std[std == 0] = 1
    expected = (samples - mean.reshape(shape)) / std.reshape(shape)
    torch.testing.assert_close(
        module.normalize(torch.as_tensor(samples)).double(), torch.as_tensor(expected), rtol=1e-4, atol=1e-4
    )
    with torch.no_grad():
        assert torch.equal(module(job.test.images), module.network(module.normalize(job.test.images)))  # type: ignore[union-attr]
    with pytest.raises(TypeError, match=r"^vectors and sequences are floats, not torch.uint8$"):
        module(torch.zeros(1, 8, 8, dtype=torch.uint8))


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_table_is_trained_tested_and_predicted_by_the_command_line(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    file = people(tmp_path)
    written = {"data": {"name": "people.csv", "target": "buys", "one_hot": ["city"]}, "epochs": 2, "batch_size": 8}
    Path("net.yaml").write_text(json.dumps(SPEC | {"train": written}))
    result = train(prepare(from_dict(SPEC | {"train": written}, "net"), tmp_path), tmp_path / "runs", Options())
    folder = Path(result.folder)
    features = list(csv.reader((folder / "features.csv").read_text().splitlines()))
    assert [row[0] for row in features] == ["feature", "age", "city=Oslo", "city=Rome"]
    job = prepare(from_dict(SPEC | {"train": written}, "net"), tmp_path)
    ages = job.train.images[:, 0].numpy()  # type: ignore[union-attr]
    assert [float(one) for one in features[1][1:]] == pytest.approx([ages.mean(), ages.std(), ages.min(), ages.max()])
    heading, *rows = csv.reader((folder / "predictions.csv").read_text().splitlines())
    assert heading == ["row", "truth", "answer", "probability"]
    truth = list(csv.DictReader(file.read_text().splitlines()))
    assert len(rows) == 12
    assert all(truth[int(row) - 1]["buys"] == said for row, said, *_ in rows)
    assert (folder / "classes.csv").read_text().startswith("class,samples,precision,recall,f1\n")
    assert {one.name for one in folder.glob("*.png")} == {"curves.png", "confusion.png", "reliability.png"}

    own = evaluate_run(folders.find(str(folder), tmp_path), None, None)
    assert own["images"] == 12
    assert own == evaluate_run(folders.find(str(folder), tmp_path), None, "people.csv") | {"data": "people.csv"}
    Path("moved.csv").write_text(file.read_text())  # the same rows: those that were kept are tested
    assert own == evaluate_run(folders.find(str(folder), tmp_path), None, "moved.csv") | {"data": "people.csv"}
    Path("part.csv").write_text("".join(file.read_text().splitlines(True)[:8]))
    assert evaluate_run(folders.find(str(folder), tmp_path), None, "part.csv")["images"] == 7
    said = CliRunner().invoke(test_command.command, ["net"]).output
    assert said.startswith("net, best.ckpt, on the 12 test samples of people.csv: test accuracy ")

    Path("new.csv").write_text("city,age,buys\nRome,30,\nOslo,70,\n")
    (first, second) = predict_rows(folders.find("net", tmp_path / "runs"), [Path("new.csv")], 1)
    assert (first[:3], second[1]) == ((Path("new.csv"), 1, {"city": "Rome", "age": "30", "buys": ""}), 2)
    module = SpecModule.load_from_checkpoint(folder / "checkpoints" / "best.ckpt", weights_only=True).eval()
    with torch.no_grad():
        likely = module(torch.tensor([[30.0, 0, 1], [70, 1, 0]])).softmax(1)
    for row, (*_, answer) in enumerate((first, second)):
        assert answer["top"][0]["probability"] == pytest.approx(float(likely[row].max()), rel=1e-5)
    done = CliRunner().invoke(
        predict_command.command, ["net", "new.csv", "--format", "csv", "--top", "1", "--save", "out"]
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "file,row,class,probability"
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["new.csv", "1", first[3]["top"][0]["class"]],
        ["new.csv", "2", second[3]["top"][0]["class"]],
    ]
    saved = list(csv.DictReader(Path("out/new.csv").read_text().splitlines()))
    assert [(row["city"], row["age"], row["class"]) for row in saved] == [
        ("Rome", "30", first[3]["top"][0]["class"]),
        ("Oslo", "70", second[3]["top"][0]["class"]),
    ]

    np.savez("a.npz", inputs=np.zeros((2, 3)))
    for name, text, message in (
        ("b.csv", "age,buys\n1,yes\n", "b.csv has no column `city`, which training has\n"
         "  help: training has `age`, `city`, `buys`"),
        ("b.csv", "age,town,buys\n1,Rome,yes\n", "b.csv has no column `city`, which training has\n"
         "  help: training has `age`, `city`, `buys`"),
        ("b.csv", "age,city,size\n1,Rome,7\n", "b.csv has a column `size`, which training has not\n"
         "  help: remove it; training has `age`, `city`, `buys`"),
        ("b.csv", "age,city\n1,Rom\n", "b.csv, line 2: `Rom` in the column `city` is none of the values that training "
         "has\n  help: it has `Oslo`, `Rome`"),
        ("b.csv", "age,city\nold,Rome\n", "b.csv, line 2: `old` in the column `age` is no finite number\n"
         "  help: training has numbers there"),
        ("a.npz", None, "a.npz holds arrays, but the run was trained with a table\n"
         "  help: give it a table with the columns `age`, `city`"),
        ("net.yaml", None, "net.yaml is no table or array\n"
         "  help: give a file that ends in .csv, .tsv, .parquet, .pq, .npy or .npz"),
    ):  # fmt: skip
        if text is not None:
            Path(name).write_text(text)
        with pytest.raises(UsageError) as caught:
            list(predict_rows(folders.find("net", tmp_path / "runs"), [Path(name)], 1))
        assert str(caught.value) == message
    with pytest.raises(UsageError) as caught:
        evaluate_run(folders.find("net", tmp_path / "runs"), None, "iris")
    assert str(caught.value) == (
        "`iris` has other columns or targets than the run was trained with\n  help: choose other data"
    )


def test_killed_it_goes_on_to_the_same_end(tmp_path: Path) -> None:
    def job() -> Any:
        return prepare(spec(), tmp_path)

    assert_resumes_alike(job, 10, tmp_path)

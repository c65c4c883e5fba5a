"""Networks of several inputs that are rows: columns of a table become inputs, in training, test, prediction and exports."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
import torch
from click.testing import CliRunner
from kills import assert_resumes_alike

from archspec.commands import export, predict, test as test_command
from archspec.foundation.errors import SpecError, UsageError
from archspec.recipe import Columns
from archspec.spec import from_dict, load
from trainer import data
from trainer.input.vectors import moments_shape
from trainer.runs import folders
from trainer.runs.evaluation import load_network
from trainer.runs.job import prepare
from trainer.session import Options, train

TABLE = "lab_a,age,city,lab_b,bmi,buys\n"
INPUTS = {"lab": ["city", "lab_*"], "clinical": ["age", "bmi"]}
SPEC: dict[str, Any] = {
    "archspec": 1,
    "name": "Two",
    "input": {"clinical": [2], "lab": [4]},
    "network": [
        {"concat": [[{"load": "clinical"}, {"linear": 8}, {"dropout": 0.1}], [{"load": "lab"}, {"linear": 8}]]},
        "batch_norm",
        "relu",
        {"linear": 2},
    ],
    "train": {
        "data": {"name": "people.csv", "target": "buys", "one_hot": ["city"], "inputs": INPUTS},
        "epochs": 3,
        "batch_size": 16,
    },
}


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    random = np.random.default_rng(0)
    rows = [
        (
            f"{random.random():.3f}",
            age,
            random.choice(["Oslo", "Rome"]),
            f"{random.random():.3f}",
            20 + age % 7,
            age > 40,
        )
        for age in random.integers(18, 80, 60).tolist()
    ]
    lines = [",".join(map(str, (*row[:-1], "yes" if row[-1] else "no"))) for row in rows]
    (tmp_path / "people.csv").write_text(TABLE + "\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spec(**of_train: Any) -> Any:
    return from_dict(SPEC | {"train": SPEC["train"] | of_train}, "two")


def test_columns_of_a_bundled_table_become_inputs_by_their_names(tmp_path: Path) -> None:
    columns = Columns(inputs={"worst": ("worst *",), "mean": ("mean *", "worst area"), "error": ("* error",)})
    found = data.load("breast_cancer", tmp_path, columns=columns)
    theirs = sklearn.datasets.load_breast_cancer()
    order = [*range(20, 30), *range(10), 23, *range(10, 20)]
    assert found.form is not None
    assert found.form.features == tuple(theirs.feature_names[order])
    assert list(map(len, found.form.inputs.values())) == [10, 11, 10]
    rows = [int(name) - 1 for name in found.test.names]  # type: ignore[union-attr]
    assert torch.equal(found.test.images, torch.tensor(theirs.data[rows][:, order]).float())  # type: ignore[union-attr]


def test_inputs_are_in_the_order_of_the_network(people: Path) -> None:
    job = prepare(spec(), people)
    assert job.data.form is not None
    assert job.data.form.inputs == {"clinical": ("age", "bmi"), "lab": ("city", "lab_a", "lab_b")}
    assert moments_shape(job.spec.plan) == (6,)
    with open(people / "people.csv", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    for name, sample in zip(job.test.names, job.test.images, strict=True):  # type: ignore[union-attr]
        row = rows[int(name) - 1]
        wanted = [row["age"], row["bmi"], row["city"] == "Oslo", row["city"] == "Rome", row["lab_a"], row["lab_b"]]
        assert sample.tolist() == torch.tensor(list(map(float, wanted))).tolist()


@pytest.mark.slow
def test_a_run_trains_tests_predicts_and_leaves(people: Path) -> None:
    job = prepare(spec(), people)
    run = folders.find(train(job, people / "runs", Options(pictures=False)).folder, people)
    with open(run.folder / "features.csv", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    assert [(row["input"], row["feature"]) for row in rows[1:4]] == [
        ("clinical", "bmi"),
        ("lab", "city=Oslo"),
        ("lab", "city=Rome"),
    ]
    assert float(rows[0]["mean"]) == pytest.approx(job.train.images[:, 0].mean().item())  # type: ignore[union-attr]
    module = load_network(run).module
    samples = job.test.images  # type: ignore[union-attr]
    torch.testing.assert_close(module.mean, job.train.images.mean(0))  # type: ignore[union-attr]
    clinical, lab = ((samples - module.mean) / module.std).split([2, 4], 1)
    wanted = module.network(clinical=clinical, lab=lab)
    assert torch.equal(module(samples), wanted)

    done = CliRunner().invoke(test_command.command, [str(run.folder), "--data", "people.csv", "--format", "json"])
    results = json.loads(done.output)["results"][0]
    assert results["test_accuracy"] == pytest.approx((wanted.argmax(1) == job.test.labels).float().mean().item())
    Path("new.csv").write_text("bmi,lab_b,age,lab_a,city\n21,0.5,30,0.25,Rome\n", encoding="utf-8")
    done = CliRunner().invoke(predict.command, [str(run.folder), "new.csv", "--format", "json"])
    top = json.loads(done.output)["results"][0]["top"][0]
    probabilities = module(torch.tensor([[30, 21, 0, 1, 0.25, 0.5]])).softmax(1)[0]
    assert top["probability"] == pytest.approx(probabilities.max().item(), abs=1e-6)

    command = [str(run.folder), "--to", "torch", "--normalize", "-o", "two.pt2"]
    assert CliRunner().invoke(export.command, command).exit_code == 0
    program = torch.export.load("two.pt2").module()
    torch.testing.assert_close(program(samples[:, :2], samples[:, 2:]), wanted)


@pytest.mark.slow
def test_a_killed_run_of_several_inputs_resumes_bit_for_bit(people: Path) -> None:
    assert_resumes_alike(lambda: prepare(spec(), people), 4, people)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {"clinical": ["age", "bmi"], "lab": ["lab_*"]},
            "no input takes the column `city` of `people.csv`\n  help: name it at an input, or leave it out: "
            "`data: {ignore: […]}`",
        ),
        (
            {"clinical": ["agee", "bmi"], "lab": ["city", "lab_*"]},
            "`train.data` gives the input `clinical` the column `agee`, which the table lacks\n"
            "  help: did you mean `age`?",
        ),
        (
            {"clinical": ["age", "buys"], "lab": ["city", "lab_*"]},
            "`train.data` gives the input `clinical` the column `buys`, which is a target\n"
            "  help: its columns are `lab_a`, `age`, `city`, `lab_b`, `bmi`",
        ),
        (
            {"clinical": ["age", "bmi", "city"], "lab": ["lab_*"]},
            "the data set `people.csv` has 4 features for the input `clinical`: `age`, `bmi`, `city=Oslo`, `city=Rome`; "
            "the network's is 2\n  help: write `input: {clinical: [4], lab: [2]}`",
        ),
    ],
)
def test_columns_that_do_not_fit_are_named(inputs: Any, message: str, people: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(spec(data=SPEC["train"]["data"] | {"inputs": inputs}), people)
    assert str(caught.value) == message


def test_a_network_of_several_inputs_needs_their_columns(people: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(spec(data="people.csv"), people)
    assert str(caught.value) == (
        "Two has 2 inputs, clinical 2, lab 4, and its recipe does not say which columns of a table each takes\n"
        "  help: say it: `train: {data: {name: table.csv, inputs: {clinical: [COLUMN, …], lab: [COLUMN, …]}}}`"
    )
    with pytest.raises(UsageError) as caught:
        data.load("digits", people, columns=Columns(inputs={"a": ("b",)}))
    assert str(caught.value) == (
        "`digits` is no table, whose columns `train.data` could give to inputs\n  help: leave `inputs` out"
    )


def faults(input: Any, inputs: Any) -> list[tuple[str, str, str | None]]:
    network = ["tanh"] if isinstance(input, list) else [{"concat": [[{"load": name}, "flatten"] for name in input]}]
    with pytest.raises(SpecError) as caught:
        from_dict(
            {"archspec": 1, "input": input, "network": network, "train": {"data": {"name": "t.csv", "inputs": inputs}}}
        )
    return [(one.code, one.message, one.help) for one in caught.value.diagnostics]


def test_check_holds_the_inputs_of_a_recipe_to_those_of_the_network() -> None:
    assert faults({"a": [2], "lab": [3]}, {"a": ["x"], "labs": ["y"]}) == [
        (
            "name-unknown",
            "`train.data` gives columns to the input `labs`, which the network does not have",
            "did you mean `lab`?",
        ),
        (
            "key-missing",
            "`train.data` gives no columns to the input `lab`",
            "add them: `inputs: {lab: [COLUMN, …]}`",
        ),
    ]
    assert faults([2], {"a": "x"}) == [
        (
            "name-unknown",
            "`train.data` gives inputs columns by their names, and the network's one input has no name",
            "leave `inputs` out; or write `input: {NAME: [4]}`",
        )
    ]
    assert faults({"a": [2], "b": [4, 4]}, {"a": "x", "b": "y"}) == [
        (
            "out-of-range",
            "`train.data` gives columns to the input `b`, which is 4×4, no row",
            "columns are for inputs of one axis, `[features]`, and for one input of images beside them",
        )
    ]


def test_the_bundled_spec_of_three_inputs_fits_its_table(tmp_path: Path) -> None:
    job = prepare(load("three_inputs"), tmp_path)
    assert len(job.train) + len(job.validation) + len(job.test) == 569

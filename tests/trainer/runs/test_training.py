"""Training: data brought to the network, recipes carried out, results kept."""

from __future__ import annotations

import csv
import json
import logging
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from published import write_cifar
from torchvision.datasets import CIFAR10

from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe
from archspec.spec import from_dict, load
from trainer.runs.job import prepare
from trainer.session import Options, train
from trainer.steps.module import SpecModule

LINEAR = {
    "archspec": 1,
    "name": "Linear",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": ["flatten", {"linear": "=num_classes"}],
    "train": {"epochs": 2, "validation": 0.2},
}

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_cache")]


def job(folder: Path, **changes: Any) -> Any:
    return prepare(from_dict(LINEAR | changes, "linear"), folder)


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_cifar(CIFAR10, tmp_path / "data", monkeypatch)
    return tmp_path / "data"


# --- what cannot fit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"vars": {}, "network": ["flatten", {"linear": 7}]},
            "the data set `digits` has 10 classes, but Linear gives 7\n"
            "  help: end the network in `- linear: =num_classes`, with `vars: {num_classes: 10}`",
        ),
        (
            {"input": [2, 8, 8]},
            "images of 1 channel (data set `digits`) do not fit an input of 2\n"
            "  help: set the input: --set 'input=[1, 8, 8]'",
        ),
        (
            {"input": [64], "network": [{"linear": "=num_classes"}]},
            "the data set `digits` holds images, but the network's input is 64\n"
            "  help: choose a table or arrays, --data table.csv for example; or give the spec an input of channels, "
            "height and width",
        ),
        (
            {"train": {"batch_size": 4096}},
            "a batch of 4096 is more than the 1293 images to train with\n  help: --set train.batch_size=64",
        ),
        (
            {"train": {"validation": 1434}},
            "a batch of 64 is more than the 3 images to train with\n  help: --set train.batch_size=3",
        ),
        (
            {"train": {"validation": 5000}},
            "a validation set of 5000 images cannot be drawn from the 1437 of `digits`\n"
            "  help: --set train.validation=0.1",
        ),
        (
            {"train": {"data": "imagnet"}},
            "there is no data set `imagnet`\n  help: there are `breast_cancer`, `cifar10`, `cifar100`, `diabetes`, "
            "`digit_rows`, `digit_scenes`, `digits`, `fake`, `fashion_mnist`, `folder`, `iris`, `mnist`, `noisy_digits`, "
            "`oxford_pet_masks`, `oxford_pets`, `svhn`, `wine`; folders of images and tables are given by their path",
        ),
    ],
)
def test_what_cannot_fit_is_said_before_the_first_step(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        job(tmp_path, **changes)
    assert str(caught.value) == message


def test_num_classes_follows_the_data_set(tmp_path: Path) -> None:
    ready = job(tmp_path, vars={"num_classes": 1000}, expect={"params": 65_000})
    assert ready.spec.plan.output == (10,)
    with pytest.raises(UsageError, match="has 10 classes, but Linear gives 1000"):
        prepare(from_dict(LINEAR | {"vars": {"num_classes": 1000}}), tmp_path, num_classes_given=True)


# --- the recipe ----------------------------------------------------------------------------------------------------


def test_cifar_recipes_are_as_published() -> None:
    for name, optimizer in {
        "googlenet": {"name": "adamw", "lr": 1e-3, "weight_decay": 1e-4},
        "densenet": {"name": "adamw", "lr": 1e-3, "weight_decay": 1e-4},
        "resnet": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
        "preact": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
    }.items():
        assert load(name).recipe == Recipe.from_dict(
            {
                "data": "cifar10",
                "epochs": 180,
                "batch_size": 128,
                "seed": 42,
                "validation": 5000,
                "normalize": True,
                "augment": [
                    {"horizontal_flip": {"p": 0.5}},
                    {"random_resized_crop": {"scale": [0.8, 1.0], "ratio": [0.9, 1.1]}},
                ],
                "optimizer": optimizer,
                "schedule": {"name": "multi_step", "milestones": [100, 150], "gamma": 0.1},
            }
        )


# --- runs ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_pictures")
def test_a_checkpoint_rebuilds_the_network_by_itself(tmp_path: Path) -> None:
    ready = job(tmp_path)
    result = train(ready, tmp_path / "runs", progress=False)
    best = tmp_path / "runs" / "linear" / "checkpoints" / "best.ckpt"
    shutil.copy(best, tmp_path / "alone.ckpt")
    shutil.rmtree(tmp_path / "runs")
    module = SpecModule.load_from_checkpoint(tmp_path / "alone.ckpt", weights_only=True).eval()
    assert module.hparams["spec"]["network"] == LINEAR["network"]
    test = ready.data.test
    with torch.inference_mode():
        right = (module(test.images).argmax(1) == test.labels).float().mean().item()
    assert right == pytest.approx(result.metrics["test_accuracy"], abs=1e-6)


def test_images_that_are_no_bytes_are_refused() -> None:
    module = SpecModule(LINEAR).eval()
    with pytest.raises(TypeError) as caught:
        module(torch.rand(2, 1, 8, 8))
    assert str(caught.value) == (
        "images are uint8, of values 0 to 255, not torch.float32; normalised floats go to `.network`"
    )
    assert tuple(module(torch.zeros(2, 3, 20, 30, dtype=torch.uint8)).shape) == (2, 10)


def test_a_training_that_diverges_stops_and_says_so(tmp_path: Path) -> None:
    recipe = {"epochs": 5, "optimizer": {"name": "sgd", "lr": 1e18, "momentum": 0.9}, "validation": 0.2}
    network = ["flatten", {"linear": "=num_classes"}, {"scale": 1e12}]
    with pytest.raises(UsageError) as caught:
        train(job(tmp_path, network=network, train=recipe), tmp_path / "runs", progress=False)
    assert str(caught.value) == (
        "the training loss is not finite in step 2 (epoch 1, batch 2 of 17): the training diverges\n"
        "  help: lower the learning rate, --set train.optimizer.lr=1e+17 for example; there was no checkpoint yet"
    )


def test_a_run_is_named_by_its_file_and_variant(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(
        "archspec: 1\ninput: [1, 8, 8]\nvars: {num_classes: 10}\nnetwork: [flatten, linear: =num_classes]\n"
        "variants: {bn: , net_small: }\n"
    )
    names = [prepare(load(tmp_path / "net.yaml", variant), tmp_path).name for variant in (None, "bn", "net_small")]
    assert names == ["net", "net-bn", "net_small"]


def test_a_run_folder_holds_all_there_is_to_know(tmp_path: Path) -> None:
    result = train(job(tmp_path), tmp_path / "runs", progress=False)
    folder = tmp_path / "runs" / "linear"
    assert result.folder == str(folder)
    pictures = ("augmentation", "confusion", "curves", "mistakes", "reliability")
    assert {file.name.split(".out")[0] for file in folder.iterdir()} == {f"{name}.svg" for name in pictures} | {
        ".lock",
        "augmentation.png",
        "calibration.csv",
        "checkpoints",
        "classes.csv",
        "confusion.csv",
        "confusion.png",
        "curves.png",
        "environment.json",
        "events",
        "hparams.yaml",
        "metrics.csv",
        "mistakes.png",
        "predictions.csv",
        "recipe.yaml",
        "reliability.png",
        "results.json",
        "spec.yaml",
    }
    assert {file.name for file in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    kept = json.loads((folder / "results.json").read_text())
    assert kept["test_accuracy"] == result.metrics["test_accuracy"]
    assert kept["params"] == 650
    assert load(str(folder / "spec.yaml")).plan.params == 650
    with open(folder / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert all(all(row.values()) for row in rows)  # no figure is missing in any row
    measured = ["val_loss", "val_accuracy", "val_balanced_accuracy", "val_f1", "val_ece"]
    assert list(rows[0]) == ["epoch", "step", "lr-AdamW", *measured, "train_loss"]
    accuracies = [float(row["val_accuracy"]) for row in rows]
    assert max(accuracies) == pytest.approx(result.metrics["val_accuracy"], abs=1e-6)
    again = train(job(tmp_path), tmp_path / "runs", Options(pictures=False))
    assert again.folder == str(tmp_path / "runs" / "linear-2")
    assert again.metrics["test_accuracy"] == result.metrics["test_accuracy"]


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize("name", ["googlenet", "resnet", "preact", "densenet"])
def test_cifar_networks_train_by_their_recipe(name: str, data_folder: Path, tmp_path: Path) -> None:
    """On CIFAR-10's files with few images: a step changes every parameter, and the results are kept."""
    settings = ["train.epochs=1", "train.validation=22", "train.batch_size=64"]
    result = train(prepare(load(name, set=settings), data_folder), tmp_path / "runs", progress=False)
    module = SpecModule.load_from_checkpoint(tmp_path / "runs" / name / "checkpoints" / "last.ckpt", weights_only=True)
    torch.manual_seed(42)
    torch.use_deterministic_algorithms(False)
    before = SpecModule(module.hparams["spec"]).network
    changed = [not torch.equal(a, b) for a, b in zip(before.parameters(), module.network.parameters(), strict=True)]
    assert sum(changed) >= len(changed) - 1
    assert 0 <= result.metrics["test_accuracy"] <= 1


def test_a_bare_train_reaches_97_percent_on_digits(run: Callable, tmp_path: Path) -> None:
    done = run("train")
    assert (done.returncode, done.stderr) == (0, "")
    assert "test accuracy" in done.stdout
    result = json.loads((tmp_path / "runs" / "digits" / "results.json").read_text())
    assert result["test_accuracy"] >= 0.97


@pytest.mark.usefixtures("without_pictures")
def test_several_specs_are_compared_in_one_table(run: Callable, tmp_path: Path) -> None:
    # both learn something, and no milestone is beyond the end
    settings = ("train.validation=0.2", "train.batch_size=16", "train.optimizer.lr=0.02", "train.schedule=null")
    done = run("train", "digits", "resnet", "--data=digits", "--epochs=1", *(f"--set={one}" for one in settings))
    assert (done.returncode, done.stderr) == (0, "")
    table = done.stdout[done.stdout.index("trained on digits") :]
    for column in ("val accuracy", "test accuracy", "parameters", "MACs", "time"):
        assert column in table
    assert "308,074" in table
    assert "272,378" in table
    assert {folder.name for folder in (tmp_path / "runs").iterdir() if folder.is_dir()} == {"digits", "resnet"}


def test_training_from_python_leaves_filters_and_loggers_as_they_were(tmp_path: Path) -> None:
    def state() -> tuple[list[object], dict[str, int]]:
        names = ("pytorch_lightning", "lightning_fabric", "matplotlib")
        return list(warnings.filters), {name: logging.getLogger(name).level for name in names}

    before = state()
    train(job(tmp_path), tmp_path / "runs")
    assert state() == before

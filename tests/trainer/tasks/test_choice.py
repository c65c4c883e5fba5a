"""Which task a training has: what the recipe names, or what the data set has targets for; also those of packages."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archspec.foundation.errors import UsageError
from archspec.spec import from_dict
from trainer import tasks
from trainer.runs.identity import fingerprint
from trainer.runs.job import prepare

pytestmark = pytest.mark.usefixtures("without_pictures")

SPEC = {
    "archspec": 1,
    "name": "Linear",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": ["flatten", {"linear": "=num_classes"}],
}
TASK = """
from trainer.tasks.classification import Classification
from trainer.tasks.task import MetricSpec


class Likeliest(Classification):
    name = "likeliest"
    metrics = (MetricSpec("hits", "max", ".1%"),)

    def make_metrics(self, plan):
        return {"hits": super().make_metrics(plan)["accuracy"]}

    def evaluator(self):
        inner = super().evaluator()
        compute = inner.compute
        inner.compute = lambda loss: Renamed(compute(loss))
        return inner

    def draw(self, folder, found, part, class_names):
        pass


class Renamed:
    def __init__(self, inner):
        self.loss, self.count, self.metrics = inner.loss, inner.count, {"hits": inner.accuracy}

    def notes(self, class_names):
        return ()

    def tables(self, class_names):
        return {"hits": [["share"], [self.metrics["hits"]]]}


TASK = Likeliest()
"""
DATA = """
from dataclasses import replace
from trainer.data import digits


def load(folder, *, download=False):
    return replace(digits.load(folder), name="their_digits")
"""


def recipe(**keys: Any) -> dict[str, Any]:
    return SPEC | {"train": {"epochs": 1, "validation": 0.2, **keys}}


def test_every_task_says_what_it_learns_and_measures() -> None:
    assert "classification" in tasks.names()
    for name in tasks.names():
        task = tasks.load(name)
        assert task.name == name
        assert task.doc.endswith(".")
        assert task.losses
        assert {metric.mode for metric in task.metrics} <= {"max", "min"}
        assert all(metric.show(0.5) for metric in task.metrics)


def test_a_task_that_there_is_not_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(recipe(task="clasification")), tmp_path)
    assert str(caught.value) == "there is no task `clasification`\n  help: did you mean `classification`?"


def test_early_stopping_by_what_the_task_does_not_measure_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(recipe(early_stopping={"patience": 2, "monitor": "val_acuracy"})), tmp_path)
    assert str(caught.value) == (
        "`train.early_stopping.monitor` is `val_acuracy`, which classification does not measure\n"
        "  help: did you mean `val_accuracy`?"
    )


def test_a_run_is_the_same_whether_its_task_is_named_or_guessed(tmp_path: Path) -> None:
    named, guessed = (prepare(from_dict(recipe(**keys)), tmp_path) for keys in ({"task": "classification"}, {}))
    assert fingerprint(named) == fingerprint(guessed)
    assert "task" not in guessed.recipe.to_dict()  # as in the runs of versions that knew one task


def test_detectors_are_refused(tmp_path: Path) -> None:
    heads = ["flatten", {"save": "features"}, {"linear": 4}, {"output": "boxes"}, {"load": "features"}]
    spec = recipe() | {"name": "Detector", "network": [*heads, {"linear": "=num_classes"}]}
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(spec), tmp_path)
    assert str(caught.value) == (
        "Detector has the output `boxes` of a detector, and detection is out of archspec's scope: no task trains it\n"
        "  help: build the network and train it elsewhere, or leave these outputs out; the tasks are `classification`, "
        "`image_regression`, `multi_label`, `regression`, `segmentation`"
    )


def heads(*shapes: list[int], named: str = "head") -> dict[str, Any]:
    """A spec of three levels of features, and convolutions of them of these channels, `[level, channels]`."""
    body: list[Any] = []
    for level in range(1 + max(level for level, _ in shapes)):
        body.append({"conv": {"out": 8, "kernel": 3, "padding": 1, "stride": 2}})
        if level in [one for one, _ in shapes]:
            body.append({"save": f"level{level}"})
    for number, (level, channels) in enumerate(shapes):
        body += [{"load": f"level{level}"}, {"conv": {"out": channels, "kernel": 1}}, {"output": f"{named}{number}"}]
    return recipe() | {"name": "Net", "input": [3, 32, 32], "vars": {"num_classes": 20}, "network": body[:-1]}


OUT_OF_SCOPE = (
    ", and detection is out of archspec's scope: no task trains it\n"
    "  help: build the network and train it elsewhere, or leave these outputs out; the tasks are `classification`, "
    "`image_regression`, `multi_label`, `regression`, `segmentation`"
)


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        (
            ([0, 75], [1, 75], [2, 75]),
            "Net gives 75×16×16, 75×8×8, 75×4×4, as a detector does: 3 boxes for each position, of 4 coordinates, a "
            "score and 20 classes",
        ),
        (
            ([1, 36], [1, 180], [2, 36], [2, 180]),
            "Net gives 36×8×8, 180×8×8, 36×4×4, 180×4×4, as a detector does: maps of boxes and of classes",
        ),
        (
            ([0, 16], [0, 84], [1, 24], [1, 126]),
            "Net gives 16×16×16, 84×16×16, 24×8×8, 126×8×8, as a detector does: maps of boxes and of classes",
        ),
    ],
    ids=["YOLOv3", "RetinaNet", "SSD"],
)
def test_detectors_are_known_by_the_shapes_of_their_outputs(
    shapes: tuple[list[int], ...], says: str, tmp_path: Path
) -> None:
    # before data are looked for: those of detectors have none of our layouts
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(heads(*shapes) | {"train": {"data": str(tmp_path / "coco")}}), tmp_path)
    assert str(caught.value) == says + OUT_OF_SCOPE


def test_a_single_map_of_boxes_is_a_detectors_where_it_fits_no_task(tmp_path: Path) -> None:
    spec = heads([2, 45]) | {"vars": {"num_classes": 10}}
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(spec | {"train": {"data": "digits"}, "input": [1, 32, 32]}), tmp_path)
    says = "Net gives 45×4×4, as a detector does: 3 boxes for each position, of 4 coordinates, a score and 10 classes"
    assert str(caught.value) == says + OUT_OF_SCOPE


@pytest.mark.parametrize("shapes", [([0, 20], [1, 20], [2, 20]), ([0, 256], [1, 256]), ([0, 4], [0, 20])])
def test_pyramids_and_several_masks_are_no_detectors(shapes: tuple[list[int], ...]) -> None:
    tasks.refuse_detection(from_dict(heads(*shapes)).plan)


def test_detection_as_a_task_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(recipe(task="detection")), tmp_path)
    assert str(caught.value) == (
        "detection is out of archspec's scope: there is no task `detection`\n"
        "  help: build the network and train it elsewhere; the tasks are `classification`, `image_regression`, "
        "`multi_label`, `regression`, `segmentation`"
    )


@pytest.fixture
def package(tmp_path: Path) -> Callable[[str, str], Path]:
    """Installs a package in the folder `site`, with entry points of both groups."""

    def install(task: str, data: str) -> Path:
        site = tmp_path / "site"
        info = site / "theirs-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "their_task.py").write_text(task)
        (site / "their_data.py").write_text(data)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            "[archspec.tasks]\nlikeliest = their_task\n[archspec.data]\ntheir_digits = their_data\n"
        )
        (tmp_path / "net.yaml").write_text(json.dumps(recipe(data="their_digits")))
        return site

    return install


@pytest.mark.slow
def test_a_packages_task_and_data_set_are_trained_listed_and_tested(
    run: Callable[..., Any], package: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = package(TASK, DATA)
    path = [str(site), *filter(None, sys.path)]
    monkeypatch.setenv("PYTHONPATH", ":".join(path))
    assert run("train", "net.yaml", "--dry-run").returncode == 0  # a package's task makes none of ours doubtful
    done = run("train", "net.yaml", "--task", "likeliest")
    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "runs" / "net" / "results.json").read_text())
    assert kept["task"] == "likeliest"
    assert f"test hits {kept['test_hits']:.1%}" in run("test", "net").stdout
    assert (tmp_path / "runs" / "net" / "hits.csv").read_text() == f"share\n{kept['test_hits']}\n"
    header, line = run("runs").stdout.splitlines()
    assert "val hits" in header
    assert f"{kept['val_hits']:.1%}" in line
    monkeypatch.setenv("PYTHONPATH", ":".join(path[1:]))
    header, line = run("runs").stdout.splitlines()  # without the package
    assert ("test hits" in header, f"{kept['test_hits']:.4g}" in line) == (True, True)


@pytest.mark.slow
def test_a_package_that_fails_is_named(
    run: Callable[..., Any], package: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = package("import nowhere_to_be_found\n", "")
    monkeypatch.setenv("PYTHONPATH", ":".join([str(site), *filter(None, sys.path)]))
    assert run("train", "net.yaml").stderr == (
        "error: `their_data` of theirs, which the entry point `their_digits` of `archspec.data` names, has no `load`\n"
        "  help: its entry point names a module that defines `load`, without `:`\n"
    )
    assert run("train", "net.yaml", "--data", "digits", "--task", "likeliest").stderr == (
        "error: `their_task` of theirs, which the entry point `likeliest` of `archspec.tasks` names, cannot be "
        "imported: ModuleNotFoundError: No module named 'nowhere_to_be_found'\n"
        "  help: correct the package, or uninstall it\n"
    )

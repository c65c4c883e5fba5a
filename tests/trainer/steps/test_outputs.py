"""Several outputs: named ones that learn the main one's targets (deep supervision), checked, weighed and measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from archspec.foundation.errors import SpecError, UsageError
from archspec.spec import from_dict
from trainer.runs import folders
from trainer.runs.evaluation import load_network, test as evaluate_run
from trainer.runs.job import prepare
from trainer.runs.row_prediction import predict_rows
from trainer.session import Options, make_module, train

SPEC: dict[str, Any] = {
    "archspec": 1,
    "name": "Deep",
    "input": ["=features"],
    "vars": {"features": 4, "num_classes": 3},
    "network": [
        {"linear": 16},
        "relu",
        {"save": "middle"},
        {"linear": "=num_classes"},
        {"output": "early"},
        {"load": "middle"},
        {"linear": 16},
        {"output": "features"},
        "relu",
        {"linear": "=num_classes"},
    ],
}
RECIPE = {"data": "iris", "epochs": 2, "batch_size": 16}


def spec(**keys: Any) -> Any:
    return from_dict(SPEC | {"train": RECIPE | keys}, "net")


@pytest.mark.parametrize(
    ("outputs", "message", "help"),
    [
        (
            {"erly": 0.4},
            "`train.outputs` names `erly`, but the network has no such output",
            "did you mean `early`?",
        ),
        (
            {"main": 2},
            "`train.outputs` names no output but `main`, which is trained anyway",
            "leave it out",
        ),
        (
            {"middle_one": 1},
            "`train.outputs` names `middle_one`, but the network has no such output",
            "its outputs are `main`, `early`, `features`",
        ),
    ],
)
def test_outputs_that_there_are_not_are_refused_by_check(outputs: Any, message: str, help: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec(outputs=outputs)
    (found,) = caught.value.diagnostics
    assert (found.code, found.message, found.help) == (found.code, message, help)


def test_auxiliary_classifiers_and_an_output_called_main_are_refused_by_check() -> None:
    side = {"aux": {"name": "side", "weight": 0.3, "body": [{"linear": 3}]}}
    for first, outputs, message, help in (
        (
            side,
            {"side": 1},
            "`train.outputs` names `side`, an auxiliary classifier, whose weight stands at its `aux`",
            "set it there: `aux: {…, weight: 0.3}`",
        ),
        (
            {"output": "main"},
            {"early": 1},
            "`train.outputs` calls the network's last output `main`, and an `output` has that name too",
            "give that `output` another name",
        ),
    ):
        with pytest.raises(SpecError) as caught:
            from_dict(SPEC | {"network": [first, *SPEC["network"]], "train": RECIPE | {"outputs": outputs}})
        (found,) = caught.value.diagnostics
        assert (found.message, found.help) == (message, help)


def test_an_output_of_another_shape_is_refused_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(spec(outputs={"features": 1}), tmp_path)
    assert str(caught.value) == (
        "the data set `iris` has 3 classes, but the output `features` of Deep gives 16\n"
        "  help: end the network in `- linear: =num_classes`, with `vars: {num_classes: 10}`"
    )


def test_the_loss_is_the_weighed_sum_of_the_outputs_losses(tmp_path: Path) -> None:
    job = prepare(spec(outputs={"main": 2, "early": 0.4}), tmp_path)
    module = make_module(job)
    samples, labels = job.train[list(range(16))]  # type: ignore[index]
    main, others = module.network(module.normalize(samples))
    expected = 2 * functional.cross_entropy(main, labels) + 0.4 * functional.cross_entropy(others["early"], labels)
    torch.testing.assert_close(module.training_step((samples, labels), 0), expected)
    alone = make_module(prepare(spec(), tmp_path))
    alone.load_state_dict(module.state_dict())
    torch.testing.assert_close(alone.training_step((samples, labels), 0), functional.cross_entropy(main, labels))


def test_each_output_is_tested_under_its_name(tmp_path: Path) -> None:
    result = train(prepare(spec(outputs={"early": 0.4}), tmp_path), tmp_path / "runs", Options(pictures=False))
    kept = json.loads((Path(result.folder) / "results.json").read_text())
    run = folders.find(result.folder, tmp_path)
    assert (run.notes, run.name, Path(result.folder).name) == ((), "net", "net")
    module, job = load_network(run).module, prepare(spec(), tmp_path)
    samples, labels = job.test.images, job.test.labels  # type: ignore[union-attr]
    with torch.no_grad():
        main, others = module.network(module.normalize(samples))
    for prefix, output in (("test", main), ("test_early", others["early"])):
        assert kept[f"{prefix}_accuracy"] == float((output.argmax(1) == labels).double().mean())
        assert kept[f"{prefix}_loss"] == pytest.approx(float(functional.cross_entropy(output, labels)), rel=1e-5)
    assert not [name for name in kept if "features" in name]
    again = evaluate_run(run, None, None)
    assert (again["outputs"], again["test_early_accuracy"]) == (["early"], kept["test_early_accuracy"])


@pytest.mark.slow
def test_masks_are_learned_at_several_sizes(tmp_path: Path) -> None:
    network = [
        {"conv": {"out": 8, "kernel": 3, "padding": 1}},
        {"save": "whole"},
        {"max_pool": 4},
        {"conv": {"out": "=num_classes", "kernel": 1}},
        {"output": "coarse"},
        {"load": "whole"},
        {"conv": {"out": "=num_classes", "kernel": 1}},
    ]
    recipe = {"data": "digit_scenes", "batch_size": 8, "outputs": {"coarse": 0.5}}
    written = SPEC | {"input": [3, 48, 48], "vars": {"num_classes": 11}, "network": network, "train": recipe}
    job = prepare(from_dict(written), tmp_path)
    module = make_module(job)
    images, masks = job.train[list(range(4))]  # type: ignore[index]
    main, others = module.network(module.normalize(images))
    assert others["coarse"].shape == (4, 11, 12, 12)
    large = functional.interpolate(others["coarse"], (48, 48), mode="bilinear", align_corners=False)
    expected = functional.cross_entropy(main, masks.long()) + 0.5 * functional.cross_entropy(large, masks.long())
    torch.testing.assert_close(module.training_step((images, masks), 0), expected)


# --- targets of their own ---------------------------------------------------------------------------------------------

HEADS = {"species": {"target": "kind"}, "main": {"target": ["width", "size"], "weight": 0.5}}
TWO: dict[str, Any] = SPEC | {
    "name": "Two",
    "vars": {"features": 2},
    "network": [
        {"linear": 8},
        "relu",
        {"save": "body"},
        {"linear": 3},
        {"output": "species"},
        {"load": "body"},
        {"linear": 2},
    ],
}


def flowers(folder: Path, count: int = 90) -> Path:
    generator = torch.Generator().manual_seed(0)
    lines = ["kind,length,depth,width,size"]
    for number in range(count):
        length, depth = (torch.rand(2, generator=generator) + number % 3).tolist()
        lines.append(f"{'abc'[number % 3]},{length:.3f},{depth:.3f},{2 * length:.3f},{1000 * depth:.1f}")
    (folder / "flowers.csv").write_text("\n".join(lines) + "\n")
    return folder / "flowers.csv"


def two(folder: Path, **keys: Any) -> Any:
    return from_dict(
        TWO | {"train": {"data": str(flowers(folder)), "epochs": 2, "batch_size": 8, "outputs": HEADS, **keys}}, "net"
    )


def test_each_output_learns_targets_of_its_own(tmp_path: Path) -> None:
    job = prepare(two(tmp_path), tmp_path)
    assert job.task.name == "species=classification:1,main=regression:2"
    assert job.data.class_names == ("species=a", "species=b", "species=c", "main=width", "main=size")
    module = make_module(job)
    samples, targets = job.train[list(range(30))]  # type: ignore[index]
    main, others = module.network(module.normalize(samples))
    every = job.train.labels[:, 1:].double()  # type: ignore[union-attr]
    std = every.std(0, correction=0)
    wanted = (targets[:, 1:].double() - every.mean(0)) / std
    expected = functional.cross_entropy(others["species"], targets[:, 0].long()) + 0.5 * functional.mse_loss(
        main, wanted.float()
    )
    torch.testing.assert_close(module.training_step((samples, targets), 0), expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        found = module(samples)
    torch.testing.assert_close(found["main"].double(), main.double() * std + every.mean(0), rtol=1e-4, atol=1e-3)
    for start in (0, 10, 20):  # batch by batch
        for score in module.scores.values():
            score({name: one[start : start + 10] for name, one in found.items()}, targets[start : start + 10])
    right = (others["species"].argmax(1) == targets[:, 0]).double().mean()
    assert float(module.scores["species_accuracy"].compute()) == pytest.approx(float(right))
    error = (found["main"] - targets[:, 1:]).abs().mean()
    assert float(module.scores["main_mae"].compute()) == pytest.approx(float(error), rel=1e-5)


@pytest.mark.slow
def test_outputs_with_targets_of_their_own_are_trained_tested_and_predicted(tmp_path: Path) -> None:
    result = train(prepare(two(tmp_path), tmp_path), tmp_path / "runs", Options())
    folder = Path(result.folder)
    kept = json.loads((folder / "results.json").read_text())
    run = folders.find(result.folder, tmp_path)
    assert (run.notes, run.task.metric.heading) == ((), "species accuracy")
    again = evaluate_run(run, None, None)
    assert {name: value for name, value in again.items() if name.startswith("test_")} == {
        name: value for name, value in kept.items() if name.startswith("test_")
    }
    heading, *rows = (line.split(",") for line in (folder / "predictions.csv").read_text().splitlines())
    assert heading == ["row", "species truth", "species answer", "species probability", "main width",
                       "main width predicted", "main size", "main size predicted"]  # fmt: skip
    share = sum(row[1] == row[2] for row in rows) / len(rows)
    assert kept["test_species_accuracy"] == share
    assert (folder / "species" / "confusion.png").exists()
    assert (folder / "main" / "scatter.png").exists()
    predicted = list(predict_rows(run, [tmp_path / "flowers.csv"], 5))
    for row in rows:
        answer = predicted[int(row[0]) - 1][3]
        assert answer["species"]["species"] == row[2]
        assert answer["main"]["width"] == pytest.approx(float(row[5]), rel=1e-4)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"data": "iris"},
            "`train.outputs` names targets, columns of a table or of a folder's `targets.csv`, and `iris` is none\n"
            "  help: give the outputs weights, `outputs: {NAME: 0.4}`, to learn the same targets",
        ),
        (
            {"data": {"ignore": ["size"]}, "outputs": {"species": {"target": "knd"}}},
            "{file} has no column `knd`, which `outputs.species.target` names\n  help: did you mean `kind`?",
        ),
        (
            {"outputs": {"species": {"target": "kind"}, "main": {"target": ["kind", "size"]}}},
            "`train.outputs` names the target `kind` twice\n  help: name it at one output",
        ),
        (
            {
                "data": {"ignore": ["size"]},
                "outputs": {"species": {"target": "kind"}, "main": {"target": "width"}},
            },
            "the data set `{file}` has 1 number for each sample, but Two gives 2\n  help: end the network in `- linear: 1`",
        ),
        (
            {"loss": "smooth_l1"},
            "`train.loss` is one loss, and `train.outputs` gives each output a task of its own\n"
            "  help: leave `loss` out: each output is trained by the loss of its task",
        ),
        (
            {"task": "regression"},
            "the task is regression, but `train.outputs` gives each output targets of its own\n"
            "  help: leave `train.task` out; each output may have a `task`",
        ),
    ],
)
def test_targets_of_outputs_that_do_not_fit_are_refused(keys: Any, message: str, tmp_path: Path) -> None:
    if keys.get("data") == {"ignore": ["size"]}:
        keys = keys | {"data": {"name": str(flowers(tmp_path)), "ignore": ["size"]}}
    with pytest.raises(UsageError) as caught:
        prepare(two(tmp_path, **keys), tmp_path)
    assert str(caught.value) == message.replace("{file}", str(tmp_path / "flowers.csv"))

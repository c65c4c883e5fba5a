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
    assert run.notes == ()
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

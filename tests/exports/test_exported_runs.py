"""Exports of runs of tables and sequences: inputs in their own units, and several outputs in those of their targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from archspec.commands._models import find_model
from archspec.exports import Model, Options
from archspec.exports._proving.metadata import input_values, metadata
from archspec.exports._proving.module import make_module
from archspec.exports._proving.prove import drawing
from archspec.spec import from_dict
from trainer.module import SpecModule
from trainer.runs.job import prepare
from trainer.session import Options as Session, train

BODY: list[Any] = [{"linear": 8}, "relu", {"save": "body"}]


def run_of(spec: dict[str, Any], folder: Path) -> tuple[Model, SpecModule]:
    """What is exported of a run, and the run's own module."""
    section = {"epochs": 1, "batch_size": 32} | spec["train"]
    job = prepare(from_dict({"archspec": 1, "name": "Net"} | spec | {"train": section}, "net"), folder)
    run = train(job, folder / "runs", Session(pictures=False)).folder
    checkpoint = f"{run}/checkpoints/best.ckpt"
    module = SpecModule.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    return find_model(run, folder, None, (), None, weights=True, aux=False), module.eval()


def flowers(folder: Path) -> Path:
    generator = torch.Generator().manual_seed(0)
    lines = ["kind,length,depth,width"]
    for number in range(60):
        length, depth = (torch.rand(2, generator=generator) * 3 + 100 * (number % 3)).tolist()
        lines.append(f"{'abc'[number % 3]},{length:.3f},{depth:.3f},{1000 * length:.3f}")
    (folder / "flowers.csv").write_text("\n".join(lines) + "\n")
    return folder / "flowers.csv"


def test_outputs_with_targets_of_their_own_are_exported_in_their_units(tmp_path: Path) -> None:
    model, module = run_of(
        {
            "input": [2],
            "network": [*BODY, {"linear": 3}, {"output": "kinds"}, {"load": "body"}, {"linear": 1}],
            "train": {
                "data": str(flowers(tmp_path)),
                "outputs": {"kinds": {"target": "kind"}, "main": {"target": "width"}},
            },
        },
        tmp_path,
    )
    options = Options(normalize=True)
    file = make_module(model, options)
    rows = torch.tensor([[1.0, 2.0], [101.0, 102.0], [202.5, 200.0]])
    with torch.no_grad():
        own, others = file(rows)
        answers: Any = module(rows)
    torch.testing.assert_close(own, answers["main"])
    torch.testing.assert_close(others, {"kinds": answers["kinds"]})
    assert metadata(model, options)["features"] == '["length", "depth"]'
    assert "resize" not in metadata(model, options)
    assert input_values(model, options) == "float32, in the units of the training data; normalised inside"
    assert input_values(model, Options()).startswith("float32, (value - mean) / std, with mean ")
    # what the file is proven with is like the rows, not like normalised ones
    (drawn,) = drawing(file)(2000, ((2,),), 0)
    torch.testing.assert_close(drawn.mean(0), module.mean, rtol=0.1, atol=0)


def test_outputs_that_learn_the_same_numbers_are_exported_in_their_units(tmp_path: Path) -> None:
    model, module = run_of(
        {
            "input": [2],
            "network": [*BODY, {"linear": 1}, {"output": "early"}, {"load": "body"}, {"linear": 1}],
            "train": {
                "data": {"name": str(flowers(tmp_path)), "target": "width", "ignore": ["kind"]},
                "outputs": {"early": 0.5},
            },
        },
        tmp_path,
    )
    rows = torch.tensor([[1.0, 2.0], [101.0, 102.0]])
    with torch.no_grad():
        own, others = make_module(model, Options(normalize=True))(rows)
        expected = module.forward_all(rows)
    torch.testing.assert_close((own, others), expected)


@pytest.mark.parametrize(
    "network",
    [[{"linear": 3}, "flatten", {"linear": 10}], [{"conv_1d": {"out": 4, "kernel": 3}}, "flatten", {"linear": 10}]],
)
def test_sequences_are_normalised_along_the_axis_of_their_features(network: list[Any], tmp_path: Path) -> None:
    model, module = run_of({"input": [8, 8], "network": network, "train": {"data": "digit_rows"}}, tmp_path)
    rows = torch.rand(3, 8, 8) * 16
    with torch.no_grad():
        torch.testing.assert_close(make_module(model, Options(normalize=True))(rows), module(rows))

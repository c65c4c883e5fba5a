"""The pictures of a run show what its numbers say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix as sklearns

from archspec.spec import from_dict
from trainer import pictures
from trainer.run import prepare
from trainer.session import train
from trainer.watch import Outputs

SPEC = {
    "archspec": 1,
    "name": "Linear",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": ["flatten", {"linear": "=num_classes"}],
    "train": {"epochs": 1, "validation": 0.2, "augment": [{"horizontal_flip": {"p": 0.5}}]},
}


def test_the_confusion_matrix_is_scikit_learns() -> None:
    labels, chosen = torch.randint(0, 7, (2, 500), generator=torch.Generator().manual_seed(0))
    assert np.array_equal(
        pictures.confusion_matrix(chosen, labels, 8).numpy(), sklearns(labels, chosen, labels=range(8))
    )


def test_the_worst_mistakes_are_the_surest() -> None:
    labels = torch.tensor([0, 1, 2, 3, 4])
    chosen = torch.tensor([0, 2, 2, 1, 0])
    probability = torch.tensor([0.99, 0.5, 0.9, 0.8, 0.6])
    assert pictures.worst(chosen, probability, labels).tolist() == [3, 4, 1]


def test_a_runs_pictures_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Any] = {}
    inner = pictures.draw_all
    monkeypatch.setattr(pictures, "draw_all", lambda *a: (drawn.update(outputs=a[4], names=a[5]), inner(*a)))
    ready = prepare(from_dict(SPEC, "linear"), tmp_path)
    result = train(ready, tmp_path / "runs")
    for name in ("curves", "confusion", "mistakes", "augmentation"):
        with Image.open(Path(result.folder) / f"{name}.png") as image:
            assert min(image.size) > 200
            assert len(np.unique(np.asarray(image.convert("L")))) > 10
    chosen, probability, labels = drawn["outputs"]
    assert torch.equal(labels, ready.data.test.labels)
    assert float((chosen == labels).float().mean()) == pytest.approx(result.test_accuracy, abs=1e-6)
    assert bool(((probability > 0.1) & (probability <= 1)).all())
    assert len(drawn["names"]) == 10


def test_pictures_that_cannot_be_drawn_cost_no_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(pictures, "draw_all", failing)
    result = train(prepare(from_dict(SPEC, "linear"), tmp_path), tmp_path / "runs")
    assert (Path(result.folder) / "results.json").exists()
    assert capsys.readouterr().err == f"note: the pictures of {result.folder} are not drawn: no room\n"


def test_outputs_are_probabilities_of_the_choice() -> None:
    kept = Outputs()
    logits = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    kept.on_test_batch_end(None, None, logits, (None, torch.tensor([1, 1])), 0)  # type: ignore[arg-type]
    chosen, probability, labels = kept.all
    assert (chosen.tolist(), labels.tolist()) == ([1, 0], [1, 1])
    assert probability.tolist() == pytest.approx([0.7310586, 0.8807971], abs=1e-6)

"""The pictures of a run show what its numbers say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix as sklearns

from archspec.recipe import Recipe
from archspec.spec import from_dict
from trainer.input.datasets import InMemory
from trainer.report import pictures
from trainer.runs.evaluation import evaluate
from trainer.runs.job import prepare
from trainer.session import train
from trainer.tasks._confusion import confusion_matrix
from trainer.tasks.classification import TASK, ClassEvaluation

SPEC = {
    "archspec": 1,
    "name": "Linear",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": ["flatten", {"linear": "=num_classes"}],
    "train": {"epochs": 1, "validation": 0.2, "augment": [{"horizontal_flip": {"p": 0.5}}]},
}


def test_the_confusion_matrix_is_scikit_learns() -> None:
    labels, predicted = torch.randint(0, 7, (2, 500), generator=torch.Generator().manual_seed(0))
    assert np.array_equal(confusion_matrix(predicted, labels, 8).numpy(), sklearns(labels, predicted, labels=range(8)))


def test_the_worst_mistakes_are_the_surest() -> None:
    labels = torch.tensor([0, 1, 2, 3, 4])
    predicted = torch.tensor([0, 2, 2, 1, 0])
    probability = torch.tensor([0.99, 0.5, 0.9, 0.8, 0.6])
    assert ClassEvaluation(predicted, probability, labels, 0.0, 3).worst().tolist() == [3, 4, 1]


@pytest.mark.slow
def test_a_runs_pictures_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, Any] = {}
    inner = pictures.draw_all
    monkeypatch.setattr(pictures, "draw_all", lambda *a: (drawn.update(found=a[2]), inner(*a)))
    ready = prepare(from_dict(SPEC, "linear"), tmp_path)
    result = train(ready, tmp_path / "runs")
    for name in ("curves", "confusion", "mistakes", "augmentation"):
        with Image.open(Path(result.folder) / f"{name}.png") as image:
            assert min(image.size) > 200
            assert len(np.unique(np.asarray(image.convert("L")))) > 10
    found = drawn["found"]
    assert torch.equal(found.labels, ready.data.test.labels)
    assert float((found.predicted == found.labels).double().mean()) == result.metrics["test_accuracy"]
    assert bool(((found.probability > 0.1) & (found.probability <= 1)).all())


def test_pictures_that_cannot_be_drawn_cost_no_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(pictures, "draw_all", failing)
    result = train(prepare(from_dict(SPEC, "linear"), tmp_path), tmp_path / "runs")
    assert (Path(result.folder) / "results.json").exists()
    assert capsys.readouterr().err == f"note: the pictures of {result.folder} are not drawn: no room\n"


def test_probabilities_are_those_of_the_choice() -> None:
    class Given(torch.nn.Module):
        """Says of two images what is given here."""

        task = TASK
        shape = (1, 1, 1)
        recipe = Recipe()
        device = torch.device("cpu")
        loss = torch.nn.CrossEntropyLoss()
        outputs: ClassVar[dict[str, float]] = {}

        def forward_all(self, images: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            return torch.tensor([[0.0, 1.0], [2.0, 0.0]]), {}

    part = InMemory(torch.zeros(2, 1, 1, 1, dtype=torch.uint8), torch.tensor([1, 1]))
    found = evaluate(Given(), part)  # type: ignore[arg-type]
    assert (found.predicted.tolist(), found.labels.tolist(), found.accuracy) == ([1, 0], [1, 1], 0.5)
    assert found.probability.tolist() == pytest.approx([0.7310586, 0.8807971], abs=1e-6)
    assert found.loss == pytest.approx((0.3132617 + 2.1269280) / 2, abs=1e-6)

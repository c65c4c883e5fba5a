"""`archspec predict` sees an image file as `archspec test` does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from archspec.spec import from_dict
from trainer.runs import folders
from trainer.runs.evaluation import evaluate, load_network
from trainer.runs.job import load_job, prepare
from trainer.runs.prediction import predict
from trainer.session import Options, train

pytestmark = pytest.mark.slow

SPEC = {
    "archspec": 1,
    "input": [3, 8, 8],
    "vars": {"num_classes": 2},
    "network": ["flatten", {"linear": "=num_classes"}],
}
RECIPE = {"data": "folder", "epochs": 1, "batch_size": 4, "validation": 0}
ORIENTATION = 274  # EXIF's tag


def test_predict_decodes_as_test_does(tmp_path: Path) -> None:
    """Upside down by EXIF, half transparent, 16 bits: each as the 8-bit image that a viewer shows."""
    random, photos = np.random.default_rng(0), tmp_path / "photos"
    for path in [f"train/{name}/{number}.png" for name in "ab" for number in range(4)]:
        _save(photos / path, random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    test = photos / "test" / "a"

    colours = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    _save(test / "0.png", colours[::-1, ::-1].copy(), exif=exif)
    _save(test / "1.png", colours)

    alpha = np.full((8, 8, 1), 255, dtype=np.uint8)
    alpha[:4] = 0
    _save(test / "2.png", np.concatenate([colours, alpha], 2))
    _save(test / "3.png", np.where(alpha, colours, np.uint8(255)))

    greys = random.integers(0, 256, (8, 8), dtype=np.uint8)
    _save(test / "4.png", greys.astype(np.uint16) * 257)
    _save(test / "5.png", greys)

    spec = from_dict(SPEC | {"train": RECIPE | {"data": str(photos)}})
    result = train(prepare(spec, tmp_path), tmp_path / "runs", Options(pictures=False))
    run = folders.find(result.folder, tmp_path)
    evaluated = evaluate(load_network(run).module, load_job(run, None).test)
    predicted = [answer["top"][0] for _, answer in predict(run, [test / f"{number}.png" for number in range(6)], top=1)]

    assert [one["index"] for one in predicted] == evaluated.predicted.tolist()
    probabilities = [one["probability"] for one in predicted]
    assert probabilities == pytest.approx(evaluated.probability.tolist(), rel=1e-5)
    assert probabilities[::2] == pytest.approx(probabilities[1::2], rel=1e-5)
    assert len({round(one, 4) for one in probabilities}) == 3  # the three images are told apart


def _save(file: Path, pixels: np.ndarray, **options: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, **options)

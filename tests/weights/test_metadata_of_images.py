"""What a `.safetensors` file says of its images: what cannot be meant is not taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from archspec.weights import metadata

SOUND = {
    "mean": "[0.5, -0.1]", "std": "[0.2, 3]", "classes": '["a", "b"]', "resize": '{"name": "crop", "size": 8}',
    "input": "[8, 8]",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *[("mean", text) for text in ('["a"]', "[NaN]", "[null]", "[[1]]", "[1e999]", "[true]", "[]", "3", "[" * 5000)],
        *[("std", text) for text in ("[0]", "[-1]", "[NaN]", "[1e400]")],
        *[("classes", text) for text in ("[1, 2]", "[null]", "a,b", '{"0": "a"}')],
        *[("resize", text) for text in ("{}", '{"name": 3}', '{"name": "nope"}', '{"name": "weights"}')],
        *[("resize", f'{{"name": "crop", "size": {size}}}') for size in ('"a"', "-1", "1e400", "NaN", "[1]")],
        *[("input", text) for text in ('["a", "b"]', "[0, 0]", "[null, null]", "[8]", "[true, true]", "[1e999, 8]")],
    ],
)
def test_what_cannot_be_meant_is_not_taken(name: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file({"x": torch.ones(1)}, file, SOUND | {name: text})
    assert metadata(file) == {key: value for key, value in SOUND.items() if key != name}


def test_what_can_be_meant_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file({"x": torch.ones(1)}, file, SOUND | {"format": "pt"})
    assert metadata(file) == SOUND


def test_of_a_checkpoint_too(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text(
        json.dumps({"classes": ["a", 1], "resize": {"name": "stretch"}, "input": [0, 0]})
    )
    (tmp_path / "checkpoints").mkdir()
    state = {"mean": torch.tensor([0.5]), "std": torch.zeros(1)}
    file = tmp_path / "checkpoints" / "best.ckpt"
    torch.save({"pytorch-lightning_version": "2", "state_dict": state}, file)
    assert metadata(file) == {"mean": "[0.5]", "resize": '{"name": "stretch"}'}

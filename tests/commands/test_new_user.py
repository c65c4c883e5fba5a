"""A new user's path, through the real command line in an empty folder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SPEC = """archspec: 1
name: Gated
input: [1, 8, 8]
vars: {num_classes: 10}
defaults: {act: silu, norm: batch_norm}
blocks:
  gated:
    doc: A convolution, each of whose channels is weighed by its own mean.
    args:
      width: {type: integer, minimum: 1}
      stride: 1
    body:
      - conv_norm_act: {out: =width, stride: =stride}
      - multiply:
          features: []
          gate:
            - global_avg_pool
            - conv: {out: =width // 2, kernel: 1}
            - sigmoid
network:
  - for: {width: [16, 32]}
    body:
      - gated: {width: =width, stride: =1 if first else 2}
        repeat: 2
  - global_avg_pool
  - flatten
  - linear: =num_classes
"""


def test_from_a_first_spec_to_a_trained_network(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "gated.yaml").write_text(SPEC)

    wrong = run("check", "gated.yaml")
    assert wrong.returncode == 1
    assert wrong.stderr == (
        "gated.yaml:14:9: error[shape-mismatch]: `multiply` needs equal shapes, or axes of 1, but its branches give\n"
        "    features  16×8×8   gated.yaml:15:21\n"
        "    gate       8×1×1   gated.yaml:17:13\n"
        "   14 |       - multiply:\n"
        "      |         ^^^^^^^^\n"
        "  in block `gated` (width=16, stride=1), from gated.yaml:23:9, row 1 of `for`, pass 1 of 2\n"
        "  help: end both branches in the same number of channels: 16, or 1\n"
    )

    (tmp_path / "gated.yaml").write_text(SPEC.replace("=width // 2", "=width"))
    sound = run("check", "gated.yaml", "--format", "json")
    assert sound.returncode == 0
    (result,) = json.loads(sound.stdout)["results"]

    built = run("build", "gated.yaml", "--summary")
    assert (built.returncode, built.stderr) == (0, "")
    assert re.search(rf"^total +10 +{result['params']:,} ", built.stdout, re.M)

    trained = run("train", "gated.yaml", "--epochs", "1", "--set", "train.batch_size=16")
    assert (trained.returncode, trained.stderr) == (0, "")
    assert "epoch 1/1  loss " in trained.stdout
    assert "│ gated │" in trained.stdout
    results = json.loads((tmp_path / "runs" / "gated" / "results.json").read_text())
    assert results["params"] == result["params"]
    assert results["test_accuracy"] > 0.15

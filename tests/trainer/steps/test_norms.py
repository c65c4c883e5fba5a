"""Norms of one value: torch refuses them in a step, `train` before the first one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from archspec.foundation.errors import UsageError
from archspec.spec import from_dict
from trainer.steps.norms import check_norms

POOLED = [{"conv": {"out": 8, "kernel": 3}}, "global_avg_pool"]
NETWORKS: dict[str, tuple[list[int], list[Any]]] = {
    "batch norm of a map": ([3, 8, 8], [*POOLED, "batch_norm"]),
    "batch norm of a vector": ([3, 8, 8], [*POOLED, "flatten", "batch_norm"]),
    "in a block": ([3, 1, 1], [{"conv_norm_act": {"out": 4, "kernel": 1, "norm": "batch_norm", "act": "relu"}}]),
    "one-dimensional": ([3, 1], ["batch_norm_1d"]),
    "three-dimensional": ([3, 1, 1, 1], ["batch_norm_3d"]),
    "of several positions": ([3, 2, 1], ["batch_norm"]),
    "groups of two channels": ([4, 1, 1], [{"group_norm": {"groups": 2}}]),
    "layer norm": ([4, 1, 1], ["layer_norm"]),
    "auxiliary": (
        [3, 8, 8],
        [{"aux": {"name": "side", "weight": 0.3, "body": [*POOLED, "batch_norm", "flatten"]}}, *POOLED],
    ),
}


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_norm_is_refused_where_torch_refuses_it(name: str, images: int) -> None:
    shape, network = NETWORKS[name]
    spec = from_dict({"archspec": 1, "input": shape, "network": network})
    try:
        spec.build().train()(torch.rand(images, *shape))
        refused = False
    except ValueError as error:
        assert str(error).startswith("Expected more than 1 value per channel when training")
        refused = True
    try:
        check_norms(spec.plan, images)
        assert not refused
    except UsageError:
        assert refused


BN1 = """\
archspec: 1
input: [3, 16, 16]
vars: {num_classes: 10}
network:
  - conv: {out: 8, kernel: 3, stride: 2, padding: 1}
  - global_avg_pool
  - batch_norm
  - flatten
  - linear: =num_classes
train: {data: fake, epochs: 1, batch_size: 1}
"""
REASON = "would normalise one value for each channel in training: its input is 8×1×1, and a batch is one image\n"
CURE = (
    "  help: train with more images a batch, `--set train.batch_size=2` for example; or leave out that `batch_norm`\n"
)


def test_train_names_layer_and_line_before_the_first_step(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "bn1.yaml").write_text(BN1)
    done = run("train", "bn1.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: the layer `2` (bn1.yaml:7:5) {REASON}{CURE}"
    assert not (tmp_path / "runs").exists()


def test_of_a_block_of_the_library_the_line_of_its_call_is_named(run: Callable, tmp_path: Path) -> None:
    block = "  - conv_norm_act: {out: 8, kernel: 1, norm: batch_norm, act: relu}\n"
    (tmp_path / "bn1.yaml").write_text(BN1.replace("  - batch_norm\n", block))
    done = run("train", "bn1.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: the layer `2.norm` (bn1.yaml:7:5) {REASON}{CURE}"

"""`archspec check` of a recipe that names its task: what no data set can make right is found without one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

NET = """archspec: 1
name: Net
input: [1, 8, 8]
network: [flatten, linear: 10]
train:
  data: digits
"""
LINE = "Net  -  1×8×8 → 10  650 parameters  640 MACs\n"


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            "  task: clasification\n",
            "net.yaml:7:9: error[out-of-range]: there is no task `clasification`\n"
            "    7 |   task: clasification\n"
            "      |         ^^^^^^^^^^^^^\n"
            "  help: did you mean `classification`?\n",
        ),
        (
            "  task: classification\n  loss: dice\n",
            "net.yaml:8:9: error[out-of-range]: the loss `dice` does not fit the task classification\n"
            "    8 |   loss: dice\n"
            "      |         ^^^^\n"
            "  help: --set train.loss=cross_entropy; `cross_entropy`, `binary_cross_entropy`, `focal` would fit\n",
        ),
        (
            "  task: segmentation\n  monitor: val_accuracy\n",
            "net.yaml:8:12: error[out-of-range]: `train.monitor` is `val_accuracy`, which segmentation does not measure\n"
            "    8 |   monitor: val_accuracy\n"
            "      |            ^^^^^^^^^^^^\n"
            "  help: choose one of `val_mean_iou`, `val_dice`, `val_loss`\n",
        ),
        (
            "  task: regression\n  early_stopping: {patience: 3, monitor: val_iou}\n",
            "net.yaml:8:42: error[out-of-range]: `train.early_stopping.monitor` is `val_iou`, which regression does not "
            "measure\n"
            "    8 |   early_stopping: {patience: 3, monitor: val_iou}\n"
            "      |                                          ^^^^^^^\n"
            "  help: choose one of `val_mae`, `val_rmse`, `val_r2`, `val_loss`\n",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_its_task_is_an_error(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, recipe: str, message: str
) -> None:
    (tmp_path / "net.yaml").write_text(NET + recipe + "variants:\n  other: {}\n")
    found = run("check", "net.yaml")
    assert (found.returncode, found.stdout, found.stderr) == (1, "", message)


def test_a_recipe_that_fits_its_task_is_sound(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "net.yaml").write_text(NET + "  task: classification\n  loss: focal\n  monitor: val_f1\n")
    found = run("check", "net.yaml")
    assert (found.returncode, found.stdout, found.stderr) == (0, LINE, "")

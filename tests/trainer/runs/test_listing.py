"""`archspec runs` tells runs apart, and shows how far stopped ones are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

LOG = """\
epoch,step,lr-AdamW,val_loss,val_accuracy,train_loss
0,9,0.1,2.0,0.5,2.1
1,19,0.1,1.5,0.75,1.6
2,29,0.1,1.6,0.7,1.2
3,30,0.1,,,
"""


def kept(out: Path, name: str, results: dict[str, Any] | None, **train: Any) -> Path:
    folder = out / name
    folder.mkdir(parents=True)
    made = {"name": "small", "spec": "small.yaml", "variant": None, "data": "digits", "seed": 1, "key": name}
    (folder / "environment.json").write_text(json.dumps(made | {"started": "2026-01-01T00:00:00+00:00"}))
    (folder / "spec.yaml").write_text(yaml.safe_dump({"archspec": 1, "network": ["flatten"], "train": train}))
    if results is not None:
        (folder / "results.json").write_text(json.dumps(made | results))
    return folder


def test_runs_of_one_spec_are_told_apart_and_stopped_ones_show_how_far_they_are(run: Callable, tmp_path: Path) -> None:
    measured = {"epochs": 4, "params": 650, "macs": 640, "val_accuracy": 0.9, "test_accuracy": 0.8, "test_loss": 1.0}
    measured |= {"best_epoch": 1, "seconds": 3.0, "images_per_second": 1000.0}
    kept(tmp_path / "runs", "small", measured, seed=1, optimizer={"name": "sgd", "lr": 0.1}, epochs=4)
    stopped = kept(tmp_path / "runs", "small-2", None, seed=2, optimizer={"name": "sgd", "lr": 0.01}, epochs=4)
    (stopped / "metrics.csv").write_text(LOG)
    fresh = kept(tmp_path / "runs", "small-3", None, seed=3, optimizer={"name": "sgd", "lr": 0.1}, epochs=4)
    (fresh / "metrics.csv").write_bytes(b"\x00\xff")
    done = run("runs")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:5] == ["run", "status", "data", "seed", "settings"]
    assert [line[:6] for line in lines[1:]] == [
        ["small", "finished", "digits", "1", "optimizer.lr=0.1", "90.00%"],
        ["small-2", "stopped", "digits", "1", "optimizer.lr=0.01", "75.00%"],
        ["small-3", "stopped", "digits", "1", "optimizer.lr=0.1", "-"],
    ]
    rows = json.loads(run("runs", "--format", "json", "--sort", "-epochs").stdout)["results"]
    assert [(row["run"], row["epochs"]) for row in rows] == [("small", 4), ("small-2", 3), ("small-3", 0)]
    assert len(run("runs", "--where", "epochs>2").stdout.splitlines()) == 3


def test_a_single_run_has_no_settings_to_differ_in(run: Callable, tmp_path: Path) -> None:
    kept(tmp_path / "runs", "small", None, seed=1)
    assert "settings" not in run("runs").stdout

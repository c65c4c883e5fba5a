"""Files of runs that no archspec wrote: numbers beyond bounds, endless YAML, characters that move the cursor."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from trainer.logs import read_log
from trainer.report.tables import print_table
from trainer.runs.differences import settings
from trainer.runs.folders import Result, read

RESULTS: dict[str, Any] = {
    "name": "net", "spec": "net.yaml", "variant": None, "data": "digits", "seed": 1, "epochs": 2, "params": 54, "macs": 668,
    "val_accuracy": 0.5, "test_accuracy": 0.5, "test_loss": 1.5, "best_epoch": 2, "seconds": 1.5,
    "images_per_second": 100.5, "task": "classification",
}  # fmt: skip


@pytest.mark.parametrize(
    "key", ["epochs", "params", "macs", "val_accuracy", "test_loss", "seconds", "images_per_second"]
)
@pytest.mark.parametrize("value", [10**400, -(2**63), True])
def test_numbers_that_no_run_has_are_not_understood(key: str, value: Any, tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text('{"name": "net", "spec": "net.yaml"}')
    (tmp_path / "results.json").write_text(json.dumps(RESULTS | {key: value}))
    run = read(tmp_path)
    assert run is not None
    assert (run.result, run.status, len(run.notes)) == (None, "finished", 1)
    assert run.notes[0].startswith(f"`{key}` in {tmp_path / 'results.json'} is ")


def test_a_spec_that_is_no_name_is_not_understood(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text('{"name": "net", "spec": ["net.yaml"], "variant": {}}')
    run = read(tmp_path)
    assert run is not None
    assert (run.environment, len(run.notes)) == ({"name": "net"}, 2)


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    return "\n".join([*lines, *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))])


@pytest.mark.parametrize("text", [bomb(), "a: &a {b: *a}", "a: &a [*a]", "[" * 5000, "a: {b: 1"])
def test_of_a_spec_without_end_nothing_is_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(text)
    assert settings(tmp_path) == {}


@pytest.mark.parametrize("epoch", ["9" * 400, "-5", "1.5", "nan"])
def test_of_a_log_with_no_such_epoch_nothing_is_read(epoch: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(f"epoch,train_loss\n0,1.5\n{epoch},1.5\n")
    assert read_log(tmp_path / "metrics.csv") == []


@pytest.mark.parametrize("width", [60, 200])
def test_names_neither_move_the_cursor_nor_colour_the_table(width: int, tmp_path: Path) -> None:
    given = {key: value for key, value in RESULTS.items() if not key.startswith(("val_", "test_"))}
    name = "a\x1b[31m[red]b\nc"
    result = Result(**given | {"name": name, "data": name}, metrics={}, folder=str(tmp_path))
    text = io.StringIO()
    print_table([result], Console(file=text, width=width))
    assert "\x1b" not in text.getvalue()
    assert f"a\\x1b[31m[red]b\\nc: {tmp_path}\n" in text.getvalue()

"""Run folders as other versions of archspec, or editors, leave them: what is known is read, what is not is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENT = {"name": "small", "data": "digits", "seed": 42, "key": "ab", "started": "2026-01-01T00:00:00+00:00"}
RESULTS = {
    "name": "small",
    "spec": "small.yaml",
    "variant": None,
    "data": "digits",
    "seed": 42,
    "epochs": 2,
    "params": 650,
    "macs": 640,
    "val_accuracy": 0.5,
    "test_accuracy": 0.25,
    "test_loss": 1.5,
    "best_epoch": 1,
    "seconds": 3.0,
    "images_per_second": 1000,
}
HEADINGS = ["run", "status", "data", "seed", "val accuracy", "test accuracy", "parameters", "MACs", "epochs"]


@pytest.fixture
def kept(tmp_path: Path) -> Callable[..., Path]:
    """Makes a run's folder, `odd` by default, with changes to its files; `None` leaves a key out."""

    def make(name: str = "odd", environment: dict[str, Any] | None = None, results: Any = None) -> Path:
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        for file, base, changes in (("environment", ENVIRONMENT, environment), ("results", RESULTS, results)):
            content = changes if isinstance(changes, str) else json.dumps(changed(base, changes or {}))
            (folder / f"{file}.json").write_text(content)
        return folder

    return make


def changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (base | changes).items() if value is not LEFT_OUT}


LEFT_OUT: Any = object()
SOUND = "sound  finished  digits    42        50.00%         25.00%         650     640       2     1,000   3 s"


def row(stdout: str, name: str) -> list[str]:
    (line,) = (line for line in stdout.splitlines() if line.startswith(f"{name} "))
    return line.split()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "results", "cells", "note"),
    [
        ({}, {"f1": 0.5}, "finished digits 42 50.00% 25.00% 650", "results.json has, unknown here, `f1`"),
        ({}, {"test_accuracy": LEFT_OUT}, "finished digits 42 50.00% - 650", "results.json lacks `test_accuracy`"),
        (
            {},
            {"test_accuracy": "good"},
            "finished digits 42 50.00% - 650",
            "`test_accuracy` in runs/odd/results.json is the text 'good', which is not understood",
        ),
        ({"data": LEFT_OUT, "seed": LEFT_OUT}, {}, "finished - - 50.00% 25.00% 650", None),
        (
            {"seed": "x"},
            {},
            "finished digits - 50.00% 25.00% 650",
            "`seed` in runs/odd/environment.json is the text 'x', which is not understood",
        ),
    ],
)
def test_what_is_known_of_a_run_is_shown_and_the_rest_is_noted(
    run: Callable, kept: Callable, environment: dict, results: dict, cells: str, note: str | None
) -> None:
    kept("odd", environment, results)
    kept("sound")
    for arguments in ([], ["--sort", "-test_accuracy"], ["--sort", "seed"]):
        done = run("runs", *arguments)
        assert done.returncode == 0, done.stderr
        assert row(done.stdout, "odd")[1 : 1 + len(cells.split())] == cells.split()
        assert row(done.stdout, "sound")[1:6] == ["finished", "digits", "42", "50.00%", "25.00%"]
        said = "" if note is None else f"note: {note}\n" if note.startswith("`") else f"note: runs/odd/{note}\n"
        assert done.stderr == said


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00"])
def test_a_damaged_run_is_named_and_hides_no_other(run: Callable, kept: Callable, content: str) -> None:
    kept("odd", results=content or " ")
    kept("sound")
    done = run("runs")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)
    assert row(done.stdout, "sound")[1] == "finished"
    assert done.stderr == "note: the run runs/odd is left out: runs/odd/results.json is damaged\n"


@pytest.mark.slow
def test_a_finished_run_whose_results_are_not_understood_is_not_trained_over(run: Callable, kept: Callable) -> None:
    folder = kept("odd", results={"test_accuracy": LEFT_OUT})
    before = (folder / "results.json").read_text()
    done = run("train", "--resume", "odd")
    assert (done.returncode, done.stderr) == (
        2,
        "error: the run runs/odd is finished, but its results.json is incomplete\n"
        "  help: move that file away to test the run again: archspec train --resume runs/odd\n",
    )
    assert (folder / "results.json").read_text() == before


@pytest.mark.slow
@pytest.mark.parametrize(("missing", "command"), [("data_folder", "test"), ("data_folder", "resume")])
def test_what_another_version_did_not_keep_is_said(run: Callable, kept: Callable, missing: str, command: str) -> None:
    folder = kept("odd")
    (folder / "results.json").unlink()
    arguments = ["train", "--resume", "odd"] if command == "resume" else ["test", "odd"]
    done = run(*arguments)
    assert done.returncode == 2
    if command == "resume":
        assert done.stderr == (
            f"error: runs/odd/environment.json lacks `{missing}`: another version of archspec wrote it, or it was "
            "changed\n  help: train anew, or use the archspec that made the run\n"
        )
    else:
        assert done.stderr.startswith("error: the run runs/odd has no weights yet\n")

"""What is worth saying of a spec and no error: a word that is called otherwise now."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import archspec

NET = """archspec: 1
input: [3, 8, 8]
blocks:
  mine: {body: [relu, {tanh: , checkpoint: true}]}
network:
  - {conv: {out: 4, kernel: 1}, checkpoint: true}
  - {mine: , repeat: 2}
  - flatten
variants: {one: , two: }
"""
NOTES = (
    "net.yaml:4:32: note: `checkpoint` is now called `recompute`\n"
    "net.yaml:6:33: note: `checkpoint` is now called `recompute`\n"
)


def test_check_says_once_for_each_place_what_is_called_otherwise_now(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    done = run("check", "net.yaml", "net.yaml", "--format", "json")
    assert (done.returncode, done.stderr) == (0, NOTES)
    (tmp_path / "net.yaml").write_text(NET.replace("checkpoint", "recompute"))
    now = run("check", "net.yaml", "net.yaml", "--format", "json")
    assert (now.returncode, now.stderr) == (0, "")
    assert json.loads(done.stdout) == json.loads(now.stdout)


def test_train_and_build_say_it_too(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    done = run("train", "net.yaml", "--variant", "one", "--print-config")
    assert (done.returncode, done.stderr) == (0, NOTES)
    done = run("build", "net.yaml", "--variant", "two")
    assert (done.returncode, done.stderr) == (0, NOTES)


def test_a_former_name_means_what_the_name_means_now(tmp_path: Path) -> None:
    plans = []
    for text in (NET, NET.replace("checkpoint", "recompute")):
        (tmp_path / "net.yaml").write_text(text)
        spec = archspec.load(tmp_path / "net.yaml")
        plans.append([(one["path"], one["recompute"]) for one in spec.plan.to_dict()["layers"]])
    assert plans[0] == plans[1]
    assert [on for _, on in plans[0]] == [True, False, True, False, True, False]
    assert spec.notes == ()


def test_notes_of_a_spec_that_is_wrong_are_said_beside_its_errors(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET.replace("flatten", "flaten"))
    done = run("check", "net.yaml")
    assert done.returncode == 1
    assert done.stderr.endswith(NOTES)
    assert "error[name-unknown]" in done.stderr

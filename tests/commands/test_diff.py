"""`archspec diff`, as whole processes: files, variants, revisions of git, and what cannot be read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from archspec.cli import cli

NET = """archspec: 1
name: Net
input: [3, 8, 8]
vars: {width: 4}
network:
  stem: [{conv: {out: =width, kernel: 3, padding: 1}}, relu]
  head: [global_avg_pool, flatten, {linear: 10}]
variants:
  wide: {vars: {width: 8}}
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_variant_against_its_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    done = run("diff", "net.yaml", "net.yaml@wide")
    assert done.stdout == (
        "Net → Net (wide)\n"
        "~ stem.0  conv  out 4 → 8, +112 parameters, +6.91 KMACs\n"
        "= head.2  linear  input [4] → [8], +40 parameters, +40 MACs\n"
        "\n"
        "input       3×8×8\n"
        "output      10\n"
        "parameters  162 → 314 (+93.8%)\n"
        "MACs        6.95 K → 13.9 K (+100.0%)\n"
        "layers      5\n"
        "weights     1 of NEW load from OLD by name and shape; "
        "3 have another shape (stem.0.weight, stem.0.bias, head.2.weight)\n"
    )
    assert (done.stderr, done.returncode) == ("", 1)


@pytest.mark.parametrize("command", ["diff", "compare"])
def test_a_file_whose_name_has_an_at_sign(command: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "net@2.yaml").write_text(NET)
    done = run(command, "net@2.yaml", "net@2.yaml@wide")
    assert (done.stderr, done.returncode) == ("", 1 if command == "diff" else 0)
    assert "wide" in done.stdout


def test_another_text_of_the_same_network(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    (tmp_path / "other.yaml").write_text(NET.replace("stem:", "begin:  # the first layers\n    "))
    done = run("diff", "net.yaml", "other.yaml")
    assert done.stdout == (
        "Net and Net compute the same: 162 parameters, 6.95 KMACs\n"
        "layers with other paths: stem.0 → begin.0, and 1 more\n"
        "weights     2 of NEW load from OLD by name and shape; 2 are new (begin.0.weight, begin.0.bias); "
        "2 of OLD are left out (stem.0.weight, stem.0.bias)\n"
    )
    assert done.returncode == 0


def test_a_revision_of_git(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.yaml").write_text("archspec: 1\nextends: base.yaml\n")
    (tmp_path / "base.yaml").write_text(NET)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)
    assert run("diff", "HEAD:net.yaml", "net.yaml").returncode == 0
    (tmp_path / "base.yaml").write_text(NET.replace("relu", "tanh"))
    done = run("diff", "HEAD:net.yaml", "net.yaml", "--format", "json")
    found = json.loads(done.stdout)
    assert [(c["kind"], c["what"], c["old"], c["new"]) for c in found["changes"]] == [
        ("removed", "relu", "stem.1", None),
        ("added", "tanh", None, "stem.1"),
    ]
    assert (found["same"], done.returncode) == (False, 1)
    done = run("diff", "HEAD@{0}:net.yaml@wide", "HEAD@{0}:net.yaml")
    assert (done.stdout.splitlines()[0], done.stderr, done.returncode) == (
        "HEAD@{0}:net (wide) → HEAD@{0}:net",
        "",
        1,
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a@b.yaml").write_text(NET)
    (tmp_path / "sub" / "out.yaml").symlink_to("../net.yaml")
    for arguments in (["add", "."], ["commit", "-qm", "two"]):
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)
    done = run("diff", "HEAD:sub/a@b.yaml@wide", "HEAD:sub/out.yaml")
    assert done.stderr == "error: cannot read HEAD:sub/out.yaml: it is a link that leads out of its folder\n"
    done = run("diff", "HEAD:net", "net.yaml", "--format", "json")
    assert [one["message"] for one in json.loads(done.stdout)["errors"]] == [
        "cannot read HEAD:net: a file's name ends in .yaml"
    ]
    assert (done.stderr, done.returncode) == ("", 2)
    monkeypatch.chdir(tmp_path / "sub")  # FILE is seen from the folder in which one works
    for before, after in (("HEAD:a@b.yaml", "a@b.yaml"), ("HEAD:../net.yaml", "../net.yaml")):
        found = CliRunner().invoke(cli, ["diff", before, after])
        assert (found.stderr, found.exit_code) == ("", 0)
    done = run("diff", "HEAD:none.yaml", "net.yaml")
    assert done.stderr == "error: cannot read HEAD:none.yaml: the revision has no such spec file\n"
    done = run("diff", "never:net.yaml", "net.yaml")
    assert done.stderr == (
        "error: cannot read never:net.yaml: git knows no such revision, or it has no such folder\n"
        "  help: REVISION:FILE is a file as a revision of git has it, seen from this folder: `HEAD~1:net.yaml`\n"
    )
    assert done.returncode == 2


def test_what_is_no_spec(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    (tmp_path / "wrong.yaml").write_text(NET.replace("relu", "rleu"))
    done = run("diff", "net.yaml", "wrong.yaml")
    assert done.stderr == (
        "wrong.yaml:6:56: error[name-unknown]: there is no primitive or block `rleu`\n"
        "    6 |   stem: [{conv: {out: =width, kernel: 3, padding: 1}}, rleu]\n"
        "      |                                                        ^^^^\n"
        "  help: did you mean `relu`?\n"
    )
    assert (done.stdout, done.returncode) == ("", 2)
    done = run("diff", "net.yaml", "wrong.yaml", "--format", "json")
    assert [one["code"] for one in json.loads(done.stdout)["errors"]] == ["name-unknown"]
    done = run("diff", "net.yaml@wise", "net.yaml")
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.splitlines()[0] == "net.yaml:1:1: error[variant-unknown]: there is no variant `wise`"
    done = run("diff", "net.yaml", "none.yaml")
    assert done.stderr.startswith("error: cannot read none.yaml: there is no such file\n")
    assert done.returncode == 2

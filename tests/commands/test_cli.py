"""The command line as a person meets it: real processes in an empty folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from conftest import ROOT

import archspec
from archspec.cli import cli
from archspec.language.finder import bundled, variants

NET = """archspec: 1
name: Tiny
input: [1, 8, 8]
vars: {width: 4}
network:
  - conv: {out: =width, kernel: 3}
  - relu
  - flatten
  - linear: 10
variants:
  wide: {vars: {width: 8}}
"""


def test_check_prints_a_line_for_each_variant(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    done = run("check", "net.yaml", "resnet50")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "Tiny    -         1×8×8 → 10             1,490 parameters   2.74 KMACs\n"
        "Tiny    wide      1×8×8 → 10             2,970 parameters   5.47 KMACs\n"
        "ResNet  resnet50  3×224×224 → 1000  25,557,032 parameters  4.089 GMACs\n"
    )


def test_all_bundled_specs_are_sound(run: Callable) -> None:
    done = run("check", *bundled())
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len(bundled()) + len(variants())


def test_check_goes_on_after_a_file_that_is_wrong(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(NET.replace("linear", "lineal"))
    (tmp_path / "net.yaml").write_text(NET)
    done = run("check", "wrong.yaml", "net.yaml")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == (
        "wrong.yaml:9:5: error[name-unknown]: there is no primitive or block `lineal`\n"
        "    9 |   - lineal: 10\n"
        "      |     ^^^^^^\n"
        "  help: did you mean `linear`?\n"
    )


@pytest.mark.slow
def test_json_has_both_keys_always(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    done = run("check", "net.yaml", "quite-other.yaml", "--format", "json")
    assert done.returncode == 2
    assert json.loads(done.stdout) == {
        "results": [
            {
                "spec": "net.yaml",
                "name": "Tiny",
                "variant": variant,
                "input": [1, 8, 8],
                "inputs": {"input": [1, 8, 8]},
                "output": [10],
                "outputs": {},
                "aux": {},
                "params": params,
                "macs": macs,
                "layers": 4,
            }
            for variant, params, macs in ((None, 1490, 36 * 4 * 9 + 1440), ("wide", 2970, 36 * 8 * 9 + 2880))
        ],
        "errors": [
            {
                "code": "usage",
                "message": "cannot read quite-other.yaml: there is no such file",
                "file": None,
                "line": None,
                "column": None,
                "path": "",
                "help": None,
            }
        ],
    }
    built = json.loads(run("build", "net.yaml", "--variant", "wide", "--format", "json").stdout)
    assert [result["params"] for result in built["results"]] == [2970]
    assert built["errors"] == []


@pytest.mark.slow
def test_torchinfos_table_is_of_the_real_module(run: Callable) -> None:
    done = run("build", "googlenet", "--torchinfo")
    assert (done.returncode, done.stderr) == (0, "")
    first, *table = done.stdout.splitlines()
    assert first == "GoogLeNet (small)  -  3×32×32 → 10  260,650 parameters  79.6 MMACs"
    assert "Total params: 260,650" in table
    assert any("Concat (0)" in line for line in table)


@pytest.mark.slow
def test_summary_fails_loudly_if_it_disagrees_with_the_plan(tmp_path: Path) -> None:
    """The plan is given a wrong count: the command must not print a table beside it."""
    code = """
import sys
from archspec.layers.primitives.linear import Linear
sound = Linear.parameters
Linear.parameters = lambda *a: sound(*a) | {"extra": (1,)}
sys.argv = ["archspec", "build", "resnet", "--summary", "--set", "num_classes=11"]
from archspec.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 70
    assert done.stdout == ""
    assert done.stderr.startswith(
        "error: archspec failed at something it should not fail at: AssertionError: "
        "the plan has 272,444 parameters, but the module 272,443\n  help: this is a fault of archspec;"
    )
    report = Path(done.stderr.strip().rsplit(" ", 1)[1])
    assert "Traceback" in report.read_text()
    report.unlink()


@pytest.mark.slow
def test_saved_weights_are_the_modules_and_nothing_is_overwritten(run: Callable, tmp_path: Path) -> None:
    import torch

    assert run("build", "digits", "--save", "w.pt").stdout.endswith("initial weights saved to w.pt\n")
    weights = torch.load(tmp_path / "w.pt", weights_only=True)
    assert archspec.build("digits").load_state_dict(weights)
    again = run("build", "digits", "--save", "w.pt")
    assert again.returncode == 2
    assert again.stderr == "error: w.pt exists already\n  help: remove it, or save under another name\n"
    assert sorted(os.listdir(tmp_path)) == ["w.pt"]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (
            ["check", "resnet51"],
            2,
            "error[usage]: there is no bundled spec `resnet51`\n  help: did you mean `resnet50`?\n",
        ),
        (
            ["check", "./nte.yaml"],
            2,
            "error[usage]: cannot read ./nte.yaml: there is no such file\n  help: did you mean `net.yaml`?\n",
        ),
        (
            ["check", "imagenet/resnet@resnet50"],
            2,
            "error[usage]: there is no bundled spec `imagenet/resnet@resnet50`\n"
            "  help: `SPEC@VARIANT` is for `compare` and `diff`; here, write `imagenet/resnet --variant resnet50`\n",
        ),
        (
            ["check", "."],
            2,
            "error[usage]: there is no bundled spec `.`\n  help: . is a folder: name a file in it, which ends in .yaml\n",
        ),
        (
            ["build", "net.yaml", "--variant", "wied"],
            1,
            "net.yaml:1:1: error[variant-unknown]: there is no variant `wied`\n"
            "    1 | archspec: 1\n      | ^\n  help: did you mean `wide`?\n",
        ),
        (
            ["build", "net.yaml", "--set", "widht=3"],
            1,
            "--set:1:1: error[variable-unknown]: the spec has no variable `widht`\n"
            "    1 | widht=3\n      | ^^^^^\n  help: did you mean `width`?\n",
        ),
        (
            ["build", "net.yaml", "--set", "width=wide"],
            1,
            "net.yaml:6:17: error[formula-type]: `out` of `conv` must be an integer ≥ 1, not the text 'wide'\n"
            "    `width` is the text 'wide', from --set width:1:1\n"
            "    6 |   - conv: {out: =width, kernel: 3}\n      |                 ^^^^^^\n",
        ),
        (
            ["build", "net.yaml", "--set", "train.epochs=many"],
            1,
            "--set train.epochs:1:1: error[type-mismatch]: `train.epochs` must be an integer ≥ 1, not the text 'many'\n"
            "    1 | many\n      | ^^^^\n",
        ),
        (
            ["build", "net.yaml", "--set", "width"],
            1,
            "--set:1:1: error[node-form]: a setting is `name=value`\n"
            "    1 | width\n      | ^^^^^\n  help: for example `--set train.epochs=3`\n",
        ),
        (["build", "digits", "--save", "no/w.pt"], 2, None),
        (
            ["build", "digits", "--summary", "--format", "json"],
            2,
            "error: --summary is for people: it does not go with --format json\n",
        ),
        (
            ["explain", "convv"],
            2,
            "error: there is no word `convv` in the language\n  help: did you mean `conv`?\n",
        ),
        (["chekc", "net.yaml"], 2, None),
        (["check"], 2, None),
        (["check", "net.yaml", "--format", "xml"], 2, None),
        (
            ["train", "net.yaml", "--data", "digit"],
            2,
            "error: there is no data set `digit`\n  help: did you mean `digits`?\n",
        ),
        (["train", "net.yaml", "--epochs", "0"], 2, None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes(run: Callable, tmp_path: Path, arguments: list[str], status: int, says: str | None) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    done = run(*arguments)
    assert done.returncode == status
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr == says or (says is None and done.stderr)
    assert sorted(os.listdir(tmp_path)) == ["net.yaml"]


def test_settings_reach_variables_and_dotted_paths(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    for setting, params in (("width=8", 2970), ("input=[1, 6, 6]", 40 + 650), ("defaults.conv.bias=false", 1486)):
        done = run("check", "net.yaml", "--set", setting, "--format", "json")
        assert json.loads(done.stdout)["results"][0]["params"] == params, setting


def test_a_list_in_a_pipe_has_a_line_for_each() -> None:
    done = CliRunner().invoke(cli, ["list", "specs"])
    lines = done.stdout.splitlines()
    assert (done.exit_code, lines[0]) == (0, "Specs:")
    assert [line.split()[0] for line in lines[1:]] == list(bundled())
    text = (ROOT / "specs/imagenet/vit.yaml").read_text(encoding="utf-8")
    (vit,) = (line for line in lines if line.startswith("  imagenet/vit "))
    assert vit.split(maxsplit=1)[1] == (
        f"{yaml.safe_load(text)['description']} Variants: vit_b_16, vit_b_32, vit_l_16, vit_l_32, vit_h_14."
    )


def test_a_list_for_programs_has_all_that_there_is() -> None:
    found = json.loads(CliRunner().invoke(cli, ["list", "--format", "json"]).stdout)
    assert list(found) == ["specs", "primitives", "blocks"]
    assert found["specs"][0] == {
        "name": "densenet",
        "description": yaml.safe_load((ROOT / "specs/densenet.yaml").read_text(encoding="utf-8"))["description"],
        "variants": [],
    }
    files = sorted(file.stem for file in (ROOT / "archspec/layers/blocks").glob("*.yaml"))
    assert [one["name"] for one in found["blocks"]] == files


@pytest.mark.slow
def test_list_and_explain_know_everything(run: Callable) -> None:
    from archspec.language.vocabulary import library_names
    from archspec.layers.registry import primitives

    join_words = run("list").stdout
    for name in (*bundled(), *primitives(), *library_names(), "resnet152"):
        assert name in join_words
        if name in primitives() or name in library_names():
            done = CliRunner().invoke(cli, ["explain", name])
            assert (done.exit_code, done.stderr) == (0, "")
            assert done.stdout.startswith(f"{name}: ")
            assert "example" in done.stdout
    assert run("list", "blocks").stdout.startswith("Blocks:\n  bottleneck  ")
    assert run("explain", "shape-mismatch").stdout == (
        "error[shape-mismatch]: the branches of a merge have shapes that do not fit\n"
        "\n"
        "wrong:\n"
        "  network: [{add: {main: [{conv: {out: 8, kernel: 1}}], shortcut: []}}]\n"
        "\n"
        "right:\n"
        "  network: [{add: {main: [{conv: {out: 8, kernel: 1}}], shortcut: [{conv: {out: 8, kernel: 1}}]}}]\n"
    )


def test_bundled_specs_are_found_from_any_folder_and_files_by_their_path(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "googlenet.yaml").write_text(NET)
    assert "GoogLeNet (small)" in run("check", "googlenet").stdout
    assert "Tiny" in run("check", "./googlenet.yaml").stdout
    assert "Tiny" in run("check", "googlenet.yaml").stdout


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m archspec schema | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


@pytest.mark.slow
def test_interrupting_ends_with_130(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "archspec", "train", "--epochs", "1000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    deadline = time.monotonic() + 120
    while "epoch 1/" not in (line := process.stdout.readline()):
        assert line, process.communicate()[1]
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.startswith("stopped by SIGINT: saved ")
    assert errors.endswith("  help: resume it: archspec train --resume runs/digits\n")

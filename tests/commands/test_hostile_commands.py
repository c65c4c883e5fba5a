"""The command line where outputs are closed, files are none, memory is short and names are made to mislead."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import ROOT

import archspec
from archspec.cli import cli
from archspec.commands.build import _memory_limits
from archspec.spec import from_dict

NET = "archspec: 1\ninput: [3, 8, 8]\nnetwork: [relu]\n"
SHOWN = "net  -  3×8×8 → 3×8×8  0 parameters  0 MACs\n"


def shell(command: str, folder: Path, env: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess[str]:
    """A command of a shell in which `archspec` is ours."""
    script = f'archspec() {{ "{sys.executable}" $O -m archspec "$@"; }}\n{command}'
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={**env, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(("spec", "status"), [("net.yaml", 0), ("wrong.yaml", 1), ("none.yaml", 2)])
def test_the_status_is_the_specs_whoever_reads(spec: str, status: int, unbuffered: str, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    (tmp_path / "wrong.yaml").write_text(NET.replace("relu", "rleu"))
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    for redirected in ("| true", ">&-", "2>&-", ">&- 2>&-", "<&-"):
        done = shell(
            f"(archspec check {spec} {redirected.strip('| true')}; echo $? >status) {'| true' * ('|' in redirected)}",
            tmp_path,
            env,
        )
        assert (tmp_path / "status").read_text() == f"{status}\n", redirected
        assert "Traceback" not in done.stderr
        assert "fault of archspec" not in done.stderr


def test_what_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    done = shell("archspec check net.yaml >/dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (2, "error: No space left on device\n")


def test_nothing_more_is_drawn_than_is_read(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET.replace("relu", "{conv: {out: =width, kernel: 1}}") + "vars: {width: 3}\n")
    (tmp_path / "space.yaml").write_text("width: {from: 1, to: 1000000}\n")
    done = shell("archspec sample net.yaml --space space.yaml --count 1000000 | head -1", tmp_path)
    assert done.stdout.startswith('{"vars": {"width": ')
    (rate,) = done.stderr.splitlines()
    assert int(rate.partition(" of ")[0].replace(",", "")) < 1000


def test_nothing_hangs_on_pythons_checks_and_warnings(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET + "vars: {x: '=1if 1 is 1 else 2', y: [{params: 0}]}\nexpect: '=y[0]'\n")
    plain, optimised = (shell(f"O={option}; archspec check net.yaml", tmp_path) for option in ("-Walways", "-O"))
    assert (plain.returncode, plain.stdout, plain.stderr) == (optimised.returncode, optimised.stdout, optimised.stderr)
    assert plain.returncode == 1
    assert "Warning" not in plain.stderr


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    odd = "it is a FIFO, socket or device, not a file"
    for command, says in (
        ("check fifo.yaml", f"error[usage]: cannot read fifo.yaml: {odd}"),
        ("check zero.yaml", f"error[usage]: cannot read zero.yaml: {odd}"),
        ("check folder.yaml", "error[usage]: cannot read folder.yaml: it is a folder"),
        ("train net.yaml --recipe fifo.yaml", f"error: cannot read fifo.yaml: {odd}"),
        ("train net.yaml --recipe folder.yaml", "error: cannot read folder.yaml: it is a folder"),
        ("check net.yaml --plugin fifo.yaml", f"error: cannot read the plugin fifo.yaml: {odd}"),
    ):
        done = shell(f"archspec {command}", tmp_path)
        assert (done.returncode, done.stderr.splitlines()[0]) == (2, says)


def test_a_folder_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    done = shell("archspec summary mine", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "error: there is no bundled spec `mine`\n  help: mine is a folder: name a file in it, which ends in .yaml\n",
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["summary", "net"], "there is no bundled spec `net`\n  help: did you mean `net.yaml`?"),
        (["summary", "LeNet5"], "there is no bundled spec `LeNet5`\n  help: did you mean `fashion/lenet5`?"),
        (["summary", "vgg"], "there is no bundled spec `vgg`\n  help: there are `fashion/vgg`, `imagenet/vgg`"),
        (
            ["build", "digits", "--save", "-"],
            "weights are saved to a file\n  help: give its path: --save net.safetensors",
        ),
        (["summary", "net.yaml@"], "there is no bundled spec `net.yaml@`\n  help: did you mean `net.yaml`?"),
        (
            ["summary", "resnet18", "--variant", "resnet34"],
            "`resnet18` is a variant itself; it has no variant `resnet34`\n  help: write `resnet34` alone",
        ),
        (
            ["fit", "resnet18", "--variant", "resnet3", "--vary", "depths", "--params", "1M"],
            "`resnet18` is a variant itself; it has no variant `resnet3`\n  help: did you mean `resnet34`?",
        ),
    ],
)
def test_what_may_be_meant_by_a_name_is_said(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(NET)
    raised = CliRunner().invoke(cli, arguments, standalone_mode=False).exception
    assert (type(raised), str(raised)) == (archspec.UsageError, says)


def test_a_mask_counts_in_memory_and_the_limit_in_force_holds(tmp_path: Path) -> None:
    network = "[{window_attention: {heads: 1, window: 64, shift: 32}}]"
    (tmp_path / "net.yaml").write_text(f"archspec: 1\ninput: [8, 512, 512]\nnetwork: {network}\n")
    done = shell("ulimit -v 8000000; archspec build net.yaml", tmp_path)
    assert done.returncode == 2
    # a mask of 64 windows, 4096 × 4096 numbers of 4 bytes each, made of another one
    assert done.stderr == (
        "error: net needs 9 GB for its 16,417 parameters, buffers and largest tensors; this process may have 8 GB\n"
    )


def test_the_limits_of_control_groups_are_looked_up_to_the_root(tmp_path: Path) -> None:
    groups = tmp_path / "groups"
    groups.write_text("0::/a/b\n5:cpu:/c\n7:memory:/d\n")
    assert list(_memory_limits("/r", str(groups))) == [
        "/r/a/b/memory.max",
        "/r/a/memory.max",
        "/r/memory.max",
        "/r/memory/d/memory.limit_in_bytes",
        "/r/memory/memory.limit_in_bytes",
    ]
    assert list(_memory_limits("/r", str(tmp_path / "none"))) == []


@pytest.mark.parametrize("raised", ["MemoryError()", 'RuntimeError("DefaultCPUAllocator: can\'t allocate memory")'])
def test_too_little_memory_is_no_fault_of_ours(raised: str, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    code = f"""
import sys
import archspec.spec
def fail(*_, **__):
    raise {raised}
archspec.spec.open_file = fail
sys.argv = ["archspec", "check", "net.yaml"]
from archspec.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "error: there is not enough memory\n  help: a smaller network, input or batch needs less\n"


def test_names_stay_in_their_line_and_command_no_terminal(run: Callable, tmp_path: Path) -> None:
    name = "a\x1b[31m\nb.yaml"
    (tmp_path / name).write_text(NET + 'variants: {"v\\e[1m\\n0\\0": }\n')
    done = run("check", name)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["a\\x1b[31m\\nb"] * 2
    assert "  v\\x1b[1m\\n0\\x00  " in lines[1]
    for arguments in (
        ["check", "x\x1b\ny"],
        ["check", "x\x1b\ny.yaml"],
        ["ch\x1b\neck"],
        ["build", name, "--save", "no\x1b\n/x"],
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert "\x1b" not in done.stderr
        assert "\\x1b\\n" in done.stderr
    done = run("build", name, "--variant", "v\x1b\n")
    assert "there is no variant `v\\x1b\\n`" in done.stderr.splitlines()[0]


def test_a_name_is_one_line(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text("name: |\n  forged\n" + NET)
    done = run("check", "net.yaml")
    assert done.returncode == 1
    assert "error[out-of-range]: `name` must be a line of text, not the text 'forged\\n'" in done.stderr


PLUGIN = """
from torch import nn
from archspec.primitive import Primitive
class Odd(Primitive):
    name, doc = "odd", "Odd."
    def output(self, arguments, shape):
        return OUTPUT
    def macs(self, arguments, shape, output):
        return MACS
    def module(self, arguments, shape):
        class Module(nn.Module):
            def forward(self, input):
                raise KeyError("lost")
        return Module()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("output", "macs", "status", "says"),
    [
        ("shape", "0", 2, "error: `odd` of the plugin odd.py cannot take its input 3×8×8: KeyError: 'lost' ("),
        ("(10**5000,)", "0", 1, "`odd` of the plugin odd.py gives a tuple that cannot be shown as its output's shape"),
        ("shape", "10**5000", 1, "`odd` of the plugin odd.py gives a int that cannot be shown as its MACs"),
        ("(2**70,)", "0", 1, "`odd` of the plugin odd.py gives (1180591620717411303424,) as its output's shape"),
    ],
)
def test_a_plugins_fault_is_the_plugins(
    output: str, macs: str, status: int, says: str, run: Callable, tmp_path: Path
) -> None:
    (tmp_path / "odd.py").write_text(PLUGIN.replace("OUTPUT", output).replace("MACS", macs))
    (tmp_path / "net.yaml").write_text(NET.replace("relu", "odd"))
    done = run("build", "net.yaml", "--torchinfo", "--plugin", "odd.py")
    assert done.returncode == status
    assert says in done.stderr
    assert "fault of archspec" not in done.stderr


def cyclic() -> list[Any]:
    data: list[Any] = []
    data += [data, data, data]
    return data


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("nan"), "`nan` is not a finite number"),
        (float("-inf"), "`-inf` is not a finite number"),
        (10**5000, "a number is too large: it is 2⁶³ or more"),
        (-(10**5000), "a number is too large: it is 2⁶³ or more"),
        ({1: 2}, "the keys of a mapping are texts, but one is of int"),
        ({None: 2}, "the keys of a mapping are texts, but one is of NoneType"),
        (object(), "object is not a value of a spec"),
        (b"x", "bytes is not a value of a spec"),
        ({3}, "set is not a value of a spec"),
        (cyclic(), "the data are nested more than 60 deep"),
        ([[0] * 1000] * 1000, "the data hold more than 100,000 values"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_data_are_refused_in_words(value: Any, says: str) -> None:
    from archspec.foundation.errors import SpecError

    with pytest.raises(SpecError) as caught:
        from_dict({"archspec": 1, "input": [3, 8, 8], "vars": {"x": value}, "network": ["relu"]})
    assert [one.message for one in caught.value.diagnostics] == [says]


def test_arrays_are_no_data_of_a_spec() -> None:
    import numpy
    import torch

    from archspec.foundation.errors import SpecError

    for array in (numpy.zeros(3), torch.zeros(2, 2)):
        with pytest.raises(SpecError, match=f"{type(array).__name__} is not a value of a spec"):
            from_dict({"archspec": 1, "input": array, "network": ["relu"]})
    assert from_dict({"archspec": 1, "input": [numpy.int64(3), 8, 8], "network": ["relu"]}).plan.input == (3, 8, 8)


def test_a_spec_may_come_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(NET)
    given = io.BytesIO(b"archspec: 1\nextends: net.yaml\nnetwork: [flatten]\nvariants: {wide: {input: [3, 9, 9]}}\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given))
    assert archspec.load("-").plan.output == (192,)
    assert archspec.load("-", "wide").plan.output == (243,)  # it is read once
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(NET.replace("relu", "rellu").encode())))
    with pytest.raises(archspec.SpecError, match=r"^standard input:3:11: error") as raised:
        archspec.load("-")
    assert raised.value.diagnostics[0].help == "did you mean `relu`?"


def test_nothing_is_written_to_standard_input_and_words_are_cut(run: Callable) -> None:
    done = run("serve", "-")
    said = "error: the page writes to a file, and standard input is none\n  help: give the file's path\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
    assert str(archspec.UsageError("x" * 100_000)) == "x" * 19_999 + "…"

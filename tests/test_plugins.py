"""Primitives from outside: a file given by --plugin, an installed package, and what either can do wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from archspec.foundation.errors import SpecError, UsageError
from archspec.layers.registry import primitives
from archspec.plugins import load_plugin
from archspec.spec import from_dict

PLUGIN = '''
from archspec.arguments import Argument, integer
from archspec.primitive import Primitive


class Widen(Primitive):
    """Says nothing of its shapes: they are measured."""

    name = "widen"
    doc = "A convolution that multiplies the channels."
    arguments = (Argument("factor", integer(1), 2, "how many times as many"),)

    def module(self, arguments, shape):
        from torch import nn

        return nn.Conv2d(shape[0], arguments["factor"] * shape[0], 3)


class Halve(Primitive):
    name = "halve"
    doc = "Every second row and column."

    def output(self, arguments, shape):
        return (shape[0], *(-(-size // 2) for size in shape[1:]))

    def module(self, arguments, shape):
        from torch import nn

        return nn.MaxPool2d(1, 2)
'''
SPEC = "archspec: 1\ninput: [3, 32, 32]\nnetwork: [{node}]\n"


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., None]:
    def write(name: str = "plugin.py", text: str = PLUGIN, node: str = "widen") -> None:
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / "net.yaml").write_text(SPEC.replace("{node}", node), encoding="utf-8")

    return write


@pytest.mark.slow
def test_a_primitive_without_a_shape_rule_is_measured_and_check_says_so(run: Callable, file: Callable) -> None:
    file(node="{widen: 3}, halve, {widen: {factor: 1}}")
    done = run("check", "net.yaml", "--plugin", "plugin.py", "--format", "json")
    assert done.stderr == "note: torch was loaded to measure `widen`, which no shape rule is given for\n"
    (result,) = json.loads(done.stdout)["results"]
    assert result["output"] == [9, 13, 13]
    assert result["params"] == (3 * 9 * 9 + 9) + (9 * 9 * 9 + 9)
    assert result["macs"] == 30 * 30 * 9 * 27 + 13 * 13 * 9 * 81
    built = run("build", "net.yaml", "--plugin", "plugin.py", "--summary")
    assert (built.returncode, built.stderr) == (0, "")
    assert built.stdout.splitlines()[0] == "net  -  3×32×32 → 9×13×13  990 parameters  342 KMACs"
    assert built.stdout.splitlines()[-2:] == [
        "note: `widen` does not say what it keeps: its input and output are counted",
        "note: `halve` does not say what it keeps: its input and output are counted",
    ]


def test_a_primitive_with_a_shape_rule_needs_no_torch(run: Callable, file: Callable) -> None:
    file(node="halve, halve")
    done = run("check", "net.yaml", "--plugin", "plugin.py")
    assert done.stdout == "net  -  3×32×32 → 3×8×8  0 parameters  0 MACs\n"
    assert done.stderr == ""


@pytest.mark.slow
def test_its_arguments_are_typed_and_it_is_explained(run: Callable, file: Callable) -> None:
    file(node="{widen: {factor: 0}}, {widen: {fctor: 2}}")
    done = run("check", "net.yaml", "--plugin", "plugin.py")
    assert done.returncode == 1
    assert "`factor` of `widen` must be an integer ≥ 1, not the number 0" in done.stderr
    assert "`widen` has no argument `fctor`" in done.stderr
    explained = run("explain", "widen", "--plugin", "plugin.py").stdout
    assert "widen: A convolution that multiplies the channels." in explained
    assert "factor  how many times as many; an integer ≥ 1; default 2" in explained
    assert "widen" in run("list", "primitives", "--plugin", "plugin.py").stdout
    assert "call_widen" in run("schema", "--plugin", "plugin.py").stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def broken(:\n", "the plugin plugin.py cannot be loaded: SyntaxError: invalid syntax ("),
        ("import nothing_of_the_kind\n", "the plugin plugin.py cannot be loaded: ModuleNotFoundError: No module named 'nothing_of_the_kind' ("),
        ("x = 1\n", "the plugin plugin.py defines no primitive\n  help: define a class derived from `archspec.primitive.Primitive`"),
        (PLUGIN.replace('"halve"', '"conv"'), "the plugin plugin.py cannot be used: `conv` cannot name a primitive: it is a primitive"),
        (PLUGIN.replace('"halve"', '"resnet"'), "the plugin plugin.py cannot be used: `resnet` cannot name a primitive: it is a block of the library"),
        (PLUGIN.replace('"halve"', '"save"'), "the plugin plugin.py cannot be used: `save` cannot name a primitive: it is a word of the language"),
        (PLUGIN.replace("integer(1), 2", "integer(1), 0"), "the plugin plugin.py cannot be used: the default of `factor` of `widen`: `factor` must be an integer ≥ 1, not the number 0"),
        (PLUGIN.replace("def module", "def modul"), "the plugin plugin.py cannot be used: its class `Widen` lacks `module` (line 6)\n"),
    ],
)  # fmt: skip
def test_a_plugin_that_cannot_be_used_is_named(run: Callable, file: Callable, text: str, says: str) -> None:
    file(text=text)
    done = run("check", "net.yaml", "--plugin", "plugin.py")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {says}")
    assert "Traceback" not in done.stderr


def test_a_plugin_that_is_no_file(run: Callable, file: Callable) -> None:
    file("notes.txt")
    assert (
        run("check", "net.yaml", "--plugin", "no.py").stderr
        == "error: cannot read the plugin no.py: there is no such file\n"
    )
    assert run("check", "net.yaml", "--plugin", "notes.txt").stderr == (
        "error: cannot read the plugin notes.txt: it is no Python file\n  help: its name ends in .py\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("shape[0], *(", "shape[0] // 0, *(", "`halve` of the plugin plugin.py failed: ZeroDivisionError: "),
        ("(shape[0], *(-(-size // 2) for size in shape[1:]))", "'wide'", "`halve` of the plugin plugin.py gives 'wide' as its output's shape"),
        ("(shape[0], *(-(-size // 2) for size in shape[1:]))", "(0, 1.5)", "`halve` of the plugin plugin.py gives (0, 1.5) as its output's shape"),
    ],
)  # fmt: skip
def test_a_shape_rule_that_fails_is_an_error_of_the_spec(
    run: Callable, file: Callable, old: str, new: str, says: str
) -> None:
    assert old in PLUGIN
    file(text=PLUGIN.replace(old, new), node="halve")
    done = run("check", "net.yaml", "--plugin", "plugin.py")
    assert done.returncode == 1
    assert done.stderr.startswith(f"net.yaml:3:11: error[plugin-failed]: {says}")


@pytest.mark.slow
def test_a_measured_primitive_that_cannot_take_its_input(run: Callable, file: Callable) -> None:
    file(node="flatten, widen")
    done = run("check", "net.yaml", "--plugin", "plugin.py")
    assert done.stderr.startswith("net.yaml:3:20: error[input-shape]: `widen` cannot take its input 3072: ")


@pytest.mark.slow
def test_a_module_that_is_not_what_was_said(run: Callable, file: Callable) -> None:
    file(text=PLUGIN.replace("nn.MaxPool2d(1, 2)", "nn.Conv2d(3, 3, 1)"), node="halve")
    done = run("build", "net.yaml", "--plugin", "plugin.py")
    assert done.returncode == 2
    assert done.stderr == (
        "error: `halve` of the plugin plugin.py says that its parameters are none, but its module has weight 3×3×1×1, bias 3 (line 26)\n"
    )


@pytest.mark.slow
def test_a_module_that_gives_another_shape_than_was_said(run: Callable, file: Callable) -> None:
    file(text=PLUGIN.replace("nn.MaxPool2d(1, 2)", "nn.MaxPool2d(1, 4)"), node="halve")
    done = run("build", "net.yaml", "--plugin", "plugin.py")
    assert (done.returncode, done.stderr) == (
        2,
        "error: `halve` of the plugin plugin.py says that 3×32×32 becomes 3×16×16, but its module gives 3×8×8 (line 23)\n",
    )


def test_a_plugin_given_twice(run: Callable, file: Callable) -> None:
    file()
    done = run("check", "net.yaml", "--plugin", "plugin.py", "--plugin", "plugin.py")
    assert (done.returncode, done.stderr) == (
        2,
        "error: the plugin plugin.py cannot be used: `widen` cannot name a primitive: it is a primitive (line 6)\n"
        "  help: choose another name\n",
    )


@pytest.mark.slow
def test_an_installed_package_is_found_where_a_name_is_unknown(run: Callable, file: Callable, tmp_path: Path) -> None:
    file("their_layers.py", node="{widen: 3}, halve")
    site = tmp_path / "site"
    info = site / "their_layers-1.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "their_layers.py").rename(site / "their_layers.py")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-layers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[archspec.primitives]\nlayers = their_layers\n")
    path = str(site)
    done = run("check", "net.yaml", PYTHONPATH=path)
    assert done.stdout == "net  -  3×32×32 → 9×15×15  252 parameters  219 KMACs\n"
    assert "widen" in run("list", PYTHONPATH=path).stdout
    assert run("explain", "widen", PYTHONPATH=path).returncode == 0
    assert run("check", "net.yaml").returncode == 1
    (info / "entry_points.txt").write_text("[archspec.primitives]\nlayers = nowhere_to_be_found\n")
    done = run("check", "net.yaml", PYTHONPATH=path)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error[usage]: the plugin `nowhere_to_be_found` of their-layers cannot be loaded: ModuleNotFoundError: No module "
    )


HELD = """
import torch
from archspec.primitive import Primitive


class Odd(Primitive):
    name = "odd"
    doc = "Not what it should be."

    def module(self, arguments, shape):
        return torch.nn.Identity()
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys; sys.exit(3)", "the plugin odd.py cannot be loaded: SystemExit: 3"),
        (HELD + "    weights = 3\n", "the plugin odd.py cannot be used: the `weights` of `odd` are not all texts"),
        (HELD + "    examples = [1]\n", "the plugin odd.py cannot be used: the `examples` of `odd` are not all texts"),
        (HELD + "    @property\n    def rule(self): return 1 / 0\n", "cannot be used: ZeroDivisionError"),
        (HELD + "    def macs(self, *_): return None\n    def output(self, *_): return (3, 32, 32)\n", "gives None as its MACs"),
        (HELD + "    def macs(self, *_): return 0.5\n    def output(self, *_): return (3, 32, 32)\n", "gives 0.5 as its MACs"),
        (HELD + "    def output(self, *_): return ()\n", "gives () as its output's shape"),
        (HELD + "    def output(self, *_): raise SystemExit(0)\n", "failed: SystemExit: 0"),
        (HELD.replace("torch.nn.Identity()", "None"), "gives a NoneType as its module"),
        (HELD.replace("torch.nn.Identity()", "None") + "    def output(self, *_): return (3,)\n", "gives a NoneType as its module"),
        (HELD.replace("Identity()", "MaxPool1d(2, return_indices=True)"), "has a module that gives a tuple (line 10)"),
        (HELD.replace("Identity()", "MaxPool1d(2, return_indices=True)") + "    def output(self, *_): return (3,)\n", "gives a tuple"),
    ],
)  # fmt: skip
def test_whatever_a_plugin_does_is_said_of_it(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd.py").write_text(text, encoding="utf-8")

    def used() -> None:
        load_plugin("odd.py")
        from_dict({"archspec": 1, "input": [3, 32, 32], "network": [{"reshape": [96, 32]}, "odd"]}).build()

    try:
        with pytest.raises((UsageError, SpecError), match=re.escape(said)):
            used()
    finally:
        primitives().pop("odd", None)

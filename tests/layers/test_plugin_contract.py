"""What a class of a plugin says wrongly, or does: each is said with the plugin's name and the line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archspec.foundation.errors import SpecError, UsageError
from archspec.layers.registry import primitives
from archspec.plugins import load_plugin
from archspec.spec import from_dict

CLASS = """
import torch
from archspec.arguments import Argument, boolean, integer
from archspec.primitive import Primitive


class Odd(Primitive):
    name = "odd"
    doc = "Not what it should be."
    arguments = (Argument("factor", integer(1), 2, "by how much"),)

    def output(self, arguments, shape):
        return shape

    def module(self, arguments, shape):
        return torch.nn.Identity()
"""
"""The class begins in line 7, its attributes in 8, `output` in 12, `module` in 15; what is appended in 17."""
MEASURED = CLASS.replace("    def output(self, arguments, shape):\n        return shape\n\n", "")
"""`module` is in line 12."""
NETWORK = {"archspec": 1, "input": [3, 8, 8], "network": ["odd", {"conv": {"out": 2, "kernel": 3}}, "odd"]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    known = dict(primitives())
    yield
    primitives().clear()
    primitives().update(known)


def use(text: str, step: Callable[[Any], object] = lambda spec: None) -> str:
    """What is said of a plugin where it is loaded, or used."""
    Path("odd.py").write_text(text, encoding="utf-8")

    def load_and_use() -> None:
        load_plugin("odd.py")
        step(from_dict(NETWORK))

    with pytest.raises((UsageError, SpecError)) as caught:
        load_and_use()
    return str(caught.value).replace(f"{Path.cwd()}/", "")


ARGUMENT = 'Argument("factor", integer(1), 2, "by how much")'
TYPES = "\n  help: its types are made by the functions of `archspec.arguments`: `integer(1)`, `boolean()`"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('    name = "odd"\n', "", "its class `Odd` needs a `name`, a text (line 7)"),
        ('"odd"', "3", "its class `Odd` needs a `name`, a text (line 7)"),
        ('"odd"', '"relu"', "`relu` cannot name a primitive: it is a primitive (line 7)\n  help: choose another name"),
        ('    doc = "Not what it should be."\n', "", "`odd` needs a `doc`: what it does, in a line (line 7)"),
        ("def module", "def modul", "its class `Odd` lacks `module` (line 7)"),
        (
            "class Odd(",
            "class Even(Primitive):\n    name = 'odd'\n\n\nclass Odd(",
            "its class `Even` lacks `module` (line 7)",
        ),
        (
            "return torch.nn.Identity()",
            "return torch.nn.Identity()\n\n\nclass More(Odd):\n    pass",
            "two of its classes are called `odd` (line 7)\n"
            "  help: a class for others begins with `_`; each has a `name` of its own",
        ),
        ("doc =", "rule = 3\n    doc =", "the `rule` of `odd` is 3, not a text (line 7)"),
        ("doc =", "pointwise = 'no'\n    doc =", "`pointwise` of `odd` is 'no', not True or False (line 7)"),
        ("doc =", "example_input = 'a'\n    doc =", "the `example_input` of `odd` is no tuple of integers from 1 (line 7)"),
        (
            f"({ARGUMENT},)",
            ARGUMENT,
            "the `arguments` of `odd` are not all `Argument`s (line 7)\n  help: write a tuple: `(Argument(…),)`",
        ),
        (ARGUMENT, f"{ARGUMENT}, {ARGUMENT}", "the argument `factor` of `odd` stands twice (line 7)"),
        ('"factor"', '"the factor"', "an argument of `odd` is called 'the factor', which is no name (line 7)"),
        ('"by how much"', "7", "the argument `factor` of `odd` is described by 7, not a text (line 7)"),
        ("integer(1)", "int", f"the argument `factor` of `odd` has a type or a default that is none (line 7){TYPES}"),
        ("integer(1)", "boolean", f"the argument `factor` of `odd` has a type or a default that is none (line 7){TYPES}"),
        (
            "integer(1), 2",
            "integer(1), object()",
            f"the argument `factor` of `odd` has a type or a default that is none (line 7){TYPES}",
        ),
    ],
)  # fmt: skip
def test_what_a_class_states_is_checked_when_it_is_loaded(old: str, new: str, says: str) -> None:
    assert CLASS.count(old) == 1
    assert use(CLASS.replace(old, new)) == f"the plugin odd.py cannot be used: {says}"


AT = "spec:1:1: error[plugin-failed]: "


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("def parameters(self, shape): return {}",
         "failed: TypeError: Odd.parameters() takes 2 positional arguments but 3 were given (odd.py, line 18)"),
        ("def macs(self, *_): raise BaseException('mine')", "failed: BaseException: mine (odd.py, line 18)"),
        ("def macs(self, *_): return -1", "gives -1 as its MACs (line 18)"),
        ("rule = 'unchanged'\n    def output(self, arguments, shape): return shape[:1]",
         "gives 3 of 3×8×8, but its rule says `unchanged` (line 19)"),
    ],
)  # fmt: skip
def test_what_a_method_does_wrong_is_said_with_its_line(method: str, says: str) -> None:
    assert use(f"{CLASS}\n    {method}\n").splitlines()[0] == f"{AT}`odd` of the plugin odd.py {says}"


FORWARD = """class M(torch.nn.Module):
            def forward(self, x):
                return {}
        return M()"""
FIRST = "for a batch of 2, whose first axis is to stay"


@pytest.mark.parametrize(
    ("text", "made", "says"),
    [
        (MEASURED, FORWARD.format("x[0]"), f"has a module that gives 3×8×8 {FIRST} (line 12)"),
        (MEASURED, FORWARD.format("x.argmax(1)"), "has a module that gives values of the type int64, which no layer takes (line 12)"),
        (MEASURED, "return torch.nn.LazyConv2d(3, 1)", "has parameters without a size (line 12)\n"
            "  help: `module` is given the input's shape: make layers of known sizes, without `Lazy…`"),
        (CLASS, FORWARD.format("x.flatten()"), f"says that 3×8×8 becomes 3×8×8, but its module gives 384 {FIRST} (line 12)"),
        (CLASS, "return torch.nn.Dropout().double() if shape[0] == 3 else torch.nn.Conv2d(2, 2, 1, bias=False).double()",
            "says that its parameters are none, but its module has weight 2×2×1×1 (line 15)"),
        (CLASS, FORWARD.format("x * x.missing"), "cannot take its input 3×8×8: AttributeError: 'Tensor' object has no attribute 'missing' (odd.py, line 18)"),
    ],
)  # fmt: skip
def test_the_module_is_tried_with_a_batch_when_it_is_built(text: str, made: str, says: str) -> None:
    said = use(text.replace("return torch.nn.Identity()", made), lambda spec: spec.build())
    assert f"`odd` of the plugin odd.py {says}" in said


def test_one_that_cannot_run_where_nothing_is_computed_is_tried_on_zeros() -> None:
    Path("odd.py").write_text(CLASS.replace("return torch.nn.Identity()", FORWARD.format("x * (x.sum().item() + 1)")))
    load_plugin("odd.py")
    assert from_dict(NETWORK).build() is not None


CACHED = """
    made = None

    def parameters(self, arguments, shape):
        return {"weight": (3,)}

    def module(self, arguments, shape):
        if Odd.made is None:
            Odd.made = torch.nn.PReLU(3)
        return Odd.made
"""


def test_a_module_that_is_not_new_is_refused() -> None:
    spec = {**NETWORK, "network": ["odd", "odd"]}
    Path("odd.py").write_text(CLASS + CACHED, encoding="utf-8")
    load_plugin("odd.py")
    with pytest.raises(UsageError) as caught:
        from_dict(spec).build()
    assert str(caught.value) == (
        "`odd` of the plugin odd.py gives one module several times (line 23)\n"
        "  help: `module` makes a new one each time: a spec says itself what is shared"
    )


def test_a_module_that_differs_from_time_to_time_is_refused() -> None:
    made = "Odd.n = getattr(Odd, 'n', 0) + 1; return torch.nn.Conv2d(shape[0], Odd.n, 1, bias=False)"
    said = use(MEASURED.replace("return torch.nn.Identity()", made), lambda spec: spec.build())
    assert said == (
        "`odd` of the plugin odd.py has the parameters weight 3×3×1×1, and when it was measured weight 1×3×1×1 (line 12)\n"
        "  help: `module` makes the same module each time"
    )


def test_what_a_plugin_prints_and_where_it_goes_disturb_no_command(run: Callable, tmp_path: Path) -> None:
    text = CLASS.replace("import torch\n", "import os, sys\nprint('loading'); os.chdir('/')\n").replace(
        "        return shape\n", "        print('shape'); arguments.clear(); return shape\n"
    )
    Path("odd.py").write_text(text, encoding="utf-8")
    Path("net.yaml").write_text(json.dumps(NETWORK), encoding="utf-8")
    done = run("check", "net.yaml", "--plugin", "odd.py", "--format", "json")
    assert (done.returncode, json.loads(done.stdout)["errors"]) == (0, [])
    assert done.stderr == "loading\nshape\nshape\n"

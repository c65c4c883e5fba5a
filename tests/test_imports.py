"""What may import what: the front end no torch, and `archspec` no `trainer`, its commands aside."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "archspec"
BACK_END = {"assembly", "weights"}  # modules and their weights


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "resnet152", "googlenet", "densenet201"],
        ["check", "googlenet", "--format", "json"],
        ["list"],
        ["explain", "conv"],
        ["explain", "dense"],
        ["schema"],
        ["--help"],
        ["train", "--help"],
        ["build", "--help"],
    ],
    ids=" ".join,
)
def test_answers_without_weights_import_no_torch(arguments: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["archspec", *{arguments!r}]
from archspec.cli import main
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
heavy = {{"torch", "torchvision", "pytorch_lightning", "numpy", "trainer"}} & set(sys.modules)
assert not heavy, heavy
"""
    run(code)


def test_a_plan_needs_no_torch() -> None:
    code = """
import sys, json, archspec
spec = archspec.load("resnet50")
json.dumps(spec.plan.to_dict())
assert "torch" not in sys.modules
"""
    run(code)


def imports_when_loaded(tree: ast.Module) -> set[str]:
    """The modules that a file imports as it is loaded: not those within functions or for type checking."""
    found: set[str] = set()
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        pending += ast.iter_child_nodes(node)
    return found


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_only_the_back_end_imports_torch(file: Path) -> None:
    heavy = {"torch", "torchvision", "pytorch_lightning", "trainer", "numpy"}
    loaded = {name.split(".")[0] for name in imports_when_loaded(ast.parse(file.read_text(encoding="utf-8")))}
    assert not loaded & heavy or file.parent.name in BACK_END


def test_nothing_but_commands_imports_trainer() -> None:
    for file in PACKAGE.rglob("*.py"):
        if file.parent.name != "commands":
            assert "trainer" not in {n.split(".")[0] for n in imports_when_loaded(ast.parse(file.read_text()))}, file
            assert "import trainer" not in file.read_text()
            assert "from trainer" not in file.read_text()


def test_no_module_runs_what_it_reads() -> None:
    """No `eval`, `exec`, `compile` or unpickling anywhere in the package."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, file
            if isinstance(node, ast.Attribute):
                assert ast.unparse(node) not in {"pickle.load", "pickle.loads", "yaml.load", "yaml.unsafe_load"}, file

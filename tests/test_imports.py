"""What may import what: rooms those below them, the front end no torch, `archspec` no `trainer`, its commands aside."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "archspec"
BACK_END = {"assembly", "weights", "modules", "_proving"}  # modules, their weights, and proofs of exports


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "resnet152", "googlenet", "densenet201"],
        ["check", "googlenet", "--format", "json"],
        ["check", "resnet50", "--layers"],
        ["summary", "resnet50"],
        ["summary", "resnet50", "--format", "json"],
        ["compare", "resnet50", "vgg16"],
        ["fit", "densenet121", "--vary", "growth", "--params", "5M"],
        ["list"],
        ["explain", "conv"],
        ["explain", "dense"],
        ["explain", "norm"],
        ["explain", "ema"],
        ["schema"],
        ["draw", "resnet50", "-o", "-"],
        ["--help"],
        ["train", "--help"],
        ["build", "--help"],
        ["export", "--help"],
        ["export", "resnet50", "--to", "python", "-o", "-"],
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


@pytest.mark.parametrize(
    "arguments", [["check", "resnet152", "googlenet"], ["check", "digits", "--format", "json"]], ids=" ".join
)
def test_jsonschema_is_loaded_for_what_is_wrong_alone(arguments: list[str]) -> None:
    code = """
import sys
sys.argv = ["archspec", *{arguments!r}]
from archspec.cli import main
try:
    main()
except SystemExit as end:
    assert end.code == {code}, end.code
assert ("jsonschema" in sys.modules) is {loaded}
"""
    run(code.format(arguments=arguments, code=0, loaded=False))
    run(code.format(arguments=[*arguments, "--set", "train.epochs=soon"], code=1, loaded=True))


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


FLOORS = [
    {"archspec.foundation"},
    {"archspec.layers", "archspec.recipe", "archspec.writing"},
    {"archspec.language"},
    {"archspec.plan"},
    {"archspec.plugins", "archspec.views", "archspec.assembly"},
    {"archspec.weights"},
    {"archspec.prepared", "archspec.partial", "archspec.findings"},
    {"archspec.spec"},
    {"archspec.editing"},
    {"archspec.editor"},
    {"archspec.exports"},
    {"archspec.page"},
    {"archspec", "archspec.primitive", "archspec.arguments"},
    {
        "trainer.errors",
        "trainer.figures",
        "trainer.logs",
        "trainer.undocumented",
        "trainer.quiet",
    },
    {"trainer.processes"},
    {"trainer.input"},
    {"trainer.figures"},
    {"trainer.data", "trainer.drawing", "trainer.recipes"},
    {"trainer.tasks"},
    {"trainer.steps"},
    {"trainer.runs", "trainer.module"},
    {"trainer.report"},
    {"trainer.session"},
    {"trainer.trial"},
    {"trainer.rehearsal"},
    {"trainer"},
    {"archspec.commands"},
    {"archspec.installation", "archspec.threads"},
    {"archspec.cli"},
    {"archspec.__main__"},
]
"""The rooms, from the ground up: each may import from those below it, and from no other."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def modules() -> dict[str, Path]:
    """Every module of both packages by its dotted name."""
    files = [file for package in ("archspec", "trainer") for file in (ROOT / package).rglob("*.py")]
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def imported(module: str, known: dict[str, Path]) -> set[str]:
    """The modules of ours that a module imports anywhere: within functions and for type checking too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(known[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else str(node.module) for name in names}
    return {name for name in found if name in known}


def test_every_room_has_its_floor() -> None:
    assert {room(module) for module in modules()} == set(FLOOR)


@pytest.mark.parametrize("module", sorted(modules()))
def test_no_import_climbs(module: str) -> None:
    """Rooms on one floor do not know each other; a package's own file may give what is in its folder."""
    here = room(module)
    for name in imported(module, modules()):
        if name == "archspec":  # its version, which imports nothing
            continue
        assert room(name) == here or FLOOR[room(name)] < FLOOR[here], f"{module} imports {name}"


def test_no_modules_import_one_another_in_a_circle() -> None:
    known = modules()
    edges = {module: imported(module, known) - {module, "archspec"} for module in known}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " → ".join((*way, module))
        if module not in done:
            for name in sorted(edges[module]):
                visit(name, (*way, module))
            done.add(module)

    for module in known:
        visit(module, ())


def test_no_module_runs_what_it_reads() -> None:
    """No `eval`, `exec`, `compile` or unpickling anywhere in the package."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, file
            if isinstance(node, ast.Attribute):
                assert ast.unparse(node) not in {"pickle.load", "pickle.loads", "yaml.load", "yaml.unsafe_load"}, file

"""The extension for VS Code: small, its formulas coloured where formulas stand, and its package made by npm."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from archspec.editor.document import Document
from archspec.foundation.source import Scalar

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "archspec" / "editor" / "vscode"


def package() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))
    return found


def test_all_of_it_is_below_200_lines() -> None:
    listed = subprocess.run(["git", "ls-files", "."], cwd=FOLDER, capture_output=True, text=True, check=True).stdout
    files = [FOLDER / name for name in listed.splitlines()]
    if not files:
        pytest.skip("not a git checkout")
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files) < 200


@pytest.mark.parametrize("name", ["imagenet/resnet", "imagenet/swin", "unet", "sequence_transformer"])
def test_formulas_are_coloured_and_nothing_else_is(name: str) -> None:
    grammar = json.loads((FOLDER / "syntaxes" / "formulas.json").read_text(encoding="utf-8"))
    pattern = re.compile(grammar["patterns"][0]["match"])
    document = Document((ROOT / "specs" / f"{name}.yaml").read_text(encoding="utf-8"))
    found = set()
    for number, line in enumerate(document.lines, 1):
        text = re.sub(r"(^|\s)#.*", "", line)
        found |= {(number, match.start(1) + 1) for match in pattern.finditer(text)}
    formulas = {
        (spot.mark.line, spot.mark.column)
        for spot in document.spots
        if not spot.is_key and isinstance(spot.value, Scalar) and str(spot.value.value).startswith("=")
    }
    assert found == formulas


@pytest.mark.slow
def test_it_is_bundled_by_npm(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path / "vscode"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    needed = package()["devDependencies"]
    wanted = [f"{name}@{needed[name]}" for name in ("esbuild", "vscode-languageclient")]
    (folder / "package.json").rename(tmp_path / "package.json")  # vsce, which only zips, is left out
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-save", *wanted]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    if done.returncode:
        pytest.skip(f"npm has no packages: {done.stderr[-200:]}")
    (tmp_path / "package.json").rename(folder / "package.json")
    subprocess.run(["npm", "run", "bundle"], cwd=folder, check=True, capture_output=True, timeout=120)
    main = folder / str(package()["main"])
    assert 100_000 < main.stat().st_size < 1_000_000
    subprocess.run(["node", "--check", str(main)], check=True, timeout=60)

"""`archspec playground`: what it writes is whole, and answers without anything else being installed."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from archspec.cli import cli
from archspec.page.answers import answer
from archspec.page.package import package

SPEC = "archspec: 1\ninput: [3, 8, 8]\nnetwork: [flatten, {linear: 10}]\ntrain: {epochs: soon, colour: red}\n"
CODE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from archspec.page.browser import answer_json
print(json.dumps([json.loads(answer_json(json.dumps(one))) for one in json.load(sys.stdin)]))
files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
outside = [file for file in files if file and "site-packages" in file]
assert not outside, outside
"""


def test_its_files_name_where_pyodide_is(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "site"
    done = CliRunner().invoke(cli, ["playground", "-o", str(folder), "--pyodide", "https://cdn.example/pyodide"])
    assert done.exit_code == 0
    assert done.output.startswith(f"{folder}/index.html and 10 files beside it, ")
    assert done.output.endswith("; Pyodide from https://cdn.example/pyodide/\n")
    scripts = ["ask.js", "codemirror.js", "link.js", "page.js", "text.js", "words.js", "worker.js"]
    names = ["archspec.zip", "codemirror.LICENSE", "index.html", "page.css", *scripts]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert '<meta name="pyodide" content="https://cdn.example/pyodide/">' in page
    assert "script-src &#x27;self&#x27; &#x27;wasm-unsafe-eval&#x27; https://cdn.example;" in page
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_500_000
    assert (folder / "archspec.zip").read_bytes() == package()  # the same each time


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("", encoding="utf-8")
    error = CliRunner().invoke(cli, ["playground", "-o", str(tmp_path / "site")]).exception
    assert str(error) == f"cannot write the page to {tmp_path}/site: File exists"


def test_what_it_packs_answers_by_itself_as_the_installed_one_does(tmp_path: Path) -> None:
    (tmp_path / "archspec.zip").write_bytes(package())
    with zipfile.ZipFile(tmp_path / "archspec.zip") as archive:
        archive.extractall(tmp_path / "packed")
    small = {"ask": "spec", "name": "unet_small"}
    check = {"ask": "check", "text": answer(small)["text"], "base": "unet_small"}
    asked = [{"ask": "gallery"}, small, check, {**check, "ask": "draw"}, {**check, "ask": "python"}]
    asked += [
        {"ask": "check", "text": SPEC},
        {"ask": "spec", "name": "/etc/x.yaml"},
        {"ask": "spec", "name": "resnet5"},
    ]
    command = [sys.executable, "-I", "-S", "-c", CODE, str(tmp_path / "packed")]  # no site-packages
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found == json.loads(json.dumps([answer(one) for one in asked]))
    assert [one["message"] for one in found[5]["diagnostics"]] == [
        "`train.epochs` must be an integer ≥ 1, not the text 'soon'",
        "`colour` has no meaning in `train`",
    ]
    assert found[6] == {"error": "no spec called /etc/x.yaml comes with archspec"}
    assert found[7] == {"error": "there is no bundled spec `resnet5`\n  help: did you mean `resnet50`?"}


@pytest.mark.parametrize("base", ["../secret", "/etc/passwd", 3, ["digits"], None])
def test_a_base_that_is_no_bundled_spec_is_none(base: object, tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("archspec: 1\ninput: [1, 2, 2]\nnetwork: [flatten]\n", encoding="utf-8")
    text = "archspec: 1\nextends: secret.yaml\n"
    found = answer({"ask": "check", "text": text, "base": base}, str(tmp_path / "here" / "spec.yaml"))
    assert [one["code"] for one in found["diagnostics"]] == ["extends-path"]

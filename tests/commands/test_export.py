"""`archspec export` as a person uses it: files, names, runs, and what is refused before any work is done."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from archspec.cli import cli
from archspec.exports import safetensors as format_module
from archspec.spec import from_dict, load
from trainer.runs.job import prepare
from trainer.session import Options, train

SPEC: dict[str, Any] = {
    "archspec": 1,
    "name": "Tiny net",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": [
        {"conv": {"out": 4, "kernel": 3}},
        "batch_norm",
        "relu",
        "global_avg_pool",
        "flatten",
        {"linear": "=num_classes"},
    ],
    "variants": {"other": {"vars": {"num_classes": 3}}},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SPEC, sort_keys=False), encoding="utf-8")
    return tmp_path


def export(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["export", *arguments], standalone_mode=False)


def refused(*arguments: str) -> tuple[int, str]:
    """The exit status, and what is said."""
    error: Any = export(*arguments).exception
    assert error is not None
    return error.exit_status, str(error)


def test_a_file_is_called_as_its_spec_and_nothing_else_is_left(folder: Path) -> None:
    done = export("tiny.yaml", "--variant", "other", "--to", "safetensors")
    version = importlib.metadata.version("safetensors")
    size = (folder / "tiny-other.safetensors").stat().st_size
    assert done.output == (
        f"Tiny net (other) → tiny-other.safetensors: {size / 1000:.2f} KB, initial weights\n"
        "  input: float32, normalised as in training; mean and standard deviation are not known\n"
        f"  proven by a new module, safetensors {version}: equal bit for bit, with random weights and its own, of inputs "
        "2×1×8×8, 3×1×8×8\n"
    )
    assert sorted(os.listdir(folder)) == ["tiny-other.safetensors", "tiny.yaml"]


def test_programs_get_the_same_as_json(folder: Path) -> None:
    found = json.loads(export("tiny.yaml", "--to", "safetensors", "-o", "w.safetensors", "--format", "json").output)
    (result,) = found["results"]
    assert result["file"] == "w.safetensors"
    assert result["bytes"] == (folder / "w.safetensors").stat().st_size
    assert result["proof"]["inputs"] == [[2, 1, 8, 8], [3, 1, 8, 8]]
    assert (result["proof"]["difference"], result["proof"]["tolerance"]) == (0.0, 0.0)
    wrong = export("tiny.yaml", "--to", "safetensors", "--set", "num_classes=none", "--format", "json")
    assert json.loads(wrong.output)["errors"][0]["code"] == "formula-type"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["tiny.yaml"], 2, "--to says in which format\n  help: there are {formats}"),
        (
            ["tiny.yaml", "--to", "safetensor"],
            2,
            "there is no format `safetensor`\n  help: did you mean `safetensors`?",
        ),
        (["tiny.yaml", "--to", "tensorflow"], 2, "there is no format `tensorflow`\n  help: there are {formats}"),
        (["tiny.yaml", "--to", "coreml"], 2, "there is no format `coreml`\n  help: there are {formats}"),
        (
            ["tiny.yaml", "--to", "torch", "-o", "net.onnx"],
            2,
            "cannot write net.onnx: files of this format end in .pt2",
        ),
        (
            ["tiny.yaml", "--to", "torch", "-o", "none/net.pt2"],
            2,
            "cannot write none/net.pt2: {folder}/none is not a folder that can be written to",
        ),
        (["tiny.yaml", "--to", "torch", "-o", "-"], 2, "--to torch writes no text: `-o -` is for formats that do"),
        (["tiny.yaml", "--to", "safetensors", "--normalize"], 2, "--normalize has no meaning with --to safetensors"),
        (
            ["tiny.yaml", "--to", "safetensors", "--dynamic", "size"],
            2,
            "--dynamic has no meaning with --to safetensors",
        ),
        (
            ["gone.yaml", "--to", "torch"],
            2,
            "cannot read gone.yaml: there is no such file\n  help: did you mean `tiny.yaml`?",
        ),
        (
            ["gone", "--to", "torch"],
            2,
            "there is no bundled spec `gone`\n  help: `archspec list specs` shows the bundled ones",
        ),
        (
            ["tiny.yaml", "--to", "safetensors", "--weights", "gone.pt"],
            2,
            "cannot read gone.pt: there is no such file",
        ),
        (
            ["here", "--to", "torch"],
            2,
            "here is no run's folder: it holds no environment.json\n  help: archspec runs lists them",
        ),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_what_cannot_be_is_said_and_leaves_nothing(arguments: list[str], status: int, said: str, folder: Path) -> None:
    from archspec import exports

    (folder / "here").mkdir()
    formats = ", ".join(f"`{name}`" for name in exports.names())
    assert refused(*arguments) == (status, said.format(folder=folder, formats=formats))
    assert sorted(os.listdir(folder)) == ["here", "tiny.yaml"]


def test_a_file_that_exists_is_replaced_only_by_force(folder: Path) -> None:
    (folder / "tiny.safetensors").write_text("precious")
    assert refused("tiny.yaml", "--to", "safetensors") == (
        2,
        "tiny.safetensors exists already\n  help: name another file by -o, or replace it by --force",
    )
    assert (folder / "tiny.safetensors").read_text() == "precious"
    assert export("tiny.yaml", "--to", "safetensors", "--force").exit_code == 0
    assert (folder / "tiny.safetensors").stat().st_size > 1000


def test_a_failed_proof_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = format_module._Candidate.write

    def mutated(self: Any, path: str, state: Any) -> None:
        changed = {name: tensor.clone() for name, tensor in state.items()}
        changed["0.weight"].view(-1)[0] += 1e-6
        write(self, path, changed)

    monkeypatch.setattr(format_module._Candidate, "write", mutated)
    assert refused("tiny.yaml", "--to", "safetensors") == (
        2,
        "the written file is not the network's: its weights `0.weight` are not equal bit for bit",
    )
    assert os.listdir(folder) == ["tiny.yaml"]


def test_onnx_that_is_not_installed_is_said_before_anything_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    missing = {"onnxruntime", "onnxscript"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name in missing else find(name, *more))
    monkeypatch.setattr("archspec.exports.onnx.NEEDED", ("safetensors", "onnxruntime", "onnxscript"))
    assert refused("gone.yaml", "--to", "onnx") == (
        2,
        "--to onnx needs onnxruntime, onnxscript, not installed here\n"
        "  help: pip install 'archspec-nets[onnx]'; --to torch needs nothing more",
    )


# --- runs ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of an epoch."""
    folder = tmp_path_factory.mktemp("exports")
    recipe = {"epochs": 1, "batch_size": 256, "data": "digits", "exact": True}
    train(prepare(from_dict(SPEC | {"train": recipe}, "tiny"), folder), folder / "runs", Options(pictures=False))
    return folder / "runs"


@pytest.mark.slow
def test_a_run_brings_its_weights_classes_and_normalisation(runs: Path, folder: Path) -> None:
    shutil.copytree(runs, folder / "runs")
    done = export("tiny", "--to", "torch", "--normalize", "-o", "net.pt2")
    assert done.output.splitlines()[0].endswith(", best weights of runs/tiny, epoch 1")
    assert done.output.splitlines()[1] == "  input: batch × 1 × height × width, uint8, 0 to 255; normalised inside"

    from trainer.module import SpecModule

    trained = SpecModule.load_from_checkpoint("runs/tiny/checkpoints/best.ckpt", weights_only=True).eval()
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    files = {"archspec.json": ""}
    program = torch.export.load("net.pt2", extra_files=files)
    with torch.no_grad():
        assert torch.equal(program.module()(images), trained(images))
    known = json.loads(files["archspec.json"])
    assert known["classes"] == [str(digit) for digit in range(10)]
    assert known["mean"] == trained.mean.tolist()
    assert known["resize"] == {"name": "stretch"}


@pytest.mark.slow
def test_a_run_whose_network_was_changed_is_refused(runs: Path, folder: Path) -> None:
    """Its weights may fit another activation: what is written would not be what was trained."""
    shutil.copytree(runs, folder / "runs")
    file = folder / "runs/tiny/spec.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.count("- relu\n") == 1
    file.write_text(text.replace("- relu\n", "- gelu\n"), encoding="utf-8")
    for to in ("torch", "safetensors", "python"):
        assert refused("runs/tiny", "--to", to) == (
            2,
            "runs/tiny/spec.yaml was changed after the run: `network` is not as its weights were trained with\n"
            "  help: put back what it was, which hparams.yaml beside it holds; or train the changed network as a new run",
        )
    file.write_text("description: My first network\n" + text.replace("epochs: 1\n", "epochs: 7\n"), encoding="utf-8")
    assert "best weights of runs/tiny" in export("runs/tiny", "--to", "safetensors").output


@pytest.mark.slow
def test_a_run_without_its_best_weights_says_that_it_gives_its_last(runs: Path, folder: Path) -> None:
    shutil.copytree(runs, folder / "runs")
    (folder / "runs/tiny/checkpoints/best.ckpt").unlink()
    (folder / "runs/tiny/results.json").unlink()
    lines = export("runs/tiny", "--to", "safetensors").output.splitlines()
    assert "note: the run runs/tiny is stopped: these are its last weights so far" in lines
    assert any(line.endswith(", last weights of runs/tiny") for line in lines)


@pytest.mark.slow
def test_a_run_is_what_it_is_and_has_to_be_there(runs: Path, folder: Path) -> None:
    shutil.copytree(runs, folder / "runs")
    assert refused("runs/tiny", "--to", "torch", "--set", "num_classes=3") == (
        2,
        "--set does not go with a run: runs/tiny has its own spec and weights\n"
        "  help: export its spec with other weights: name the spec, and give --weights",
    )
    shutil.rmtree("runs/tiny/checkpoints")
    assert refused("runs/tiny", "--to", "safetensors") == (
        2,
        "the run runs/tiny has no weights yet\n  help: train it on: archspec train --resume runs/tiny",
    )
    os.rename("runs/tiny", "runs/digits")
    done = export("digits", "--to", "safetensors")
    assert "note: `digits` is the bundled spec; the run of this name is runs/digits\n" in done.output
    assert load("digits").plan.params * 4 < (folder / "digits.safetensors").stat().st_size

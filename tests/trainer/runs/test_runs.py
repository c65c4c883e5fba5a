"""Runs as a person keeps them: found, tested, asked, compared, not trained twice."""

from __future__ import annotations

import csv
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from forks import WITHOUT_PICTURES, Command, run_forked
from PIL import Image
from sklearn.datasets import load_digits

from archspec.foundation.errors import UsageError
from archspec.spec import from_dict
from trainer.runs.environment import environment
from trainer.runs.identity import fingerprint
from trainer.runs.job import prepare
from trainer.runs.resume import position
from trainer.session import train
from trainer.steps.module import SpecModule

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_pictures")]

SPEC = """\
archspec: 1
name: Linear
input: [1, 8, 8]
vars: {num_classes: 10}
network: [flatten, linear: =num_classes]
train: {epochs: 2, validation: 0.2}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder where two specs were trained, with three seeds each, and what was said."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "linear.yaml").write_text(SPEC)
    (folder / "wide.yaml").write_text(SPEC.replace("[flatten,", "[flatten, linear: 32, relu,"))
    return folder, said(folder, "train", "linear.yaml", "wide.yaml", "--repeat", "3").stdout


def said(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_forked(list(arguments), folder, **{WITHOUT_PICTURES: "1"})


# --- the folder ----------------------------------------------------------------------------------------------------


def test_a_runs_environment_is_kept(trained: tuple[Path, str]) -> None:
    kept = json.loads((trained[0] / "runs" / "linear-2" / "environment.json").read_text())
    assert (kept["name"], kept["spec"], kept["variant"]) == ("linear", "linear.yaml", None)
    assert (kept["data"], kept["seed"]) == ("digits", 43)
    assert kept["packages"]["torch"] == torch.__version__.split("+")[0]
    assert kept["command"][1:] == ["train", "linear.yaml", "wide.yaml", "--repeat", "3"]
    assert kept["git"] is None


def test_the_commit_of_a_repository_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    Path("file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    assert environment()["git"] == {"commit": git("rev-parse", "HEAD"), "changed": False}
    Path("file").write_text("2")
    assert environment()["git"]["changed"] is True


def test_two_processes_that_start_together_get_two_folders(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from trainer.runs.folders import new_folder\n"
        "while time.time() < float(sys.argv[2]): pass\n"
        "print(*[new_folder(Path(sys.argv[1]) / 'runs', 'net').name for _ in range(50)])"
    )
    at = str(time.time() + 3)
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), at], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    names = [name for process in both for name in process.communicate()[0].split()]
    assert len(names) == 100
    assert set(names) == {"net", *(f"net-{number}" for number in range(2, 101))}


def test_what_was_trained_is_not_trained_again(trained: tuple[Path, str]) -> None:
    folder, _ = trained
    before = {file.name for file in (folder / "runs").iterdir()}
    again = said(folder, "train", "linear.yaml")
    assert (again.returncode, again.stderr) == (0, "")
    assert "already trained: this is the result of runs/linear; --force trains it again" in again.stdout
    assert "epoch" not in again.stdout.split("already trained")[0]
    assert {file.name for file in (folder / "runs").iterdir()} == before
    forced = said(folder, "train", "linear.yaml", "--force", "--out", "runs")
    assert "epoch 2/2" in forced.stdout
    new = {file.name for file in (folder / "runs").iterdir()} - before
    assert new == {"linear-4"}
    first, second = (json.loads((folder / "runs" / n / "results.json").read_text()) for n in ("linear", "linear-4"))
    assert first["test_accuracy"] == second["test_accuracy"]
    for file in (folder / "runs" / "linear-4").rglob("*"):
        file.unlink() if file.is_file() else None
    for file in ("checkpoints", "."):
        (folder / "runs" / "linear-4" / file).rmdir()


def test_another_recipe_or_other_images_are_another_training(tmp_path: Path) -> None:
    def made(**changes: Any) -> str:
        spec = {
            "archspec": 1,
            "input": [1, 8, 8],
            "vars": {"num_classes": 10},
            "network": ["flatten", {"linear": "=num_classes"}],
        }
        return fingerprint(prepare(from_dict(spec | {"train": {"validation": 0.2} | changes}), tmp_path))

    assert made() == made(data="digits", epochs=10)
    assert len({made(), made(epochs=3), made(seed=1), made(optimizer={"name": "sgd", "lr": 0.1})}) == 4


# --- the comparison ------------------------------------------------------------------------------------------------


def test_seeds_are_summed_up_by_mean_and_deviation(trained: tuple[Path, str]) -> None:
    folder, out = trained
    kept = [json.loads((folder / "runs" / n / "results.json").read_text()) for n in ("wide", "wide-2", "wide-3")]
    assert [one["seed"] for one in kept] == [42, 43, 44]
    accuracies = [100 * one["test_accuracy"] for one in kept]
    shown = f"{statistics.mean(accuracies):.2f} ± {statistics.stdev(accuracies):.2f}%"
    assert len(set(accuracies)) > 1
    (row,) = (line for line in out.splitlines() if line.startswith("│ wide"))
    assert shown in row
    assert row.split("│")[2].strip() == "3"
    assert "images/s" in out
    assert "the table: runs/comparison.txt, runs/comparison.csv, runs/comparison.md" in out
    assert shown in (folder / "runs" / "comparison.txt").read_text()
    markdown = (folder / "runs" / "comparison.md").read_text().splitlines()
    assert len(markdown) == 4
    assert len({line.count("|") for line in markdown}) == 1
    assert shown in markdown[3]
    with open(folder / "runs" / "comparison.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["seed"]) for row in rows] == [
        (n, str(s)) for n in ("linear", "wide") for s in (42, 43, 44)
    ]
    assert [float(row["test_accuracy"]) for row in rows[3:]] == [one["test_accuracy"] for one in kept]


# --- archspec runs -------------------------------------------------------------------------------------------------


def test_runs_are_listed_sorted_and_filtered(trained: tuple[Path, str]) -> None:
    folder, _ = trained
    plain = said(folder, "runs").stdout.splitlines()
    assert plain[0].split()[:3] == ["run", "status", "data"]
    assert [line.split()[0] for line in plain[1:]] == ["linear", "linear-2", "linear-3", "wide", "wide-2", "wide-3"]
    assert all("finished" in line for line in plain[1:])
    arguments = ("--sort", "-test_accuracy", "--where", "params>1000", "--where", "seed!=43", "--format", "json")
    rows = json.loads(said(folder, "runs", *arguments).stdout)["results"]
    assert {row["run"] for row in rows} == {"wide", "wide-3"}
    assert rows[0]["test_accuracy"] >= rows[1]["test_accuracy"]
    assert rows[0]["params"] == 64 * 32 + 32 + 32 * 10 + 10
    assert said(folder, "runs", "--where", "name=nothing").stdout == "no runs of which that holds in runs\n"
    assert said(folder, "runs", "--out", "elsewhere").stdout == "no runs in elsewhere\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("runs", "--sort", "colour"), "error: runs have no field `colour`\n  help: the fields are `run`, "),
        (("runs", "--sort", "parms"), "error: runs have no field `parms`\n  help: did you mean `params`?\n"),
        (
            ("runs", "--where", "seed"),
            "error: `seed` is no condition\n  help: write it as `test_accuracy>0.9` or `data=cifar10`\n",
        ),
        (
            ("runs", "--where", "seed=x"),
            "error: `seed` is a number, and `x` is none\n  help: `seed>0.5` for example\n",
        ),
        (("test", "lniear"), "error: there is no run `lniear`, here or in runs\n  help: did you mean `linear`?\n"),
        (
            ("predict", "linear.yaml", "image.png"),
            "error: linear.yaml is no run's folder: it holds no environment.json\n  help: archspec runs lists them\n",
        ),
        (
            ("train", "--resume", "nothing"),
            "error: there is no run `nothing`, here or in runs\n  help: archspec runs lists those there are\n",
        ),
        (
            ("train", "linear.yaml", "--resume", "linear", "--epochs", "3", "--set", "width=3"),
            "error: --resume keeps the settings of the run, and cannot be combined with --epochs, --set, SPEC\n"
            "  help: leave that out, or train anew without --resume\n",
        ),
    ],
)
def test_what_is_asked_wrongly_is_said(arguments: tuple[str, ...], message: str, trained: tuple[Path, str]) -> None:
    done = said(trained[0], *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(message) if message.endswith(" ") else done.stderr == message


def test_a_finished_run_is_not_gone_on_with(trained: tuple[Path, str]) -> None:
    done = said(trained[0], "train", "--resume", "linear")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("runs/linear is finished: there is nothing to resume\n")
    assert "test accuracy" in done.stdout


# --- archspec test and predict -------------------------------------------------------------------------------------


def test_a_run_is_tested_again(trained: tuple[Path, str]) -> None:
    kept = json.loads((trained[0] / "runs" / "wide" / "results.json").read_text())
    (again,) = json.loads(said(trained[0], "test", "wide", "--format", "json").stdout)["results"]
    assert again["test_accuracy"] == pytest.approx(kept["test_accuracy"], abs=1e-6)
    assert again["test_loss"] == pytest.approx(kept["test_loss"], rel=1e-5)
    assert (again["images"], again["weights"]) == (360, "best.ckpt")
    assert f"test accuracy {kept['test_accuracy']:.2%}" in said(trained[0], "test", "runs/wide").stdout


def test_images_are_classified_as_by_the_network_itself(trained: tuple[Path, str]) -> None:
    folder, _ = trained
    digits = load_digits()
    pixels = (digits.images * (255 / 16)).round().astype("uint8")
    for number in (3, 8):
        Image.fromarray(pixels[number]).save(folder / f"{number}.png")
    Image.fromarray(pixels[3]).convert("RGBA").save(folder / "colour.png")
    (folder / "none.png").write_text("no image")
    (folder / "cut.png").write_bytes((folder / "3.png").read_bytes()[:80])
    files = ("3.png", "none.png", "8.png", "colour.png", "cut.png", "absent.png")
    done = said(folder, "predict", "wide", *files, "--top", "3", "--format", "json")
    assert done.returncode == 2
    answer = json.loads(done.stdout)
    assert [one["image"] for one in answer["results"]] == ["3.png", "8.png", "colour.png"]
    assert [one["image"] for one in answer["errors"]] == ["none.png", "cut.png", "absent.png"]
    assert answer["errors"][0]["message"] == "not an image"
    assert answer["errors"][2]["message"] == "No such file or directory"
    module = SpecModule.load_from_checkpoint(folder / "runs" / "wide" / "checkpoints" / "best.ckpt", weights_only=True)
    grey = torch.from_numpy(pixels)[:, None]
    # a file in colour is made grey by the network, as in training, which rounds otherwise than Pillow
    images = grey[3], grey[8], grey[3].expand(3, -1, -1)
    with torch.inference_mode():
        probabilities = [module.eval()(image[None]).softmax(1)[0] for image in images]
    for result, expected in zip(answer["results"], probabilities, strict=True):
        assert [one["index"] for one in result["top"]] == expected.topk(3).indices.tolist()
        assert [one["probability"] for one in result["top"]] == pytest.approx(
            expected.topk(3).values.tolist(), abs=1e-5
        )
    text = said(folder, "predict", "wide", "3.png", "none.png", "--top", "1")
    assert re.fullmatch(r"3\.png: \d \d+\.\d%\n", text.stdout)
    assert text.stderr == "error: none.png cannot be read: not an image\n"


def test_damaged_weights_are_not_used(trained: tuple[Path, str]) -> None:
    file = trained[0] / "runs" / "linear-3" / "checkpoints" / "best.ckpt"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    done = said(trained[0], "test", "linear-3")
    file.write_bytes(whole)
    assert (done.returncode, done.stderr) == (
        2,
        "error: the checkpoint runs/linear-3/checkpoints/best.ckpt is damaged: its checksum does not fit its content\n"
        "  help: move it away, and the last weights are taken, of runs/linear-3/checkpoints/last.ckpt\n",
    )


# --- what goes wrong in training -----------------------------------------------------------------------------------


def job(folder: Path, **recipe: Any) -> Any:
    spec = {
        "archspec": 1,
        "name": "Linear",
        "input": [1, 8, 8],
        "vars": {"num_classes": 10},
        "network": ["flatten", {"linear": "=num_classes"}],
    }
    return prepare(from_dict(spec | {"train": {"epochs": 3, "validation": 0.2, **recipe}}, "linear"), folder)


def test_the_last_finite_weights_are_kept_when_a_training_diverges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, count = SpecModule.training_step, 0

    def step(self: SpecModule, batch: Any, index: int) -> Any:
        nonlocal count
        count += 1
        loss = inner(self, batch, index)
        return loss * float("inf") if count == 17 + 5 else loss

    monkeypatch.setattr(SpecModule, "training_step", step)
    with pytest.raises(UsageError) as caught:
        train(job(tmp_path), tmp_path / "runs")
    last = tmp_path / "runs" / "linear" / "checkpoints" / "last.ckpt"
    assert str(caught.value) == (
        "the training loss is not finite in step 22 (epoch 2, batch 5 of 17): the training diverges\n"
        "  help: lower the learning rate, --set train.optimizer.lr=0.0001 for example; "
        f"the last finite weights, of epoch 1, are in {last}"
    )
    content = torch.load(last, weights_only=True)
    assert position(content, last) == (1, 0, 17)
    assert all(tensor.isfinite().all() for tensor in content["state_dict"].values())


@pytest.mark.parametrize(
    ("hook", "steps"),
    [
        ("on_validation_epoch_end", {"last": 17, "best": 17}),  # before the best weights are written
        ("on_train_epoch_end", {"last": 17, "best": 34}),  # after that, and before the last ones are
    ],
)
def test_weights_that_are_not_finite_replace_no_checkpoint(
    hook: str, steps: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(self: SpecModule) -> None:
        if self.current_epoch == 1:
            with torch.no_grad():
                self.network[-1].weight[0, 0] = float("nan")

    monkeypatch.setattr(SpecModule, hook, spoil)
    with pytest.raises(UsageError, match=r"the weights `network\.1\.weight` are not finite after step 34"):
        train(job(tmp_path), tmp_path / "runs")
    for name, step in steps.items():
        content = torch.load(tmp_path / "runs" / "linear" / "checkpoints" / f"{name}.ckpt", weights_only=True)
        assert content["global_step"] == step
        assert all(tensor.isfinite().all() for tensor in content["state_dict"].values())


def test_too_little_memory_brings_advice(tmp_path: Path) -> None:
    """In a process that may have little of it."""
    (tmp_path / "net.yaml").write_text(
        SPEC.replace("[flatten,", "[conv: {out: 60000, kernel: 3, padding: same}, global_avg_pool, flatten,")
    )
    code = (
        "import resource\nimport torch, torchvision, pytorch_lightning, trainer.session\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "limit = pages * resource.getpagesize() + 1_500_000_000\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "from archspec.cli import main\nmain()\n"
    )
    (tmp_path / "limited.py").write_text(code)
    arguments = ["train", "net.yaml", "--set", "train.batch_size=256"]
    done = Command(arguments, tmp_path, script=str(tmp_path / "limited.py"))
    _, said = done.communicate(timeout=300)
    assert (done.returncode, said) == (
        2,
        "error: out of memory on cpu, with batches of 256 images\n"
        "  help: halve the batch at the same gradient: --set train.batch_size=128 --set train.accumulate=2; or "
        "recompute parts of the network in the backward pass (`recompute: true` at a node)\n",
    )


@pytest.mark.parametrize("command", ["runs", "test", "predict", "train"])
def test_help_needs_no_torch(command: str, run: Callable) -> None:
    code = f"""
import sys
sys.argv = ["archspec", {command!r}, "--help"]
from archspec.cli import main
try:
    main()
except SystemExit as end:
    assert end.code == 0
assert not {{"torch", "trainer", "numpy", "matplotlib"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_looking_at_runs_needs_no_torch(trained: tuple[Path, str]) -> None:
    code = """
import sys
sys.argv = ["archspec", "runs"]
from archspec.cli import main
try:
    main()
except SystemExit as end:
    assert end.code == 0
assert not {"torch", "numpy", "rich"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60, cwd=trained[0])

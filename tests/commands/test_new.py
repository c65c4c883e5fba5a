"""`archspec new` as a person uses it: starters that check and train, copies, and nothing that is overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from archspec.cli import cli
from archspec.spec import load, open_file
from trainer import tasks
from trainer.runs.job import prepare
from trainer.session import Options, train

FIRST = "# yaml-language-server: $schema=archspec.schema.json\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*arguments: str) -> tuple[int, str]:
    """The exit status of `archspec new`, and what it prints or says is wrong."""
    done = CliRunner().invoke(cli, ["new", *arguments], standalone_mode=False)
    return (0, done.output) if done.exception is None else (done.exception.exit_status, str(done.exception))  # type: ignore[attr-defined]


def test_a_starter_is_what_a_person_begins_with(folder: Path) -> None:
    assert new("mine") == (
        0,
        "mine.yaml: mine  -  1×8×8 → 10  308,074 parameters  3.03 MMACs\n"
        "  archspec check ./mine.yaml\n"
        "  archspec train ./mine.yaml\n",
    )
    text = (folder / "mine.yaml").read_text(encoding="utf-8")
    assert text.startswith(f"{FIRST}archspec: 1\nname: mine\ninput: [1, 8, 8]  # ")
    assert sorted(file.name for file in folder.iterdir()) == ["archspec.schema.json", "mine.yaml"]


def test_a_copy_of_a_variant_is_shown_as_that() -> None:
    shown = (
        "{0}.yaml: {0}  resnet18  3×224×224 → 1000  11,689,512 parameters  1.814 GMACs\n"
        "  archspec check ./{0}.yaml\n"
        "  archspec train ./{0}.yaml --variant resnet18 --data FOLDER\n"
    )
    for name, origin in (("a", "resnet18"), ("b", "imagenet/resnet@resnet18"), ("c", "a.yaml@resnet18")):
        assert new(name, "--from", origin) == (0, shown.format(name))
    assert new("d", "--from", "c")[1] == "there is no bundled spec `c`\n  help: did you mean `c.yaml`?"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{archspec: 1, input: [1, 8, 8], network: [relu]}\n", None),
        ("\ufeffarchspec: 1\nname: old\ninput: [1, 8, 8]\nnetwork: [relu]\n", "mine"),
        ("archspec: 1\nname: &n old\ndescription: *n\ninput: [1, 8, 8]\nnetwork: [relu]\n", "old"),
        ('archspec: 1\n"extends": "below/base.yaml"  # it\n', "mine"),
        ("{archspec: 1, extends: below/base.yaml}\n", None),
    ],
)
def test_any_form_of_a_spec_is_copied(text: str, name: str | None, folder: Path) -> None:
    (folder / "old.yaml").write_text(text, encoding="utf-8")
    (folder / "below").mkdir()
    (folder / "below" / "base.yaml").write_text(
        "\ufeffarchspec: 1\ninput: [1, 8, 8]\nnetwork: [relu]\n", encoding="utf-8"
    )
    (folder / "other").mkdir()
    status, said = new("other/mine", "--from", "old.yaml")
    assert (status, said.splitlines()[0]) == (
        0,
        f"other/mine.yaml: {name or 'mine'}  -  1×8×8 → 1×8×8  0 parameters  0 MACs",
    )
    assert load("other/mine.yaml").plan.output == (1, 8, 8)


def test_a_copy_does_not_take_the_name_of_what_it_extends(folder: Path) -> None:
    (folder / "base.yaml").write_text("archspec: 1\ninput: [1, 8, 8]\nnetwork: [relu]\n", encoding="utf-8")
    (folder / "old.yaml").write_text("archspec: 1\nextends: base.yaml\n", encoding="utf-8")
    (folder / "other").mkdir()
    said = "the copy would take the name of a file that it extends, base.yaml\n  help: choose another name"
    assert new("other/base", "--from", "old.yaml") == (2, said)
    assert list((folder / "other").iterdir()) == []


def test_the_class_of_tasks_is_no_task() -> None:
    said = "there is no task `task`\n  help: there are " + ", ".join(f"`{name}`" for name in tasks.names())
    assert new("mine", "--task", "task") == (2, said)


@pytest.mark.parametrize("task", tasks.names())
def test_every_task_has_a_starter_that_checks_as_it_is_written(task: str, folder: Path) -> None:
    assert new(task, "--task", task)[0] == 0
    file, _ = open_file(f"{task}.yaml")
    checked = file.check()
    assert (checked.diagnostics, checked.notes) == ((), ())
    assert checked.specs[0].recipe.task in (task, None)
    text = (folder / f"{task}.yaml").read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 120
    assert CliRunner().invoke(cli, ["fmt", "--check", f"{task}.yaml"]).exit_code == 0


def _images(folder: Path, table: str, value: str) -> None:
    """Twelve images and a table of what is in them."""
    folder.mkdir()
    random = np.random.default_rng(0)
    lines = [f"file,{table}"]
    for number in range(12):
        Image.fromarray(random.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{value.format(number=number, kind='ab'[number % 2])}")
    (folder / ("labels.csv" if table == "labels" else "targets.csv")).write_text("\n".join(lines) + "\n")


def _scenes(folder: Path) -> Path:
    """Twelve images with masks."""
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(12):
        mask = random.integers(0, 3, (48, 48), dtype=np.uint8)
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
        Image.fromarray(np.stack([mask * 80] * 3, axis=-1)).save(folder / "images" / f"{number}.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("task", tasks.names())
def test_every_starter_trains(task: str, folder: Path) -> None:
    if task == "multi_label":
        _images(folder / "photos", "labels", "{kind}")
    elif task == "regression":
        _images(folder / "photos", "area", "{number}")
    new("net", "--task", task)
    small = "widths=[4, 4, 4]" if task == "segmentation" else "width=4"
    settings = [
        small,
        "train.epochs=1",
        "train.batch_size=64" if "digits" in load("net.yaml").recipe.data else "train.batch_size=4",
    ]
    if task == "segmentation":  # its own scenes take seconds to make
        settings.append(f"train.data={_scenes(folder / 'scenes')}")
    train(prepare(load("net.yaml", set=settings), folder), folder / "runs", Options(pictures=False))
    assert json.loads((folder / "runs/net/results.json").read_text())["epochs"] == 1


def test_a_copy_has_the_text_and_the_comments_of_a_bundled_spec(folder: Path) -> None:
    status, said = new("mine", "--from", "resnet50")
    assert (status, said.splitlines()[1:]) == (
        0,
        ["  archspec check ./mine.yaml", "  archspec train ./mine.yaml --variant resnet50 --data FOLDER"],
    )
    text = (folder / "mine.yaml").read_text(encoding="utf-8")
    assert text.startswith(f"{FIRST}# Copied from specs/imagenet/resnet.yaml of archspec ")
    mine, bundled = load("mine.yaml", "resnet50").plan, load("resnet50").plan
    assert [(one.path, one.output) for one in mine.layers] == [(one.path, one.output) for one in bundled.layers]
    assert mine.name == "mine"
    assert not open_file("mine.yaml")[0].check().diagnostics


def test_a_copy_of_a_file_of_ones_own_does_not_say_that_it_is_archspecs(folder: Path) -> None:
    (folder / "meins.yaml").write_text("archspec: 1\ninput: [3, 8, 8]\nnetwork: [relu]\n")
    assert new("my copy", "--from", "meins.yaml") == (
        0,
        "my copy.yaml: my copy  -  3×8×8 → 3×8×8  0 parameters  0 MACs\n"
        "  archspec check './my copy.yaml'\n"
        "  archspec train './my copy.yaml' --data FOLDER\n",
    )
    text = (folder / "my copy.yaml").read_text(encoding="utf-8")
    named = 'name: "my copy"'
    assert text == f"{FIRST}# Copied from meins.yaml\narchspec: 1\n{named}\ninput: [3, 8, 8]\nnetwork: [relu]\n"


def test_a_copy_whose_data_are_a_mapping_needs_no_folder(folder: Path) -> None:
    status, said = new("mine", "--from", "three_inputs")
    assert (status, said.splitlines()[1:]) == (0, ["  archspec check ./mine.yaml", "  archspec train ./mine.yaml"])


def test_a_copy_brings_what_it_extends(folder: Path) -> None:
    assert new("scenes", "--from", "unet_small") == (
        0,
        "scenes.yaml: scenes  -  3×48×48 → 11×48×48  483,611 parameters  81.9 MMACs\n"
        "unet.yaml: which it extends\n"
        "  archspec check ./scenes.yaml\n"
        "  archspec train ./scenes.yaml\n",
    )
    (folder / "unet.yaml").write_text("mine: too\n")
    assert new("more", "--from", "unet_small") == (
        2,
        "the copy extends unet.yaml, and another file of this name is there\n"
        "  help: write it into another folder: `archspec new other/NAME --from …`",
    )
    assert (folder / "unet.yaml").read_text() == "mine: too\n"
    assert not (folder / "more.yaml").exists()


def test_comments_and_a_name_over_lines_of_a_file_of_ones_own_are_minded(folder: Path) -> None:
    own = "# of mine\narchspec: 1\nname: >-\n  Long\n  name\ninput: [8]  # features\nnetwork: [{linear: 2}]\n"
    (folder / "own.yaml").write_text(own)
    assert new("copy", "--from", "own.yaml")[0] == 0
    text = (folder / "copy.yaml").read_text()
    assert text.splitlines()[2:] == [
        "# of mine", "archspec: 1", "name: copy", "input: [8]  # features", "network: [{linear: 2}]",
    ]  # fmt: skip


def test_a_wrong_spec_is_not_copied(folder: Path) -> None:
    (folder / "own.yaml").write_text("archspec: 1\ninput: [8]\nnetwork: [{linear: two}]\n")
    status, said = new("copy", "--from", "own.yaml")
    assert status == 1
    assert said.startswith("own.yaml:3:20: error[type-mismatch]: ")
    assert [file.name for file in folder.iterdir()] == ["own.yaml"]


def test_nothing_is_overwritten_unless_it_is_forced(folder: Path) -> None:
    (folder / "mine.yaml").write_text("precious\n")
    (folder / "archspec.schema.json").write_text("{}\n")
    assert new("mine") == (2, "mine.yaml exists already\n  help: choose another name, or replace it by --force")
    assert (folder / "mine.yaml").read_text() == "precious\n"
    assert new("mine.yaml", "--force")[0] == 0
    assert (folder / "mine.yaml").read_text(encoding="utf-8").startswith(FIRST)
    assert (folder / "archspec.schema.json").read_text() == "{}\n"


@pytest.mark.parametrize("name", ["123", "null", "no", "a b", "größe", "3e4"])
def test_odd_names_are_names(name: str, folder: Path) -> None:
    assert new(name)[0] == 0
    assert load(f"{name}.yaml").plan.name == name
    assert yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))["name"] == name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([""], "`` is no name for a spec\n  help: begin it with a letter or digit: `mine`"),
        (["../.."], "`../..` is no name for a spec\n  help: begin it with a letter or digit: `mine`"),
        (["a\nb"], "`a\\nb` is no name for a spec\n  help: begin it with a letter or digit: `mine`"),
        (["net.py"], "`net.py` is no name for a spec: it ends in `.py`\n  help: leave the ending out: `net`"),
        (["no/mine"], "cannot write no/mine.yaml: there is no folder no"),
        (
            ["x", "--task", "segmentaton"],
            "there is no task `segmentaton`\n  help: did you mean `segmentation`?",
        ),
        (["x", "--from", "resnet51"], "there is no bundled spec `resnet51`\n  help: did you mean `resnet50`?"),
        (["x", "--from", "gone.yaml"], "cannot read gone.yaml: there is no such file"),
        (
            ["x", "--from", "unet", "--task", "segmentation"],
            "--task has no meaning with --from: the copy learns what the spec does\n"
            "  help: say another in the copy: `train: {task: …}`",
        ),
    ],
)
def test_what_cannot_be_is_said_and_leaves_nothing(arguments: list[str], said: str, folder: Path) -> None:
    assert new(*arguments) == (2, said)
    assert list(folder.iterdir()) == []

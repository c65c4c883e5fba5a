"""Networks of an image and a row of numbers: tables that name images, in training, test, prediction and exports."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from kills import assert_resumes_alike
from PIL import Image

from archspec.commands import export, predict, test as test_command
from archspec.foundation.errors import SpecError, UsageError
from archspec.recipe import Columns
from archspec.spec import from_dict
from archspec.weights import metadata
from trainer import data
from trainer.input import splits
from trainer.input.loaders import Stream
from trainer.runs import folders
from trainer.runs.evaluation import load_network
from trainer.runs.job import DataCache, prepare
from trainer.session import Options, make_module, train

SPEC: dict[str, Any] = {
    "archspec": 1,
    "name": "Scans",
    "input": {"patient": ["=features"], "scan": [1, 6, 6]},
    "vars": {"features": 1, "num_classes": 1},
    "network": [
        {
            "concat": [
                [{"load": "scan"}, {"conv": {"out": 2, "kernel": 3}}, "relu", "flatten", {"dropout": 0.1}],
                [{"load": "patient"}, {"linear": 4}],
            ]
        },
        {"linear": "=num_classes"},
    ],
    "train": {"data": "scans.csv", "epochs": 2, "batch_size": 8, "augment": ["horizontal_flip"]},
}
HEADER, COUNT = "file,age,site,outcome", 30


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images of 6×6 and the numbers beside them; the first image has two rows."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    lines = []
    for i in range(COUNT):
        Image.fromarray(random.integers(0, 256, (6, 6)).astype(np.uint8)).save(tmp_path / "images" / f"{i:02}.png")
        lines.append(f"images/{i:02}.png,{20 + i % 7},{'north' if i % 3 else 'south'},{'ill' if i % 2 else 'healthy'}")
    lines.append("images/00.png,80,south,ill")
    write(tmp_path / "scans.csv", *lines)
    return tmp_path


def write(file: Path, *lines: str, header: str = HEADER) -> None:
    file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def spec(name: str = "scans.csv", columns: Any = None, **of_train: Any) -> Any:
    table = {"name": name, "target": "outcome", "one_hot": ["site"]} | (columns or {})
    return from_dict(SPEC | {"train": SPEC["train"] | {"data": table} | of_train}, "scans")


def rows_of_table() -> list[tuple[str, list[float], int]]:
    """What the table says of each row: its image, its features and its class."""
    with open("scans.csv", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    return [
        (
            one["file"],
            [float(one["age"]), float(one["site"] == "north"), float(one["site"] == "south")],
            int(one["outcome"] == "ill"),
        )
        for one in rows
    ]


def seen(part: Any) -> list[tuple[str, list[float], int]]:
    """The same of a part, whose images are held to their files."""
    found = []
    for name, image, label, row in zip(part.names, part.images, part.labels, part.rows, strict=True):
        assert torch.equal(image[0], torch.from_numpy(np.array(Image.open(name))))
        found.append((name, row.tolist(), int(label)))
    return found


def test_each_image_keeps_its_row_and_its_target(scans: Path) -> None:
    job = prepare(spec(), scans)
    assert dict(job.spec.plan.vars)["features"] == 3
    assert job.data.known_form.inputs == {"patient": ("age", "site")}
    parts = [seen(part) for part in (job.train, job.validation, job.test)]
    assert sorted(one for part in parts for one in part) == sorted(rows_of_table())
    assert [any(name == "images/00.png" for name, _, _ in one) for one in parts[1:]].count(True) <= 1
    assert len(parts[2]) in (6, 7)


def test_only_training_rows_say_how_numbers_are_standardised(scans: Path) -> None:
    job = prepare(spec(augment=[]), scans)
    module = make_module(job).eval()
    rows = job.train.rows.double()  # type: ignore[union-attr]
    torch.testing.assert_close(module.row_mean, rows.mean(0).float())
    torch.testing.assert_close(module.row_std, rows.std(0, correction=0).float())
    images, _, some = job.test[[0, 1]]  # type: ignore[index]
    pixels = job.train.images.float() / 255  # type: ignore[union-attr]
    scan = (images.float() / 255 - pixels.mean()) / pixels.std(correction=0)
    wanted = module.network(patient=(some - rows.mean(0).float()) / rows.std(0, correction=0).float(), scan=scan)
    torch.testing.assert_close(module(images, some), wanted)
    with pytest.raises(TypeError, match=r"^the network takes rows beside images$"):
        module(images)
    plain = make_module(prepare(spec(normalize=False), scans))
    assert (plain.row_mean.tolist(), plain.row_std.tolist()) == ([0, 0, 0], [1, 1, 1])


def test_streamed_images_have_the_rows_of_those_in_memory(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = prepare(spec(augment=[]), scans)
    monkeypatch.setattr(splits, "MEMORY_LIMIT", 0)
    streamed = prepare(spec(augment=[]), scans)
    assert isinstance(streamed.train, Stream)
    for one, other in zip(memory.train[[3, 0]], streamed.train[0, [3, 0]], strict=True):  # type: ignore[index,misc,arg-type]
        assert torch.equal(one, other)
    assert torch.equal(make_module(memory).row_mean, make_module(streamed).row_mean)


def test_two_recipes_of_one_command_get_the_targets_of_their_own(scans: Path) -> None:
    write(scans / "two.csv", *(f"images/{i:02}.png,{i / 2},{i / 4 + 9}" for i in range(COUNT)), header="file,a,b")
    cache = DataCache()
    for target, factor, offset in (("a", 0.5, 0), ("b", 0.25, 9)):
        job = prepare(spec(data={"name": "two.csv", "target": target}), scans, cache=cache)
        wanted = [[factor * int(name[7:9]) + offset] for name in job.train.names]  # type: ignore[union-attr]
        assert job.train.labels.tolist() == wanted  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_run_trains_tests_predicts_and_leaves(scans: Path) -> None:
    job = prepare(spec(), scans)
    run = folders.find(train(job, scans / "runs", Options(pictures=True)).folder, scans)
    with open(run.folder / "features.csv", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    assert [(row["input"], row["feature"]) for row in rows] == [
        ("patient", "age"),
        ("patient", "site=north"),
        ("patient", "site=south"),
    ]
    module = load_network(run).module
    answers = module(job.test.images, job.test.rows)  # type: ignore[union-attr]
    wanted = (answers.argmax(1) == job.test.labels).float().mean().item()  # type: ignore[union-attr]
    moved = scans / "moved"
    moved.mkdir()
    (scans / "images").rename(moved / "images")
    (scans / "scans.csv").rename(moved / "scans.csv")
    done = CliRunner().invoke(test_command.command, [str(run.folder), "--data", "moved/scans.csv", "--format", "json"])
    results = json.loads(done.output)["results"][0]
    assert (results["images"], results["test_accuracy"]) == (len(job.test), pytest.approx(wanted))

    (moved / "images" / "broken.png").write_text("no image", encoding="utf-8")
    write(moved / "new.csv", "south,images/broken.png,40", "north,images/07.png,21", header="site,file,age")
    done = CliRunner().invoke(predict.command, [str(run.folder), "moved/new.csv", "--format", "json"])
    found = json.loads(done.output)
    assert (done.exit_code, [one["row"] for one in found["results"]]) == (2, [2])
    assert found["errors"] == [
        {"file": "moved/new.csv", "row": 1, "message": f"{moved}/images/broken.png cannot be read: not an image"}
    ]
    pixels = torch.from_numpy(np.array(Image.open(moved / "images" / "07.png")))[None, None]
    probabilities = module(pixels, torch.tensor([[21.0, 1, 0]])).softmax(1)[0]
    assert found["results"][0]["top"][0]["probability"] == pytest.approx(probabilities.max().item(), abs=1e-6)

    command = [str(run.folder), "--to", "torch", "--normalize", "-o", "scans.pt2"]
    assert CliRunner().invoke(export.command, command).exit_code == 0
    program = torch.export.load("scans.pt2").module()
    torch.testing.assert_close(program(job.test.rows, job.test.images), answers)  # type: ignore[union-attr]
    assert (
        CliRunner().invoke(export.command, [str(run.folder), "--to", "safetensors", "-o", "w.safetensors"]).exit_code
        == 0
    )
    known = {name: json.loads(text) for name, text in metadata("w.safetensors").items()}
    of_checkpoint = metadata(run.folder / "checkpoints" / "best.ckpt")
    for name, wanted in (("mean", module.mean), ("row_mean", module.row_mean), ("row_std", module.row_std)):
        assert known[name] == json.loads(of_checkpoint[name]) == wanted.tolist()


@pytest.mark.slow
def test_a_killed_run_of_images_and_rows_resumes_bit_for_bit(scans: Path) -> None:
    assert_resumes_alike(lambda: prepare(spec(), scans), 4, scans)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "columns", "message"),
    [
        (
            ["images/00.png,1,north,ill", "images/40.png,1,north,healthy"],
            {},
            "{folder}/scans.csv, line 3: {folder}/images/40.png, in the column `file`, is not there\n"
            "  help: write paths from the folder {folder} on",
        ),
        (
            ["images\\00.png,1,north,ill", "images/01.png,1,north,healthy"],
            {},
            "{folder}/scans.csv, line 2: {folder}/images\\00.png, in the column `file`, is not there\n"
            "  help: write `/` between folders, not `\\`",
        ),
        (
            ["images/00.png,old,north,ill", "images/01.png,1,north,healthy"],
            {},
            "{folder}/scans.csv, line 2: `old` in the column `age` is no finite number\n"
            "  help: write the number, or remove the row; `data: {{ignore: [age]}}` leaves the column out",
        ),
        (
            ["images/00.png,,north,ill", "images/01.png,1,north,healthy"],
            {},
            "{folder}/scans.csv, line 2: the column `age` is empty, and no value is made up for it\n"
            "  help: fill it in, or remove the row; a feature may be left out: `data: {{ignore: […]}}`",
        ),
        (
            ["images/00.png,1,north,ill", "images/01.png,1,north,healthy"],
            {"inputs": {"scan": "picture", "patient": "*"}},
            "{folder}/scans.csv has no column `picture`, which `train.data.inputs` names\n"
            "  help: its columns are `file`, `age`, `site`, `outcome`",
        ),
        (
            ["images/00.png,1,north,ill", "images/01.png,1,north,healthy"],
            {"inputs": {"scan": "file", "patient": "age"}},
            "no input takes the column `site` of `{folder}/scans.csv`\n"
            "  help: name it at an input, or leave it out: `data: {{ignore: […]}}`",
        ),
        (
            ["scans.csv,1,north,ill", "images/01.png,1,north,healthy"],
            {},
            "{folder}/scans.csv, line 2: {folder}/scans.csv, in the column `file`, is no image by its name\n"
            "  help: images end in .bmp .gif .jfif .jpeg .jpg .pgm .png .ppm .tif .tiff .webp",
        ),
        (
            ["images/00.png,1,north,ill", "images/00.png,1,north,healthy"],
            {},
            "{folder}/scans.csv lists too few images: none could be tested\n  help: add some",
        ),
    ],
)
def test_rows_that_do_not_fit_are_named(lines: list[str], columns: Any, message: str, scans: Path) -> None:
    write(scans / "scans.csv", *lines)
    with pytest.raises(UsageError) as caught:
        prepare(spec(str(scans / "scans.csv"), columns), scans)
    assert str(caught.value) == message.format(folder=scans)


def test_a_recipe_that_does_not_fit_is_refused(scans: Path) -> None:
    for changed, message in (
        (
            {"augment": ["mixup"]},
            "`mixup` mixes images, and the rows beside them would be those of one of them\n"
            "  help: leave it out of `train.augment`",
        ),
        (
            {"data": "digits"},
            "`digits` is no table, whose columns would say the images and rows of each sample\n"
            "  help: name a table with a column of the images' paths, `--data scans.csv` for example",
        ),
        (
            {"data": "images"},
            "images has no table\n  help: give it a table for each part: train.csv, val.csv and test.csv",
        ),
    ):
        with pytest.raises(UsageError) as caught:
            prepare(spec(**changed), scans)
        assert str(caught.value) == message
    table = {"data": {"name": "scans.csv", "target": "outcome", "one_hot": ["site"]}}
    images_alone = SPEC | {"train": table, "input": [1, 6, 6], "network": ["flatten", {"linear": "=num_classes"}]}
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(images_alone, "alone"), scans)
    assert str(caught.value) == (
        "the column `file` of scans.csv names images, and the network takes none beside rows\n"
        "  help: an image and rows are inputs by name, `input: {scan: [1, 64, 64], patient: [4]}`; images alone lie in a "
        "folder for each class, or beside a `labels.csv` or `targets.csv`"
    )
    with pytest.raises(UsageError) as caught:
        prepare(spec().replace(vars={"features": 2}), scans, features_given=True)
    assert str(caught.value) == (
        "the data set `scans.csv` has 3 features for the input `patient`: `age`, `site=north`, `site=south`; the "
        "network's is 2\n  help: write `input: {patient: [3], scan: [1, 6, 6]}`"
    )


def test_check_asks_for_one_column_of_images() -> None:
    with pytest.raises(SpecError) as caught:
        spec(columns={"inputs": {"scan": ["file", "age"], "patient": "*"}})
    (one,) = caught.value.diagnostics
    assert (one.message, one.help) == (
        "`train.data` gives the input `scan`, images of 1×6×6, other than one column",
        "name the column of their files' paths: `inputs: {scan: file, …}`",
    )


def test_a_table_for_each_part_keeps_to_it(scans: Path) -> None:
    for part, numbers in (("train", range(20)), ("val", range(20, 24)), ("test", range(24, 30))):
        write(scans / f"{part}.csv", *(f"images/{i:02}.png,{i},north,{'ill' if i % 2 else 'healthy'}" for i in numbers))
    (scans / "scans.csv").unlink()
    columns = Columns(("outcome",), ("site",), (), {"scan": ("file",), "patient": ("age",)}, "scan")
    found = data.load(str(scans), scans, columns=columns)
    assert [found.train.rows.flatten().tolist(), found.validation.rows.flatten().tolist()] == [  # type: ignore[union-attr]
        [float(i) for i in range(20)],
        [20.0, 21.0, 22.0, 23.0],
    ]
    assert found.test.labels.tolist() == [0, 1, 0, 1, 0, 1]

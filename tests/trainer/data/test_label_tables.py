"""Folders of images with a CSV file of labels or numbers: its layouts, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe
from trainer import data
from trainer.data import folder
from trainer.input.files import Files
from trainer.input.loaders import Stream
from trainer.input.splits import prepare_splits

pytestmark = pytest.mark.usefixtures("own_cache")


def put(root: Path, tables: Mapping[str, str], *names: str) -> Path:
    """A folder with CSV files and images, each of the grey that its name says: `dir/7.png`."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), int(file.stem), dtype=np.uint8)).save(file)
    for table, text in tables.items():
        (root / table).parent.mkdir(parents=True, exist_ok=True)
        (root / table).write_text(text, encoding="utf-8")
    return root


def known(files: object) -> dict[str, list[float]]:
    assert isinstance(files, Files)
    return dict(zip(files.paths, files.labels.tolist(), strict=True))


def load(root: Path) -> data.DataSet:
    return data.load(str(root), root)


# --- layouts ----------------------------------------------------------------------------------------------------------


def test_lists_of_labels_in_each_part(tmp_path: Path) -> None:
    root = put(
        tmp_path,
        {
            "train/labels.csv": "\ufefffile,labels\n2.png,sun sea\n1.png,sea\n3.png,\n\n",
            "Valid/labels.csv": "file,labels\n4.png,sun\n",
            "test/labels.csv": "file,labels\nin/5.png,\n",
        },
        *("train/1.png", "train/2.png", "train/3.png", "Valid/4.png", "test/in/5.png"),
    )
    found = load(root)
    assert (found.targets, found.class_names) == ("label sets", ("sea", "sun"))
    assert known(found.train) == {"train/1.png": [1, 0], "train/2.png": [1, 1], "train/3.png": [0, 0]}
    assert known(found.validation) == {"Valid/4.png": [0, 1]}
    assert known(found.test) == {"test/in/5.png": [0, 0]}
    splits = prepare_splits(found, (1, 4, 4), Recipe(normalize=False))
    assert splits.notes == (
        "the validation set has no images of `sea`",
        "the test set has no images of `sea`, `sun`",
    )
    for position, grey in enumerate((1, 2, 3)):
        image, target = splits.train[[position]]  # type: ignore[index]
        assert bool((image == grey).all())
        assert target[0].tolist() == found.train.labels[position].tolist()


def test_columns_of_0_and_1_with_parts_by_folder(tmp_path: Path) -> None:
    root = put(
        tmp_path,
        {"labels.csv": 'file,"dog, big",cat\ntrain/1.png,1,0\ntest/2.png,0,1\ntrain/3.png,1,1\n'},
        *("train/1.png", "test/2.png", "train/3.png"),
    )
    found = load(root)
    assert found.class_names == ("dog, big", "cat")
    assert known(found.train) == {"train/1.png": [1, 0], "train/3.png": [1, 1]}
    assert known(found.test) == {"test/2.png": [0, 1]}
    assert found.validation is None


def test_numbers_of_which_a_fifth_is_kept_for_the_test_whatever_their_order(tmp_path: Path) -> None:
    lines = [f"{number}.png,{number / 4},-{number}e2" for number in range(10)]
    root = put(
        tmp_path, {"targets.csv": "\n".join(["file,age,height", *lines])}, *(f"{number}.png" for number in range(10))
    )
    found = load(root)
    assert (found.targets, found.class_names) == ("numbers", ("age", "height"))
    assert found.train.labels.dtype == torch.float32
    both = known(found.train) | known(found.test)
    assert both == {f"{number}.png": [number / 4, -100 * number] for number in range(10)}
    assert (len(found.train), len(found.test)) == (8, 2)
    (root / "targets.csv").write_text("\n".join(["file,age,height", *lines[::-1]]))
    again = load(root)
    assert (known(again.train), known(again.test)) == (known(found.train), known(found.test))
    streamed = Stream(found.train, (1, 4, 4), augment=[])  # type: ignore[arg-type]
    batch = streamed[0, [1, 3]]
    assert not isinstance(batch, UsageError)
    assert torch.equal(batch[1], found.train.labels[[1, 3]])


def test_all_images_are_tested_or_those_of_the_part(tmp_path: Path) -> None:
    lines = "file,a\n1.png,5\n2.png,6\n"
    whole = put(tmp_path / "whole", {"targets.csv": lines}, "1.png", "2.png")
    assert known(folder.load_test(whole, ("a",), "numbers")) == {"1.png": [5], "2.png": [6]}
    part = put(tmp_path / "part", {"test/targets.csv": lines}, "test/1.png", "test/2.png")
    assert known(folder.load_test(part, ("a",), "numbers")) == {"test/1.png": [5], "test/2.png": [6]}
    with pytest.raises(UsageError) as caught:
        folder.load_test(part, ("b",), "numbers")
    assert str(caught.value) == (
        f"{part}/test/targets.csv has a column `a`, which training has not\n  help: give all parts the same columns"
    )
    with pytest.raises(UsageError) as caught:
        folder.load_test(part, ("a",), "classes")
    assert str(caught.value) == (
        f"{part} has numbers, but the run was trained with classes\n  help: choose other images"
    )


# --- what is wrong ----------------------------------------------------------------------------------------------------

LABELS = "`file,labels`, or `file` and a column of 0 and 1 for each label"


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"labels.csv": "1.png,a\n2.png,b\n"},
            "{root}/labels.csv has no header: its first line begins with `1.png`, not with `file`\n"
            f"  help: begin it with {LABELS}",
        ),
        ({"labels.csv": ""}, "{root}/labels.csv has no header: it is empty\n" + f"  help: begin it with {LABELS}"),
        (
            {"labels.csv": "file\n"},
            "{root}/labels.csv has no column beside `file`\n" + f"  help: begin it with {LABELS}",
        ),
        (
            {"targets.csv": "file,\n1.png,2\n"},
            "{root}/targets.csv has a column without a name beside `file`\n"
            "  help: begin it with `file` and a column for each number",
        ),
        (
            {"labels.csv": "file,label\n1.png,a\n"},
            "{root}/labels.csv has the one column `label`\n" + f"  help: begin it with {LABELS}",
        ),
        (
            {"targets.csv": "file,a,a\n1.png,1,2\n"},
            "{root}/targets.csv has the column `a` twice\n  help: remove one",
        ),
        ({"labels.csv": "file,labels\n"}, "{root}/labels.csv lists no images\n  help: give each image a line"),
        (
            {"labels.csv": "file,labels\n1.png,a,b\n"},
            "{root}/labels.csv, line 2: 3 cells for 2 columns\n"
            "  help: put texts with commas between quotes, labels apart by spaces",
        ),
        (
            {"labels.csv": "file,labels\n1.png,a\n2.png,b\n./1.png,b\n"},
            "{root}/labels.csv, line 4: ./1.png is listed in line 2 already\n  help: keep one line",
        ),
        (
            {"labels.csv": "file,labels\n1.png,a\n8.png,b\n2.png,b\n9.png,b\n"},
            "{root}/labels.csv, line 3: {root}/8.png is not there, and 1 more in its lines\n"
            "  help: add the image, or remove the line",
        ),
        (
            {"labels.csv": "file,labels\nlabels.csv,a\n"},
            "{root}/labels.csv, line 2: {root}/labels.csv is no image by its name below that folder\n"
            "  help: add the image, or remove the line",
        ),
        (
            {"labels.csv": "file,labels\n1.png,a b\n"},
            "{root}/2.png has no line in {root}/labels.csv\n"
            "  help: add a line, without a label where it has none, or move the image away",
        ),
        (
            {"labels.csv": "file,labels\n1.png,a\n2.png,a\n"},
            "{root}/labels.csv has one label, `a` for training, and two at least are needed\n  help: add some",
        ),
        (
            {"labels.csv": "file,a,b\n1.png,1,0\n2.png,0.5,1\n"},
            "{root}/labels.csv, line 3: `0.5` in the column `a` is neither 0 nor 1\n"
            "  help: write 1 where the image has the label, else 0",
        ),
        (
            {"labels.csv": 'file,labels\n1.png,"a, b"\n2.png,a\n'},
            "{root}/labels.csv, line 2: `a, b` holds a `,`, and labels are set apart by spaces\n"
            "  help: write spaces between labels, and `_` or `-` within them",
        ),
        (
            {"labels.csv": "file;labels\n.\\1.png;a\n.\\2.png;b\n"},
            "{root}/labels.csv, line 2: {root}/.\\1.png is not there, and 1 more in its lines\n"
            "  help: write `/` between folders, not `\\`",
        ),
        (
            {"targets.csv": "file,a\n1.png,\n2.png,3\n"},
            "{root}/targets.csv, line 2: the column `a` is empty\n"
            "  help: write the number, or remove the line and the image",
        ),
        (
            {"targets.csv": "file,a\n1.png,1\n2.png,nan\n"},
            "{root}/targets.csv, line 3: `nan` in the column `a` is no finite number\n"
            "  help: write the number, or remove the line and the image",
        ),
        (
            {"targets.csv": "file,a\n1.png,1\n2.png,2\n", "labels.csv": "file,labels\n"},
            "{root} has `labels.csv`, `targets.csv`: which is meant?\n  help: keep one, or one in each part",
        ),
        (
            {"targets.csv": 'file,a\n1.png,"1\n'},
            "{root}/targets.csv is no CSV file: unexpected end of data\n  help: save it as CSV in UTF-8",
        ),
    ],
)
def test_a_wrong_table_is_named_with_its_line(tables: dict[str, str], message: str, tmp_path: Path) -> None:
    root = put(tmp_path, tables, "1.png", "2.png")
    with pytest.raises(UsageError) as caught:
        load(root)
    assert str(caught.value) == message.format(root=root)


@pytest.mark.parametrize(
    ("tables", "images", "message"),
    [
        (
            {"train/labels.csv": "file,labels\n1.png,a b\n", "test/labels.csv": "file,labels\n2.png,a c\n"},
            ("train/1.png", "test/2.png"),
            "{root}/test/labels.csv, line 2: no training image has the label `c`\n"
            "  help: labels are set apart by spaces; remove it, or add it to training images",
        ),
        (
            {"train/labels.csv": "file,a,b\n1.png,1,0\n", "test/labels.csv": "file,a,c\n2.png,1,1\n"},
            ("train/1.png", "test/2.png"),
            "{root}/test/labels.csv has a column `c`, which training has not\n  help: give all parts the same columns",
        ),
        (
            {"train/labels.csv": "file,a,b,c\n1.png,1,0,1\n", "test/labels.csv": "file,a,c\n2.png,1,1\n"},
            ("train/1.png", "test/2.png"),
            "{root}/test/labels.csv has no column `b`, which training has\n  help: give all parts the same columns",
        ),
        (
            {"train/labels.csv": "file,labels\n1.png,a b\n"},
            ("train/1.png", "test/2.png"),
            "{root}/test has no `labels.csv`, as other parts have\n"
            "  help: put the CSV file beside the images, or one into each of train, val and test",
        ),
        (
            {"test/labels.csv": "file,labels\n2.png,a b\n"},
            ("test/2.png",),
            "{root} has no part `train`\n"
            "  help: put the CSV file beside the images, or one into each of train, val and test",
        ),
        (
            {"train/labels.csv": "file,labels\n1.png,a b\n"},
            ("train/1.png", "more/2.png"),
            "{root} has `more` beside `train/labels.csv`\n  help: move it away: train, val and test are used",
        ),
        (
            {"labels.csv": "file,labels\ntrain/1.png,a b\n2.png,a\n"},
            ("train/1.png", "2.png"),
            "{root}/labels.csv lists train/1.png, which is in a part's folder, and 2.png, which is in none\n"
            "  help: put all images into train, val and test, or none",
        ),
        (
            {"labels.csv": "file,labels\n1.png,a b\n"},
            ("1.png",),
            "{root}/labels.csv lists one image: none could be tested\n  help: add some",
        ),
    ],
)
def test_parts_that_do_not_agree_are_refused(
    tables: dict[str, str], images: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    root = put(tmp_path, tables, *images)
    with pytest.raises(UsageError) as caught:
        load(root)
    assert str(caught.value) == message.format(root=root)


def test_paths_from_the_root_of_the_disk_are_refused_with_those_to_write(tmp_path: Path) -> None:
    root = put(tmp_path, {"targets.csv": f"file,a\n{tmp_path}/1.png,3\n"}, "1.png")
    with pytest.raises(UsageError) as caught:
        load(root)
    assert str(caught.value) == (
        f"{root}/targets.csv, line 2: {root}/1.png is no image by its name below that folder\n"
        "  help: write paths from the folder of the file on: `1.png`"
    )


def test_semicolons_may_set_columns_apart_as_in_other_tables(tmp_path: Path) -> None:
    comma = load(
        put(tmp_path / "a", {"labels.csv": "file,labels\n1.png,a b\n2.png,b\n3.png,\n"}, "1.png", "2.png", "3.png")
    )
    other = load(
        put(
            tmp_path / "b",
            {"labels.csv": "file;labels\r\n1.png;a b\r\n2.png;b\r\n3.png;\r\n"},
            "1.png",
            "2.png",
            "3.png",
        )
    )
    assert other.class_names == comma.class_names == ("a", "b")
    assert other.train.labels.tolist() == comma.train.labels.tolist()

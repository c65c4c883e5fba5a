"""Odd tables and folders, as programs and people leave them: read as they are meant, or refused by what is wrong."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from pictures import photo

from archspec.foundation.errors import UsageError
from trainer import data
from trainer.errors import explain_failed_writes
from trainer.input.files import Files
from trainer.runs.log import EpochLog


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a|y\n1|p\n2|q\n",
         "{file} has one column, `a|y`\n"
         "  help: if several are meant: cells are set apart by commas, semicolons or tabs, not by `|`"),
        ("a  y\n1  p\n2  q\n",
         "{file} has one column, `a  y`\n"
         "  help: if several are meant: cells are set apart by commas, semicolons or tabs, not by `  `"),
        ("sep=;\na;y\n1;p\n2;q\n", "{file} begins with `sep=`, which Excel alone reads\n  help: remove that line"),
        ('a,y\n"1,234.5",p\n2,q\n',
         "{file}, line 2: `1,234.5` in the column `a` is no finite number\n"
         "  help: write numbers without marks between thousands, and with a decimal point"),
        ("a;y\n1.234,5;p\n2;q\n",
         "{file}, line 2: `1.234,5` in the column `a` is no finite number\n"
         "  help: write numbers without marks between thousands, and with a decimal point"),
        ("a,y\n1,p\n2,q\ninf,q\n",
         "{file}, line 4: `inf` in the column `a` is no finite number\n"
         "  help: write the number, or remove the row; `data: {{ignore: [a]}}` leaves the column out"),
        ("a,y\n1,p\n2,NaN\n3,q\n4,q\n5,p\n",
         "{file}, line 3: the column `y` is `NaN`, which means that it is not known, and no value is made up for it\n"
         "  help: fill it in, or remove the row"),
        ("a,y\n1,0\n2,1\n3,1.0\n",
         "the target `y` of {file} has `1` and `1.0`, one number in two spellings: are they one class?\n"
         "  help: write each class in one way"),
    ],
)  # fmt: skip
def test_a_table_is_refused_by_what_is_wrong_with_it(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        data.load(str(file), tmp_path, task="classification")
    assert str(caught.value) == message.format(file=file)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels.csv", "file,a,b\n0.png,1,0\n1.png,1,0\n2.png,1,0\n",
         "{folder}/labels.csv gives all training images the same labels: there is nothing to learn\n"
         "  help: a label is learned from images that have it and others that have not"),
        ("targets.csv", "file;a\n0.png;1,5\n1.png;2\n2.png;3\n",
         "{folder}/targets.csv, line 2: `1,5` in the column `a` is no finite number\n"
         "  help: write numbers with a decimal point"),
    ],
)  # fmt: skip
def test_what_a_folder_says_of_its_images_is_refused_too(name: str, text: str, message: str, tmp_path: Path) -> None:
    for i in range(3):
        photo(tmp_path / f"{i}.png", seed=i)
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        data.load(str(tmp_path), tmp_path)
    assert str(caught.value) == message.format(folder=tmp_path)


def test_codes_that_begin_with_zeros_are_classes_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n" + "1,7\n2,07\n3,007\n" * 4, encoding="utf-8")
    assert data.load(str(tmp_path / "t.csv"), tmp_path, task="classification").class_names == ("007", "07", "7")


def test_a_link_to_the_folder_of_classes_brings_no_class_into_another(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for i in range(5):
            photo(tmp_path / "photos" / name / f"{i}.png", seed=i)
    os.symlink("..", tmp_path / "photos" / "cat" / "back")
    os.symlink(tmp_path / "photos", tmp_path / "photos" / "dog" / "again")
    found = data.load(str(tmp_path / "photos"), tmp_path)
    assert isinstance(found.train, Files)
    assert isinstance(found.test, Files)
    paths = sorted([*found.train.paths, *found.test.paths])
    assert paths == [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(5)]


def test_a_disk_that_takes_no_more_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught, explain_failed_writes(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(caught.value) == (
        f"cannot write into {tmp_path}: the disk is full\n"
        f"  help: make room, then go on with what is kept: archspec train --resume {tmp_path}"
    )
    with pytest.raises(PermissionError), explain_failed_writes(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_an_empty_name_is_not_the_current_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        data.load("", tmp_path)
    assert str(caught.value) == (
        "the name of the data set is empty\n  help: give its name, or its path; `.` is this folder"
    )


def test_a_log_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    log = EpochLog(tmp_path)
    log.log_metrics({"train_loss": 1.0}, 1)
    (tmp_path / "metrics.csv").mkdir()
    with pytest.raises(OSError, match="directory"):
        log.save()
    assert [one.name for one in tmp_path.iterdir()] == ["metrics.csv"]

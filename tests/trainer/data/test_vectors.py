"""Tables and arrays: what their columns are taken for, and what is said where they cannot be used."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
import torch

from archspec.foundation.errors import UsageError
from archspec.recipe import Columns, Recipe
from trainer import data
from trainer.data import _rows
from trainer.input.datasets import DataSet, InMemory
from trainer.input.splits import prepare_splits

FLOWERS = "petal,colour,kind\n1.5,red,rose\n2.5,blue,iris\n3,red,rose\n4,blue,iris\n5,red,rose\n"
NO_TEXT = "fill it in, or remove the row; a feature may be left out: `data: {ignore: [petal]}`"


def table(folder: Path, text: str, name: str = "t.csv", **columns: Any) -> DataSet:
    (folder / name).write_text(text, encoding="utf-8")
    task = columns.pop("task", None)
    return data.load(str(folder / name), folder, columns=Columns.from_dict(columns), task=task)


def every(found: DataSet) -> tuple[list[Any], list[Any]]:
    """All samples and targets in the order of their rows."""
    parts = [found.train, found.test]
    rows = [(int(row), x, y) for one in parts for row, x, y in zip(one.names, one.images, one.labels, strict=True)]  # type: ignore[union-attr]
    rows.sort(key=lambda row: row[0])
    return [x.tolist() for _, x, _ in rows], [y.tolist() for _, _, y in rows]


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_become_features_and_classes_whatever_separates_them(separator: str, tmp_path: Path) -> None:
    found = table(tmp_path, FLOWERS.replace(",", separator), target="kind", one_hot=["colour"])
    assert (found.class_names, found.targets, found.samples) == (("iris", "rose"), "classes", (3,))
    assert found.form is not None
    assert found.form.features == ("petal", "colour=blue", "colour=red")
    assert every(found) == ([[1.5, 0, 1], [2.5, 1, 0], [3, 0, 1], [4, 1, 0], [5, 0, 1]], [1, 0, 1, 0, 1])


def test_the_only_texts_or_a_column_called_so_are_the_target(tmp_path: Path) -> None:
    assert table(tmp_path, FLOWERS, ignore=["colour"]).class_names == ("iris", "rose")
    numbers = table(tmp_path, "a,y\n1,0.5\n2,1.5\n3,2.5\n")
    assert (numbers.class_names, numbers.targets) == (("y",), "numbers")
    assert every(numbers) == ([[1], [2], [3]], [[0.5], [1.5], [2.5]])
    several = table(tmp_path, "a,b,c\n1,2,3\n2,3,4\n3,4,6\n", target=["c", "b"])
    assert every(several) == ([[1], [2], [3]], [[3, 2], [4, 3], [6, 4]])


def test_whole_numbers_are_classes_or_amounts_as_the_task_says(tmp_path: Path) -> None:
    text = "a,y\n1,10\n2,9\n3,10\n4,9\n"
    assert table(tmp_path, text, task="classification").class_names == ("9", "10")
    assert every(table(tmp_path, text, task="regression"))[1] == [[10], [9], [10], [9]]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        (
            FLOWERS,
            {},
            "{file} does not say what is to be learned: of its columns `petal`, `colour`, `kind`, which is the target?\n"
            "  help: name it: `data: {{target: COLUMN}}` in the recipe, or --set train.data.target=COLUMN",
        ),
        (
            FLOWERS,
            {"target": "knid"},
            "{file} has no column `knid`, which `data.target` names\n  help: did you mean `kind`?",
        ),
        (
            FLOWERS,
            {"target": "kind"},
            "{file}, line 2: `red` in the column `colour` is no finite number\n  help: `data: {{one_hot: [colour]}}` "
            "makes a feature of each of its 2 values, `data: {{ignore: [colour]}}` leaves it out",
        ),
        (
            FLOWERS,
            {"target": "kind", "ignore": ["kind"]},
            "`data.ignore` names the column `kind`, which is to be used too\n  help: name it once",
        ),
        (
            FLOWERS,
            {"target": "kind", "one_hot": ["kind"]},
            "`data.one_hot` names the target `kind`\n  help: it is for features: leave it out there",
        ),
        (
            FLOWERS,
            {"target": ["petal", "kind"]},
            "{file}, line 2: `rose` in the column `kind` is no finite number\n"
            "  help: name one target of texts, or several of numbers",
        ),
        (
            FLOWERS.replace("2.5", "NA"),
            {"target": "kind", "one_hot": ["colour"]},
            "{file}, line 3: the column `petal` is `NA`, which means that it is not known, and no value is made up for "
            f"it\n  help: {NO_TEXT}".replace("{", "{{").replace("}", "}}").replace("{{file}}", "{file}"),
        ),
        (
            FLOWERS.replace("2.5", ""),
            {"target": "kind", "one_hot": ["colour"]},
            "{file}, line 3: the column `petal` is empty, and no value is made up for it\n"
            f"  help: {NO_TEXT}".replace("{", "{{").replace("}", "}}").replace("{{file}}", "{file}"),
        ),
        (
            FLOWERS.replace(",", ";").replace("2.5", "2,5"),
            {"target": "kind", "one_hot": ["colour"]},
            "{file}, line 3: `2,5` in the column `petal` is no finite number\n"
            "  help: write numbers with a decimal point",
        ),
        (
            "a,y\n1,10\n2,9\n3,10\n",
            {},
            "the target `y` of {file} holds whole numbers, which may be classes or amounts\n"
            "  help: say which: --task classification, or --task regression",
        ),
        (
            "a,y\n1,x\n2,x\n",
            {},
            "the target `y` of {file} is `x` in every row: there is nothing to learn\n"
            "  help: choose another one: `data: {{target: COLUMN}}`",
        ),
        (
            "a,y\n1,p\n2,q\n3,r\n",
            {},
            "the target `y` of {file} has 3 values in 3 rows: these are no classes\n  help: choose another one: "
            "`data: {{target: COLUMN}}`; or --task regression, where it is a number",
        ),
        ("y\nx\nz\n", {}, "{file} has no column beside the target\n  help: add the features, a column each"),
        (
            "1,2\n3,4\n",
            {},
            "{file} has no header: its first line holds numbers alone\n  help: begin it with the columns' names",
        ),
        (
            "5.1,3.5,0.2,rose\n4.9,3.1,0.3,iris\n",
            {},
            "{file} has no header: its first line is a row, 5.1, 3.5, 0.2, rose\n"
            "  help: begin it with the columns' names",
        ),
        (
            "7,3,5,rose\n4,3,0,iris\n",
            {},
            "{file} has no header: its first line is a row, 7, 3, 5, rose\n  help: begin it with the columns' names",
        ),
        (
            ",a\n0,1\n",
            {},
            "{file}: column 1 has no name\n  help: name it in the first line, or remove it; of pandas, "
            "`to_csv(…, index=False)` writes no such column",
        ),
        ("a,a\n0,1\n", {}, "{file} has the column `a` twice\n  help: remove or rename one"),
        (
            "a,y\n0,1,2\n",
            {},
            "{file}, line 2: 3 cells for 2 columns\n  help: put texts with commas between quotes",
        ),
        ("a,y\n", {}, "{file} has no rows\n  help: give each sample a row, below the names of the columns"),
        ("", {}, "{file} is empty\n  help: begin it with a line of the columns' names"),
        ('a,y\n"0,1\n', {}, "{file} is no CSV file: unexpected end of data\n  help: save it as CSV in UTF-8"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_refused_with_its_place(
    text: str, columns: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        table(tmp_path, text, **columns)
    assert str(caught.value) == message.format(file=tmp_path / "t.csv")


def test_a_fifth_of_each_class_is_kept_for_the_test_and_parts_are_taken_as_they_are(tmp_path: Path) -> None:
    rows = "".join(f"{number},{'ab'[number % 5 == 0]}\n" for number in range(100))
    found = table(tmp_path, f"x,kind\n{rows}")
    assert (len(found.train), len(found.test)) == (80, 20)
    assert found.test.labels.bincount().tolist() == [16, 4]
    assert set(found.train.names).isdisjoint(found.test.names)  # type: ignore[union-attr]
    again = table(tmp_path, f"x,kind\n{rows}")
    assert found.test.names == again.test.names  # type: ignore[union-attr]
    parts = tmp_path / "parts"
    parts.mkdir()
    for name, count in (("train", 60), ("val", 15), ("test", 25)):
        lines = rows.splitlines(keepends=True)[:count]
        (parts / f"{name}.csv").write_text(f"x,kind\n{''.join(lines)}")
    found = data.load(str(parts), tmp_path)
    assert (len(found.train), len(found.validation or ()), len(found.test)) == (60, 15, 25)
    (parts / "test.csv").write_text("x,kind\n1,a\n2,c\n")
    with pytest.raises(UsageError) as caught:
        data.load(str(parts), tmp_path)
    assert str(caught.value) == (
        f"{parts}/test.csv, line 3: no training row has the class `c` in the column `kind`\n"
        "  help: the classes are `a`, `b`"
    )


def test_a_feature_that_never_varies_and_one_too_fine_for_single_precision_are_noted(tmp_path: Path) -> None:
    found = table(tmp_path, "a,b,y\n1,1e9,0.5\n1,1000000001,1.5\n1,1000000002,2.5\n")
    assert found.notes == (
        "single precision does not tell all values of `b` apart: subtract what they share",
        "never varying in training, and so of no use: `a`, `b`",
    )


def test_numbers_that_count_up_may_be_names_of_columns(tmp_path: Path) -> None:
    found = table(tmp_path, "2019,2020,2021,kind\n1,2,3,a\n4,5,6,b\n7,8,9,a\n3,2,1,b\n")
    assert found.form is not None
    assert (found.form.columns, found.class_names) == (("2019", "2020", "2021"), ("a", "b"))


def test_a_table_that_is_not_in_utf8_names_the_byte(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("größe,y\n1,2.5\n".encode("latin-1"))
    with pytest.raises(UsageError) as caught:
        data.load(str(tmp_path / "t.csv"), tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/t.csv is not in UTF-8: it holds the byte 0xf6 where that has no meaning\n"
        "  help: save it as CSV in UTF-8"
    )


def test_tables_beside_those_of_the_parts_are_said_to_be_left_out(tmp_path: Path) -> None:
    for name in ("train", "test", "submission"):
        (tmp_path / f"{name}.csv").write_text("x,y\n1,0.5\n2,1.5\n3,0.5\n")
    assert data.load(str(tmp_path), tmp_path).notes == (
        f"left out of {tmp_path}, since its parts are train, val and test: `submission.csv`",
    )


def test_rows_of_a_part_that_another_one_has_are_said(tmp_path: Path) -> None:
    text = "x,y\n" + "".join(f"{i},{i}.5\n" for i in range(8))
    (tmp_path / "train.csv").write_text(text)
    (tmp_path / "val.csv").write_text("x,y\n9,1.5\n")
    (tmp_path / "test.csv").write_text("x,y\n1,1.5\n3,4.5\n9,1.5\n5,5.5\n")
    recipe = Recipe(validation=0)
    assert prepare_splits(data.load(str(tmp_path), tmp_path), (1,), recipe).notes == (
        "2 rows of the test set are in the training set too: row 1 is row 2, and so on",
        "1 row of the test set is in the validation set too: row 3 is row 1",
    )


def test_columns_are_named_of_tables_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        data.load("iris", tmp_path, columns=Columns(("a",)))
    assert str(caught.value) == (
        "`iris` is no table, of which `train.data` could name columns\n  help: leave `target` out"
    )


def test_parquet_is_read_as_the_same_table_in_csv(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {
        "petal": [1.5, 2.5, 3, 4, 5],
        "colour": ["red", "blue"] * 2 + ["red"],
        "kind": ["rose", "iris"] * 2 + ["rose"],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    named = Columns(("kind",), (), ("colour",))
    found = data.load(str(tmp_path / "t.parquet"), tmp_path, columns=named)
    text = table(tmp_path, FLOWERS, target="kind", one_hot=["colour"])
    assert (every(found), found.form) == (every(text), text.form)
    parquet.write_table(pyarrow.table(columns | {"petal": [1.5, None, 3, 4, 5]}), tmp_path / "t.parquet")
    with pytest.raises(UsageError) as caught:
        data.load(str(tmp_path / "t.parquet"), tmp_path, columns=named)
    assert str(caught.value) == (
        f"{tmp_path}/t.parquet, row 2: the column `petal` is empty, and no value is made up for it\n  help: {NO_TEXT}"
    )
    (tmp_path / "t.parquet").write_text("no")
    with pytest.raises(UsageError, match=r"t.parquet is no Parquet file: "):
        data.load(str(tmp_path / "t.parquet"), tmp_path)


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "t.parquet").touch()
    with pytest.raises(UsageError) as caught:
        _rows.read(tmp_path / "t.parquet")
    assert str(caught.value) == (
        f"to read {tmp_path}/t.parquet, pyarrow is needed\n"
        "  help: pip install 'archspec-nets[tables]'; or save the table as CSV"
    )


@pytest.mark.parametrize(
    ("name", "shape", "classes", "arguments"),
    [
        ("iris", (150, 4), 3, {}),
        ("wine", (178, 13), 3, {}),
        ("breast_cancer", (569, 30), 2, {}),
        ("diabetes", (442, 10), 1, {"scaled": False}),
    ],
)
def test_embedded_tables_are_scikit_learns(
    name: str, shape: tuple[int, int], classes: int, arguments: dict[str, Any], tmp_path: Path
) -> None:
    theirs = getattr(sklearn.datasets, f"load_{name}")(**arguments)
    found = data.load(name, tmp_path)
    samples, targets = (np.array(one) for one in every(found))
    assert samples.shape == shape
    assert np.array_equal(samples.astype(np.float32), theirs.data.astype(np.float32))
    assert np.array_equal(targets.reshape(-1), theirs.target)
    assert found.classes == classes


def test_digit_rows_are_the_digits(tmp_path: Path) -> None:
    rows, digits = (data.load(name, tmp_path) for name in ("digit_rows", "digits"))
    assert rows.samples == (8, 8)
    for one, other in ((rows.train, digits.train), (rows.test, digits.test)):
        assert isinstance(one, InMemory)
        assert isinstance(other, InMemory)
        assert torch.equal(one.images, other.images[:, 0].float())
        assert torch.equal(one.labels, other.labels)


# --- arrays -----------------------------------------------------------------------------------------------------------


def test_arrays_of_a_file_or_folder_are_samples_with_classes_or_numbers(tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).normal(size=(10, 5, 3))
    for number, (targets, names, kind) in enumerate(
        [
            (np.arange(10) % 2 + 1, ("1", "2"), "classes"),
            (np.array(["b", "a"] * 5), ("a", "b"), "classes"),
            (np.linspace(0, 1, 10), ("target",), "numbers"),
            (np.zeros((10, 2)), ("target 0", "target 1"), "numbers"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        np.save(folder / "inputs.npy", inputs)
        np.save(folder / "targets.npy", targets)
        np.savez(tmp_path / f"{number}.npz", inputs=inputs, targets=targets)
        for path in (folder, tmp_path / f"{number}.npz"):
            found = data.load(str(path), tmp_path)
            assert (found.class_names, found.targets, found.samples) == (names, kind, (5, 3))
            assert np.array_equal(every(found)[0], inputs.astype(np.float32))


def with_nan() -> Any:
    inputs = np.zeros((4, 2))
    inputs[2, 1] = np.nan
    return inputs


LAYOUT = "give it `inputs` (N, features) or (N, tokens, features), and `targets` (N,) or (N, numbers)"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": np.zeros((4, 2))}, "{file} has no `targets`, but `inputs`\n  help: " + LAYOUT),
        (
            {"inputs": np.zeros((4, 2)), "targets": np.zeros(3)},
            "{file} has 4 inputs, but targets of 3\n  help: give each sample a target",
        ),
        (
            {"inputs": np.zeros(4), "targets": np.zeros(4)},
            "the inputs of {file} are an array of 4, no samples\n  help: " + LAYOUT,
        ),
        (
            {"inputs": np.zeros((4, 3, 8, 8)), "targets": np.zeros(4)},
            "the inputs of {file} are samples of 3×8×8, which archspec takes as images, from files\n  help: save them as "
            "PNG files, `numpy` and Pillow do; a folder of images is given by its path",
        ),
        (
            {"inputs": with_nan(), "targets": np.zeros(4)},
            "the inputs of {file} hold nan at [2, 1]: no finite number of single precision\n"
            "  help: fill it in, or remove the sample",
        ),
        (
            {"inputs": np.zeros((4, 2)), "targets": np.arange(4)},
            "the targets of {file} have 4 values in 4 samples: these are no classes\n"
            "  help: save them as floats, or --task regression, where they are numbers",
        ),
        (
            {"inputs": np.zeros((4, 2)), "targets": np.array([{}, 1, 2, 3], dtype=object)},
            "{file} holds Python objects (pickles), which could run anything, or no arrays at all, and is not loaded\n"
            "  help: save arrays of numbers or texts, `array.astype(numpy.float32)` for example",
        ),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UsageError) as caught:
        data.load(str(tmp_path / "a.npz"), tmp_path)
    assert str(caught.value) == message.format(file=tmp_path / "a.npz")


def test_damaged_arrays_and_arrays_without_targets_are_refused(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.savez(whole, inputs=np.zeros((4, 2)), targets=np.zeros(4))
    (tmp_path / "a.npz").write_bytes(whole.getvalue()[:200])
    np.save(tmp_path / "b.npy", np.zeros((4, 2)))
    for name, message in (
        (
            "a.npz",
            "{file} cannot be read as arrays: File is not a zip file\n"
            "  help: save it anew by numpy.save or numpy.savez",
        ),
        (
            "b.npy",
            "{file} holds one array, and no targets\n  help: put inputs.npy and targets.npy into a folder",
        ),
    ):
        with pytest.raises(UsageError) as caught:
            data.load(str(tmp_path / name), tmp_path)
        assert str(caught.value) == message.format(file=tmp_path / name)

"""Data sets of vectors and sequences: tables and arrays, whole or in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.shapes import show
from archspec.recipe import Columns
from archspec.recipe.outputs import HeadTargets
from trainer.data import _arrays, _columns, _rows
from trainer.data._listing import PARTS, TEST_SHARE, with_test
from trainer.input.cache import files_fingerprint
from trainer.input.datasets import NUMBERS, TARGETS, DataSet, Form, InMemory
from trainer.input.files import Files


@dataclass(frozen=True)
class _Source:
    """A table or arrays: what makes a form of it, and samples by a form."""

    path: Path
    find_form: Callable[[], Form]
    samples: Callable[[Form], InMemory]
    table: _rows.Table | None = None


def is_vectors(path: Path) -> bool:
    """Whether a path is that of a table or arrays, or of a folder with these for each part."""
    if _is_source(path) or not path.is_dir():
        return _is_source(path)
    folders = [one for one in path.iterdir() if one.is_dir() and not one.name.startswith(".")]
    return all(map(_is_source, folders)) and bool(_parts(path))


def _is_source(path: Path) -> bool:
    return _rows.is_table(path) or _arrays.are_arrays(path)


def _parts(folder: Path) -> dict[str, Path]:
    """The table or arrays of each part in a folder: `train.csv`, or a folder `train` of arrays. Raises `UsageError`."""
    parts: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        part = PARTS.get((path.name if path.is_dir() else path.stem).lower())
        if part is None or path.name.startswith(".") or not _is_source(path):
            continue
        if part in parts:
            raise UsageError(
                f"{folder} has `{parts[part].name}` and `{path.name}`, which mean the same", help="keep one"
            )
        parts[part] = path
    return parts


def _source(path: Path, columns: Columns, task: str | None, heads: Mapping[str, HeadTargets]) -> _Source:
    if _rows.is_table(path):
        table = _rows.read(path)
        find = partial(_columns.find_form, table, columns, task, heads)
        return _Source(path, find, partial(_columns.make_samples, table), table)
    if columns != Columns():
        raise UsageError(
            f"{path} holds arrays, of which `data` can name no columns", help=f"leave {_said(columns)} out"
        )
    if heads:
        raise UsageError(
            f"`train.outputs` names targets, columns of a table, but {path} holds arrays",
            help="save them as a table, or train one output",
        )
    return _Source(path, partial(_arrays.find_form, path, task), partial(_arrays.make_samples, path))


def _said(columns: Columns) -> str:
    return join_words(columns.to_dict())


def load(path: Path, columns: Columns, task: str | None, heads: Mapping[str, HeadTargets] | None = None) -> DataSet:
    """The samples of a table or arrays, or of a folder with one for each part. Raises `UsageError`.

    Without parts, a fifth of the samples, of each class alike, is kept for the test: always the same.
    """
    named = parts_of(path)
    sources = {part: _source(one, columns, task, heads or {}) for part, one in named.items()}
    form = sources["train"].find_form()
    parts = {part: one.samples(form) for part, one in sources.items()}
    for part, one in parts.items():
        if one.images.shape[1:] != parts["train"].images.shape[1:]:
            raise UsageError(
                f"the samples of {named[part]} are {show(one.images.shape[1:])}, those of {named['train']} "
                f"{show(parts['train'].images.shape[1:])}",
                help="give all parts the same shape",
            )
    parts = with_test(parts, lambda samples: hold_out(samples, str(path)))
    tables = [one.table for one in sources.values() if one.table]
    return data_set(path, form, parts, parts["train"].images, tables, _files(named.values()))


def data_set(
    path: Path,
    form: Form,
    parts: Mapping[str, InMemory | Files],
    rows: Tensor,
    tables: Iterable[_rows.Table],
    used: Sequence[Path],
) -> DataSet:
    """The data set of some parts, read of `tables` and other files, all `used`; `rows` are those to train with."""
    coarse = [name for table in tables for name in _columns.coarse(table, form)]
    return DataSet(
        str(path),
        form.names,
        parts["train"],
        parts["test"],
        parts.get("val"),
        files_fingerprint=files_fingerprint(used),
        notes=(*_unused_note(path), *_coarse_note(coarse), *_constant_note(rows, form)),
        targets="classes" if form.classes else TARGETS if form.heads else NUMBERS,
        form=form,
    )


def parts_of(path: Path) -> dict[str, Path]:
    """The table or arrays of each part: of a single one, `train` alone. Raises `UsageError`."""
    named = {"train": path} if _is_source(path) else _parts(path)
    if "train" not in named:
        held = f"{join_words(one.name for one in named.values())}, and none for `train`" if named else "no table"
        raise UsageError(f"{path} has {held}", help="give it a table for each part: train.csv, val.csv and test.csv")
    return named


def test_part(path: Path) -> Path:
    """The table or arrays to test on: those of the part `test`, or all."""
    named = {"train": path} if _is_source(path) else _parts(path)
    return named.get("test") or named.get("val") or named["train"]


def _files(paths: Any) -> list[Path]:
    return [file for path in paths for file in (sorted(path.glob("*.npy")) if path.is_dir() else [path])]


def _unused_note(path: Path) -> tuple[str, ...]:
    """Which tables and arrays of a folder are of no part."""
    if _is_source(path):
        return ()
    used = {one.name for one in _parts(path).values()}
    beside = [one.name for one in sorted(path.iterdir()) if _is_source(one) and one.name not in used]
    return (f"left out of {path}, since its parts are train, val and test: {join_words(beside)}",) if beside else ()


def _coarse_note(names: list[str]) -> tuple[str, ...]:
    which = join_words(dict.fromkeys(names))
    return (f"single precision does not tell all values of {which} apart: subtract what they share",) if names else ()


def _constant_note(train: Tensor, form: Form) -> tuple[str, ...]:
    if not form.columns:
        return ()
    same = (train == train[0]).all(0).tolist()
    fixed = [name for name, one in zip(form.features, same, strict=True) if one]
    return (f"never varying in training, and so of no use: {join_words(fixed)}",) if fixed else ()


def hold_out(samples: InMemory, name: str) -> tuple[InMemory, InMemory]:
    """Samples to train with, and a fifth to test, always the same; of each class alike where there are classes."""
    total = len(samples)
    count = max(1, round(TEST_SHARE * total))
    if total < 2:
        raise UsageError(f"{name} has one sample: none could be tested", help="add some")
    order = torch.randperm(total, generator=torch.Generator().manual_seed(0))
    if samples.labels.ndim == 1:
        order = order[samples.labels[order].argsort(stable=True)]
    kept = order[((torch.arange(count) + 0.5) * (total / count)).long()].sort().values
    return samples.at((~torch.isin(torch.arange(total), kept)).nonzero()[:, 0]), samples.at(kept)


def load_test(path: Path, form: Form) -> InMemory:
    """The samples to test a network on: those of the part `test`, or all. Raises `UsageError`."""
    chosen = test_part(path)
    if _rows.is_table(chosen):
        _check_kind(chosen, form, is_table=True)
        return _columns.make_samples(_rows.read(chosen), form)
    _check_kind(chosen, form, is_table=False)
    return _arrays.make_samples(chosen, form)


def read_inputs(path: Path, form: Form) -> Tensor:
    """The samples of a table or arrays whose targets are not known, float32. Raises `UsageError`."""
    if not _is_source(path):
        raise UsageError(
            f"{path} is no table or array", help=f"give a file that ends in {', '.join(_rows.SUFFIXES)}, .npy or .npz"
        )
    if _rows.is_table(path):
        _check_kind(path, form, is_table=True)
        return _columns.read_features(_rows.read(path), form)
    _check_kind(path, form, is_table=False)
    return _arrays.read_inputs(path)


def _check_kind(path: Path, form: Form, *, is_table: bool) -> None:
    """Raises `UsageError` where a table is given to a run that was trained with arrays, or the reverse."""
    if is_table and not form.columns:
        raise UsageError(f"{path} is a table, but the run was trained with arrays", help="save its columns as .npy")
    if not is_table and form.columns:
        raise UsageError(
            f"{path} holds arrays, but the run was trained with a table",
            help=f"give it a table with the columns {join_words(form.columns)}",
        )

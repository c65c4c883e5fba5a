"""What the columns of a table are, features or targets, and the samples that its rows are by that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.spelling import did_you_mean
from archspec.recipe import Columns
from archspec.recipe.outputs import HeadTargets
from trainer.data._listing import is_image
from trainer.data._rows import Table, choose
from trainer.input.datasets import Form, InMemory

TARGETS = ("target", "targets", "label", "class", "y")
"""What a column is called, in whatever case, that is the target where the recipe names none."""
NAME_IT = "name it: `data: {target: COLUMN}` in the recipe, or --set train.data.target=COLUMN"
MOST_CLASSES = 1000
"""How many values a target has at most that is a class of each row."""


def find_form(table: Table, columns: Columns, task: str | None, heads: Mapping[str, HeadTargets] | None = None) -> Form:
    """What the columns of a training table are, by what the recipe says of them. Raises `UsageError`.

    With `heads`, each output has targets of its own.
    """
    for names, key in ((columns.target, "target"), (columns.ignore, "ignore"), (columns.one_hot, "one_hot")):
        choose(table, names, f"data.{key}")
    for name in columns.ignore:
        if name in columns.target or name in columns.one_hot:
            raise UsageError(f"`data.ignore` names the column `{name}`, which is to be used too", help="name it once")
    known = [name for name in table.columns if name not in columns.ignore]
    forms = of_heads(table, columns, heads) if heads else ()
    targets = tuple(name for one in forms for name in one.targets) or columns.target
    targets = targets or (_guessed(table, known, columns),)
    for name in targets:
        if name in columns.one_hot:
            raise UsageError(f"`data.one_hot` names the target `{name}`", help="it is for features: leave it out there")
    classes = None if forms else _classes(table, targets, task)
    features = tuple(name for name in known if name not in targets)
    if not features:
        raise UsageError(f"{table.file} has no column beside the target", help="add the features, a column each")
    categories = {name: tuple(sorted(set(table.values(name)))) for name in columns.one_hot}
    for name in features:
        if name not in categories and not table.is_numeric(name):
            _refuse_texts(table, name)
    return Form(features, categories, tuple(targets), classes, columns.ignore, forms)


def of_heads(table: Table, columns: Columns, heads: Mapping[str, HeadTargets]) -> tuple[Form, ...]:
    """What the targets of each output are. Raises `UsageError`."""
    if columns.target:
        raise UsageError(
            "`data.target` names a target, and `train.outputs` those of each output", help="leave `data.target` out"
        )
    every = [name for one in heads.values() for name in one.target]
    for output, one in heads.items():
        choose(table, one.target, f"outputs.{output}.target")
        if twice := [name for name in one.target if every.count(name) > 1]:
            raise UsageError(f"`train.outputs` names the target `{twice[0]}` twice", help="name it at one output")
    return tuple(
        Form((), {}, one.target, _classes(table, one.target, one.task, output), output=output)
        for output, one in heads.items()
    )


def names_images(table: Table, name: str) -> bool:
    """Whether the cells of a column are the paths of images."""
    cells = table.columns[name]
    return not isinstance(cells, np.ndarray) and all(map(is_image, cells))


def _guessed(table: Table, known: Sequence[str], columns: Columns) -> str:
    """The target where the recipe names none, if there is no doubt. Raises `UsageError`."""
    called = [name for name in known if name.lower() in TARGETS]
    if len(called) == 1:
        return called[0]
    texts = [name for name in known if name not in columns.one_hot and not table.is_numeric(name)]
    texts = [name for name in texts if not names_images(table, name)]
    if not called and len(texts) == 1 and 2 * len(set(table.values(texts[0]))) <= table.count:
        return texts[0]
    which = f"of its columns {join_words(called or known)}, which is the target?"
    raise UsageError(f"{table.file} does not say what is to be learned: {which}", help=NAME_IT)


def _classes(table: Table, targets: Sequence[str], task: str | None, output: str = "") -> tuple[str, ...] | None:
    """The values of the target, where each row is of a class; `None` where the targets are numbers.

    `output` is the one that learns it, where each has targets of its own. Raises `UsageError`.
    """
    table = _of_targets(table)
    numeric = [table.is_numeric(name) for name in targets]
    if len(targets) > 1 or task == "regression":
        for name, is_number in zip(targets, numeric, strict=True):
            if not is_number:
                table.numbers(name, "name one target of texts, or several of numbers")
        return None
    (name,) = targets
    if not numeric[0]:
        return _values(table, name, sorted(set(table.values(name))))
    cells = table.numbers(name, "")
    whole = bool((cells == np.round(cells)).all())
    if task != "classification" and not whole:
        return None
    if task != "classification":
        raise UsageError(
            f"the target `{name}` of {table.file} holds whole numbers, which may be classes or amounts",
            help=f"say which: `outputs: {{{output}: {{target: {name}, task: classification}}}}`, or `task: regression`"
            if output
            else "say which: --task classification, or --task regression",
        )
    found = sorted(set(zip(cells.tolist(), table.values(name), strict=True)))
    for (one, text), (other, same) in pairwise(found):
        if one == other and not (_is_code(text) and _is_code(same)):
            raise UsageError(
                f"the target `{name}` of {table.file} has `{text}` and `{same}`, one number in two spellings: are they "
                "one class?",
                help="write each class in one way",
            )
    return _values(table, name, [text for _, text in found])


def _is_code(text: str) -> bool:
    """Whether digits are no number: `007`, and `7` beside it."""
    return text.isdigit()


def _of_targets(table: Table) -> Table:
    """The table with what to do where a target is missing."""
    return replace(table, cure=table.cure or "fill it in, or remove the row")


def _values(table: Table, name: str, found: list[str]) -> tuple[str, ...]:
    if len(found) < 2:
        raise UsageError(
            f"the target `{name}` of {table.file} is `{found[0]}` in every row: there is nothing to learn",
            help="choose another one: `data: {target: COLUMN}`",
        )
    if len(found) > MOST_CLASSES or (len(found) == table.count and len(found) > 2):
        raise UsageError(
            f"the target `{name}` of {table.file} has {len(found):,} values in {table.count:,} rows: these are no "
            "classes",
            help="choose another one: `data: {target: COLUMN}`; or --task regression, where it is a number",
        )
    return tuple(found)


def _refuse_texts(table: Table, name: str) -> None:
    """Raises `UsageError` for a column of features that are texts."""
    values = table.values(name)
    if names_images(table, name):
        raise UsageError(
            f"the column `{name}` of {table.file} names images, and the network takes none beside rows",
            help="an image and rows are inputs by name, `input: {scan: [1, 64, 64], patient: [4]}`; images alone lie "
            "in a folder for each class, or beside a `labels.csv` or `targets.csv`",
        )
    some = f"`data: {{one_hot: [{name}]}}` makes a feature of each of its {len(set(values)):,} values, "
    cure = f"{some}`data: {{ignore: [{name}]}}` leaves it out"
    if 2 * table.count_numbers(name) >= table.count:
        cure = f"write the number, or remove the row; `data: {{ignore: [{name}]}}` leaves the column out"
    table.numbers(name, cure)


# --- rows by the columns ----------------------------------------------------------------------------------------------


def make_samples(table: Table, form: Form) -> InMemory:
    """The rows of a table with their targets. Raises `UsageError` where its columns or cells do not fit."""
    check_columns(table, form, [*form.columns, *form.targets])
    names = tuple(str(row + 1) for row in range(table.count))
    return InMemory(features_of(table, form), targets_of(table, form), names)


def read_features(table: Table, form: Form) -> Tensor:
    """The rows of a table whose targets are not known, or not looked at. Raises `UsageError`."""
    check_columns(table, form, form.columns)
    return features_of(table, form)


def check_columns(table: Table, form: Form, needed: Sequence[str]) -> None:
    lacking = [name for name in needed if name not in table.columns]
    known = (form.image, *form.columns, *form.targets, *form.ignored)
    unknown = [name for name in table.columns if name not in known]
    has = [name for name in (form.image, *form.columns, *form.targets) if name]
    if lacking:
        raise UsageError(
            f"{table.file} has no column `{lacking[0]}`, which training has",
            help=did_you_mean(lacking[0], unknown) or f"training has {join_words(has)}",
        )
    if unknown:
        raise UsageError(
            f"{table.file} has a column `{unknown[0]}`, which training has not",
            help=f"remove it; training has {join_words(has)}",
        )


def features_of(table: Table, form: Form) -> Tensor:
    """The features of each row, float32 `(N, features)`, in the order of `Form.features`. Raises `UsageError`."""
    parts: list[np.ndarray[Any, Any]] = []
    for name in form.columns:
        if name not in form.categories:
            parts.append(table.numbers(name, "training has numbers there")[:, None])
            continue
        places = {value: place for place, value in enumerate(form.categories[name])}
        marked = np.zeros((table.count, len(places)))
        for row, value in enumerate(table.values(name)):
            if value not in places:
                raise UsageError(
                    f"{table.place(row)}: `{value}` in the column `{name}` is none of the values that training has",
                    help=f"it has {join_words(places)}",
                )
            marked[row, places[value]] = 1
        parts.append(marked)
    return torch.from_numpy(np.concatenate(parts, 1).astype(np.float32))


def targets_of(table: Table, form: Form) -> Tensor:
    """Classes int64 `(N,)`, or numbers float32 `(N, K)`; of several outputs all side by side. Raises `UsageError`."""
    if form.heads:
        return torch.cat([targets_of(table, one).float().reshape(table.count, -1) for one in form.heads], 1)
    table = _of_targets(table)
    if form.classes is None:
        columns = [table.numbers(name, "the target is a number") for name in form.targets]
        return torch.from_numpy(np.stack(columns, 1).astype(np.float32))
    (name,), places = form.targets, {value: place for place, value in enumerate(form.classes)}
    found = []
    for row, value in enumerate(table.values(name)):
        if value not in places:
            raise UsageError(
                f"{table.place(row)}: no training row has the class `{value}` in the column `{name}`",
                help=did_you_mean(value, places) or f"the classes are {join_words(places)}",
            )
        found.append(places[value])
    return torch.tensor(found)


def coarse(table: Table, form: Form) -> list[str]:
    """The columns whose values differ by less than single precision tells apart."""
    columns = [name for name in form.columns if name not in form.categories]
    cells = {name: table.numbers(name, "") for name in columns}
    return [name for name, one in cells.items() if len(np.unique(one)) > len(np.unique(one.astype(np.float32)))]

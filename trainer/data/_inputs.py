"""The columns of a table that each input of a network takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.spelling import did_you_mean
from trainer.input.datasets import DataSet, Form, InMemory
from trainer.input.files import Files


def for_inputs(data: DataSet, inputs: Mapping[str, Sequence[str]]) -> DataSet:
    """A table's data set with the features of each input, one input after the other. Raises `UsageError`.

    `inputs` has the columns of each, in which `*` stands for any text. A column may be of several inputs.
    """
    form = data.known_form
    if not form.columns:
        raise UsageError(
            f"`{data.name}` is no table, whose columns `train.data` could give to inputs", help="leave `inputs` out"
        )
    given = give_columns(form, inputs, data.name)
    places = {name: [i for i, one in enumerate(_owners(form)) if one == name] for name in form.columns}
    order = [place for name in given.columns for place in places[name]]
    return replace(
        data,
        train=_in_order(data.train, order),
        test=_in_order(data.test, order),
        validation=data.validation and _in_order(data.validation, order),
        form=given,
    )


def give_columns(form: Form, inputs: Mapping[str, Sequence[str]], name: str) -> Form:
    """What the columns of a table called `name` are, those of each input in turn. Raises `UsageError`."""
    chosen = {input: _columns(input, given, form) for input, given in inputs.items()}
    left = [one for one in form.columns if not any(one in columns for columns in chosen.values())]
    if left:
        raise UsageError(
            f"no input takes the column{'s' * (len(left) > 1)} {join_words(left)} of `{name}`",
            help=f"name {'them' if len(left) > 1 else 'it'} at an input, or leave {'them' if len(left) > 1 else 'it'} "
            "out: `data: {ignore: […]}`",
        )
    every = tuple(column for columns in chosen.values() for column in columns)
    return replace(form, columns=every, inputs=chosen)


def _in_order(part: InMemory | Files, order: list[int]) -> InMemory:
    assert isinstance(part, InMemory)
    return replace(part, images=part.images[:, order].contiguous())


def _owners(form: Form) -> list[str]:
    """The column of each feature."""
    return [name for name in form.columns for _ in form.features_in((name,))]


def _columns(input: str, given: Sequence[str], form: Form) -> tuple[str, ...]:
    """The columns that an input takes, those of a pattern in the order of the table. Raises `UsageError`."""
    found: dict[str, None] = {}
    for one in given:
        pattern = re.compile(".*".join(map(re.escape, one.split("*"))), re.DOTALL)
        named = [one] if one in form.columns else [name for name in form.columns if pattern.fullmatch(name)]
        if not named:
            targets = [*form.targets, *(name for head in form.heads for name in head.targets)]
            said = "is a target" if one in targets else "is ignored" if one in form.ignored else "the table lacks"
            raise UsageError(
                f"`train.data` gives the input `{input}` the column `{one}`, which {said}",
                help=did_you_mean(one, form.columns) or f"its columns are {join_words(form.columns)}",
            )
        found |= dict.fromkeys(named)
    return tuple(found)

"""Predict the rows of tables, those that name images too, and the samples of arrays, by a trained network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer.data import _image_rows, _rows
from trainer.data._vectors import read_inputs
from trainer.input.files import Files, Unreadable
from trainer.runs.evaluation import load_network
from trainer.runs.folders import Run
from trainer.runs.vectors import check_samples, form_of
from trainer.steps.module import SpecModule
from trainer.tasks._several import rows_of

BATCH = 1024
"""How many rows are predicted at once."""
IMAGES = 64
"""How many, where there are images beside them."""


def predict_rows(
    run: Run, files: Sequence[Path], top: int
) -> Iterator[tuple[Path, int, Mapping[str, str], dict[str, Any] | str]]:
    """Each row of some tables or arrays: its file, its number from 1, its cells as texts, and what is predicted of it.

    Where its image cannot be read, a text says why in place of a prediction. Columns are found by their names; that of
    the target may be there, and is not looked at. Raises `UsageError` where a file cannot be read or its columns are
    not those of the run, before any is predicted.
    """
    module, form = load_network(run).module, form_of(run)
    read = [(file, _image_rows.read_inputs(file, form) if form.image else read_inputs(file, form)) for file in files]
    for file, samples in read:
        if isinstance(samples, Tensor):
            check_samples(tuple(samples.shape[1:]), module.shape, file)
    names = run.environment.get("classes")
    for file, samples in read:
        table = _rows.read(file) if _rows.is_table(file) else None
        for row, output in enumerate(_outputs(module, samples)):
            cells = {} if table is None else {name: table.cell(name, row) for name in table.columns}
            wrong = isinstance(output, str)
            yield file, row + 1, cells, output if wrong else module.task.predict(output, names, top)


def _outputs(module: SpecModule, samples: Tensor | Files) -> Iterator[Any]:
    """A network's output for each sample, or why its image cannot be read (a text)."""
    if isinstance(samples, Tensor):
        for start in range(0, len(samples), BATCH):
            with torch.inference_mode():
                outputs = module(samples[start : start + BATCH].to(module.device))
            yield from rows_of(outputs)
        return
    for start in range(0, len(samples), IMAGES):
        part = samples.at(torch.arange(start, min(start + IMAGES, len(samples))))
        assert part.rows is not None
        found = list(part.decoded(module.shape, module.recipe.resize))
        sound = [i for i, one in enumerate(found) if not isinstance(one, Unreadable)]
        answers: Iterator[Any] = iter(())
        if sound:
            images = torch.stack([one[0] for one in found if not isinstance(one, Unreadable)])
            with torch.inference_mode():
                answers = iter(rows_of(module(images.to(module.device), part.rows[sound].to(module.device))))
        for i, one in enumerate(found):
            yield f"{part.file(i)} cannot be read: {one}" if isinstance(one, Unreadable) else next(answers)

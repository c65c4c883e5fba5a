"""Predict the rows of tables, and the samples of arrays, by a trained network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from trainer.data import _rows
from trainer.data._vectors import read_inputs
from trainer.runs.evaluation import load_network
from trainer.runs.folders import Run
from trainer.runs.vectors import check_samples, form_of
from trainer.tasks._several import rows_of

BATCH = 1024
"""How many rows are predicted at once."""


def predict_rows(
    run: Run, files: Sequence[Path], top: int
) -> Iterator[tuple[Path, int, Mapping[str, str], dict[str, Any]]]:
    """Each row of some tables or arrays: its file, its number from 1, its cells as texts, and what is predicted of it.

    Columns are found by their names; that of the target may be there, and is not looked at.
    Raises `UsageError` where a file cannot be read or its columns are not those of the run, before any is predicted.
    """
    module, form = load_network(run).module, form_of(run)
    read = [(file, read_inputs(file, form)) for file in files]
    for file, samples in read:
        check_samples(tuple(samples.shape[1:]), module.shape, file)
    names = run.environment.get("classes")
    for file, samples in read:
        table = _rows.read(file) if _rows.is_table(file) else None
        for start in range(0, len(samples), BATCH):
            with torch.inference_mode():
                outputs = module(samples[start : start + BATCH].to(module.device))
            for row, output in enumerate(rows_of(outputs), start):
                cells = {} if table is None else {name: table.cell(name, row) for name in table.columns}
                yield file, row + 1, cells, module.task.predict(output, names, top)

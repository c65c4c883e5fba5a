"""A new run: its folder, and what is written there before its training."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from archspec.views import graph
from trainer.errors import explain_failed_writes
from trainer.input.vectors import moments_shape, sample_shape
from trainer.processes.group import ProcessGroup
from trainer.runs import folders as run_folders
from trainer.runs.environment import environment
from trainer.runs.folders import Run
from trainer.runs.identity import fingerprint, resolved
from trainer.runs.job import Job
from trainer.runs.vectors import digest_of, feature_table
from trainer.runs.writing import write_json, write_table


def begin_run(job: Job, out: Path, group: ProcessGroup, stack: ExitStack) -> Run:
    """Make a run's folder, locked until `stack` is closed, and write what is known before the training."""
    folder = run_folders.new_folder(out, job.name)
    stack.enter_context(run_folders.lock(folder))
    stack.enter_context(explain_failed_writes(folder))
    for name, content in (("spec", resolved(job)), ("recipe", job.recipe.to_dict())):
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    known = _describe(job, group)
    if (table := feature_table(job.data, job.train, moments_shape(job.spec.plan))) is not None:
        write_table(folder / "features.csv", table)
    write_json(folder / "environment.json", known)
    _draw_graph(job, folder)
    return Run(folder, known, None)


def _describe(job: Job, group: ProcessGroup) -> dict[str, Any]:
    """What a run is a training of, and with what: by it runs are found, compared and resumed (JSON types)."""
    known = {
        "name": job.name,
        "spec": job.spec.file,
        "variant": job.spec.variant,
        "data": job.data.name,
        "task": job.task.name,
        "classes": list(job.data.class_names),
        "form": job.data.known_form.to_dict() if job.data.has_rows else None,
        "targets": job.data.form.to_dict() if job.data.form and not job.data.has_rows else None,
        "digest": digest_of(job.data),
        "data_folder": str(job.folder.resolve()),
        "data_path": job.data_path and str(job.data_path),
        "seed": job.recipe.seed,
        "skip_unreadable": job.skip_unreadable,
        "resize": job.recipe.resize.to_dict(),
        "input": list(sample_shape(job.spec.plan)[1:]),
        "weights": job.start and job.start.record(),
        "key": fingerprint(job),
        "machine": asdict(group.devices),
    }
    return known | environment()


def _draw_graph(job: Job, folder: Path) -> None:
    """Write the network's graph into TensorBoard's log. A failure is only noted."""
    try:
        graph.write(job.spec.plan, folder)
    except Exception as error:
        print(f"note: the graph of {folder} is not drawn: {error}", file=sys.stderr, flush=True)

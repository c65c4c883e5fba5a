"""What `archspec train` does once its options are read: train, resume, or show the results of finished runs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archspec.foundation.errors import ArchspecError, escape
from archspec.foundation.figures import show_bytes

if TYPE_CHECKING:
    from archspec.spec import Spec
    from trainer.processes.group import ProcessGroup
    from trainer.runs.folders import Result, Run
    from trainer.runs.job import DataCache, Job
    from trainer.runs.memory_need import Need
    from trainer.session import Options


def resume_named_run(
    name: str, data_folder: Path | None, out: Path, options: Options, source: str | None = None
) -> Result:
    """Resume a run, and return its result; that of a finished run as it is."""
    from trainer.runs.folders import find

    run = options.group.broadcast(lambda: find(name, out))
    if run.result is not None:
        click.echo(f"{run.folder} is finished: there is nothing to resume")
        return run.result
    from trainer.session import resume_run

    return resume_run(run, data_folder, options, _note, source=source)


def extend_named_run(name: str, epochs: int, data_folder: Path | None, out: Path, options: Options) -> Result:
    """Go on with a run until it has been trained for more epochs, and return the result."""
    from trainer.runs.folders import find
    from trainer.session import extend_run

    run = options.group.broadcast(lambda: find(name, out))
    return extend_run(run, epochs, data_folder, out, options, _note)


@dataclass(frozen=True)
class DataOptions:
    """Options of how data sets are found and read."""

    folder: Path
    given: frozenset[str]
    """The variables that were given, and do not follow the data set."""
    download: bool
    skip_unreadable: bool
    cache: DataCache
    """Reads each data set once for all trainings of the command."""
    name: str | None = None
    """What the run is called, if not by its spec."""

    def job(self, spec: Spec, group: ProcessGroup) -> Job:
        from trainer.runs.job import prepare

        return group.rank_zero_first(
            lambda: prepare(
                spec,
                self.folder,
                "num_classes" in self.given,
                features_given="features" in self.given,
                download=self.download,
                skip_unreadable=self.skip_unreadable,
                devices=group.devices,
                cache=self.cache,
                name=self.name,
            )
        )


def train_all(
    specs: Sequence[Spec], repeat: int, source: DataOptions, out: Path, options: Options, *, force: bool
) -> list[Result]:
    """Train each spec, `repeat` times with seeds that follow one another. Finished runs are not trained again."""
    from trainer.session import train

    group = options.group
    first = [source.job(spec, group) for spec in specs]  # so that every error is raised before the first training
    for note in dict.fromkeys(note for job in first for note in job.notes):
        _note(note)
    total, results = len(specs) * repeat, []
    for number, job in enumerate(_repeated(first, repeat, source, group), 1):
        plan = job.spec.plan
        count = f"{number}/{total}: " if total > 1 else ""
        seed = f", seed {job.recipe.seed}" if repeat > 1 else ""
        click.echo(
            f"{count}{plan.title}, {plan.params:,} parameters, on {job.data.name}{seed}: {len(job.train):,} "
            f"{job.data.worded('images')} to train with, {len(job.validation):,} to validate, {len(job.test):,} to test"
        )
        for line in job.described():
            click.echo(escape(line))
        before = None if force else group.broadcast(partial(_finished, out, job))
        if before is not None and before.result is not None:
            click.echo(f"already trained: this is the result of {before.folder}; --force trains it again")
            results.append(before.result)
        else:
            if (stopped := group.broadcast(partial(_stopped, out, job))) is not None:
                _note(f"{stopped} was stopped at the same training: archspec train --resume {stopped} goes on with it")
            _say_memory(job, group, always=True)
            results.append(train(job, out, options))
    return results


def _jobs(specs: Sequence[Spec], source: DataOptions, options: Options) -> Iterator[Job]:
    """The job of each spec, once what there is to know of it is said."""
    for spec in specs:
        job = source.job(spec, options.group)
        for note in job.notes:
            _note(note)
        for line in job.described():
            click.echo(escape(line))
        yield job


def rehearse_all(specs: Sequence[Spec], source: DataOptions, out: Path, options: Options) -> None:
    """Try each training out, and say what it takes. Nothing is kept."""
    from trainer.rehearsal import rehearse

    for job in _jobs(specs, source, options):
        need = _say_memory(job, options.group, always=False)
        found, unit = rehearse(job, options.group, options.workers), job.data.worded("images")
        click.echo(
            f"{job.spec.plan.title}, {job.spec.plan.params:,} parameters, on {job.data.name}, on {found.device}\n"
            f"  loss of the first batch   {found.loss:.4f}\n"
            f"  a batch of {job.recipe.batch_size:<14} {1e3 * found.batch_seconds:,.1f} ms "
            f"({job.recipe.batch_size / found.batch_seconds:,.0f} {unit}/s); the first one {_time(found.first_seconds)}"
        )
        if found.validations:
            click.echo(f"  a validation              {_time(found.validation_seconds)}")
        click.echo(
            f"  memory                    {show_bytes(found.memory_bytes)} at most, all of the process; by the plan, "
            f"a step {show_bytes(need.needed)}\n"
            f"  the whole training        about {_time(found.seconds)}: {found.batches:,} batches, "
            f"{found.validations:,} validations"
        )
        if found.without_gradient:
            _note(f"the loss does not depend on these parameters: {', '.join(found.without_gradient)}")
    click.echo("nothing was written: without --dry-run, it is trained")


def find_rates(specs: Sequence[Spec], source: DataOptions, out: Path, options: Options) -> None:
    """Suggest a learning rate for each training. Nothing is kept but a table and a picture of the test."""
    from trainer.runs.folders import new_folder
    from trainer.trial.lr_find import find_rate

    for job in _jobs(specs, source, options):
        found = find_rate(job, options.group, options.workers)
        plan, rate = job.spec.plan, found.suggestion
        click.echo(
            f"{plan.title}, {plan.params:,} parameters, on {job.data.name}: the learning rate rose from "
            f"{found.rates[0]:.1e} to {found.rates[-1]:.1e} in {len(found.rates)} steps"
        )
        if rate is None:
            _note("the loss does not fall at any rate: look at the network, the data and the loss")
        else:
            click.echo(
                f"  suggested   {rate:.1e}, where the loss falls fastest: --set train.optimizer.lr={rate:.1e}\n"
                f"  at most     {found.least:.1e}, where the loss is least, and rises beyond"
            )
        files = found.write(new_folder(out, f"{job.name}-lr-find"))
        click.echo(f"  files       {', '.join(map(str, files))}")


def profile_all(specs: Sequence[Spec], source: DataOptions, out: Path, options: Options) -> None:
    """Say where the time of each training's steps goes. Nothing is kept but the table."""
    from trainer.runs.folders import new_folder
    from trainer.trial.profile import PARTS, profile

    for job in _jobs(specs, source, options):
        found = profile(job, options.group, options.workers)
        size, plan, unit = job.recipe.batch_size, job.spec.plan, job.data.worded("images")
        click.echo(
            f"{plan.title}, {plan.params:,} parameters, on {job.data.name}, on {found.device}\n"
            f"  a batch of {size} takes {1e3 * found.total:,.1f} ms ({size / found.total:,.0f} {unit}/s), the mean of "
            f"{found.batches}:"
        )
        for name, milliseconds, share in found.rows():
            click.echo(f"  {name:<9} {milliseconds:>9,.2f} ms {share:>6.1%}  {PARTS[name]}")
        file = new_folder(out, f"{job.name}-profile") / "profile.csv"
        found.write(file)
        click.echo(f"  the table: {file}")


def fit_batches(specs: Sequence[Spec], source: DataOptions, options: Options) -> list[Spec]:
    """Each spec with the largest batch that its training has memory for."""
    from trainer.trial.batch_size import fit_batch

    fitted = []
    for spec in specs:
        job = source.job(spec, options.group)
        size = fit_batch(job, options.group, options.workers)
        _note(f"{job.spec.plan.title} has memory for batches of {size}, in place of {job.recipe.batch_size}")
        fitted.append(spec.replace(set=[f"train.batch_size={size}"]))
    return fitted


def _say_memory(job: Job, group: ProcessGroup, *, always: bool) -> Need:
    """What a step will need of memory. It is said, or only that it will hardly fit."""
    from trainer.runs.memory_need import estimate

    need = estimate(job, group.devices)
    if (warning := need.warning()) is not None:
        _note(warning)
    elif always:
        click.echo(f"  memory      {need.line()}")
    return need


def _time(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 1:
        return f"{1e3 * seconds:,.0f} ms"
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 36_000 else f"{seconds / 3600:,.0f} h"


def _finished(out: Path, job: Job) -> Run | None:
    from trainer.runs.folders import find_finished
    from trainer.runs.identity import fingerprint

    return find_finished(out, fingerprint(job))


def _stopped(out: Path, job: Job) -> str | None:
    """The folder of a run of the same training that was stopped, and has a checkpoint to go on from."""
    from trainer.runs.folders import find_stopped
    from trainer.runs.identity import fingerprint

    run = find_stopped(out, fingerprint(job))
    return str(run.folder) if run else None


def _repeated(jobs: Sequence[Job], repeat: int, source: DataOptions, group: ProcessGroup) -> Iterator[Job]:
    """Each job, then the same with the seeds after its own."""
    for job in jobs:
        yield job
        for more in range(1, repeat):
            seed = job.recipe.seed + more
            yield source.job(job.spec.replace(set=[f"train.seed={seed}"]), group)


def is_first() -> bool:
    """Whether this is the first process, or the only one, of those that torchrun or SLURM started."""
    return int(os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or 0) == 0


@contextmanager
def report_errors_once() -> Iterator[None]:
    """Where a launcher started several processes, have the first alone report an error that all of them raise."""
    try:
        yield
    except ArchspecError as error:
        if not is_first():
            time.sleep(5)  # the launcher kills all when one exits; as in `trainer.processes.launch`, without torch
            sys.exit(error.exit_status)
        raise


def _note(message: str) -> None:
    print(escape(f"note: {message}"), file=sys.stderr, flush=True)

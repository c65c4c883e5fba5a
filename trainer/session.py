"""Train a network and evaluate it: from the first step, or resumed from a checkpoint, to the results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import Callback

from archspec.foundation.errors import UsageError, escape
from archspec.recipe.outputs import MAIN
from trainer.errors import explain_failed_writes
from trainer.input.augment_batch import Augmentation
from trainer.input.loaders import Stream, explain_dead_workers, loader
from trainer.input.vectors import statistics
from trainer.processes.group import SINGLE_PROCESS, ProcessGroup
from trainer.quiet import mute_libraries
from trainer.report.heartbeat import Heartbeat
from trainer.report.progress import Bar
from trainer.runs import checkpoints, folders as run_folders, resume
from trainer.runs.beginning import begin_run
from trainer.runs.engine import make_engine
from trainer.runs.evaluation import Trained, evaluate, evaluate_outputs, load_network, measured_of, values_of_outputs
from trainer.runs.extend import copy_state, extended
from trainer.runs.failures import refuse_unusable, translate_errors
from trainer.runs.folders import Result, Run
from trainer.runs.identity import fingerprint, resolved
from trainer.runs.job import Job, load_job, load_start_again
from trainer.runs.memory_need import estimate
from trainer.runs.monitor import TrainingMonitor
from trainer.runs.writing import write_table
from trainer.steps import memory
from trainer.steps.compute import move_to_device, optimize_execution, training_loader
from trainer.steps.module import SpecModule
from trainer.tasks import PREDICTIONS, Evaluation


@dataclass(frozen=True)
class Options:
    """Settings of a run that do not affect its results: progress, checkpoints, pictures, processes."""

    progress: bool = False
    save_steps: int | None = None
    """Write a checkpoint also every so many steps of an epoch; one is written after each epoch in any case."""
    save_minutes: float | None = None
    """Write a checkpoint also every so many minutes."""
    pictures: bool = True
    """Whether the run's pictures are drawn at the end."""
    workers: int | None = None
    """How many processes read the images of a set that streams; `None`: as many as CPUs, up to 8."""
    group: ProcessGroup = SINGLE_PROCESS
    """The processes that train together. All call the same functions; rank 0 makes the folder and writes all files."""


def train(job: Job, out: Path, options: Options | None = None, *, progress: bool = False) -> Result:
    """Train a job in a new folder below `out`.

    The weights of the epoch that is best by the task's first metric on the validation images are then evaluated on the
    test set; without validation images, the last.

    Raises:
        Diverged: A loss or weight is no longer finite.
        Stopped: A signal ended the run, after a checkpoint.
        UsageError: It runs out of memory, or a file cannot be written.
    """
    options = options or Options(progress)
    with mute_libraries(), ExitStack() as stack:
        run = options.group.broadcast(lambda: begin_run(job, out, options.group, stack))
        return _fit_and_test(job, run, options)


def resume_run(
    run: Run, data_folder: Path | None, options: Options, say: Callable[[str], None], *, source: str | None = None
) -> Result:
    """Resume a run from its last intact checkpoint; of a finished run, return the result.

    On a CPU, the results are the same, bit for bit, as without the interruption. `say` takes notes for the user;
    `source` is where a folder of images lies now.
    Raises `UsageError` where all checkpoints are damaged, or the data differ from the run's.
    """
    if run.result is not None:
        return run.result
    if run.raw_results is not None:
        raise UsageError(
            f"the run {run.folder} is finished, but its results.json is incomplete",
            help=f"move that file away to test the run again: archspec train --resume {run.folder}",
        )
    group = options.group
    with mute_libraries(), ExitStack() as stack:
        group.broadcast(lambda: stack.enter_context(run_folders.lock(run.folder)))
        stack.enter_context(explain_failed_writes(run.folder))
        group.broadcast(lambda: checkpoints.remove_leftovers(run.folder))
        job = group.rank_zero_first(lambda: load_job(run, data_folder, group.devices, source=source))
        checkpoint = group.broadcast(lambda: _checkpoint(job, run, say))
        group.broadcast(lambda: _say_where(job, run, checkpoint, say))
        _warn_of_memory(job, group, say)
        if checkpoint is None:
            job = group.rank_zero_first(lambda: load_start_again(job, run))
        return _fit_and_test(job, run, options, checkpoint)


def extend_run(
    run: Run, epochs: int, data_folder: Path | None, out: Path, options: Options, say: Callable[[str], None]
) -> Result:
    """Go on with a run, finished or not, until it has been trained for more epochs, in a new folder below `out`.

    On a CPU, the results are the same, bit for bit, as if it had been trained for so many epochs from the beginning;
    where a run of these is finished already, its result is returned. `say` takes notes for the user.
    Raises `UsageError` where the training would have gone otherwise with more epochs, as it does by some schedules.
    """
    group = options.group
    with mute_libraries(), ExitStack() as stack:
        group.broadcast(lambda: stack.enter_context(run_folders.lock(run.folder)))
        job = group.rank_zero_first(lambda: load_job(run, data_folder, group.devices))
        checkpoint = group.broadcast(lambda: _checkpoint(job, run, say))
        job = extended(job, run, checkpoint, epochs)
        before = group.broadcast(lambda: run_folders.find_finished(out, fingerprint(job)))
        if before is not None and before.result is not None:
            say(f"already trained: this is the result of {before.folder}")
            return before.result
        longer = group.broadcast(lambda: begin_run(job, out, group, stack))
        checkpoint = group.broadcast(lambda: copy_state(run, longer, resolved(job)))
        group.broadcast(lambda: _say_where(job, longer, checkpoint, say))
        _warn_of_memory(job, group, say)
        return _fit_and_test(job, longer, options, checkpoint)


def _warn_of_memory(job: Job, group: ProcessGroup, say: Callable[[str], None]) -> None:
    if (warning := estimate(job, group.devices).warning()) is not None and group.rank == 0:
        say(warning)


def _checkpoint(job: Job, run: Run, say: Callable[[str], None]) -> Path | None:
    """The checkpoint to resume from, if there is one. Raises `UsageError` where the spec or the data has changed."""
    if fingerprint(job) != run.recorded("key"):
        raise UsageError(
            f"the run {run.folder} cannot be resumed: its data set `{job.data.name}`, or its spec.yaml, differs from "
            "that of the run",
            help="give it the data that it had (--data, or --data-folder for a set by name), or train anew",
        )
    return checkpoints.latest(run.folder / "checkpoints", say)


def _say_where(job: Job, run: Run, checkpoint: Path | None, say: Callable[[str], None]) -> None:
    """Say where a training goes on. Raises `UsageError` where the checkpoint is another run's."""
    if checkpoint is None:
        say("there is no checkpoint yet: training from the start")
        return
    content = checkpoints.load_own(checkpoint, run.recorded("key"), resolved(job))
    epoch, batch, step = resume.position(content, checkpoint)
    done = epoch == job.recipe.epochs or step == job.recipe.steps
    where = f"epoch {epoch + 1}, batch {batch + 1}" if batch else f"epoch {epoch + 1}"
    print("all its steps are done" if done else f"going on from {where}", flush=True)
    best, file = content["callbacks"].get(checkpoints.BEST_KEY), run.folder / "checkpoints" / "best.ckpt"
    if isinstance(best, dict) and best.get("score") is not None and not file.exists():
        then = "the last weights are tested" if done else "the best of the epochs to come are kept"
        say(f"{file}, the best weights so far, is no longer there: {then}")


def _fit_and_test(job: Job, run: Run, options: Options, checkpoint: Path | None = None) -> Result:
    """Train in a run's folder, from a checkpoint where there is one, then test."""
    group, recipe = options.group, job.recipe
    seed_everything(recipe.seed, verbose=False)
    module = make_module(job)
    epoch, batch, step = (0, 0, 0) if checkpoint is None else resume.position(checkpoints.load(checkpoint), checkpoint)
    monitor = TrainingMonitor(recipe.epochs, group, job.task.metric)
    with memory.keep_freed_memory(), resume.Signals(run.folder) as signals:
        engine = make_engine(
            job,
            run.folder,
            _make_callbacks(job, run, options, signals, monitor),
            group,
            step=step,
            start=(epoch, batch),
        )
        device = engine.strategy.root_device
        loading: dict[str, Any] = {"group": group, "workers": options.workers}
        training = training_loader(job.train, recipe, device, **loading)
        training.sampler.start_at(epoch, batch)  # type: ignore[attr-defined]
        validation = None
        if len(job.validation):
            batch_size = job.task.evaluation_batch(recipe)
            validation = loader(move_to_device(job.validation, device), batch_size, **loading)
        optimize_execution(module.network, recipe, device)
        with translate_errors(job, run.folder, device), explain_dead_workers():
            with refuse_unusable(checkpoint, monitor):
                engine.fit(module, training, validation, ckpt_path=checkpoint, weights_only=True)
            return group.broadcast(lambda: _evaluate_and_save(job, run, options, device, monitor))


def make_module(job: Job) -> SpecModule:
    """The module that a job trains, with its initial weights and all that it takes from the training data."""
    module = SpecModule(resolved(job))
    if job.statistics is not None:
        # copies: averaged weights are swapped in by writing into the module's tensors
        module.mean, module.std = (one.clone() for one in job.statistics)
    train = job.train.files if isinstance(job.train, Stream) else job.train
    if train.rows is not None and job.recipe.normalize is not False:
        module.row_mean, module.row_std = statistics(train.rows, module.row_mean.shape)
    targets = train.measured_targets()
    job.task.fit_answer(module.answer, module.loss, targets)
    job.task.fit_weights(module.loss, targets, job.data.class_names)
    if job.start is not None:
        job.start.put_into(module.network)
    if isinstance(job.train, Stream):
        module.augmentation = Augmentation((), module.shape, job.data.classes)  # the workers augment
    return module


def _make_callbacks(
    job: Job, run: Run, options: Options, signals: resume.Signals, monitor: TrainingMonitor
) -> list[Callback]:
    """The callbacks of a run, in the order in which Lightning is to call them."""
    chosen_by = job.task.metric_of(job.recipe.monitor, "monitor")
    best = checkpoints.BestCheckpoint(run.folder / "checkpoints", job.task.metric, chosen_by)
    last = resume.LastCheckpoint(
        run.folder,
        signals,
        options.group,
        run.recorded("key"),
        steps=options.save_steps,
        minutes=options.save_minutes,
    )
    validated: list[Callback] = [best] if len(job.validation) else []
    bars: list[Callback] = [Bar(job.recipe, monitor) if options.progress else Heartbeat(job.recipe, monitor)]
    return [monitor, resume.RandomStates(), *validated, last, *bars]


def _evaluate_and_save(
    job: Job,
    run: Run,
    options: Options,
    device: torch.device,
    monitor: TrainingMonitor,
) -> Result:
    """Evaluate the best weights on the test set and write the results."""
    trained = load_network(run, device)
    evaluating: dict[str, Any] = {"batch_size": job.task.evaluation_batch(job.recipe), "workers": options.workers}
    outputs = evaluate_outputs(trained.module, job.test, progress=options.progress, **evaluating)
    evaluation = outputs[MAIN]
    if trained.score is None and len(job.validation):  # the best weights are gone: the score is that of the last
        validation = evaluate(trained.module, job.validation, **evaluating)
        trained = replace(trained, score=measured_of(validation)[job.task.metric.name])
    result = _result(job, run, monitor, trained, outputs)
    result.write()
    for name, rows in evaluation.tables(job.data.class_names).items():
        if name == PREDICTIONS:
            files = job.test.files.paths if isinstance(job.test, Stream) else job.test.files
            first_heading = "file" if job.data.samples is None else "row"
            rows = [[first, *row] for first, row in zip([first_heading, *files], rows, strict=True)]
        elif name == "classes":
            rows = [list(map(job.data.worded, rows[0])), *rows[1:]]
        write_table(run.folder / f"{name}.csv", rows)
    for note in evaluation.notes(job.data.class_names):
        print(escape(f"note: {job.data.worded(note)}"), file=sys.stderr, flush=True)
    checkpoints.remove_previous(run.folder / "checkpoints")
    if options.pictures:
        _draw(job, run.folder, evaluation)
    return result


def _draw(job: Job, folder: Path, evaluation: Evaluation) -> None:
    """Draw the run's pictures. Its results are written by now, so a failure is only noted."""
    try:
        from trainer.report.pictures import draw_all

        draw_all(folder, job, evaluation)
    except Exception as error:
        print(f"note: the pictures of {folder} are not drawn: {error}", file=sys.stderr, flush=True)


def _result(
    job: Job, run: Run, monitor: TrainingMonitor, trained: Trained, outputs: Mapping[str, Evaluation]
) -> Result:
    return Result(
        **{name: run.recorded(name) for name in ("name", "spec", "variant", "data", "seed")},
        epochs=monitor.count,
        params=job.spec.plan.params,
        macs=job.spec.plan.macs,
        metrics={job.task.metric.log_name: trained.score, **values_of_outputs(job.task, outputs)},
        task=job.task.name,
        best_epoch=trained.epoch or monitor.count,
        seconds=monitor.seconds,
        images_per_second=monitor.images / monitor.seconds if monitor.seconds else 0.0,
        folder=str(run.folder),
    )

"""A training, from its first step or from where it stopped, to its results."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import Callback

from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe
from archspec.views import graph
from trainer.errors import Diverged
from trainer.input.augment_batch import Augmentation
from trainer.input.loaders import Stream, loader
from trainer.processes.group import SINGLE_PROCESS, ProcessGroup
from trainer.quiet import mute_libraries
from trainer.report.progress import Bar
from trainer.runs import checkpoints, folders as run_folders, resume
from trainer.runs.engine import make_engine
from trainer.runs.evaluation import evaluate, load_network
from trainer.runs.folders import Result, Run
from trainer.runs.job import EVALUATION_BATCH, Job, load_job
from trainer.runs.monitor import TrainingMonitor
from trainer.steps import memory
from trainer.steps.compute import move_to_device, optimize_execution
from trainer.steps.module import SpecModule
from trainer.tasks.classification import Evaluation


@dataclass(frozen=True)
class Options:
    """How a run is kept up, which changes nothing of what comes of it."""

    progress: bool = False
    save_steps: int | None = None
    """After how many steps of an epoch a checkpoint is written, besides that after each epoch."""
    save_minutes: float | None = None
    pictures: bool = True
    """Whether pictures are drawn of it in the end."""
    group: ProcessGroup = SINGLE_PROCESS
    """The processes that train together. The first makes the folder and all files; each calls the same functions."""


def train(job: Job, out: Path, options: Options | None = None, *, progress: bool = False) -> Result:
    """Train a job in a new folder below `out`.

    The best weights by validation accuracy are then tested; without validation images, the last.
    Raises `UsageError` where it diverges, runs out of memory or cannot be written, `Stopped` at a signal.
    """
    options = options or Options(progress)
    with mute_libraries(), ExitStack() as stack:
        run = options.group.broadcast(lambda: _begin(job, out, options.group, stack))
        return _fit_and_test(job, run, options)


def _begin(job: Job, out: Path, group: ProcessGroup, stack: ExitStack) -> Run:
    """A new run, held by this process, with all that is known before it is trained."""
    folder = run_folders.new_folder(out, job.name)
    stack.enter_context(run_folders.lock(folder))
    for name, content in (("spec", _resolved(job)), ("recipe", job.recipe.to_dict())):
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    environment = {
        "name": job.name,
        "spec": job.spec.file,
        "variant": job.spec.variant,
        "data": job.data.name,
        "classes": list(job.data.class_names),
        "data_folder": str(job.folder.resolve()),
        "seed": job.recipe.seed,
        "skip_unreadable": job.skip_unreadable,
        "key": fingerprint(job),
        "machine": asdict(group.devices),
    }
    environment |= run_folders.environment()
    run_folders.write_json(folder / "environment.json", environment)
    _draw_graph(job, folder)
    return Run(folder, environment, None)


def resume_run(run: Run, data_folder: Path | None, options: Options, say: Callable[[str], None]) -> Result:
    """Go on with a run from its last sound checkpoint as if it had never stopped; a finished one gives its result.

    Raises `UsageError` where there is no such checkpoint, or other data than the run began with.
    """
    if run.result is not None:
        return run.result
    if run.raw_results is not None:
        raise UsageError(
            f"the run {run.folder} is finished, but its results.json does not say all of what came of it",
            help=f"move that file away to test the run again: archspec train --resume {run.folder}",
        )
    group = options.group
    with mute_libraries(), ExitStack() as stack:
        group.broadcast(lambda: stack.enter_context(run_folders.lock(run.folder)))
        job = group.rank_zero_first(lambda: load_job(run, data_folder, group.devices))
        checkpoint = group.broadcast(lambda: _checkpoint(job, run, say))
        return _fit_and_test(job, run, options, checkpoint)


def _checkpoint(job: Job, run: Run, say: Callable[[str], None]) -> Path | None:
    """The checkpoint to go on from, if there is one. Raises `UsageError` where it is of another training."""
    if fingerprint(job) != run.recorded("key"):
        raise UsageError(
            f"the run {run.folder} cannot go on: its data set `{job.data.name}`, or its spec.yaml, is not what it "
            "began with",
            help="give it the data that it had (--data-folder), or train anew",
        )
    checkpoint = checkpoints.latest(run.folder / "checkpoints", say)
    if checkpoint is None:
        say("there is no checkpoint yet: training from the start")
    return checkpoint


def fingerprint(job: Job) -> str:
    """What tells this training from all others: spec, recipe and images."""
    digest = hashlib.sha256()
    for part in (job.train, job.validation, job.test):
        if isinstance(part, Stream):  # files are known by their state, not read for this
            digest.update(f"{job.data.files_fingerprint} {len(part)}".encode())
        else:
            digest.update(part.images.numpy().data)
            digest.update(part.labels.numpy().data)
    return run_folders.fingerprint_of(_resolved(job), digest.hexdigest())


def _resolved(job: Job) -> dict[str, Any]:
    return job.spec.resolved | {"train": job.recipe.to_dict()}


def _fit_and_test(job: Job, run: Run, options: Options, checkpoint: Path | None = None) -> Result:
    """Train in a run's folder, from a checkpoint where there is one, then test."""
    folder, group = run.folder, options.group
    seed_everything(job.recipe.seed, verbose=False)
    module = SpecModule(_resolved(job))
    if job.statistics is not None:
        module.mean, module.std = (one.clone() for one in job.statistics)  # averages are swapped in, in place
    if isinstance(job.train, Stream):
        module.augmentation = Augmentation((), job.spec.plan.input, job.data.classes)  # workers have done it
    validated = len(job.validation) > 0
    epoch, batch, step = (0, 0, 0) if checkpoint is None else resume.position(checkpoints.load(checkpoint))
    metric = job.task.metric
    epochs = TrainingMonitor(job.recipe.epochs, group, metric)
    bars: list[Callback] = [Bar(job.recipe, epochs)] if options.progress else []
    best = checkpoints.BestCheckpoint(folder / "checkpoints", metric.log_name, metric.mode)
    with memory.keep_freed_memory(), resume.Signals(folder) as signals:
        last = resume.LastCheckpoint(folder, signals, group, steps=options.save_steps, minutes=options.save_minutes)
        callbacks: list[Callback] = [epochs, resume.RandomStates(), *([best] if validated else []), last, *bars]
        engine = make_engine(
            job.recipe,
            folder,
            callbacks,
            group,
            metric,
            step=step,
            unused_parameters=bool(job.spec.plan.outputs),
        )
        device = engine.strategy.root_device
        training = loader(
            move_to_device(job.train, device), job.recipe.batch_size, shuffle_by=job.recipe.seed, group=group
        )
        training.sampler.start_at(epoch, batch)  # type: ignore[attr-defined]
        optimize_execution(module.network, job.recipe, device)
        try:
            engine.fit(
                module,
                training,
                loader(move_to_device(job.validation, device), EVALUATION_BATCH, group=group) if validated else None,
                ckpt_path=checkpoint,
                weights_only=True,
            )
            result = group.broadcast(lambda: _evaluate_and_save(job, run, options, engine, epochs, best))
        except SystemExit:  # so Lightning ends when it is interrupted
            raise KeyboardInterrupt from None
        except Diverged as error:
            raise Diverged(str(error), help=_divergence_hint(job.recipe) + _last_checkpoint_hint(folder)) from None
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise _out_of_memory_error(job, engine) from None
    return result


def _evaluate_and_save(
    job: Job, run: Run, options: Options, engine: Trainer, epochs: TrainingMonitor, best: checkpoints.BestCheckpoint
) -> Result:
    """Test what was trained, and write down what came of it."""
    network = load_network(run, engine.strategy.root_device)
    found = evaluate(network, job.test, progress=options.progress)
    result = _result(job, run, epochs, best, found)
    result.write()
    if options.pictures:
        _draw(job, run.folder, found)
    return result


def _draw_graph(job: Job, folder: Path) -> None:
    """Put the network's graph into TensorBoard's log; no run ends for it."""
    try:
        graph.write(job.spec.plan, folder)
    except Exception as error:
        print(f"note: the graph of {folder} is not drawn: {error}", file=sys.stderr, flush=True)


def _draw(job: Job, folder: Path, found: Evaluation) -> None:
    """Draw the run's pictures. Its results are safe by now: what hinders the drawing is said, and no more."""
    try:
        from trainer.report.pictures import draw_all

        draw_all(folder, job, found)
    except Exception as error:
        print(f"note: the pictures of {folder} are not drawn: {error}", file=sys.stderr, flush=True)


def _result(job: Job, run: Run, epochs: TrainingMonitor, best: checkpoints.BestCheckpoint, found: Evaluation) -> Result:
    return Result(
        **{name: run.recorded(name) for name in ("name", "spec", "variant", "data", "seed")},
        epochs=epochs.count,
        params=job.spec.plan.params,
        macs=job.spec.plan.macs,
        val_accuracy=float(best.best_model_score or 0.0) if len(job.validation) else None,
        test_accuracy=found.accuracy,
        test_loss=found.loss,
        best_epoch=epochs.best_epoch,
        seconds=epochs.seconds,
        images_per_second=epochs.images / epochs.seconds if epochs.seconds else 0.0,
        folder=str(run.folder),
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device's memory does not suffice."""
    import torch

    said = str(error)
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in said


def _out_of_memory_error(job: Job, engine: Trainer) -> UsageError:
    size, device = job.recipe.batch_size, engine.strategy.root_device
    cures = ["recompute parts of the network in the backward pass (`recompute: true` at a node)"]
    if size > 1:
        half = f"--set train.batch_size={size // 2} --set train.accumulate={2 * job.recipe.accumulate}"
        cures.insert(0, f"halve the batch at the same gradient: {half}")
    if device.type == "cuda" and job.recipe.precision == "32-true":
        cures.append("compute in half precision: --set train.precision=bf16-mixed")
    return UsageError(f"out of memory on {device}, with batches of {size} images", help="; or ".join(cures))


def _divergence_hint(recipe: Recipe) -> str:
    rate = recipe.optimizer.arguments.get("lr")
    return f"lower the learning rate, --set train.optimizer.lr={rate / 10 if rate else 1e-4:g} for example"


def _last_checkpoint_hint(folder: Path) -> str:
    file = folder / "checkpoints" / "last.ckpt"
    if not file.exists():
        return "; there was no checkpoint yet"
    epochs, batch, _ = resume.position(checkpoints.load(file))
    where = f"epoch {epochs + 1}, batch {batch}" if batch else f"epoch {epochs}"
    return f"; the last finite weights, of {where}, are in {file}"

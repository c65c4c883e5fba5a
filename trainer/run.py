"""A run: one spec trained by its recipe on one data set, in a folder that holds all there is to know of it."""

from __future__ import annotations

import json
import logging
import math
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor

from archspec.errors import UsageError
from archspec.recipe import complete
from archspec.shapes import show
from archspec.spec import Spec
from trainer import data
from trainer.augment import Augmentation
from trainer.data import DataSet, Labelled
from trainer.images import check_fit
from trainer.loaders import Stream, loader
from trainer.module import SpecModule
from trainer.parts import bring, split

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Job:
    """A spec made ready for a data set: it fits, and only training remains."""

    spec: Spec
    data: DataSet
    train: Labelled | Stream
    validation: Labelled | Stream
    test: Labelled | Stream
    recipe: dict[str, Any]
    statistics: tuple[Tensor, Tensor] | None
    """The mean and standard deviation that images are normalised by, if they are."""
    notes: tuple[str, ...]
    """What a person should know of the data, a line each."""

    @property
    def name(self) -> str:
        """A short name: the variant's where it begins with the file's, else both."""
        stem, variant = Path(self.spec.file).stem, self.spec.variant
        return stem if variant is None else variant if variant.startswith(stem) else f"{stem}-{variant}"


@dataclass(frozen=True)
class Result:
    """What came of a run. Accuracies are shares from 0 to 1 (none without a validation set), the time is in seconds."""

    name: str
    spec: str
    variant: str | None
    data: str
    epochs: int
    params: int
    macs: int
    val_accuracy: float | None
    test_accuracy: float
    best_epoch: int
    seconds: float
    folder: str


def prepare(
    spec: Spec,
    data_folder: Path,
    num_classes_given: bool = False,
    *,
    download: bool = False,
    skip_unreadable: bool = False,
) -> Job:
    """Bring a spec and its data set together; `num_classes` follows the data set unless it was given.

    Raises `UsageError` where they cannot fit, before anything is trained.
    """
    recipe = complete(spec.recipe)
    images = data.load(recipe["data"], data_folder, download=download)
    if "num_classes" in dict(spec.plan.vars) and not num_classes_given:
        spec = spec.replace(vars={"num_classes": images.classes})
    shape = spec.plan.input
    check_fit(images.train.channels, shape, images.name)
    if spec.plan.output != (images.classes,):
        cure = "end the network in `- linear: =num_classes`, with `vars: {num_classes: 10}`"
        if num_classes_given:
            cure = "leave `num_classes` alone: it follows the data set"
        raise UsageError(
            f"the data set `{images.name}` has {images.classes} classes, but {spec.plan.title} gives "
            f"{show(spec.plan.output)}\n  help: {cure}"
        )
    Augmentation(recipe["augment"], shape, images.classes)  # raises what is wrong with its arguments
    _check_batch(recipe["batch_size"], len(split(images, recipe)[0]))
    parts = bring(images, shape, recipe, skip_unreadable=skip_unreadable)
    _check_batch(recipe["batch_size"], len(parts.train))
    return Job(spec, images, parts.train, parts.validation, parts.test, recipe, parts.statistics, parts.notes)


def _check_batch(size: int, images: int) -> None:
    if size > images:
        raise UsageError(
            f"a batch of {size} is more than the {images} images to train with\n  help: --set train.batch_size=64"
        )


def train(job: Job, out: Path, *, progress: bool) -> Result:
    """Train a job in a new folder below `out`; the best weights by validation accuracy are then tested."""
    _quieten()
    seed_everything(job.recipe["seed"], verbose=False)
    module = SpecModule(job.spec.resolved | {"train": job.recipe})
    if job.statistics is not None:
        module.mean, module.std = job.statistics
    if isinstance(job.train, Stream):
        module.augmentation = Augmentation([], job.spec.plan.input, job.data.classes)  # workers have done it
    folder = _new_folder(out, job.name)
    (folder / "spec.yaml").write_text(yaml.safe_dump(module.hparams["spec"], sort_keys=False), encoding="utf-8")
    # without a validation set, the last epoch counts as the best
    monitor = "val_accuracy" if len(job.validation) else None
    best = ModelCheckpoint(folder / "checkpoints", filename="best", monitor=monitor, mode="max")
    epochs = Epochs(job.recipe["epochs"], quiet=progress)
    engine = _engine(job, folder, [best, epochs], progress=progress)
    training = loader(job.train, job.recipe["batch_size"], shuffle_by=job.recipe["seed"])
    began = time.perf_counter()
    try:
        engine.fit(module, training, loader(job.validation, EVALUATION_BATCH) if len(job.validation) else None)
    except SystemExit:  # so Lightning ends when it is interrupted
        raise KeyboardInterrupt from None
    seconds = time.perf_counter() - began
    test = loader(job.test, EVALUATION_BATCH)
    # weights and metrics alone are read back: nothing in the file can run
    scores = engine.test(module, test, ckpt_path="best", verbose=False, weights_only=True)
    result = Result(
        name=job.name,
        spec=job.spec.file,
        variant=job.spec.variant,
        data=job.data.name,
        epochs=job.recipe["epochs"],
        params=job.spec.plan.params,
        macs=job.spec.plan.macs,
        val_accuracy=float(best.best_model_score or 0.0) if len(job.validation) else None,
        test_accuracy=float(scores[0]["test_accuracy"]),
        best_epoch=epochs.best_epoch,
        seconds=seconds,
        folder=str(folder),
    )
    (folder / "results.json").write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    return result


def _engine(job: Job, folder: Path, callbacks: list[Callback], *, progress: bool) -> Trainer:
    """Lightning's trainer for a job: its logs, and a checkpoint of the last epoch whatever it brought."""
    last = ModelCheckpoint(folder / "checkpoints", filename="last", enable_version_counter=False)
    bars: list[Callback] = [TQDMProgressBar(refresh_rate=10)] if progress else []
    return Trainer(
        max_epochs=job.recipe["epochs"],
        devices=1,
        callbacks=[*callbacks, last, LearningRateMonitor("epoch"), *bars],
        logger=[CSVLogger(folder, name="", version=""), TensorBoardLogger(str(folder), name="", version="")],
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
    )


def _new_folder(out: Path, name: str) -> Path:
    """A folder of this run's own: `name`, or where that is taken `name-2`, `name-3`, … Raises `UsageError`."""
    number = 1
    while True:
        folder = out / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if not out.is_dir():
                raise UsageError(
                    f"cannot make a run's folder: {out} is a file\n  help: choose another by --out"
                ) from None
            number += 1
        except OSError as error:
            raise UsageError(
                f"cannot make the folder {folder}: {error.strerror}\n  help: choose another by --out"
            ) from None


class Epochs(Callback):
    """Watches over the epochs: remembers the best one, and stops a training whose loss is no longer finite.

    Prints a line after each, unless a progress bar shows the same.
    """

    def __init__(self, epochs: int, *, quiet: bool) -> None:
        self.epochs = epochs
        self.quiet = quiet
        self.best = -1.0
        self.best_epoch = 0
        self.began = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.began = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        epoch = trainer.current_epoch + 1
        if not math.isfinite(metrics["train_loss"]):
            raise UsageError(
                f"the training loss is not finite in epoch {epoch}: it diverges\n"
                "  help: lower the learning rate, `--set train.optimizer.sgd.lr=0.01` for example"
            )
        validation = ""
        if "val_accuracy" in metrics:
            validation = f"val loss {metrics['val_loss']:.4f}  val accuracy {metrics['val_accuracy']:.2%}  "
        if metrics.get("val_accuracy", math.inf) > self.best:
            self.best, self.best_epoch = metrics.get("val_accuracy", self.best), epoch
        if not self.quiet:
            seconds = time.perf_counter() - self.began
            print(
                f"epoch {epoch}/{self.epochs}  loss {metrics['train_loss']:.4f}  {validation}{seconds:.1f} s",
                flush=True,
            )


def _quieten() -> None:
    """Leave out what Lightning says about itself, and its advice for other data than ours."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", module="lightning_fabric")
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)

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
from pytorch_lightning.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint
from torch import Tensor
from torch.utils.data import DataLoader

from archspec.errors import UsageError
from archspec.recipe import complete
from archspec.shapes import show
from archspec.spec import Spec
from trainer import data
from trainer.augment import Augmentation
from trainer.data import DataSet, Labelled
from trainer.engine import check_device, make_engine
from trainer.images import check_fit
from trainer.loaders import Stream, loader
from trainer.module import SpecModule
from trainer.optim import check_schedule
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
    """What came of a run. Accuracies are shares from 0 to 1, the time is in seconds.

    Without validation images there is no `val_accuracy`, and the last epoch counts as the best.
    """

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
    check_device(recipe)
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
    for side in spec.plan.aux.values():
        if side.shape != (images.classes,):
            raise UsageError(
                f"the data set `{images.name}` has {images.classes} classes, but the side classifier `{side.name}` of "
                f"{spec.plan.title} gives {show(side.shape)}\n  help: end its body in `- linear: =num_classes`"
            )
    Augmentation(recipe["augment"], shape, images.classes)  # raises what is wrong with its arguments
    count = len(split(images, recipe)[0])
    _check_batch(recipe["batch_size"], count)
    check_schedule(recipe, count // recipe["batch_size"])
    parts = bring(images, shape, recipe, skip_unreadable=skip_unreadable)
    if len(parts.train) < count:  # some could not be read
        _check_batch(recipe["batch_size"], len(parts.train))
        check_schedule(recipe, len(parts.train) // recipe["batch_size"])
    return Job(spec, images, parts.train, parts.validation, parts.test, recipe, parts.statistics, parts.notes)


def _check_batch(size: int, images: int) -> None:
    if size > images:
        raise UsageError(
            f"a batch of {size} is more than the {images} images to train with\n  help: --set train.batch_size=64"
        )


def train(job: Job, out: Path, *, progress: bool) -> Result:
    """Train a job in a new folder below `out`.

    The best weights by validation accuracy are then tested; without validation images, the last.
    """
    _quieten()
    seed_everything(job.recipe["seed"], verbose=False)
    module = SpecModule(job.spec.resolved | {"train": job.recipe})
    if job.statistics is not None:
        module.mean, module.std = job.statistics
    if isinstance(job.train, Stream):
        module.augmentation = Augmentation([], job.spec.plan.input, job.data.classes)  # workers have done it
    folder = _new_folder(out, job.name)
    (folder / "spec.yaml").write_text(yaml.safe_dump(module.hparams["spec"], sort_keys=False), encoding="utf-8")
    if job.recipe["compile"]:
        module.network.compile()
    validated = len(job.validation) > 0
    best = ModelCheckpoint(folder / "checkpoints", filename="best", monitor="val_accuracy", mode="max")
    epochs = Epochs(job.recipe.get("epochs"), quiet=progress)
    engine = make_engine(job.recipe, folder, [best, epochs] if validated else [epochs], progress=progress)
    training = loader(job.train, job.recipe["batch_size"], shuffle_by=job.recipe["seed"])
    began = time.perf_counter()
    try:
        engine.fit(module, training, loader(job.validation, EVALUATION_BATCH) if validated else None)
    except SystemExit:  # so Lightning ends when it is interrupted
        raise KeyboardInterrupt from None
    seconds = time.perf_counter() - began
    scores = _tested(engine, module, loader(job.test, EVALUATION_BATCH), "best" if validated else None)
    result = Result(
        name=job.name,
        spec=job.spec.file,
        variant=job.spec.variant,
        data=job.data.name,
        epochs=epochs.count,
        params=job.spec.plan.params,
        macs=job.spec.plan.macs,
        val_accuracy=float(best.best_model_score or 0.0) if validated else None,
        test_accuracy=scores["test_accuracy"],
        best_epoch=epochs.best_epoch,
        seconds=seconds,
        folder=str(folder),
    )
    (folder / "results.json").write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    return result


def _tested(engine: Trainer, module: SpecModule, images: DataLoader[Any], checkpoint: str | None) -> dict[str, float]:
    """The metrics of the test set, by the weights of a checkpoint or, without one, those that training ended with."""
    # it would put the weights that training goes on from in place of their average, which the checkpoint is of
    engine.callbacks = [one for one in engine.callbacks if not isinstance(one, EMAWeightAveraging)]
    # weights and metrics alone are read back: nothing in the file can run
    (scores,) = engine.test(module, images, ckpt_path=checkpoint, verbose=False, weights_only=True)
    return {name: float(value) for name, value in scores.items()}


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

    def __init__(self, epochs: int | None, *, quiet: bool) -> None:
        self.epochs = epochs
        self.quiet = quiet
        self.count = 0
        self.best = -1.0
        self.best_epoch = 0
        self.began = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.began = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.count = trainer.current_epoch + 1
        if not math.isfinite(metrics["train_loss"]):
            raise UsageError(
                f"the training loss is not finite in epoch {self.count}: it diverges\n"
                "  help: lower the learning rate, `--set train.optimizer.lr=0.01` for example"
            )
        # without validation images, the last epoch is the one whose weights are tested
        accuracy = metrics.get("val_accuracy", self.best)
        if accuracy > self.best or "val_accuracy" not in metrics:
            self.best, self.best_epoch = accuracy, self.count
        if not self.quiet:
            print(self._line(metrics), flush=True)

    def _line(self, metrics: dict[str, float]) -> str:
        of = f"/{self.epochs}" if self.epochs else ""
        parts = [f"epoch {self.count}{of}", f"loss {metrics['train_loss']:.4f}"]
        if "val_accuracy" in metrics:
            parts += [f"val loss {metrics['val_loss']:.4f}", f"val accuracy {metrics['val_accuracy']:.2%}"]
        return "  ".join([*parts, f"{time.perf_counter() - self.began:.1f} s"])


def _quieten() -> None:
    """Leave out what Lightning says about itself, and its advice for other data than ours."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", module="lightning_fabric")
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)

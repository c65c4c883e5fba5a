"""The Lightning module: a network built from a spec, and the recipe's loss, optimizer and schedule."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torchmetrics import Metric

from archspec.recipe.columns import image_among
from archspec.recipe.outputs import MAIN
from archspec.spec import from_dict
from trainer import tasks
from trainer.input.augment_batch import Augmentation
from trainer.input.images import check_inputs, fit_targets, fit_to_input
from trainer.input.vectors import moments_shape, row_sizes, sample_shape, standardized, takes_images
from trainer.steps.optim import count_steps, make_optimizer, make_schedule
from trainer.steps.seeding import seed_generators, step_seed


class SpecModule(LightningModule):
    """A network with the recipe of its training: what checkpoints of `archspec train` hold.

    The spec is its only hyperparameter, so `load_from_checkpoint` rebuilds the network by itself. `network` is the
    plain module, which takes floats `(N, C, H, W)` normalised by `mean` and `std`. Where the spec's input is a vector
    or a sequence, samples are floats `(N, *input)`, and features stand for channels. Where it has several inputs, all
    vectors, samples are their features side by side. Where one of several is an image, the features of the others are
    given beside it, and standardised by `row_mean` and `row_std`.

    Args:
        spec: A resolved spec, as `Spec.resolved` has it.

    Raises:
        SpecError: The spec is wrong.
        UsageError: The network takes several inputs which are not all rows, one image aside.

    Example:
        ```python
        model = SpecModule.load_from_checkpoint("runs/digits/checkpoints/best.ckpt", weights_only=True).eval()
        probabilities = model(images).softmax(1)  # uint8 (N, C, H, W) to (N, classes)
        ```
    """

    mean: Tensor
    """The mean of each channel `(C,)` of the training images, whose values go from 0 to 1; 0 if not normalised.

    Of vectors and tokens that of each feature `(F,)`, of sequences with channels first `(C, 1)`, in their own units."""
    std: Tensor
    """The standard deviation of the same shape; 1 if not normalised."""
    row_mean: Tensor
    """Of a network that takes an image and rows: the mean of each feature of the rows `(F,)`."""
    row_std: Tensor
    """The standard deviation of the same shape."""

    def __init__(self, spec: dict[str, Any]) -> None:
        super().__init__()
        self.save_hyperparameters()
        loaded = from_dict(spec)
        check_inputs(loaded.plan)
        self.shape = sample_shape(loaded.plan)
        self.sizes = row_sizes(loaded.plan)
        image = image_among(loaded.plan.inputs)
        self.place = [*loaded.plan.inputs].index(image) if image else None
        self.output = loaded.plan.output
        self.recipe = loaded.recipe
        self.network = loaded.build()
        self.network.to(memory_format=self.layout)
        self.register_buffer("mean", torch.zeros(moments_shape(loaded.plan)))
        self.register_buffer("std", torch.ones(moments_shape(loaded.plan)))
        if self.place is not None:
            self.register_buffer("row_mean", torch.zeros(sum(self.sizes)))
            self.register_buffer("row_std", torch.ones(sum(self.sizes)))
        classes = loaded.plan.output[0]
        self.augmentation = Augmentation(self.recipe.augment, self.shape, classes)
        self.task = tasks.load(self.recipe.task)
        self.loss = self.task.make_loss(self.recipe, classes)
        self.answer = self.task.make_answer(loaded.plan)
        self.aux = {name: aux.weight or 0.0 for name, aux in loaded.plan.aux.items()}
        self.outputs = self.recipe.outputs.named if self.recipe.outputs else {}
        self.heads = tuple(self.recipe.outputs.heads) if self.recipe.outputs else ()
        # of the validation images: the task's metrics, and the mean loss
        self.scores = torch.nn.ModuleDict(self.task.make_metrics(loaded.plan))
        self.mean_loss = Mean()

    @property
    def unit(self) -> str:
        """What it is trained with, in a word."""
        return "images" if takes_images(self.shape) else "samples"

    @property
    def layout(self) -> torch.memory_format:
        """How images and weights lie in memory. (No attribute: `torch.save` cannot write it.)

        The recipes of trainings say true or false; of a module made of a recipe that says `auto`, channels come first.
        """
        last = self.recipe.channels_last is True and takes_images(self.shape)
        return torch.channels_last if last else torch.contiguous_format

    @property
    def trainer(self) -> Any:
        """Lightning's trainer. Without one, `AttributeError` is raised: `torch.jit.trace` asks for every attribute."""
        if self._trainer is None and self._fabric is None:
            raise AttributeError(f"{type(self).__qualname__} is not attached to a `Trainer`.")
        return super().trainer

    @trainer.setter
    def trainer(self, trainer: Any) -> None:
        LightningModule.trainer.fset(self, trainer)  # type: ignore[attr-defined]

    def forward(self, images: Tensor, rows: Tensor | None = None) -> Tensor:
        """Compute the output of images, of a classifier the logits `(N, classes)`.

        Args:
            images: uint8, `(N, C, H, W)`, of any size and one or three channels. They are resized to the network's
                input, made grey or coloured as it needs, and normalised. Vectors and sequences are floats
                `(N, *input)` in the units of the training data.
            rows: Of a network that takes rows beside an image: the features of all of them, floats `(N, F)`.

        Raises:
            TypeError: The images are not uint8. It cannot be known how floats are scaled; `network` takes them,
                normalised by `mean` and `std`. Or vectors are no floats, or rows are missing.
        """
        return self.forward_all(images, rows)[0]

    def forward_all(self, images: Tensor, rows: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The output of images as `forward` gives it, and those of the outputs that the recipe trains, by name."""
        if not takes_images(self.shape) and not images.is_floating_point():
            raise TypeError(f"vectors and sequences are floats, not {images.dtype}")
        if takes_images(self.shape) and images.dtype != torch.uint8:
            raise TypeError(
                f"images are uint8, of values 0 to 255, not {images.dtype}; normalised floats go to `.network`"
            )
        if (rows is None) != (self.place is None):
            raise TypeError("the network takes rows beside images" if rows is None else "the network takes no rows")
        return self._answered(self.network(*self.as_inputs(self.normalize(self.fit_images(images)), rows)))

    def fit_images(self, images: Tensor) -> Tensor:
        """Fit images uint8 `(N, C, H, W)` to the network's input shape, as the recipe says; vectors fit as they are."""
        if not takes_images(self.shape):
            return images
        return fit_to_input(images, self.shape, self.recipe.resize)

    def normalize(self, images: Tensor) -> Tensor:
        """Normalise images for `network`.

        Args:
            images: uint8, `(N, *input)`, of the network's input shape; floats where that is no image.

        Returns:
            Floats of the same shape: images scaled to 0 to 1, less `mean`, divided by `std`.
        """
        if not takes_images(self.shape):
            return standardized(images, self.mean, self.std)
        normalized = (images.float() / 255 - self.mean[:, None, None]) / self.std[:, None, None]
        return normalized.contiguous(memory_format=self.layout)

    def as_inputs(self, samples: Tensor, rows: Tensor | None = None) -> tuple[Tensor, ...]:
        """What `network` takes of normalised samples: these, or of several inputs the part of each.

        Where one of the inputs is an image, `rows` are the features of the others, which are standardised here.
        """
        if rows is None:
            return torch.split(samples, self.sizes, dim=1) if self.sizes else (samples,)
        inputs = [*torch.split(standardized(rows, self.row_mean, self.row_std), self.sizes, dim=1)]
        inputs.insert(self.place or 0, samples)
        return tuple(inputs)

    def moments(self) -> tuple[Tensor, Tensor]:
        """The mean and standard deviation of all inputs `(F,)`: of each feature or channel of one after the other."""
        if self.place is None:
            return self.mean.flatten(), self.std.flatten()
        both = []
        for image, rows in ((self.mean, self.row_mean), (self.std, self.row_std)):
            parts = [*torch.split(rows, self.sizes)]
            parts.insert(self.place, image)
            both.append(torch.cat(parts))
        return both[0], both[1]

    def prepared(self, images: Tensor) -> Tensor:
        """The former name of `normalize`."""
        return self.normalize(images)

    def on_train_batch_start(self, batch: Any, index: int) -> None:
        """Seed the random numbers of the step: augmentation, dropout."""
        step = self.current_epoch * int(self.trainer.num_training_batches) + index
        seed_generators(step_seed(self.recipe.seed, step, self.global_rank), self.device)

    def training_step(self, batch: tuple[Tensor, ...], index: int) -> Tensor:
        images, labels, *rows = batch
        labels = fit_targets(labels, self.shape, self.recipe.resize)
        images, labels = self.augmentation(self.fit_images(images), labels)
        logits, aux_logits = self._answered(self.network(*self.as_inputs(self.normalize(images), *rows)))
        loss: Tensor = self.loss(logits, labels)
        if self.recipe.outputs is not None:
            loss = self.recipe.outputs.main * loss
        for name, weight in (self.aux | self.outputs).items():
            loss = loss + weight * self.loss(aux_logits[name], labels)
        return loss

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Compute gradients of a mean over all images of the optimizer's step, also of an epoch's last one."""
        # Lightning has divided by `accumulate`, though fewer batches may be left of the epoch
        accumulate, epoch_loop = self.trainer.accumulate_grad_batches, self.trainer.fit_loop.epoch_loop
        left = int(self.trainer.num_training_batches) - epoch_loop.batch_idx // accumulate * accumulate
        super().backward(loss if left >= accumulate else loss * (accumulate / left), *args, **kwargs)

    def validation_step(self, batch: tuple[Tensor, ...], index: int) -> None:
        images, labels, *rows = batch
        labels = fit_targets(labels, self.shape, self.recipe.resize)
        # `forward` is not compiled: other batch sizes than in training would be compiled anew
        inputs = self.as_inputs(self.normalize(self.fit_images(images)), *rows)
        logits = self._answered(self.network.forward(*inputs))[0]
        for score in self.scores.values():
            assert isinstance(score, Metric)
            score.update(logits, labels)  # a call would compute it of the batch as well
        self.mean_loss.update(self.loss(logits, labels), len(labels))
        self.log("val_loss", self.mean_loss)
        for name in self.scores:
            self.log(f"val_{name}", self.scores[name])  # type: ignore[arg-type]

    def configure_optimizers(self) -> Any:
        optimizer = make_optimizer(self.recipe, self.network, fused=self._can_fuse())
        self.trainer.fit_loop.setup_data()  # so that the batches of an epoch are known
        batches = int(self.trainer.num_training_batches)
        schedule = make_schedule(self.recipe, optimizer, *count_steps(self.recipe, batches))
        if schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _answered(self, output: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """A network's output as its logits, or what the task makes of it, and those of the others that are trained."""
        own, others = output if isinstance(output, tuple) else (output, {})
        if self.heads:  # a mapping, which the task's loss and metrics take
            assert self.answer is not None
            return self.answer({name: own if name == MAIN else others[name] for name in self.heads}), {}
        trained = {name: others[name] for name in (*self.aux, *self.outputs) if name in others}
        if self.answer is None:
            return own, trained
        return self.answer(own), {name: self.answer(one) for name, one in trained.items()}

    def _can_fuse(self) -> bool:
        """Whether the optimizer may step by one kernel: on a GPU, of which results are promised but for rounding.

        Not where torch or Lightning refuse it: gradients that are scaled (float16) and clipped, or shared out by FSDP.
        """
        from pytorch_lightning.strategies import FSDPStrategy

        scaled, shared = self.recipe.precision == "16-mixed", isinstance(self.trainer.strategy, FSDPStrategy)
        return self.device.type == "cuda" and not scaled and not shared


class Mean(Metric):
    """The mean over all images, also those of other processes, of losses that are means over a batch.

    `torchmetrics.MeanMetric` ignores weights with `nan_strategy="disable"`, and its other strategies wait for the GPU
    to look for NaN; Lightning's own averaging rounds the number of images.
    """

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), "sum")
        self.add_state("count", torch.tensor(0), "sum")

    def update(self, loss: Tensor, images: int) -> None:
        self.total += loss * images
        self.count += images

    def compute(self) -> Tensor:
        return self.total / self.count

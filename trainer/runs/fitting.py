"""A spec and its recipe held to a data set and to devices: what follows the data, does not fit, or has no effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from archspec.foundation.errors import UsageError
from archspec.language.inputs import show_inputs
from archspec.plan.plan import Plan
from archspec.recipe import Recipe, effects
from archspec.recipe.columns import FILE
from archspec.spec import Spec
from trainer import tasks
from trainer.input.datasets import TARGETS, DataSet
from trainer.input.vectors import row_sizes
from trainer.processes.devices import Devices
from trainer.steps.optim import check_schedule, count_steps
from trainer.tasks import Task
from trainer.tasks._heads import HeadPlan


def check_columns(spec: Spec) -> None:
    """Raises `UsageError` where several inputs do not know their columns."""
    plan = spec.plan
    if len(plan.takes) > 1 and not spec.recipe.columns.inputs:
        named = ", ".join(
            f"{name}: {FILE}" if len(shape) == 3 else f"{name}: [COLUMN, …]" for name, shape in plan.inputs.items()
        )
        raise UsageError(
            f"{plan.title} has {len(plan.takes)} inputs, {show_inputs(plan.takes)}, and its recipe does not say which "
            "columns of a table each takes",
            help=f"say it: `train: {{data: {{name: table.csv, inputs: {{{named}}}}}}}`",
        )


def check_devices(recipe: Recipe, devices: Devices) -> None:
    """Raises `UsageError` where devices cannot do what a recipe asks for, and Lightning would silently do otherwise."""
    if recipe.precision == "16-mixed" and not (torch.cuda.is_available() and devices.accelerator != "cpu"):
        raise UsageError(
            "the precision `16-mixed` needs a GPU, and there is none", help="--set train.precision=bf16-mixed"
        )
    size, processes = recipe.batch_size, devices.processes
    if size % processes:
        near = max(1, round(size / processes)) * processes
        raise UsageError(
            f"a batch of {size} cannot be shared equally among {processes} processes",
            help=f"--set train.batch_size={near}",
        )
    if devices.strategy == "fsdp":
        if recipe.clip is not None and recipe.clip.norm is not None:
            raise UsageError(
                "the strategy `fsdp` cannot clip gradients by their norm, of which each process has a part",
                help="clip by value, --set train.clip={value: 1} for example, or --strategy ddp",
            )
        if recipe.freeze is not None and recipe.freeze.thaws:
            raise UsageError(
                "the strategy `fsdp` cannot train parts later that it does not train from the first epoch on",
                help="freeze them for good, `freeze: [PATH, …]`, or --strategy ddp",
            )
        if recipe.ema is not None:
            raise UsageError(
                "the strategy `fsdp` cannot average weights, of which each process has a part",
                help="--set train.ema=null, or --strategy ddp",
            )


def following(spec: Spec, images: DataSet, *, num_classes_given: bool, features_given: bool) -> Spec:
    """The spec with the variables that follow a data set, where they are used and not given."""
    used = dict(spec.plan.vars).keys() - spec.unused_vars
    follows = "num_classes" in used and not num_classes_given and images.targets != TARGETS
    values = {"num_classes": images.classes} if follows else {}
    is_row = images.samples is not None and len(images.samples) == 1 and len(spec.plan.takes) == 1
    if is_row and images.samples and "features" in used and not features_given:
        values["features"] = images.samples[0]
    beside = images.samples is None and images.has_rows and len(row_sizes(spec.plan)) == 1
    if beside and "features" in used and not features_given:
        values["features"] = len(images.known_form.features)
    return spec.replace(vars=values) if values else spec


def complete(spec: Spec, task: Task, images: DataSet) -> Recipe:
    """A spec's recipe with what its task says where the recipe does not. Raises `UsageError`."""
    recipe = task.with_loss(spec.recipe, given="loss" in spec.resolved.get("train", {}))
    mixing = [one.name for one in recipe.augment if one.kind.mixes]
    if mixing and images.has_rows:
        raise UsageError(
            f"`{mixing[0]}` mixes images, and the rows beside them would be those of one of them",
            help="leave it out of `train.augment`",
        )
    if mixing and not task.mixes:
        raise UsageError(
            f"`{mixing[0]}` mixes the targets of images, and those of {task.name} cannot be mixed",
            help="leave it out of `train.augment`",
        )
    if recipe.sampler is not None and not task.balances:
        raise UsageError(
            f"`sampler: {recipe.sampler}` draws images of each class equally often, and {task.name} knows no class of "
            "an image",
            help="leave `train.sampler` out",
        )
    # what recipes of images without a task have always meant is not written: runs are found by their recipe
    return replace(recipe, task=None if task.name == tasks.DEFAULT and images.samples is None else task.name)


def check_task(task: Task, plan: Plan, recipe: Recipe, images: DataSet, *, num_classes_given: bool) -> None:
    """Raises `UsageError` where a network's outputs, or what a recipe says of the task, do not fit a data set."""
    try:
        task.check(plan, images, num_classes_given=num_classes_given)
    except UsageError:
        tasks.refuse_detection(plan, certain=False)
        raise
    for output in recipe.outputs.named if recipe.outputs else ():
        task.check(HeadPlan.of(plan, output), images, num_classes_given=num_classes_given)
    if (stop := recipe.early_stopping) is not None:
        metric = task.metric_of(stop.monitor, plan=plan)
        if stop.min_delta >= 1 and metric.format_spec.endswith("%"):
            raise UsageError(
                f"`train.early_stopping.min_delta` is {stop.min_delta:g}, and {metric.heading} lies between 0 and 1: "
                "no epoch would count as better",
                help="0.001 stands for 0.1 %",
            )
    task.metric_of(recipe.monitor, "monitor", plan)
    task.check_recipe(recipe, plan, images.class_names)


def check_size(recipe: Recipe, images: int) -> None:
    """Raises `UsageError` where batches or schedule do not fit the number of training images."""
    if recipe.batch_size > images:
        raise UsageError(
            f"a batch of {recipe.batch_size} is more than the {images} images to train with",
            help=f"--set train.batch_size={min(64, images)}",
        )
    check_schedule(recipe, images // recipe.batch_size)


def idle(spec: Spec, recipe: Recipe, data: DataSet, images: int) -> Iterator[str]:
    """What of a recipe has no effect with so many training images, a line each."""
    batches = images // recipe.batch_size
    for _, message in effects.idle_by_steps(recipe, batches, *count_steps(recipe, batches)):
        yield message
    if data.validation is not None and "validation" in spec.resolved.get("train", {}):
        own = f"{len(data.validation):,} images for validation"
        yield f"`train.validation` has no effect: `{data.name}` has {own} of its own"

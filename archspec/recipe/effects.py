"""Values of a recipe that have no effect, or that ruin the training, each sound by itself.

What ruins a training or can only be a mistake is refused. What has no effect as long as the training is short, or
another key is as it is, is noted: `--epochs 2` leaves a good recipe sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from archspec.foundation.errors import Fault, join_words
from archspec.foundation.source import Value
from archspec.recipe.parts import prefixes
from archspec.recipe.places import place
from archspec.recipe.recipe import Recipe

Idle = tuple[str, str]
"""A key of the recipe, and why what it says has no effect."""

_CYCLED = ("adam", "adamax", "adamw", "nadam", "radam", "rmsprop", "sgd")
"""The optimizers that have a momentum, or betas, which `one_cycle` changes."""
_MOMENTUM = ("rmsprop", "sgd")
"""Those of them that have none unless it is given."""


# --- what is refused --------------------------------------------------------------------------------------------------


def faults_in(train: Value | None, recipe: Recipe) -> Iterator[Fault]:
    """What ruins a training by a recipe, whose section is `train`, or can only be a mistake."""
    for key, message, help in (
        *_wrong_optimizer(recipe),
        *_wrong_schedule(recipe),
        *_wrong_warmup(recipe),
        *_wrong_parts(recipe),
        *_wrong_others(recipe),
    ):
        yield Fault("out-of-range", message, place(train, key), help=help)


Wrong = tuple[str, str, str]
"""A key of the recipe, what is wrong with it, and what to do."""


def _wrong_optimizer(recipe: Recipe) -> Iterator[Wrong]:
    given = recipe.optimizer.arguments
    rate, decay = given.get("lr"), given.get("weight_decay", 0)
    decoupled = recipe.optimizer.name in ("adamw", "sgd") or given.get("decoupled_weight_decay", False)
    if decoupled and rate is not None and rate * decay >= 1:
        yield (
            "optimizer",
            f"`train.optimizer`: each step takes `lr` × `weight_decay`, {rate * decay:g} times each weight, from it: "
            "nothing is left of it",
            f"lower one of them: `weight_decay: 1e-4` for example, beside `lr: {rate:g}`",
        )
    dampening = given.get("dampening", 0)
    if dampening and not given.get("momentum"):
        yield "optimizer", "`train.optimizer`: `dampening` acts on `momentum`, which is not given", "leave it out"
    elif dampening >= 1:
        yield (
            "optimizer",
            f"`train.optimizer`: `dampening: {dampening:g}` leaves nothing of the gradients after the first step",
            "it is below 1, and 0 where it is not given",
        )


def _wrong_schedule(recipe: Recipe) -> Iterator[Wrong]:
    schedule, rate = recipe.schedule, recipe.optimizer.arguments.get("lr")
    if schedule is None:
        return
    given = schedule.arguments
    end = given.get("eta_min", 0)
    scales = recipe.lr_scale.given.values() if recipe.lr_scale else ()
    factors = [one for one in scales if not isinstance(one, Mapping)]
    least = None if rate is None else rate * min([1, *factors])
    if least is not None and end > least:
        what = f"the rate {rate:g}" if end > rate else f"the rate {least:g} of a part by `lr_scale`"
        yield (
            "schedule",
            f"`train.schedule`: `cosine` falls to `eta_min`, and {end:g} is above {what}: it would rise",
            "lower `eta_min`, or leave it out: it is 0 then",
        )
    twice = [a for a, b in pairwise(sorted(given.get("milestones", ()))) if a == b]
    if twice:
        yield "schedule", f"`train.schedule` has the milestone {twice[0]} twice", "name it once; `gamma` says how much"
    low, high = given.get("base_momentum", 0.85), given.get("max_momentum", 0.95)
    if schedule.name == "one_cycle" and low > high:
        yield (
            "schedule",
            f"`train.schedule`: `base_momentum` {low:g} is above `max_momentum` {high:g}",
            "the momentum falls from `max_momentum`, 0.95 if not given, to `base_momentum`, 0.85 if not given",
        )


def _wrong_warmup(recipe: Recipe) -> Iterator[Wrong]:
    warm = recipe.warmup
    if warm is None:
        return
    for unit, long, whole in (("epochs", warm.epochs, recipe.epochs), ("steps", warm.steps, recipe.steps)):
        if long is not None and whole is not None and long >= whole:
            yield (
                "warmup",
                f"`train.warmup` takes {long:g} {unit}, and the training has {whole}: nothing is left of it",
                "shorten it, `--set train.warmup.steps=1` for example, or train for longer",
            )


def _wrong_parts(recipe: Recipe) -> Iterator[Wrong]:
    frozen = recipe.freeze.parts if recipe.freeze else {}
    for path, epochs in frozen.items():
        for above in prefixes(path)[:-1]:
            longer = frozen.get(above, 0)
            if epochs is not None and (longer is None or longer >= epochs):
                until = "for good" if longer is None else f"for {longer} epochs"
                yield (
                    "freeze",
                    f"`train.freeze` freezes `{path}` for {epochs} epochs, and `{above}`, in which it lies, {until}",
                    f"leave `{path}` out, or freeze the other parts of `{above}` by their own paths",
                )
    for path in recipe.lr_scale.given if recipe.lr_scale else ():
        kept = [one for one in prefixes(path) if one in frozen and frozen[one] is None]
        if kept:
            yield (
                "lr_scale",
                f"`train.lr_scale` gives `{path}` a rate, and `train.freeze` keeps `{kept[0]}` as it is for good",
                "leave it out of one of them",
            )


def _wrong_others(recipe: Recipe) -> Iterator[Wrong]:
    for one in recipe.loss.parts:
        if one.name == "tversky" and one.arguments.get("alpha") == one.arguments.get("beta") == 0:
            yield (
                "loss",
                "`train.loss`: `tversky` with `alpha` and `beta` of 0 asks nothing of what is wrong or missed",
                "one of them is above 0; leave them out for 0.5 each",
            )
    for effect in recipe.augment:
        if effect.name == "color_jitter" and not any(effect.arguments.values()):
            yield (
                "augment",
                "`train.augment`: `color_jitter` changes nothing: neither `brightness`, `contrast`, `saturation` nor "
                "`hue` is above 0",
                "say how much: `color_jitter: {brightness: 0.4, contrast: 0.4}` for example",
            )


# --- what is noted ----------------------------------------------------------------------------------------------------


def idle_in(recipe: Recipe) -> Iterator[Idle]:
    """What has no effect in a recipe, or another one than it seems, by its own keys."""
    given, name = recipe.optimizer.arguments, recipe.optimizer.name
    default = 0.01 if name == "adamw" else 0  # torch's
    if recipe.decay == "weights" and not given.get("weight_decay", default):
        yield "decay", f"`train.decay` says what weight decay acts on, and `{name}` has none here"
    if recipe.clip is not None and name == "rprop":
        yield "clip", "`train.clip` has no effect: `rprop` steps by the signs of gradients alone"
    if recipe.ema is not None and recipe.ema.decay == 0:
        yield "ema", "`train.ema` has no effect: with `decay: 0`, the average is the weights themselves"
    if recipe.warmup is not None and recipe.warmup.start == 1:
        yield "warmup", "`train.warmup` has no effect: with `start: 1`, it begins at the whole rate"
    if recipe.sampler is not None and any("weight" in one.arguments for one in recipe.loss.parts):
        yield (
            "sampler",
            "`sampler: balanced` draws every class equally often, and `train.loss` weighs classes too: small ones "
            "count twice over",
        )
    yield from _idle_schedule(recipe)
    if recipe.epochs is not None:
        yield from idle_by_length(recipe, recipe.epochs)
    if recipe.ema is not None and recipe.steps is not None and recipe.ema.every > recipe.steps:
        yield _idle_ema(recipe.ema.every, recipe.steps)


def _idle_schedule(recipe: Recipe) -> Iterator[Idle]:
    schedule, optimizer = recipe.schedule, recipe.optimizer
    if schedule is None:
        return
    given = schedule.arguments
    gamma = given.get("gamma", 0.1)
    if schedule.name in ("multi_step", "step", "exponential") and gamma >= 1:
        does = (
            "has no effect: it multiplies the rate by 1" if gamma == 1 else f"raises the rate, by {gamma:g} each time"
        )
        yield "schedule", f"`train.schedule`: `{schedule.name}` {does}"
    if schedule.name == "cosine" and given.get("eta_min") == optimizer.arguments.get("lr", 0):
        yield "schedule", "`train.schedule` has no effect: `eta_min` is the rate itself"
    if schedule.name != "one_cycle":
        return
    cycles = given.get("cycle_momentum", True)
    idle = [key for key in ("base_momentum", "max_momentum") if key in given]
    if optimizer.name not in _CYCLED and (idle or "cycle_momentum" in given):
        keys = join_words([*idle, *(["cycle_momentum"] if "cycle_momentum" in given else [])])
        yield "schedule", f"`train.schedule`: {keys} without effect: `{optimizer.name}` has no momentum"
    elif idle and not cycles:
        yield "schedule", f"`train.schedule`: {join_words(idle)} without effect beside `cycle_momentum: false`"
    elif cycles and optimizer.name in _MOMENTUM and not optimizer.arguments.get("momentum"):
        high, low = given.get("max_momentum", 0.95), given.get("base_momentum", 0.85)
        yield (
            "schedule",
            f"`train.schedule`: `one_cycle` gives `{optimizer.name}`, whose momentum is 0, one from {high:g} to "
            f"{low:g}; `cycle_momentum: false` leaves it without",
        )


def idle_by_length(recipe: Recipe, epochs: float) -> Iterator[Idle]:
    """What has no effect since a training has no more than so many epochs."""
    lasts = f"the training has {epochs:g} epoch{'s' * (epochs != 1)}"
    schedule = recipe.schedule
    if schedule is not None:
        given: Mapping[str, Any] = schedule.arguments
        late = sorted(one for one in given.get("milestones", ()) if one >= epochs)
        if late:
            rest = "" if len(late) < len(given["milestones"]) else ": the rate stays as it is"
            what = f"the milestone{'s' * (len(late) > 1)} {', '.join(map(str, late))}"
            yield (
                "schedule",
                f"`train.schedule`: {what} {'are' if len(late) > 1 else 'is'} never reached, {lasts}{rest}",
            )
        every = given.get("step_size", 1) if schedule.name in ("step", "exponential") else 0
        if every >= epochs:
            after = f"{every} epoch{'s' * (every != 1)}"
            yield "schedule", f"`train.schedule` has no effect: the rate changes after {after}, and {lasts}"
    stop = recipe.early_stopping
    if stop is not None and stop.patience >= epochs - 1:
        yield (
            "early_stopping",
            f"`train.early_stopping` has no effect: after the first epoch it waits {stop.patience} more, and {lasts}",
        )
    for path, held in (recipe.freeze.parts if recipe.freeze else {}).items():
        if held is not None and held >= epochs:
            yield "freeze", f"`train.freeze`: `{path}` is never trained: it is frozen for {held} epochs, and {lasts}"


def idle_by_steps(recipe: Recipe, batches: int, steps: int, epoch: int) -> Iterator[Idle]:
    """What has no effect in a training of `steps`, whose epochs have so many batches and `epoch` steps."""
    if recipe.accumulate > batches:
        yield (
            "accumulate",
            f"`train.accumulate` is {recipe.accumulate}, and an epoch has {batches:,} "
            f"batch{'es' * (batches != 1)}: a step is made of these",
        )
    if recipe.steps is not None:
        yield from idle_by_length(recipe, round(steps / epoch, 2))
    elif recipe.ema is not None and recipe.ema.every > steps:
        yield _idle_ema(recipe.ema.every, steps)


def _idle_ema(every: int, steps: int) -> Idle:
    return "ema", f"`train.ema` has no effect: it averages every {every:,} steps, and the training has {steps:,}"

"""Values of a recipe that ruin a training are refused, and those without effect are noted; good recipes say nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from archspec.foundation.errors import SpecError, UsageError
from archspec.recipe import Recipe
from archspec.spec import Spec, from_dict, load
from trainer.runs.job import prepare
from trainer.steps.optim import make_optimizer, make_schedule

NETWORK: dict[str, Any] = {
    "stem": ["flatten", {"linear": 8}],
    "head": {"linear": "=num_classes"},
}


def spec(**train: Any) -> Spec:
    made = {"archspec": 1, "input": [1, 8, 8], "vars": {"num_classes": 10}, "network": NETWORK}
    return from_dict(made | {"train": train if "steps" in train else {"epochs": 10} | train}, "net")


SGD = {"name": "sgd", "lr": 0.1}
CYCLE = {"name": "one_cycle"}


@pytest.mark.parametrize(
    ("train", "messages"),
    [
        ({"optimizer": {"name": "adamw", "lr": 10, "weight_decay": 0.2}},
         ["`train.optimizer`: each step takes `lr` × `weight_decay`, 2 times each weight, from it: nothing is left of it"]),
        ({"optimizer": SGD | {"dampening": 0.5}},
         ["`train.optimizer`: `dampening` acts on `momentum`, which is not given"]),
        ({"optimizer": SGD | {"dampening": 1, "momentum": 0.9}},
         ["`train.optimizer`: `dampening: 1` leaves nothing of the gradients after the first step"]),
        ({"optimizer": SGD | {"momentum": 9}},
         ["`train.optimizer.momentum` must be a number ≥ 0 and < 1, not the number 9"]),
        ({"schedule": {"name": "cosine", "eta_min": 0.2}, "optimizer": SGD},
         ["`train.schedule`: `cosine` falls to `eta_min`, and 0.2 is above the rate 0.1: it would rise"]),
        ({"schedule": {"name": "cosine", "eta_min": 0.02}, "optimizer": SGD, "lr_scale": {"stem": 0.1}},
         ["`train.schedule`: `cosine` falls to `eta_min`, and 0.02 is above the rate 0.01 of a part by `lr_scale`: it "
          "would rise"]),
        ({"schedule": {"name": "multi_step", "milestones": [3, 5, 3]}},
         ["`train.schedule` has the milestone 3 twice"]),
        ({"schedule": CYCLE | {"base_momentum": 0.97}},
         ["`train.schedule`: `base_momentum` 0.97 is above `max_momentum` 0.95"]),
        ({"warmup": {"epochs": 10}},
         ["`train.warmup` takes 10 epochs, and the training has 10: nothing is left of it"]),
        ({"warmup": {"steps": 60}, "steps": 60},
         ["`train.warmup` takes 60 steps, and the training has 60: nothing is left of it"]),
        ({"freeze": {"stem": 5, "stem.1": 3}},
         ["`train.freeze` freezes `stem.1` for 3 epochs, and `stem`, in which it lies, for 5 epochs"]),
        ({"freeze": ["stem"], "lr_scale": {"stem.1": 0.1}},
         ["`train.lr_scale` gives `stem.1` a rate, and `train.freeze` keeps `stem` as it is for good"]),
        ({"augment": ["color_jitter"]},
         ["`train.augment`: `color_jitter` changes nothing: neither `brightness`, `contrast`, `saturation` nor `hue` is "
          "above 0"]),
        ({"loss": {"name": "tversky", "alpha": 0, "beta": 0}},
         ["`train.loss`: `tversky` with `alpha` and `beta` of 0 asks nothing of what is wrong or missed"]),
        ({"loss": {"name": "cross_entropy", "label_smoothing": 1}},
         ["`train.loss.label_smoothing` must be a number ≥ 0 and < 1, not the number 1"]),
    ],
)  # fmt: skip
def test_what_ruins_a_training_is_refused(train: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        spec(**train)
    assert [one.message for one in caught.value.diagnostics] == messages


@pytest.mark.parametrize(
    ("train", "notes"),
    [
        ({"schedule": {"name": "multi_step", "milestones": [5, 10, 12]}},
         ["`train.schedule`: the milestones 10, 12 are never reached, the training has 10 epochs"]),
        ({"schedule": {"name": "multi_step", "milestones": [10]}},
         ["`train.schedule`: the milestone 10 is never reached, the training has 10 epochs: the rate stays as it is"]),
        ({"schedule": {"name": "step", "step_size": 10}},
         ["`train.schedule` has no effect: the rate changes after 10 epochs, and the training has 10 epochs"]),
        ({"schedule": {"name": "exponential", "gamma": 1.1}},
         ["`train.schedule`: `exponential` raises the rate, by 1.1 each time"]),
        ({"schedule": {"name": "exponential", "gamma": 0.9}, "epochs": 1},
         ["`train.schedule` has no effect: the rate changes after 1 epoch, and the training has 1 epoch"]),
        ({"schedule": CYCLE, "optimizer": SGD},
         ["`train.schedule`: `one_cycle` gives `sgd`, whose momentum is 0, one from 0.95 to 0.85; `cycle_momentum: false` "
          "leaves it without"]),
        ({"schedule": CYCLE | {"max_momentum": 0.9}, "optimizer": "rprop"},
         ["`train.schedule`: `max_momentum` without effect: `rprop` has no momentum"]),
        ({"early_stopping": {"patience": 9}},
         ["`train.early_stopping` has no effect: after the first epoch it waits 9 more, and the training has 10 epochs"]),
        ({"freeze": {"stem": 10}},
         ["`train.freeze`: `stem` is never trained: it is frozen for 10 epochs, and the training has 10 epochs"]),
        ({"ema": {"decay": 0}},
         ["`train.ema` has no effect: with `decay: 0`, the average is the weights themselves"]),
        ({"warmup": {"epochs": 1, "start": 1}},
         ["`train.warmup` has no effect: with `start: 1`, it begins at the whole rate"]),
        ({"decay": "weights", "optimizer": SGD},
         ["`train.decay` says what weight decay acts on, and `sgd` has none here"]),
        ({"clip": {"norm": 1}, "optimizer": "rprop"},
         ["`train.clip` has no effect: `rprop` steps by the signs of gradients alone"]),
        ({"sampler": "balanced", "loss": {"name": "cross_entropy", "weight": "balanced"}},
         ["`sampler: balanced` draws every class equally often, and `train.loss` weighs classes too: small ones count "
          "twice over"]),
        ({"schedule": {"name": "multi_step", "milestones": [8, 9]}, "early_stopping": {"patience": 8},
          "freeze": {"stem": 9}, "warmup": {"epochs": 9}, "decay": "weights", "ema": {}}, []),
        ({"schedule": {"name": "step", "step_size": 9}, "optimizer": SGD | {"momentum": 0.9, "dampening": 0.1}}, []),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_noted(train: dict[str, Any], notes: list[str]) -> None:
    assert [one.message for one in spec(**train).notes] == notes


@pytest.mark.parametrize(("milestone", "changed"), [(9, True), (10, False)])
def test_a_milestone_changes_what_comes_after_so_many_epochs(milestone: int, changed: bool) -> None:
    """Holds the notes to torch: a rate that changes at the end of the last step trains nothing."""
    recipe = Recipe.from_dict({"optimizer": SGD, "schedule": {"name": "multi_step", "milestones": [milestone]}})
    optimizer = make_optimizer(recipe, nn.Linear(1, 1))
    schedule = make_schedule(recipe, optimizer, 50, 5)
    assert schedule is not None
    rates = []
    for _ in range(50):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert (len(set(rates)) > 1) is changed


def test_one_cycle_gives_momentum_to_an_optimizer_without() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, 10)
    assert optimizer.param_groups[0]["momentum"] == 0.95


def test_a_training_says_what_it_is_too_short_for(tmp_path: Path) -> None:
    train = {"batch_size": 1000, "accumulate": 3, "ema": {"every": 50}, "validation": 0.1}
    assert prepare(spec(**train), tmp_path).notes == (
        "`train.accumulate` is 3, and an epoch has 1 batch: a step is made of these",
        "`train.ema` has no effect: it averages every 50 steps, and the training has 10",
    )
    many = {"steps": 40, "batch_size": 130, "schedule": {"name": "multi_step", "milestones": [2, 5]}}
    made = spec(**many)
    assert made.notes == ()
    assert prepare(made, tmp_path).notes == (
        "`train.schedule`: the milestone 5 is never reached, the training has 4.44 epochs",
    )


def test_an_improvement_is_no_percentage(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(spec(early_stopping={"patience": 2, "min_delta": 1}), tmp_path)
    assert str(caught.value) == (
        "`train.early_stopping.min_delta` is 1, and accuracy lies between 0 and 1: no epoch would count as better\n"
        "  help: 0.001 stands for 0.1 %"
    )


@pytest.mark.parametrize("name", ["digits", "sequence_transformer", "unet_small", "three_inputs"])
def test_bundled_recipes_say_nothing(name: str) -> None:
    assert load(name).notes == ()


def test_a_shortened_training_is_no_error() -> None:
    notes = load("digits", set=["train.epochs=2"]).notes
    assert [one.message for one in notes] == [
        "`train.schedule`: the milestones 20, 26 are never reached, the training has 2 epochs: the rate stays as it is"
    ]
    assert load("sequence_transformer", set=["train.epochs=2", "train.warmup.steps=1"]).notes == ()

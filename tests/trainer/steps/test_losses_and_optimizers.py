"""Recipes, carried out: what training does equals what torch does when it is told the same."""

from __future__ import annotations

import copy
import inspect
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim import lr_scheduler

from archspec.foundation.arguments import fault_in
from archspec.foundation.errors import UsageError
from archspec.recipe import OPTIMIZERS, OPTIONS, Loss, Recipe
from archspec.spec import from_dict, load
from trainer.runs.job import prepare
from trainer.session import train
from trainer.steps.module import SpecModule
from trainer.steps.optim import make_optimizer, make_schedule
from trainer.tasks.classification import TASK

pytestmark = pytest.mark.usefixtures("without_pictures")

# --- auxiliary classifiers ----------------------------------------------------------------------------------------------


def with_sides(classes: Any = "=num_classes") -> dict[str, Any]:
    """A network of one shared layer, two auxiliary classifiers and a named output, on made-up images."""
    return {
        "archspec": 1,
        "name": "Sided",
        "input": [1, 4, 4],
        "vars": {"num_classes": 10},
        "network": {
            "shared": ["flatten", {"linear": 8}, {"output": "features"}],
            "first": [{"aux": {"name": "low", "weight": 0.3, "body": {"linear": classes}}}, "tanh"],
            "second": [{"aux": {"name": "high", "weight": 0.7, "body": {"linear": "=num_classes"}}}],
            "head": {"linear": "=num_classes"},
        },
        "train": {"data": "digits", "epochs": 1, "validation": 0.2},
    }


def test_the_loss_of_side_classifiers_is_added_by_their_weights() -> None:
    module = SpecModule(with_sides()).train()
    images, labels = torch.randint(0, 256, (5, 1, 4, 4), dtype=torch.uint8), torch.tensor([3, 1, 4, 1, 5])
    loss = module.training_step((images, labels), 0)
    loss.backward()

    weight = {name: value.detach().clone().requires_grad_() for name, value in module.network.named_parameters()}
    hidden = functional.linear(images.flatten(1) / 255, weight["shared.1.weight"], weight["shared.1.bias"])
    low = functional.linear(hidden, weight["first.low.weight"], weight["first.low.bias"])
    high = functional.linear(hidden.tanh(), weight["second.high.weight"], weight["second.high.bias"])
    main = functional.linear(hidden.tanh(), weight["head.weight"], weight["head.bias"])
    expected = sum(
        share * -functional.log_softmax(logits, 1)[range(5), labels].mean()
        for share, logits in ((1, main), (0.3, low), (0.7, high))
    )
    assert isinstance(expected, torch.Tensor)
    expected.backward()
    torch.testing.assert_close(loss, expected)
    for name, parameter in module.network.named_parameters():
        torch.testing.assert_close(parameter.grad, weight[name].grad)


@pytest.mark.slow
def test_googlenets_loss_is_that_of_torchvisions_three_outputs() -> None:
    from torchvision.models import googlenet

    from archspec.weights import transplant

    module = SpecModule(load("imagenet/googlenet", set=["input=[3, 32, 32]", "num_classes=10"]).resolved).train()
    theirs = googlenet(num_classes=10, aux_logits=True, init_weights=False, transform_input=False).train()
    transplant(theirs, module.network, (3, 32, 32))
    images, labels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8), torch.tensor([0, 9, 3, 3])
    torch.manual_seed(0)
    output = theirs(images / 255)
    losses = [functional.cross_entropy(o, labels) for o in (output.logits, output.aux_logits1, output.aux_logits2)]
    expected = losses[0] + 0.3 * losses[1] + 0.3 * losses[2]
    torch.manual_seed(0)
    torch.testing.assert_close(module.training_step((images, labels), 0), expected)


@pytest.mark.slow
def test_a_network_with_side_classifiers_is_evaluated_by_its_output(tmp_path: Path) -> None:
    ready = prepare(from_dict(with_sides(), "sided"), tmp_path)
    result = train(ready, tmp_path / "runs", progress=False)
    kept = tmp_path / "runs" / "sided" / "checkpoints" / "last.ckpt"
    module = SpecModule.load_from_checkpoint(kept, weights_only=True).eval()
    test = ready.data.test
    with torch.no_grad():
        logits, beside = module.network(module.prepared(functional.interpolate(test.images, 4)))
        assert list(beside) == ["features"]
        # its answer is the network's first output
        assert module(test.images).shape == logits.shape == (360, 10)
        right = (module(test.images).argmax(1) == test.labels).float().mean().item()
    assert json.loads((tmp_path / "runs" / "sided" / "results.json").read_text())["test_accuracy"] == pytest.approx(
        right, abs=1e-6
    )
    assert result.metrics["test_accuracy"] == pytest.approx(right, abs=1e-6)


@pytest.mark.slow
def test_googlenet_with_side_classifiers_trains(tmp_path: Path) -> None:
    settings = ["input=[3, 32, 32]", "train={data: fake, epochs: 1, batch_size: 128, validation: 128}"]
    ready = prepare(load("imagenet/googlenet", set=settings), tmp_path)
    train(ready, tmp_path / "runs", progress=False)
    kept = tmp_path / "runs" / "googlenet" / "checkpoints" / "last.ckpt"
    after = SpecModule.load_from_checkpoint(kept, weights_only=True)
    torch.manual_seed(42)
    before = SpecModule(after.hparams["spec"])
    for (name, a), b in zip(before.network.named_parameters(), after.network.parameters(), strict=True):
        assert not torch.equal(a, b), name


def test_a_side_classifier_of_other_classes_is_said_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(with_sides(classes=7)), tmp_path)
    assert str(caught.value) == (
        "the data set `digits` has 10 classes, but the auxiliary classifier `low` of Sided gives 7\n"
        "  help: end its body in `- linear: =num_classes`"
    )


# --- optimizers ----------------------------------------------------------------------------------------------------

TORCHS = {name.lower(): getattr(torch.optim, name) for name in torch.optim.__all__ if name[0].isupper()}
SWITCHES = {"foreach", "maximize", "capturable", "differentiable", "fused"}


def test_every_optimizer_of_torch_is_there_that_takes_plain_parameters() -> None:
    # one needs the loss again, one sparse gradients, one matrices
    assert set(TORCHS) - {"optimizer", "lbfgs", "sparseadam", "muon"} == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_arguments_of_an_optimizer_are_torchs(name: str) -> None:
    theirs = {
        one.name: one.default
        for one in inspect.signature(TORCHS[name].__init__).parameters.values()
        if one.name not in {"self", "params"} | SWITCHES
    }
    assert set(OPTIMIZERS[name].arguments) == set(theirs)
    for key, default in theirs.items():
        value = list(default) if isinstance(default, tuple) else default
        assert fault_in(value, OPTIMIZERS[name].arguments[key], key) is None, (key, value)


def edges(schema: dict[str, Any]) -> Iterator[tuple[Any, bool]]:
    """Values at and beyond the bounds of an argument's type, and whether it takes them."""
    if "prefixItems" in schema:
        inside = [next(value for value, fits in edges(one) if fits) for one in schema["prefixItems"]]
        yield inside, True
        for place, one in enumerate(schema["prefixItems"]):
            yield from (([*inside[:place], value, *inside[place + 1 :]], fits) for value, fits in edges(one))
        return
    for one in schema.get("anyOf", [schema]):
        if one["type"] == "number":
            low = one.get("minimum", one.get("exclusiveMinimum", one.get("maximum", 3) - 3))
            high = one.get("maximum", one.get("exclusiveMaximum", low + 3))
            yield (low + high) / 2, True
            for key, step in (("minimum", -1e-3), ("maximum", 1e-3)):
                if key in one:
                    yield one[key], True
                    yield one[key] + step, False
            for key in ("exclusiveMinimum", "exclusiveMaximum"):
                if key in one:
                    yield one[key], False
        else:
            yield {"boolean": True, "null": None}[one["type"]], True


@pytest.mark.parametrize(
    ("name", "argument"), [(name, one) for name in OPTIMIZERS for one in OPTIMIZERS[name].arguments]
)
def test_torch_takes_what_the_table_takes_and_refuses_what_it_refuses(name: str, argument: str) -> None:
    network = nn.Linear(2, 2)
    schema = OPTIMIZERS[name].arguments[argument]
    older = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 15)
    for value, fits in edges(schema):
        assert (fault_in(value, schema, argument) is None) == fits, value
        given = {"lr": 0.1, argument: value} | ({"momentum": 0.5} if argument == "nesterov" else {})
        if fits:
            make_optimizer(Recipe.from_dict({"optimizer": {"name": name, **given}}), network)
        elif argument in TORCH_DOES_NOT_MIND or (name, argument) in FORGETS_NOTHING:
            continue
        elif not (older and (name, argument) in CHECKED_SINCE_2_15):
            with pytest.raises(ValueError, match=r"Invalid|should be"):
                TORCHS[name](network.parameters(), **given)


TORCH_DOES_NOT_MIND = {"lr", "t0", "step_sizes"}
"""It would not move at a rate of 0, for example, and torch does not ask whether that is wanted."""
FORGETS_NOTHING = {("rmsprop", "alpha"), ("rmsprop", "momentum"), ("sgd", "momentum")}
"""From 1 on, what is averaged grows without end, or never takes anything in, and torch takes that too."""
CHECKED_SINCE_2_15 = {("asgd", "lambd"), ("asgd", "alpha")}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_steps_as_torchs_does(name: str) -> None:
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    theirs = copy.deepcopy(ours)
    recipe = Recipe.from_dict({"optimizer": {"name": name, "lr": 0.01}})
    pairs = (ours, make_optimizer(recipe, ours)), (theirs, TORCHS[name](theirs.parameters(), lr=0.01))
    images = torch.randn(5, 4)
    for network, optimizer in pairs:
        for _ in range(3):
            optimizer.zero_grad()
            network(images).square().mean().backward()
            optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    assert not torch.equal(ours[0].weight, nn.Linear(4, 8).weight)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_fused_step_is_the_same_but_for_rounding(name: str) -> None:
    """torch has fused kernels for some; the others step as they do."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    quick = copy.deepcopy(plain)
    momentum = {"momentum": 0.9, "weight_decay": 0.1} if name == "sgd" else {}
    recipe = Recipe.from_dict({"optimizer": {"name": name, "lr": 0.01, **momentum}})
    pairs = (plain, make_optimizer(recipe, plain)), (quick, make_optimizer(recipe, quick, fused=True))
    assert bool(pairs[1][1].defaults.get("fused")) is (name in ("sgd", "adam", "adamw"))
    images = torch.randn(5, 4)
    for network, optimizer in pairs:
        for _ in range(5):
            optimizer.zero_grad()
            network(images).square().mean().backward()
            optimizer.step()
    for one, other in zip(plain.parameters(), quick.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-6)


def test_decay_can_leave_norms_and_biases_out() -> None:
    network = from_dict(
        {
            "archspec": 1,
            "input": [4, 6, 6],
            "network": [
                {"conv": {"out": 8, "kernel": 3}},
                "batch_norm",
                {"group_norm": 2},
                "layer_norm",
                "prelu",
                "layer_scale",
                {"conv": {"out": 8, "kernel": 1, "bias": False}},
                "tokens",
                {"attention": {"heads": 2}},
                "flatten",
                {"linear": 3},
            ],
        }
    ).build()
    decayed = {id(one) for one in make_optimizer(Recipe(decay="weights"), network).param_groups[0]["params"]}
    assert [name for name, one in network.named_parameters() if id(one) in decayed] == [
        "0.weight",
        "6.weight",
        "8.heads.in_proj_weight",
        "8.heads.out_proj.weight",
        "10.weight",
    ]
    groups = make_optimizer(Recipe(decay="weights"), network).param_groups
    assert [group["weight_decay"] for group in groups] == [1e-4, 0]
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    (whole,) = make_optimizer(Recipe(), network).param_groups
    assert whole["weight_decay"] == 1e-4


# --- schedules -----------------------------------------------------------------------------------------------------

EPOCH, STEPS, LR = 7, 84, 0.4


def rates(schedule: Any, warmup: Any = None, optimizer: str = "sgd") -> tuple[list[float], list[Any]]:
    """The rate of each step of a training, and the momentum."""
    recipe = Recipe.from_dict({"optimizer": {"name": optimizer, "lr": LR}, "schedule": schedule, "warmup": warmup})
    stepper = make_optimizer(recipe, nn.Linear(1, 1))
    scheduler = make_schedule(recipe, stepper, STEPS, EPOCH)
    found, momentum = [], []
    for _ in range(STEPS):
        group = stepper.param_groups[0]
        found.append(float(group["lr"]))
        momentum.append(group.get("momentum", group.get("betas", (None,))[0]))
        stepper.step()
        if scheduler is not None:
            scheduler.step()
    return found, momentum


def torchs(make: Callable[[Any], Any], every: int = 1, steps: int = STEPS) -> list[float]:
    """The rate of each step by a scheduler of torch, which is stepped once in `every` steps."""
    stepper = torch.optim.SGD([nn.Parameter(torch.zeros(1))], LR)
    scheduler = make(stepper)
    found = []
    for step in range(1, steps + 1):
        found.append(stepper.param_groups[0]["lr"])
        stepper.step()
        if step % every == 0:
            scheduler.step()
    return found


@pytest.mark.parametrize(
    ("schedule", "make", "every"),
    [
        ({"name": "multi_step", "milestones": [2, 5, 9]}, lambda o: lr_scheduler.MultiStepLR(o, [2, 5, 9]), EPOCH),
        (
            {"name": "multi_step", "milestones": [3], "gamma": 0.3},
            lambda o: lr_scheduler.MultiStepLR(o, [3], 0.3),
            EPOCH,
        ),
        ({"name": "step", "step_size": 4}, lambda o: lr_scheduler.StepLR(o, 4), EPOCH),
        ({"name": "step", "step_size": 1, "gamma": 0.7}, lambda o: lr_scheduler.StepLR(o, 1, 0.7), EPOCH),
        ({"name": "exponential", "gamma": 0.9}, lambda o: lr_scheduler.ExponentialLR(o, 0.9), EPOCH),
        ("cosine", lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS), 1),
        ({"name": "cosine", "eta_min": 0.01}, lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, 0.01), 1),
        ("one_cycle", lambda o: lr_scheduler.OneCycleLR(o, LR, STEPS), 1),
        (
            {"name": "one_cycle", "pct_start": 0, "anneal_strategy": "linear", "div_factor": 5, "final_div_factor": 9},
            lambda o: lr_scheduler.OneCycleLR(
                o, LR, STEPS, pct_start=0.0, anneal_strategy="linear", div_factor=5, final_div_factor=9
            ),
            1,
        ),
        (None, lambda o: lr_scheduler.ConstantLR(o, 1), 1),
    ],
    ids=lambda one: json.dumps(one) if not callable(one) else "",
)
def test_a_schedule_is_torchs_step_by_step(schedule: Any, make: Any, every: int) -> None:
    assert rates(schedule)[0] == torchs(make, every)


@pytest.mark.parametrize("schedule", [None, "cosine", {"name": "step", "step_size": 4}, "one_cycle"])
@pytest.mark.parametrize(("warmup", "warm"), [({"steps": 10, "start": 0.2}, 10), ({"epochs": 1.5}, 10)])
def test_a_warm_up_rises_evenly_and_the_schedule_follows(schedule: Any, warmup: dict[str, Any], warm: int) -> None:
    start = warmup.get("start", 0.01)
    ramp = [start + (1 - start) * step / warm for step in range(warm)]
    rest = range(STEPS - warm)
    first = LR
    if schedule is None:
        then = [LR for _ in rest]
    elif schedule == "cosine":  # over the steps that are left
        then = [LR * (1 + math.cos(math.pi * step / len(rest))) / 2 for step in rest]
    elif schedule == "one_cycle":
        then = torchs(lambda o: lr_scheduler.OneCycleLR(o, LR, len(rest)), steps=len(rest))
        first = LR / 25
    else:  # epochs are those of the training
        then = [LR * 0.1 ** (step // (4 * EPOCH)) for step in range(warm, STEPS)]
    assert rates(schedule, warmup)[0] == pytest.approx([first * share for share in ramp] + then, rel=1e-9)


def test_what_falls_by_epochs_also_falls_in_a_warm_up() -> None:
    found = rates({"name": "exponential", "gamma": 0.5}, {"epochs": 2, "start": 0.5})[0]
    expected = [LR * 0.5 ** (step // EPOCH) * min(1, 0.5 + 0.5 * step / (2 * EPOCH)) for step in range(STEPS)]
    assert found == pytest.approx(expected, rel=1e-9)


def test_one_cycle_cycles_momentum_where_there_is_one() -> None:
    for optimizer in ("sgd", "adamw"):
        assert min(rates("one_cycle", optimizer=optimizer)[1]) == pytest.approx(0.85, abs=1e-3)
        assert max(rates("one_cycle", optimizer=optimizer)[1]) == pytest.approx(0.95, abs=1e-3)
    assert set(rates("one_cycle", optimizer="adagrad")[1]) == {None}
    assert set(rates({"name": "one_cycle", "cycle_momentum": False}, optimizer="adamw")[1]) == {0.9}


def test_arguments_of_a_schedule_are_torchs() -> None:
    ours = {
        "multi_step": lr_scheduler.MultiStepLR,
        "step": lr_scheduler.StepLR,
        "exponential": lr_scheduler.ExponentialLR,
        "cosine": lr_scheduler.CosineAnnealingLR,
        "one_cycle": lr_scheduler.OneCycleLR,
    }
    assert set(ours) == set(OPTIONS["schedule"])
    for name, theirs in ours.items():
        assert set(OPTIONS["schedule"][name]["properties"]) <= set(inspect.signature(theirs.__init__).parameters)


# --- losses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("mixed", [False, True])
def test_losses_are_their_formulas(smoothing: float, mixed: bool) -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 4).double(), torch.tensor([0, 1, 2, 3, 0, 1])
    shares = torch.eye(4).double()[labels]
    if mixed:  # as mixup gives them
        labels = shares = 0.7 * shares + 0.3 * shares.roll(1, 0)
    target = shares * (1 - smoothing) + smoothing / 4
    cross_entropy = -(target * (logits - logits.exp().sum(1, keepdim=True).log())).sum(1).mean()
    p = 1 / (1 + (-logits).exp())
    binary = -(target * p.log() + (1 - target) * (1 - p).log()).mean()
    for name, expected in (("cross_entropy", cross_entropy), ("binary_cross_entropy", binary)):
        recipe = Recipe(loss=Loss(name, {"label_smoothing": smoothing}))
        torch.testing.assert_close(TASK.make_loss(recipe)(logits, labels), expected)

"""Recipes, carried out: a training does, step by step, what a plain loop of torch does that is told the same."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler

from archspec.foundation.errors import UsageError
from archspec.spec import from_dict
from trainer.runs.folders import Result
from trainer.runs.job import prepare
from trainer.session import train
from trainer.steps.module import SpecModule
from trainer.steps.seeding import seed_generators, step_seed

pytestmark = pytest.mark.usefixtures("without_pictures")

SPEC = {
    "archspec": 1,
    "name": "Small",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": [
        {"conv": {"out": 4, "kernel": 3}},
        "batch_norm",
        "relu",
        "flatten",
        {"linear": "=num_classes"},
    ],
}


def by_hand() -> nn.Module:
    """The same network as a person writes it; of one seed, its initial weights are the same."""
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))


class Step:
    """What a training step was given, and its loss."""

    def __init__(self, images: Tensor, labels: Tensor, loss: Tensor) -> None:
        self.images, self.labels, self.loss = images, labels, loss.item()


@contextmanager
def recorded() -> Iterator[list[Step]]:
    """Records every training step."""
    steps: list[Step] = []
    inner = SpecModule.training_step

    def step(self: SpecModule, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss = inner(self, batch, index)
        steps.append(Step(*batch, loss.detach()))
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SpecModule, "training_step", step)
        yield steps


def trained(folder: Path, network: Any = None, **recipe: Any) -> tuple[Result, SpecModule, list[Step]]:
    """A training on digits: its result, the module that its last checkpoint gives, and its steps."""
    length = {} if "steps" in recipe else {"epochs": 1}
    spec = SPEC | {"train": {"validation": 0.2, "batch_size": 100, **length, **recipe}}
    with recorded() as steps:
        ready = prepare(from_dict(spec | ({"network": network} if network else {}), "small"), folder)
        result = train(ready, folder / "runs", progress=False)
    kept = Path(result.folder) / "checkpoints" / "last.ckpt"
    return result, SpecModule.load_from_checkpoint(kept, weights_only=True).eval(), steps


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(one, other) for one, other in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


# --- the plain loop ------------------------------------------------------------------------------------------------

BATCH, EPOCH = 100, 11  # 1,150 images to train with


def grouped(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    conv, norm, linear = network[0], network[1], network[4]  # type: ignore[index]
    return [
        {"params": [conv.weight, linear.weight], "weight_decay": weight_decay},
        {"params": [conv.bias, norm.weight, norm.bias, linear.bias], "weight_decay": 0},
    ]


def warmed_cosine(optimizer: Any, steps: int) -> Any:
    rise = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=8)
    fall = lr_scheduler.CosineAnnealingLR(optimizer, steps - 8)
    return lr_scheduler.SequentialLR(optimizer, [rise, fall], [8])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "make", "schedule", "every"),
    [
        pytest.param(
            {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}},
            lambda n: torch.optim.SGD(n.parameters(), 0.1, 0.9, weight_decay=5e-4),
            None,
            1,
            id="sgd",
        ),
        pytest.param(
            {
                "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
                "decay": "weights",
                "schedule": "cosine",
                "warmup": {"steps": 8, "start": 0.1},
            },
            lambda n: torch.optim.SGD(grouped(n, 5e-4), 0.1, 0.9, nesterov=True),
            warmed_cosine,
            1,
            id="nesterov, no decay of norms, cosine after a warm-up",
        ),
        pytest.param(
            {
                "optimizer": {"name": "adamw", "lr": 0.01, "betas": [0.9, 0.99]},
                "schedule": {"name": "multi_step", "milestones": [1, 3], "gamma": 0.2},
            },
            lambda n: torch.optim.AdamW(n.parameters(), 0.01, (0.9, 0.99)),
            lambda o, steps: lr_scheduler.MultiStepLR(o, [1, 3], 0.2),
            EPOCH,
            id="adamw by epochs",
        ),
        pytest.param(
            {
                "optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.1},
                "decay": "weights",
                "schedule": "one_cycle",
            },
            lambda n: torch.optim.AdamW(grouped(n, 0.1), 0.01),
            lambda o, steps: lr_scheduler.OneCycleLR(o, 0.01, steps),
            1,
            id="adamw, no decay of norms, one cycle",
        ),
    ],
)
def test_losses_of_55_steps_are_those_of_a_plain_loop(
    recipe: dict[str, Any], make: Any, schedule: Any, every: int, tmp_path: Path
) -> None:
    _, module, steps = trained(tmp_path, epochs=5, **recipe)
    assert len(steps) == 5 * EPOCH > 50

    torch.manual_seed(42)
    network = by_hand()
    optimizer = make(network)
    scheduler = schedule(optimizer, len(steps)) if schedule else None
    losses = []
    for number, step in enumerate(steps, 1):
        optimizer.zero_grad()
        loss = functional.cross_entropy(network((step.images.float() / 255 - module.mean) / module.std), step.labels)
        loss.backward()
        optimizer.step()
        if scheduler and number % every == 0:
            scheduler.step()
        losses.append(loss.item())
    assert [step.loss for step in steps] == losses
    assert same_weights(module.network, network)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("clip", [{"norm": 0.05}, {"value": 0.01}], ids=str)
def test_gradients_are_accumulated_and_clipped(clip: dict[str, float], tmp_path: Path) -> None:
    sgd = {"name": "sgd", "lr": 0.5}
    _, module, steps = trained(tmp_path, epochs=2, accumulate=4, clip=clip, optimizer=sgd)
    torch.manual_seed(42)
    network = by_hand()
    optimizer = torch.optim.SGD(network.parameters(), 0.5)
    for number, step in enumerate(steps):
        images = (step.images.float() / 255 - module.mean) / module.std
        in_epoch = number % EPOCH + 1
        # the last step of an epoch is made of the 3 batches that are left
        group = 4 if in_epoch <= EPOCH - EPOCH % 4 else EPOCH % 4
        (functional.cross_entropy(network(images), step.labels) / group).backward()
        if in_epoch % 4 == 0 or in_epoch == EPOCH:
            if "norm" in clip:
                nn.utils.clip_grad_norm_(network.parameters(), clip["norm"])
            else:
                nn.utils.clip_grad_value_(network.parameters(), clip["value"])
            optimizer.step()
            optimizer.zero_grad()
    for one, other in zip(module.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "count"), [(1150, 2), (1150, 16), (230, 5), (230, 8)])
def test_an_epoch_of_one_step_moves_weights_as_one_batch_of_all_images_does(
    size: int, count: int, tmp_path: Path
) -> None:
    network = ["flatten", {"linear": "=num_classes"}]
    sgd = {"name": "sgd", "lr": 0.1}
    _, module, _ = trained(tmp_path, network, batch_size=size, accumulate=count, optimizer=sgd, seed=1)
    ready = prepare(from_dict(SPEC | {"train": {"validation": 0.2, "seed": 1}}), tmp_path)
    images, labels = ready.train.images, ready.train.labels  # type: ignore[union-attr]
    assert len(images) == 1150
    torch.manual_seed(1)
    by_one_batch = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    functional.cross_entropy(by_one_batch((images.float() / 255 - module.mean) / module.std), labels).backward()
    torch.optim.SGD(by_one_batch.parameters(), 0.1).step()
    for one, other in zip(module.network.parameters(), by_one_batch.parameters(), strict=True):
        torch.testing.assert_close(one, other)


# --- how long ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_training_can_be_counted_in_steps(tmp_path: Path) -> None:
    result, _, steps = trained(tmp_path, steps=15)
    assert (len(steps), result.epochs, result.best_epoch) == (15, 2, 2)
    rows = (Path(result.folder) / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("val_accuracy")
    # the epoch that was cut short is validated too
    assert sum(row.split(",")[column] != "" for row in rows[1:]) == 2


@pytest.mark.slow
def test_without_validation_the_last_weights_are_tested(tmp_path: Path) -> None:
    result, module, steps = trained(tmp_path, validation=0, epochs=2, batch_size=1437)
    assert len(steps[0].labels) == 1437
    assert (result.metrics["val_accuracy"], result.best_epoch) == (None, 2)
    assert {file.name for file in (Path(result.folder) / "checkpoints").iterdir()} == {"last.ckpt"}
    assert accuracy(module, tmp_path) == pytest.approx(result.metrics["test_accuracy"], abs=1e-6)
    from rich.console import Console

    from trainer.report.tables import print_table

    console = Console(record=True, width=120)
    print_table([result], console)
    assert f"│ small │ - │ {result.metrics['test_accuracy']:.2%} │" in " ".join(console.export_text().split())


def accuracy(module: SpecModule, folder: Path) -> float:
    test = prepare(from_dict(SPEC), folder).data.test
    with torch.no_grad():
        return (module(test.images).argmax(1) == test.labels).float().mean().item()


@pytest.mark.slow
def test_early_stopping_ends_a_training_that_gets_no_better(tmp_path: Path) -> None:
    still = {"name": "sgd", "lr": 1e-30}
    patient = {"patience": 2, "monitor": "val_loss", "min_delta": 0.01}
    result, _, steps = trained(tmp_path, epochs=20, optimizer=still, early_stopping=patient)
    # the first epoch is the best, and two more do not better it; running statistics alone still move the loss
    assert result.epochs == len(steps) // EPOCH < 12
    assert json.loads((Path(result.folder) / "results.json").read_text())["epochs"] == result.epochs


# --- EMA, precision, layout, compilation ---------------------------------------------------------------------------


@pytest.mark.slow
def test_the_average_of_weights_is_validated_kept_and_tested(tmp_path: Path) -> None:
    sgd = {"name": "sgd", "lr": 0.1}
    result, module, steps = trained(tmp_path, epochs=2, optimizer=sgd, ema={"decay": 0.8})
    torch.manual_seed(42)
    network = by_hand()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    average: dict[str, Tensor] = {}
    for count, step in enumerate(steps):
        optimizer.zero_grad()
        images = (step.images.float() / 255 - module.mean) / module.std
        functional.cross_entropy(network(images), step.labels).backward()
        optimizer.step()
        now = {name: one.detach().clone() for name, one in network.named_parameters()}
        if average:
            kept = min(0.8, (1 + count) / (10 + count))  # of an average of `count` weights
            average = {name: kept * average[name] + (1 - kept) * one for name, one in now.items()}
        else:
            average = now
    for name, one in module.network.named_parameters():
        torch.testing.assert_close(one, average[name])
    best = Path(result.folder) / "checkpoints" / "best.ckpt"
    tested = SpecModule.load_from_checkpoint(best, weights_only=True).eval()
    assert accuracy(tested, tmp_path) == pytest.approx(result.metrics["test_accuracy"], abs=1e-6)
    # the weights that the next step would have gone on from are another thing
    bare = copy.deepcopy(tested)
    current = torch.load(best, weights_only=True)["current_model_state"]
    bare.load_state_dict(current)
    assert not same_weights(bare.network, tested.network)


@pytest.mark.slow
def test_until_there_is_an_average_the_weights_are_validated_kept_and_tested(tmp_path: Path) -> None:
    plain, without, _ = trained(tmp_path / "plain", epochs=2)
    averaged, module, steps = trained(tmp_path / "averaged", epochs=2, ema={"every": 500})
    assert len(steps) < 500
    assert same_weights(module.network, without.network)
    assert averaged.metrics == plain.metrics


@pytest.mark.slow
def test_an_average_of_several_steps_is_of_the_weights_after_them(tmp_path: Path) -> None:
    """Of 23 steps, those after 10 and 20 count; the second keeps min(0.999, 2 / 11) of the first."""
    sgd = {"name": "sgd", "lr": 0.1}
    _, module, steps = trained(tmp_path, steps=23, optimizer=sgd, ema={"every": 10})
    torch.manual_seed(42)
    network = by_hand()
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    after: list[dict[str, Tensor]] = []
    for step in steps:
        optimizer.zero_grad()
        images = (step.images.float() / 255 - module.mean) / module.std
        functional.cross_entropy(network(images), step.labels).backward()
        optimizer.step()
        after.append({name: one.detach().clone() for name, one in network.named_parameters()})
    for name, one in module.network.named_parameters():
        torch.testing.assert_close(one, 2 / 11 * after[9][name] + 9 / 11 * after[19][name])


@pytest.mark.slow
def test_bfloat16_computes_in_bfloat16_and_keeps_weights_in_float32(tmp_path: Path) -> None:
    _, exact, full = trained(tmp_path / "a")
    _, module, steps = trained(tmp_path / "b", precision="bf16-mixed")
    assert {one.dtype for one in module.network.parameters()} == {torch.float32}
    assert not same_weights(exact.network, module.network)
    assert [step.loss for step in steps] == pytest.approx([step.loss for step in full], rel=0.05)


def test_float16_without_a_gpu_is_said_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError) as caught:
        trained(tmp_path, precision="16-mixed")
    assert str(caught.value) == (
        "the precision `16-mixed` needs a GPU, and there is none\n  help: --set train.precision=bf16-mixed"
    )


def test_channels_last_is_a_layout_and_no_other_computation() -> None:
    images = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    spec = SPEC | {"input": [3, 8, 8]}
    plain, module = SpecModule(spec).eval(), SpecModule(spec | {"train": {"channels_last": True}}).eval()
    module.load_state_dict(plain.state_dict())
    for one, last in ((plain, False), (module, True)):
        conv = one.network[0]  # type: ignore[index]
        for tensor in (conv.weight, one.prepared(images), conv(one.prepared(images))):
            assert tensor.is_contiguous(memory_format=torch.channels_last) == last
            assert tensor.is_contiguous() != last
    torch.testing.assert_close(module(images), plain(images))


@pytest.mark.slow
def test_compile_compiles_the_network_and_leaves_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    inner = nn.Module.compile
    monkeypatch.setattr(
        nn.Module, "compile", lambda self, **_: (compiled.append(self), inner(self, backend="aot_eager"))[1]
    )
    _, plain, first = trained(tmp_path / "a")
    assert compiled == []
    _, module, steps = trained(tmp_path / "b", compile=True)
    (network,) = compiled
    assert network._compiled_call_impl is not None
    assert list(network.state_dict()) == list(plain.network.state_dict())
    assert [step.loss for step in steps] == pytest.approx([step.loss for step in first], rel=1e-4)
    assert list(module.state_dict()) == list(plain.state_dict())


# --- what is drawn -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_a_step_draws_depends_on_the_seed_and_the_step_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = ["flatten", {"dropout": 0.5}, {"linear": "=num_classes"}]
    flip = [{"horizontal_flip": {"p": 0.5}}]
    _, first, steps = trained(tmp_path / "a", network=network, augment=flip, epochs=2)
    validate = SpecModule.validation_step

    def drawing(self: SpecModule, batch: Any, index: int) -> None:
        torch.rand(1000)  # as validation by another library might
        validate(self, batch, index)

    monkeypatch.setattr(SpecModule, "validation_step", drawing)
    _, again, same = trained(tmp_path / "b", network=network, augment=flip, epochs=2)
    assert [step.loss for step in same] == [step.loss for step in steps]
    assert same_weights(first.network, again.network)


def test_every_step_draws_anew() -> None:
    seeds = {step_seed(seed, step, rank) for seed in (0, 1, 42) for step in range(100) for rank in (0, 1)}
    assert len(seeds) == 600
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert step_seed(1, 23) != step_seed(12, 3)
    masks = []
    for step in range(2):
        seed_generators(step_seed(42, step), torch.device("cpu"))
        masks.append(functional.dropout(torch.ones(64)))
    assert not torch.equal(*masks)


# --- what cannot be carried out ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            {"warmup": {"epochs": 3}, "steps": 30},
            "a warm-up of 33 steps leaves nothing of the 30 of the training\n"
            "  help: shorten it, `--set train.warmup.steps=1` for example, or train for longer",
        ),
        (
            {"schedule": {"name": "one_cycle", "pct_start": 0.25}, "steps": 4},
            "`one_cycle` cannot rise in one of 4 steps\n"
            "  help: set another share, `--set train.schedule.pct_start=0.3` for example",
        ),
    ],
)
def test_what_cannot_be_carried_out_is_said_before_the_first_step(
    recipe: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        trained(tmp_path, **recipe)
    assert str(caught.value) == message
    assert not (tmp_path / "runs").exists()


# --- the command line ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_recipe_is_laid_over_the_spec_and_a_setting_over_the_recipe(run: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("steps: 3\noptimizer: {momentum: 0.5}\nvalidation: 100\n")
    (tmp_path / "small.yaml").write_text(
        yaml.safe_dump(SPEC | {"train": {"epochs": 9, "optimizer": {"name": "sgd", "lr": 0.1}}})
    )
    options = ["small.yaml", "--recipe", "mine.yaml", "--set", "train.optimizer.lr=0.05"]
    shown = run("train", *options, "--print-config")
    assert (shown.returncode, shown.stderr) == (0, "")
    recipe = yaml.safe_load(shown.stdout)["train"]
    assert recipe["optimizer"] == {"name": "sgd", "lr": 0.05, "momentum": 0.5}
    assert (recipe["steps"], recipe["validation"], recipe["batch_size"]) == (3, 100, 64)
    assert "epochs" not in recipe
    assert not (tmp_path / "runs").exists()
    done = run("train", *options)
    assert (done.returncode, done.stderr) == (0, "")
    kept = yaml.safe_load((tmp_path / "runs" / "small" / "spec.yaml").read_text())
    assert recipe | kept["train"] == recipe | {"channels_last": False}
    # later keys are kept where they differ from their defaults: older runs are found by the recipe that is kept
    later = ("task", "monitor", "weights", "freeze", "lr_scale", "outputs", "sampler")
    left_out = {key: recipe[key] for key in recipe.keys() - kept["train"].keys()}
    plain = {"partial": False, "adapt": False, "exact": False, "resize": {"name": "stretch"}}
    assert left_out == dict.fromkeys(later) | plain

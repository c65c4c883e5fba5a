"""Frozen parts, parts that are trained later, and parts with rates of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import with_history
from kills import Killed, differences, killed_at
from torch import Tensor, nn

from archspec.recipe import Freeze, LrScale, Recipe
from archspec.spec import from_dict
from trainer.runs import checkpoints, folders as run_folders
from trainer.runs.job import prepare
from trainer.session import Options, resume_run, train
from trainer.steps.freezing import freeze_parts
from trainer.steps.optim import make_optimizer

pytestmark = pytest.mark.usefixtures("without_pictures")

SPEC: dict[str, Any] = {
    "archspec": 1,
    "name": "Small",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": {
        "stem": [{"conv": {"out": 4, "kernel": 3, "padding": 1}}, "batch_norm", "relu"],
        "stages": {
            "for": {"width": [4, 6, 8]},
            "body": [{"conv": {"out": "=width", "kernel": 3, "padding": 1}}, "batch_norm", "relu", {"dropout": 0.1}],
        },
        "head": ["global_avg_pool", "flatten", {"linear": "=num_classes"}],
    },
}
BASE: dict[str, Any] = {
    "epochs": 3,
    "validation": 0.2,
    "batch_size": 100,
    "weights": "w.pt",
    "freeze": ["stem", "stages.0"],
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
}
RECIPES = {
    "momentum and weight decay": BASE,
    "of weights alone, in groups": BASE | {"decay": "weights", "lr_scale": {"head": 10, "stages": {"decay": 0.5}}},
    "adam, accumulated and clipped": BASE | {"optimizer": "adamw", "accumulate": 2, "clip": {"norm": 1}},
    "later": BASE | {"freeze": {"stem": None, "stages.0": 2, "stages.1": 1}, "schedule": "cosine"},
}
SLOW = pytest.mark.slow


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """The file `w.pt`, as a person has it from elsewhere, with statistics unlike new ones."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(3)
    state = with_history(from_dict(SPEC).build()).state_dict()
    torch.save(state, "w.pt")
    return {name: tensor.clone() for name, tensor in state.items()}


def job(recipe: dict[str, Any]) -> Any:
    return prepare(from_dict(SPEC | {"train": recipe}, "small"), Path())


def trained(folder: str | Path, name: str = "last") -> dict[str, Tensor]:
    state: dict[str, Tensor] = checkpoints.load(Path(folder, "checkpoints", f"{name}.ckpt"))["state_dict"]
    return {name.removeprefix("network."): tensor for name, tensor in state.items() if name.startswith("network.")}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """The parts, `stem` or `stages.1`, of which some tensor differs in some bit."""
    parts = {
        name: ".".join(name.split(".")[:2]) if name.startswith("stages") else name.split(".")[0] for name in before
    }
    assert set(before) == set(after)
    return {parts[name] for name in before if not torch.equal(before[name], after[name])}


@SLOW
@pytest.mark.parametrize("name", ["momentum and weight decay", *list(RECIPES)[1:3]])
def test_frozen_parts_end_as_they_began(name: str, weights: dict[str, Tensor]) -> None:
    result = train(job(RECIPES[name]), Path("runs"), Options(pictures=False))
    for file in ("last", "best"):
        assert changed(weights, trained(result.folder, file)) == {"stages.1", "stages.2", "head"}


@SLOW
@pytest.mark.parametrize(
    ("epochs", "moved"),
    [
        (1, {"stages.2", "head"}),
        (2, {"stages.1", "stages.2", "head"}),
        (3, {f"stages.{n}" for n in range(3)} | {"head"}),
    ],
)
def test_parts_are_trained_from_the_epoch_on_that_is_said(
    epochs: int, moved: set[str], weights: dict[str, Tensor]
) -> None:
    result = train(job(RECIPES["later"] | {"epochs": epochs}), Path("runs"), Options(pictures=False))
    assert changed(weights, trained(result.folder)) == moved


@SLOW
@pytest.mark.parametrize("name", RECIPES)
def test_a_training_with_frozen_parts_that_was_killed_ends_in_the_same_bits(
    name: str, weights: dict[str, Tensor]
) -> None:
    """Killed before its first checkpoint, in the midst of epochs, and where a part begins to be trained."""
    whole = train(job(RECIPES[name]), Path("whole"), Options(pictures=False)).folder
    options = Options(save_steps=4, pictures=False)
    with pytest.MonkeyPatch.context() as patch:
        killed_at(3, patch)
        with pytest.raises(Killed):
            train(job(RECIPES[name]), Path("killed"), options)
    for step in (6, 7, 8, 9):
        with pytest.MonkeyPatch.context() as patch:
            killed_at(step, patch)
            with pytest.raises(Killed):
                resume_run(run_folders.find("small", Path("killed")), None, options, print)
        Path("w.pt").unlink(missing_ok=True)  # by now the checkpoint holds all that is needed
    resume_run(run_folders.find("small", Path("killed")), None, options, print)
    for file in ("last.ckpt", "best.ckpt"):
        ours, theirs = (checkpoints.load(Path(one, "checkpoints", file)) for one in ("killed/small", whole))
        assert differences(ours["state_dict"], theirs["state_dict"]) == []
        assert file == "best.ckpt" or differences(ours["optimizer_states"], theirs["optimizer_states"]) == []
    ours, theirs = (json.loads(Path(one, "results.json").read_text()) for one in ("killed/small", whole))
    assert differences(ours, theirs) == []
    frozen = {"stem"} if name == "later" else {"stem", "stages.0"}
    assert not frozen & changed(weights, trained("killed/small"))


def test_statistics_of_frozen_norms_stay_and_dropout_goes_on() -> None:
    network = from_dict(SPEC).build().train()
    freeze_parts(network, Freeze(["stages.0", "stages.1.1"]), 0)
    modes = {name: module.training for name, module in network.named_modules() if not list(module.children())}
    assert {name for name, training in modes.items() if not training} == {"stages.0.1", "stages.1.1"}
    before = network.state_dict()["stages.1.1.running_mean"].clone()
    network(torch.randn(4, 1, 8, 8)).sum().backward()
    assert torch.equal(network.state_dict()["stages.1.1.running_mean"], before)
    assert {name for name, one in network.named_parameters() if one.grad is None} == {
        *("stages.0.0.weight", "stages.0.0.bias", "stages.0.1.weight", "stages.0.1.bias"),
        *("stages.1.1.weight", "stages.1.1.bias"),
    }
    freeze_parts(network, Freeze({"stages.0": 2, "stages.1.1": 1}), 1)
    assert [network.get_submodule(name).training for name in ("stages.0.1", "stages.1.1")] == [False, True]
    assert network.get_parameter("stages.1.1.weight").requires_grad


# --- rates --------------------------------------------------------------------------------------------------------------


def step_of(recipe: dict[str, Any], network: nn.Module) -> dict[str, Tensor]:
    """How each parameter moves in one step where all gradients are 1."""
    optimizer = make_optimizer(Recipe.from_dict(recipe), network)
    before = {name: one.detach().clone() for name, one in network.named_parameters()}
    for one in network.parameters():
        one.grad = torch.ones_like(one)
    optimizer.step()
    return {name: (before[name] - one.detach()) for name, one in network.named_parameters()}


@pytest.mark.parametrize("decay", ["all", "weights"])
def test_parts_learn_at_their_own_rates(decay: str) -> None:
    """Worked out by hand: the last of three stages learns at the whole rate, the first at 0.8 squared of it."""
    recipe = {
        "optimizer": {"name": "sgd", "lr": 0.01},
        "decay": decay,
        "lr_scale": {"head": 10, "stages": {"decay": 0.8}, "stages.1.1": 3},
    }
    moved = step_of(recipe, from_dict(SPEC).build())
    rates = {"stem": 0.01, "stages.0": 0.0064, "stages.1.0": 0.008, "stages.1.1": 0.03, "stages.2": 0.01, "head": 0.1}
    for name, tensor in moved.items():
        (rate,) = (rate for path, rate in rates.items() if name.startswith(f"{path}."))
        torch.testing.assert_close(tensor, torch.full_like(tensor, rate), rtol=1e-4, atol=1e-6)


def test_weight_decay_leaves_out_what_it_left_out_without_rates_of_their_own() -> None:
    network = from_dict(SPEC).build()
    names = {id(one): name for name, one in network.named_parameters()}

    def spared(recipe: dict[str, Any]) -> set[str]:
        groups = make_optimizer(Recipe.from_dict(recipe), network).param_groups
        return {names[id(one)] for group in groups if group["weight_decay"] == 0 for one in group["params"]}

    plain = spared({"decay": "weights"})
    assert plain == {name for name in names.values() if name.endswith("bias") or name.split(".")[-2] == "1"}
    assert spared({"decay": "weights", "lr_scale": {"head": 10, "stages": {"decay": 0.5}}}) == plain
    assert spared({"decay": "weights", "freeze": ["stem"]}) == {one for one in plain if not one.startswith("stem")}


def test_schedules_keep_the_ratio_of_rates() -> None:
    from trainer.steps.optim import make_schedule

    for schedule in ({"name": "cosine"}, {"name": "one_cycle"}, {"name": "step", "step_size": 1, "gamma": 0.1}):
        recipe = Recipe.from_dict({"schedule": schedule, "warmup": {"steps": 3}, "lr_scale": {"head": 10}})
        optimizer = make_optimizer(recipe, from_dict(SPEC).build())
        rates = make_schedule(recipe, optimizer, 20, 5)
        assert rates is not None
        for _ in range(19):
            body, head = (group["lr"] for group in optimizer.param_groups)
            assert head == pytest.approx(10 * body)
            optimizer.step()
            rates.step()


def test_the_longest_path_says_the_rate() -> None:
    scale = LrScale({"a.b": {"decay": 0.5}, "a": 3, "a.b.1.c": 7})
    names = ["a.x", "a.b.0.c", "a.b.1.c", "a.b.1.d", "a.b.2.c", "ab.x"]
    assert scale.factors(names) == {
        **{"a.x": 3, "a.b.0.c": 0.25, "a.b.1.c": 7, "a.b.1.d": 0.5, "a.b.2.c": 1},
        "ab.x": 1,
    }


def test_what_learns_nothing_is_said_by_check(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(json.dumps(SPEC | {"train": {"freeze": ["stem", "stage"]}}))
    done = run("check", "net.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert "`train.freeze` names `stage`, but the network has no part `stage`\n" in done.stderr
    assert done.stderr.endswith("help: did you mean `stages`?\n")


@SLOW
def test_two_processes_train_the_parts_that_one_does(run: Callable, tmp_path: Path) -> None:
    """DDP has to wait for the gradients of a part that is trained later, and for none of one that never is."""
    network = {
        "stem": [{"conv": {"out": 6, "kernel": 3}}, "relu"],
        "body": [{"conv": {"out": 6, "kernel": 3}}, "relu"],
        "head": ["flatten", {"linear": "=num_classes"}],
    }
    recipe = {"epochs": 3, "batch_size": 100, "optimizer": {"name": "sgd", "lr": 0.1}, "lr_scale": {"head": 2}}
    recipe |= {"weights": "w.pt", "freeze": {"stem": None, "body": 1}}
    spec = SPEC | {"network": network, "train": recipe}
    (tmp_path / "net.yaml").write_text(json.dumps(spec))
    torch.save(from_dict(spec).build().state_dict(), tmp_path / "w.pt")
    for out, *devices in (("one",), ("two", "--accelerator", "cpu", "--devices", "2")):
        done = run("train", "./net.yaml", "--out", out, *devices)
        assert done.returncode == 0, done.stderr
    before = torch.load(tmp_path / "w.pt", weights_only=True)
    one, two = (trained(tmp_path / out / "net") for out in ("one", "two"))
    assert changed(before, one) == changed(before, two) == {"body", "head"}
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor)

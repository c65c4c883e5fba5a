"""What a recipe leaves to be chosen: channels last where that is faster, and with `exact` the bits of a plain loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from kills import assert_resumes_alike
from torch import Tensor, nn
from torch.nn import functional

import archspec
from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe
from archspec.spec import from_dict
from trainer.input.loaders import Batches
from trainer.runs.identity import fingerprint
from trainer.runs.job import Job, prepare
from trainer.session import Options, train
from trainer.steps.compute import optimize_execution
from trainer.steps.layout import choose_layout
from trainer.steps.module import SpecModule

SPEC: dict[str, Any] = {
    "archspec": 1,
    "name": "Small",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": [
        *({"conv": {"out": 8, "kernel": 3}}, "batch_norm", "relu"),
        *({"conv": {"out": 8, "kernel": 3}}, "relu", {"max_pool": 2}, "flatten", {"linear": "=num_classes"}),
    ],
}
RECIPE: dict[str, Any] = {
    "epochs": 2,
    "validation": 0.2,
    "batch_size": 100,
    "normalize": False,
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
}


def job(folder: Path, **recipe: Any) -> Job:
    return prepare(from_dict(SPEC | {"train": RECIPE | recipe}, "small"), folder)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits", True),
        ("resnet", True),
        ("googlenet", True),
        ("mobilenet_v2", True),
        ("unet_small", True),
        ("vit_b_16", False),
        ("iris", False),
    ],
)
def test_channels_come_last_in_convolutional_networks_of_images(name: str, expected: bool) -> None:
    spec = archspec.load(name)
    assert choose_layout(Recipe(), spec.plan, "cpu") == Recipe(channels_last=expected)
    assert choose_layout(Recipe(exact=True), spec.plan, "cpu") == Recipe(channels_last=False)
    for given in (True, False):
        assert choose_layout(Recipe(channels_last=given), spec.plan, "cpu") == Recipe(channels_last=given)


def test_on_a_gpu_channels_come_last_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    plan = archspec.load("resnet").plan
    half = Recipe(precision="bf16-mixed")
    assert choose_layout(Recipe(), plan).channels_last is False
    assert choose_layout(half, plan).channels_last is True
    assert choose_layout(Recipe(), plan, "cpu").channels_last is True
    assert choose_layout(Recipe(precision="bf16-mixed", exact=True), plan).channels_last is False


def by_hand(seed: int) -> tuple[dict[str, Tensor], list[float]]:
    """The training of `RECIPE` as a person writes it: the weights in the end, and the loss of each step."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32, 10)),
    )
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    data, losses = job(Path(), exact=True).train, []
    order = Batches(len(data), 100, seed)
    for epoch in range(2):
        order.set_epoch(epoch)
        for positions in order:
            images, labels = data[positions]
            loss = functional.cross_entropy(network(images.float() / 255), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return network.state_dict(), losses


def trained(made: Job, folder: Path) -> tuple[Path, list[Tensor]]:
    result = Path(train(made, folder, Options(pictures=False)).folder)
    module = SpecModule.load_from_checkpoint(result / "checkpoints" / "last.ckpt", weights_only=True)
    return result, list(module.network.state_dict().values())


@pytest.mark.slow
def test_exact_gives_the_bits_of_a_plain_loop_and_the_default_its_numbers(tmp_path: Path) -> None:
    weights, losses = by_hand(42)
    exact, own = trained(job(tmp_path, exact=True), tmp_path / "exact")
    assert losses[-1] < losses[0] - 1
    assert all(torch.equal(a, b) for a, b in zip(own, weights.values(), strict=True))
    default, own = trained(job(tmp_path), tmp_path / "default")
    for a, b in zip(own, weights.values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    assert own[0].shape == (8, 1, 3, 3)
    kept = {folder: yaml.safe_load((folder / "recipe.yaml").read_text()) for folder in (exact, default)}
    assert [one["channels_last"] for one in kept.values()] == [False, True]
    assert all("exact" not in one for one in kept.values())


def test_a_run_that_was_made_with_channels_first_is_that_of_exact(tmp_path: Path) -> None:
    """Before there was a choice, recipes said `channels_last: false` by default."""
    before, exact, default = (job(tmp_path, **recipe) for recipe in ({"channels_last": False}, {"exact": True}, {}))
    assert fingerprint(before) == fingerprint(exact) != fingerprint(default)
    assert fingerprint(default) == fingerprint(job(tmp_path, channels_last=True))


@pytest.mark.slow
def test_a_training_with_channels_last_resumes_bit_for_bit(tmp_path: Path) -> None:
    augmented = {"augment": [{"random_resized_crop": {"scale": [0.6, 1.0]}}], "ema": {"decay": 0.9}}
    assert_resumes_alike(lambda: job(tmp_path, **augmented), 15, tmp_path)


def test_exact_excludes_compile(run: Any) -> None:
    done = run("train", "digits", "--exact", "--compile")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: --compile rounds otherwise than a plain loop, which --exact excludes\n  help: give one of them\n"
    )


STRIDED: dict[str, Any] = SPEC | {
    "input": [1, 56, 56],
    "network": [
        {"conv": {"out": 8, "kernel": 3}},
        {"conv": {"out": 16, "kernel": 1, "stride": 2}},
        *("global_avg_pool", "flatten", {"linear": "=num_classes"}),
    ],
}


def test_channels_come_first_where_torch_would_write_past_its_memory(tmp_path: Path) -> None:
    """Strided 1×1 convolutions of few channels: a training died of it, in one of three tries."""
    made = prepare(from_dict(STRIDED | {"train": RECIPE}, "small"), tmp_path)
    assert made.recipe.channels_last is False
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(STRIDED | {"train": RECIPE | {"channels_last": True}}, "small"), tmp_path)
    assert str(caught.value) == (
        "channels_last: torch's backward pass of `1`, a 1×1 convolution with a stride, writes past its memory on a CPU, "
        "where channels come last and are fewer than 16\n"
        "  help: leave it out, or --set train.channels_last=auto"
    )


def test_a_compiled_network_keeps_channels_first_there(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(nn.Module, "compile", lambda module, **options: given.append(options["options"]))
    for spec in (STRIDED, SPEC):
        network = from_dict(spec, "small").build()
        optimize_execution(network, Recipe(compile=True), torch.device("cpu"))
    assert given == [{"layout_optimization": False}, None]

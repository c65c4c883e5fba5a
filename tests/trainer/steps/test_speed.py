"""What makes a training fast changes nothing of what comes of it."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import ROOT
from torch import Tensor, nn
from torch.nn import functional

import archspec
from archspec.foundation.errors import UsageError
from archspec.recipe import Recipe
from trainer.steps import compute, memory
from trainer.steps.compute import optimize_execution

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_pictures")]

CPU = torch.device("cpu")
POOLS = [
    pytest.param(nn.MaxPool2d(3, 1, 1), (8, 16, 16, 16), id="of overlapping windows"),
    pytest.param(nn.MaxPool2d(3, 2, 1), (8, 16, 16, 16), id="of a stride"),
    pytest.param(nn.MaxPool2d(3, 2, ceil_mode=True), (8, 16, 15, 12), id="with a rest"),
    pytest.param(nn.MaxPool2d(2), (8, 1, 16, 16), id="of one channel"),
    pytest.param(nn.MaxPool2d((2, 3), (1, 2), (1, 0), (2, 1)), (3, 5, 17, 13), id="of uneven windows"),
]


def tied(shape: tuple[int, ...]) -> Tensor:
    """Numbers of which many are equal: which of them is the greatest is seen in the gradient. Some are not finite."""
    torch.manual_seed(0)
    images = torch.randn(shape).mul(2).round().div(2)
    images.view(-1)[::97] = torch.inf
    images.view(-1)[::101] = torch.nan
    return images


def pooled(pool: nn.Module, images: Tensor, gradient: Tensor | None = None) -> tuple[Tensor, Tensor]:
    images = images.clone(memory_format=torch.preserve_format).requires_grad_()
    values = pool(images)
    if gradient is None:
        gradient = torch.randn(values.shape, generator=torch.Generator().manual_seed(1))
    values.backward(gradient)
    assert images.grad is not None
    return values, images.grad


def same(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.nan_to_num(123.0), b.nan_to_num(123.0)) and a.stride() == b.stride()


@pytest.mark.parametrize(("pool", "shape"), POOLS)
def test_max_pooling_with_channels_last_gives_the_same_bits_in_the_same_layout(
    pool: nn.MaxPool2d, shape: tuple[int, ...]
) -> None:
    quick = nn.Sequential(copy.deepcopy(pool))
    optimize_execution(quick, Recipe(), CPU)
    assert type(quick[0]) is not nn.MaxPool2d
    images = tied(shape)
    for layout in (torch.contiguous_format, torch.channels_last):
        laid = images.contiguous(memory_format=layout)
        for one, other in zip(pooled(quick, laid), pooled(pool, laid), strict=True):
            assert same(one, other)
    again = pickle.loads(pickle.dumps(quick))
    assert same(again(images), pool(images))
    assert same(quick(images.double()), pool(images.double()))
    assert same(quick(images[0]), pool(images[0]))


@pytest.mark.parametrize(("pool", "shape"), POOLS)
def test_compiled_max_pooling_gives_the_same_numbers(pool: nn.MaxPool2d, shape: tuple[int, ...]) -> None:
    torch.compiler.reset()
    quick = nn.Sequential(copy.deepcopy(pool))
    optimize_execution(quick, Recipe(), CPU)
    quick.compile(backend="aot_eager", fullgraph=True)
    images = tied(shape)
    for one, other in zip(pooled(quick, images), pooled(pool, images), strict=True):
        assert torch.equal(one.nan_to_num(123.0), other.nan_to_num(123.0))


@pytest.mark.parametrize("name", ["googlenet", "resnet"])
def test_what_is_quick_by_default_changes_no_bit_in_20_steps(name: str) -> None:
    """Memory that is kept, and max pooling: against a plain loop without either."""
    found = []
    for quick in (True, False):
        torch.manual_seed(0)
        network = archspec.build(name)
        if quick:
            optimize_execution(network, Recipe(), CPU)
        optimizer = torch.optim.SGD(network.parameters(), 0.05, 0.9)
        with memory.keep_freed_memory() if quick else nullcontext():
            losses = []
            for _ in range(20):
                images, labels = torch.randn(4, 3, 32, 32), torch.randint(10, (4,))
                optimizer.zero_grad()
                loss = functional.cross_entropy(network(images), labels)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        found.append((losses, network.state_dict()))
    (losses, weights), (plain_losses, plain_weights) = found
    assert losses == plain_losses
    assert weights.keys() == plain_weights.keys()
    assert all(torch.equal(one, plain_weights[name]) for name, one in weights.items())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted by Linux")
def test_memory_that_is_freed_is_kept_while_training_and_given_back_then() -> None:
    """In a process of its own: pages that 64 MiB cost, time after time, and what the process holds in the end."""
    code = """
import resource
from trainer.steps import memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytes(64 << 20).count(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20

before = held()
with memory.keep_freed_memory():
    faults()
    within = faults()
    kept = held() - before
print(faults() > 1000, within, kept >= 60, held() - before < 30)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stderr, done.returncode) == ("", 0)
    fresh, within, kept, given_back = done.stdout.split()
    if memory._glibc() is not None:
        assert (fresh, kept, given_back) == ("True", "True", "True")
        assert int(within) < 100


def test_without_a_compiler_compile_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute.shutil, "which", lambda name: None)
    with pytest.raises(UsageError) as caught:
        optimize_execution(nn.Sequential(), Recipe(compile=True), CPU)
    assert str(caught.value) == (
        "to compile a network for the CPU, torch needs a C++ compiler, and finds none\n"
        "  help: install g++, or name another one by the environment variable CXX, or train without --compile"
    )


def test_compile_sets_the_recipes_keys(run: Any) -> None:
    for options, expected in ((["--compile"], (True, True)), ([], (False, "auto"))):
        shown = run("train", "digits", *options, "--print-config")
        assert (shown.returncode, shown.stderr) == (0, "")
        recipe = yaml.safe_load(shown.stdout)["train"]
        assert (recipe["compile"], recipe["channels_last"]) == expected


def test_the_benchmark_measures_both_sides(tmp_path: Path) -> None:
    small = "--rounds 1 --steps 4 --batch-size 8 --wait 0 --no-overhead"
    command = ["benchmarks/train.py", "resnet", *small.split()]
    done = subprocess.run(
        [sys.executable, *command, "--json", str(tmp_path / "kept.json")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "kept.json").read_text())["specs"]["resnet"]
    (theirs,), (ours,) = kept["theirs"], kept["ours"]
    assert ours > 0
    assert kept["ratio"] == pytest.approx(theirs / ours)
    assert f" {kept['ratio']:.2f} " in done.stdout

"""Checkpoints of other programs: where in them the weights are, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from archspec.foundation.errors import UsageError
from archspec.weights import load, read
from archspec.weights.origins import load_from

ONE = {"weight": torch.ones(2, 2), "bias": torch.ones(2)}
TWO = {name: 2 * tensor for name, tensor in ONE.items()}
OPTIMIZER = {"state": {0: {"momentum_buffer": torch.zeros(2, 2)}}, "param_groups": [{"lr": 0.1}]}


def loop() -> dict[str, Any]:
    content: dict[str, Any] = {"ema": ONE}
    content |= {f"self{number}": content for number in range(1000)}
    return content


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("content", "notes"),
    [
        (ONE, ()),
        ({"state_dict": ONE, "epoch": 3, "optimizer": OPTIMIZER}, ()),
        ({"model": ONE, "model_ema": ONE}, ()),  # one set, under two names
        (
            {"model_state_dict": ONE, "optimizer_state_dict": OPTIMIZER},
            ("the tensors were read from `model_state_dict`",),
        ),
        ({"net": ONE, "acc": 93.5}, ("the tensors were read from `net`",)),
        ({"state_dict": {"model": ONE}}, ("the tensors were read from `state_dict.model`",)),
        (
            {"state_dict": ONE, "state_dict_ema": TWO, "other": {"x": torch.ones(1)}},
            ("the tensors were read from `state_dict`; the file holds other values of them in `state_dict_ema`",),
        ),
        (
            {"model": ONE, "averages": {"slow": TWO}},
            ("the tensors were read from `model`; the file holds other values of them in `averages.slow`",),
        ),
        (loop(), ("the tensors were read from `ema`",)),
    ],
)
def test_the_weights_of_a_checkpoint_are_found_and_it_is_said_where(content: Any, notes: tuple[str, ...]) -> None:
    torch.save(content, "w.pt")
    module = nn.Linear(2, 2)
    assert load_from("w.pt", module, (2,)).notes == notes
    assert torch.equal(module.weight, ONE["weight"])


def test_of_several_sets_of_weights_none_is_guessed() -> None:
    torch.save({"student": ONE, "teacher": TWO}, "w.pt")
    with pytest.raises(UsageError) as caught:
        read("w.pt")
    assert str(caught.value) == (
        "w.pt holds several sets of tensors: `student`, `teacher`\n"
        "  help: save the one that is meant alone: torch.save(torch.load('w.pt', weights_only=True)['student'], "
        "'weights.pt')"
    )
    torch.save(torch.load("w.pt", weights_only=True)["student"], "weights.pt")  # the cure
    assert torch.equal(read("weights.pt")["bias"], ONE["bias"])


@pytest.mark.parametrize(
    ("tensors", "notes"),
    [
        (
            {"weight": torch.full((2,), 1e300, dtype=torch.float64)},
            ("1 tensor holds values that are not finite: weight",),
        ),
        ({"weight": torch.ones(2).to(torch.float8_e4m3fn)}, ()),
        ({"running_var": torch.tensor([1.0, -1.0])}, ("1 tensor holds variances below zero: running_var",)),
    ],
)
def test_values_are_looked_at_as_the_network_has_them(tensors: dict[str, Tensor], notes: tuple[str, ...]) -> None:
    module = nn.BatchNorm1d(2)
    assert load(module, tensors, partial=True).notes == notes


def test_tensors_of_another_type_are_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError) as caught:
        load(nn.Linear(2, 2), {name: tensor.to(torch.int8) for name, tensor in ONE.items()}, source="w.pt")
    assert str(caught.value) == (
        "the tensors of w.pt are not this network's:\n"
        "    `weight`: 2×2 int8 in the source, 2×2 in the network\n"
        "    `bias`: 2 int8 in the source, 2 in the network\n"
        "  help: convert them in Python to the network's types (`dequantize()` where they were quantised), save that"
    )


def test_long_names_are_cut() -> None:
    with pytest.raises(UsageError) as caught:
        load(nn.Linear(2, 2), {"a" * 10**6: torch.ones(1)})
    assert f"    `{'a' * 199}…`: 1, not in the network\n" in str(caught.value)
    left_out = load(nn.Linear(2, 2), {**ONE, **{f"{n}.x": torch.ones(1) for n in range(1000)}}, partial=True)
    assert left_out.render().endswith("  not loaded: 199.x (1, not in the network)\n  not loaded: 800 more layers")


@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        (
            "w.pt",
            lambda path: Path(path).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n"),
            "cannot read w.pt: it is damaged, or torch.save did not write it\n"
            "  help: it only says where Git LFS keeps the file: `git lfs pull` fetches it",
        ),
        (
            "w.pt",
            lambda path: save_file(ONE, path),
            "cannot read w.pt: it is damaged, or torch.save did not write it\n"
            "  help: it looks like a safetensors file: their names end in .safetensors",
        ),
        (
            "w.safetensors",
            lambda path: torch.save(ONE, path),
            "cannot read w.safetensors: it is damaged, or no safetensors file: "
            "Error while deserializing header: header too large\n"
            "  help: torch.save writes archives: their names end in .pt, say",
        ),
    ],
)
def test_a_file_that_is_another_kind_is_recognised(name: str, write: Callable[[str], object], says: str) -> None:
    write(name)
    with pytest.raises(UsageError) as caught:
        read(name)
    assert str(caught.value) == says

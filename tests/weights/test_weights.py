"""Weights in files and from torchvision, as a person loads them: real files, real processes."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from conftest import unchanged, with_history
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import archspec
from archspec.foundation.errors import UsageError
from archspec.weights import load, read, save, transplant_torchvision

OFFLINE = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
"""Nobody answers there, so that a download fails at once, with a network or without."""


def digits(**vars: int) -> nn.Module:
    return with_history(archspec.build("digits", vars=vars))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


# --- reading and saving ----------------------------------------------------------------------------------------------


def test_both_formats_are_read(folder: Path) -> None:
    state = digits().state_dict()
    torch.save(state, "zip.pt")
    torch.save(state, "legacy.pt", _use_new_zipfile_serialization=False)
    save_file(state, "w.safetensors")
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}}, "checkpoint.pt")
    torch.save({"epoch": 3, "model": state}, "torchvision.pth")
    for file in sorted(os.listdir()):
        assert equal(read(file), state), file


def test_saved_files_are_those_of_their_ending(folder: Path) -> None:
    module = digits()
    save(module, "w.safetensors")
    save(module, "w.pt")
    assert equal(load_file("w.safetensors"), module.state_dict())
    assert equal(torch.load("w.pt", weights_only=True), module.state_dict())
    assert sorted(os.listdir()) == ["w.pt", "w.safetensors"]
    with pytest.raises(UsageError, match=r"cannot write no/w\.safetensors: "):
        save(module, "no/w.safetensors")


class Harm:
    """What is run where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("harmed",)


def write_module(path: str) -> None:
    torch.save(nn.Sequential(nn.Linear(2, 2)), path)


def write_damaged(path: str) -> None:
    torch.save({"a": torch.zeros(1000)}, path)
    data = bytearray(Path(path).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 9] = b"\xff" * 9
    Path(path).write_bytes(data)


def write_truncated(path: str) -> None:
    (save_file if path.endswith(".safetensors") else torch.save)({"a": torch.zeros(1000)}, path)
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: len(data) // 2])


def write_zip(path: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter.txt", "dear reader")


def write_script(path: str) -> None:
    torch.jit.save(torch.jit.trace(nn.ReLU(), torch.zeros(1)), path)


NOT_SOUND = "cannot read w.pt: it is damaged, or torch.save did not write it\n"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda path: Path(path).touch(), "cannot read w.pt: it is empty"),
        (lambda path: Path(path).write_text("a,b\n1,2\n"), NOT_SOUND),
        (lambda path: Path(path).write_bytes(pickle.dumps({"a": 1})), NOT_SOUND),
        (lambda path: Path(path).write_bytes(pickle.dumps(Harm())), NOT_SOUND),
        (lambda path: Path(path).mkdir(), "cannot read w.pt: it is no regular file"),
        (write_zip, NOT_SOUND),
        (write_truncated, NOT_SOUND),
        (write_damaged, "cannot read w.pt: it is damaged: the checksum of w/data/0 is wrong"),
        (
            lambda path: torch.save({"a": Harm()}, path),
            "cannot read w.pt: it holds more than weights, and loading it could run code (it names `posix.mkdir`)\n",
        ),
        (
            write_module,
            "could run code (it names `torch.nn.modules.container.Sequential`)\n  help: where you trust it,",
        ),
        (write_script, "could run code (it is a TorchScript archive)\n"),
        (lambda path: torch.save([torch.zeros(1)], path), "w.pt holds no weights: a list where tensors by name were"),
        (lambda path: torch.save({}, path), "w.pt holds no weights: nothing where tensors by name were expected"),
        (lambda path: torch.save({"a": 1}, path), "w.pt holds more than weights: `a` is an int, not a tensor"),
        (lambda path: torch.save({"a": torch.eye(2).to_sparse()}, path), "w.pt: `a` is not a dense tensor of numbers"),
    ],
)
def test_files_that_hold_no_weights_are_refused_and_never_run(
    folder: Path, write: Callable[[str], object], says: str
) -> None:
    write("w.pt")
    with pytest.raises(UsageError) as caught:
        read("w.pt")
    assert says in str(caught.value)
    assert not os.path.exists("harmed")


@pytest.mark.parametrize("write", [write_truncated, write_module, lambda path: Path(path).write_text("hello")])
def test_safetensors_that_are_none_are_refused(folder: Path, write: Callable[[str], object]) -> None:
    write("w.safetensors")
    with pytest.raises(UsageError, match=r"cannot read w\.safetensors: it is damaged, or no safetensors file: "):
        read("w.safetensors")


def test_a_file_that_is_not_there(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read w\.pt: there is no such file"):
        read("w.pt")


def test_of_a_lightning_checkpoint_the_network_is_taken(folder: Path) -> None:
    from pytorch_lightning import Trainer

    from trainer.steps.module import SpecModule

    module = SpecModule(archspec.load("digits").resolved)
    trainer = Trainer(logger=False, enable_checkpointing=False, max_epochs=0, enable_model_summary=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint("last.ckpt")
    assert "mean" in torch.load("last.ckpt", weights_only=True)["state_dict"]
    assert equal(read("last.ckpt"), module.network.state_dict())


# --- loading ---------------------------------------------------------------------------------------------------------


def refusal(module: nn.Module, state: dict[str, Tensor], **options: Any) -> str:
    """The message with which loading fails, having changed nothing."""
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(UsageError) as caught:
        load(module, state, source="w.pt", **options)
    assert unchanged(module, before)
    return str(caught.value)


def test_weights_are_loaded_by_name() -> None:
    source, target = digits(), digits()
    loaded = load(target, source.state_dict())
    assert equal(target.state_dict(), source.state_dict())
    assert set(loaded.names) == set(source.state_dict())
    assert (loaded.skipped, loaded.proven) == ((), False)


def test_all_that_does_not_fit_is_said_at_once() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    state = {key: value.clone() for key, value in module.state_dict().items()}
    del state["1.num_batches_tracked"]
    assert load(module, state).skipped == ()  # files of old do not have it
    state["0.weight"] = torch.zeros(2, 4)
    state["0.bias"] = torch.zeros(2, dtype=torch.int64)
    state["extra"] = torch.zeros(5)
    del state["1.weight"]
    assert refusal(module, state) == (
        "the tensors of w.pt are not this network's:\n"
        "    `0.weight`: 2×4 in the source, 2×3 in the network\n"
        "    `0.bias`: 2 int64 in the source, 2 in the network\n"
        "    `1.weight`: 2, not in the source\n"
        "    `extra`: 5, not in the network\n"
        "  help: --partial loads what fits"
    )


def test_long_lists_are_cut_and_prefixes_are_noticed() -> None:
    module = digits()
    says = refusal(module, {f"module.{key}": value for key, value in module.state_dict().items()})
    assert says.count("\n") == 12
    assert "    and " in says
    assert says.endswith("help: its names begin with `module.`: save them without it")
    assert "no tensor of w.pt fits this network" in refusal(module, {"x": torch.zeros(1)}, partial=True)


def test_other_precisions_are_converted() -> None:
    source, target = digits(), digits()
    load(target, {key: v.half() if v.is_floating_point() else v for key, v in source.state_dict().items()})
    for key, value in target.state_dict().items():
        expected = source.state_dict()[key]
        assert value.dtype == expected.dtype
        assert torch.equal(value, expected.half().float() if value.is_floating_point() else expected)


def test_in_part_what_fits_is_loaded_and_the_rest_reported() -> None:
    source, target = digits(num_classes=4), digits()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    state = dict(source.state_dict()) | {"old.weight": torch.zeros(2)}
    first = next(iter(state))
    del state[first]
    loaded = load(target, state, partial=True, source="w.pt")
    reasons = {one.name: one.reason for one in loaded.skipped}
    head = {name for name in before if before[name].shape[:1] == (10,)}
    assert reasons == {first: "missing", "old.weight": "unknown"} | dict.fromkeys(head, "shape")
    for name, value in target.state_dict().items():
        assert torch.equal(value, before[name] if name in reasons else state[name])
    assert f"weights loaded from w.pt: {len(before) - 3} of {len(before)} tensors\n" in loaded.render()


# --- the command -----------------------------------------------------------------------------------------------------


def test_a_file_is_loaded_counted_and_saved_again(run: Callable, folder: Path) -> None:
    module = digits()
    save(module, "w.pt")
    done = run("build", "digits", "--weights", "w.pt", "--save", "again.safetensors")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "Digits  -  1×8×8 → 10  308,074 parameters  0.003 GMACs\n"
        f"weights loaded from w.pt: {len(module.state_dict())} tensors\n"
        "weights saved to again.safetensors\n"
    )
    assert equal(load_file("again.safetensors"), module.state_dict())


@pytest.mark.slow
def test_a_head_of_another_size_is_left_out_of_a_file(run: Callable, folder: Path) -> None:
    module = digits()
    save(module, "w.safetensors")
    command = ["build", "digits", "--set", "num_classes=4", "--weights", "w.safetensors"]
    done = run(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the tensors of w.safetensors are not this network's:\n")
    assert done.stderr.endswith("  help: --partial leaves them out and loads the rest\n")
    total = len(module.state_dict())
    done = run(*command, "--partial")
    assert done.stdout.splitlines()[1] == f"weights loaded from w.safetensors: {total - 2} of {total} tensors"
    assert "  not loaded: head." in done.stdout
    assert "weight (10×128 in the source, 4×128 in the network), bias (10 in" in done.stdout
    (result,) = json.loads(run(*command, "--partial", "--format", "json").stdout)["results"]
    assert len(result["weights"]["loaded"]) == total - 2
    assert {one["reason"] for one in result["weights"]["not_loaded"]} == {"shape"}
    assert result["weights"]["source"] == "w.safetensors"


def test_without_weights_json_says_so(run: Callable) -> None:
    (result,) = json.loads(run("build", "digits", "--format", "json").stdout)["results"]
    assert result["weights"] is None


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """torch's hub folder with weights of resnet18 in it, under the name that torchvision looks for."""
    torch.manual_seed(5)
    state = with_history(torchvision.models.resnet18()).state_dict()
    file = torchvision.models.ResNet18_Weights.DEFAULT.url.rsplit("/", 1)[1]
    folder = tmp_path / "home" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / file)
    return folder / file


@pytest.mark.slow
def test_torchvisions_weights_give_torchvisions_logits(run: Callable, hub: Path, tmp_path: Path) -> None:
    done = run(
        "build", "resnet18", "--weights", "torchvision:resnet18", "--save", "w.pt", TORCH_HOME=str(tmp_path / "home")
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == [
        "weights loaded from torchvision:resnet18.IMAGENET1K_V1: 122 tensors; "
        "on a random input their layers give the source's results",
        "weights saved to w.pt",
    ]
    ours, theirs = archspec.build("resnet18"), torchvision.models.resnet18()
    ours.load_state_dict(torch.load(tmp_path / "w.pt", weights_only=True))
    theirs.load_state_dict(torch.load(hub, weights_only=True))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours.eval()(images), theirs.eval()(images))


@pytest.mark.slow
def test_torchvisions_weights_below_another_head(run: Callable, hub: Path, tmp_path: Path) -> None:
    command = ["build", "resnet18", "--set", "num_classes=7", "--weights", "torchvision:resnet18.IMAGENET1K_V1"]
    home = str(tmp_path / "home")
    done = run(*command, TORCH_HOME=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert "    `fc.weight` (1000×512, Linear, used by addmm) in the source\n" in done.stderr
    assert "  help: --partial (`partial=True`) leaves it out\n" in done.stderr
    done = run(*command, "--partial", "--format", "json", TORCH_HOME=home)
    weights = json.loads(done.stdout)["results"][0]["weights"]
    assert [one["name"] for one in weights["not_loaded"]] == ["head.2.weight", "head.2.bias"]
    assert len(weights["loaded"]) == 120
    assert weights["proven"]


@pytest.mark.slow
@pytest.mark.parametrize("sides", [True, False])
@pytest.mark.parametrize(
    ("name", "size"), [("googlenet", 96), ("inception_v3", 299)], ids=["googlenet", "inception_v3"]
)
def test_side_classifiers_are_taken_where_the_network_has_them(
    name: str, size: int, sides: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    source, target = (
        with_history(torchvision.models.get_model(name, init_weights=False, aux_logits=aux)) for aux in (True, sides)
    )
    file = torchvision.models.get_model_weights(name).DEFAULT.url.rsplit("/", 1)[1]
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(source.state_dict(), tmp_path / "hub" / "checkpoints" / file)
    loaded = transplant_torchvision(name, target, (3, size, size))
    assert loaded.source == f"torchvision:{name}.IMAGENET1K_V1"
    assert unchanged(target, {key: source.state_dict()[key] for key in target.state_dict()})


@pytest.mark.slow
def test_weights_that_cannot_be_downloaded(run: Callable, tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    done = run("build", "resnet50", "--weights", "torchvision:resnet50", TORCH_HOME=home, **OFFLINE)
    file = os.path.join(home, "hub", "checkpoints", "resnet50-11ad3fa6.pth")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "error: cannot download the weights of resnet50.IMAGENET1K_V2: <urlopen error " in done.stderr
    assert done.stderr.endswith(
        f"    from https://download.pytorch.org/models/resnet50-11ad3fa6.pth\n    to {file}, where they are not yet\n"
        "  help: download them on a machine with a network and put them there; TORCH_HOME chooses another folder\n"
    )


@pytest.mark.slow
def test_cached_weights_are_never_run(run: Callable, hub: Path, tmp_path: Path) -> None:
    torch.save({"conv1.weight": Harm()}, hub)
    done = run("build", "resnet18", "--weights", "torchvision:resnet18", TORCH_HOME=str(tmp_path / "home"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: the weights of resnet18.IMAGENET1K_V1 are not those that torchvision published: "
        f"cannot read {hub}: it holds more than weights, and loading it could run code (it names `posix.mkdir`)\n"
        f"  help: remove {hub}; it is then downloaded again\n"
    )
    assert not (tmp_path / "harmed").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["torchvision:resnet81"], "torchvision has no model `resnet81` of images\n  help: did you mean `resnet18`?\n"),
        (
            ["torchvision:resnet50.V3"],
            "torchvision has no weights `V3` of `resnet50`\n  help: it has `IMAGENET1K_V1`, `IMAGENET1K_V2`\n",
        ),
        (["w.pt"], "cannot read w.pt: there is no such file\n"),
        (
            ["resnet18"],
            "cannot read resnet18: there is no such file\n"
            "  help: torchvision's published weights are loaded by --weights torchvision:resnet18\n",
        ),
    ],
    ids=str,
)
def test_mistakes(run: Callable, arguments: list[str], says: str) -> None:
    done = run("build", "resnet18", "--weights", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {says}")


def test_partial_needs_weights(run: Callable) -> None:
    done = run("build", "digits", "--partial")
    assert (done.returncode, done.stderr) == (2, "error: --partial says how weights are loaded: it needs --weights\n")

"""Weights in files and from torchvision, as a person loads them: real files, real processes."""

from __future__ import annotations

import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from conftest import unchanged, with_history
from forks import Command
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
        (
            lambda path: torch.save({1: torch.ones(1)}, path),
            "w.pt holds no weights by name: the name of a tensor is an int, not a text",
        ),
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


def test_a_small_archive_that_becomes_a_large_one_is_refused_at_once(folder: Path) -> None:
    torch.save({"a": torch.zeros(30_000_000)}, "large.pt")
    with zipfile.ZipFile("large.pt") as large, zipfile.ZipFile("w.pt", "w", zipfile.ZIP_DEFLATED) as small:
        for entry in large.infolist():
            small.writestr(entry.filename, large.read(entry), compress_type=zipfile.ZIP_DEFLATED)
    assert os.path.getsize("w.pt") < 1_000_000
    assert torch.load("w.pt", weights_only=True)["a"].numel() == 30_000_000  # torch itself takes it
    with pytest.raises(UsageError, match=r"cannot read w\.pt: it is a compressed archive, which torch.save does not"):
        read("w.pt")


@pytest.mark.filterwarnings("ignore")
def test_nested_tensors_are_refused(folder: Path) -> None:
    torch.save({"a\nb": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])}, "w.pt")
    with pytest.raises(UsageError) as caught:
        read("w.pt")
    made = r"`a\\nb`|`torch._utils._rebuild_nested_tensor` makes what"  # torch 2.15 does not load them
    assert re.match(rf"w\.pt: ({made}) is not a dense tensor of numbers\n  help: load the file", str(caught.value))


def test_no_file_of_a_person_is_overwritten_on_the_way(folder: Path) -> None:
    Path("treasure").write_text("gold")
    Path("w.pt.part").write_text("mine")
    os.symlink("treasure", "w.safetensors.part")
    save(digits(), "w.pt")
    save(digits(), "w.safetensors")
    assert (Path("w.pt.part").read_text(), Path("treasure").read_text()) == ("mine", "gold")
    assert sorted(os.listdir()) == ["treasure", "w.pt", "w.pt.part", "w.safetensors", "w.safetensors.part"]
    assert os.stat("w.pt").st_mode == os.stat("w.safetensors").st_mode == os.stat("treasure").st_mode


@pytest.mark.slow
@pytest.mark.parametrize("file", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_where_there_is_no_room_there_is_one_answer(file: str, form: str, tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk."""
    script, place = tmp_path / "limited.py", tmp_path / "place"
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
    script.write_text(limit + "from archspec.cli import main\nmain()\n")
    place.mkdir()
    done = Command(["build", "digits", "--save", file, "--format", form], place, script=str(script))
    out, said = done.communicate(timeout=300)
    assert done.returncode == 2
    assert not os.listdir(place)
    if form == "json":
        answer = json.loads(out)
        assert (answer["results"], said) == ([], "")
        says = answer["errors"][0]["message"]
    else:
        assert out == ""
        says = said
    assert f"cannot write {file}: " in says
    assert "File too large" in says


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


CLASSES = ["zéro", *(f"digit {n}" for n in range(1, 10))]


@pytest.mark.slow
def test_what_a_checkpoint_knows_of_its_images_travels_with_the_weights(run: Callable, folder: Path) -> None:
    from pytorch_lightning import Trainer
    from safetensors import safe_open

    from trainer.steps.module import SpecModule

    module = SpecModule(archspec.load("digits").resolved)
    module.mean.fill_(0.25)
    trainer = Trainer(logger=False, enable_checkpointing=False, max_epochs=0, enable_model_summary=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint("run/checkpoints/best.ckpt")
    Path("run/environment.json").write_text(json.dumps({"classes": CLASSES}))
    command = ["build", "digits", "--weights", "run/checkpoints/best.ckpt"]
    done = run(*command, "--save", "w.safetensors")
    assert done.stdout.endswith("weights saved to w.safetensors, with mean, std, classes as metadata\n")
    with safe_open("w.safetensors", "pt") as file:
        assert file.metadata() == {"mean": "[0.25]", "std": "[1.0]", "classes": json.dumps(CLASSES, ensure_ascii=False)}
    done = run("build", "digits", "--weights", "w.safetensors", "--save", "again.safetensors")
    with safe_open("again.safetensors", "pt") as file:
        assert json.loads(file.metadata()["mean"]) == [0.25]
    done = run(*command, "--save", "w.pt")
    note = "without mean, std, classes of run/checkpoints/best.ckpt, which .safetensors files can hold\n"
    assert done.stdout.endswith(f"weights saved to w.pt\n  note: {note}")
    done = run(*command, "--save", "again.pt", "--format", "json")
    assert json.loads(done.stdout)["errors"] == []
    assert done.stderr == f"note: {note}"
    done = run(*command, "--partial", "--set", "num_classes=4", "--save", "four.safetensors")
    assert done.stdout.endswith(
        "without mean, std, classes of run/checkpoints/best.ckpt, which are another network's\n"
    )


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


def test_long_lists_are_cut() -> None:
    module = digits()
    names = list(module.state_dict())
    state = {f"{'a' if n % 2 else 'model'}.{name}": module.state_dict()[name] for n, name in enumerate(names)}
    says = refusal(module, state)
    assert says.count("\n") == 12
    assert "    and " in says
    assert says.endswith(
        "some names begin with `model.`: in Python, read the file, keep those and save them without it"
    )
    assert "no tensor of w.pt fits this network" in refusal(module, {"x": torch.zeros(1)}, partial=True)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod."])
def test_a_prefix_of_all_names_is_taken_off_and_said(prefix: str) -> None:
    source, target = digits(), digits()
    loaded = load(target, {f"{prefix}{name}": value for name, value in source.state_dict().items()})
    assert equal(target.state_dict(), source.state_dict())
    assert loaded.render().endswith(f"\n  note: the prefix `{prefix}` of all names was taken off")
    wrapped = nn.Sequential()
    wrapped.add_module(prefix.split(".")[0], nn.Linear(2, 2))
    assert load(wrapped, wrapped.state_dict()).notes == ()  # the network's own names begin so


def test_values_that_are_not_finite_are_said() -> None:
    module = nn.Linear(2, 3)
    loaded = load(module, {"weight": torch.full((3, 2), torch.nan), "bias": torch.tensor([0, torch.inf, 0])})
    assert loaded.notes == ("2 tensors hold values that are not finite: weight, bias",)
    assert loaded.to_dict()["notes"] == list(loaded.notes)


def test_names_from_files_are_printed_on_one_line() -> None:
    says = refusal(nn.Linear(2, 2), {"a\x1b[31m\nerror: x": torch.zeros(1)})
    assert "`a\\x1b[31m\\nerror: x`: 1, not in the network" in says


def test_in_part_layers_after_an_inserted_one_are_aligned() -> None:
    """By their positions alone, the second convolution would get the first normalisation's place, and so on."""
    source = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.ReLU(), nn.Linear(4, 2))
    target = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.ReLU(), nn.Linear(4, 2)
    )
    before = {key: value.clone() for key, value in target.state_dict().items()}
    loaded = load(target, source.state_dict(), partial=True)
    assert {one.name: one.reason for one in loaded.skipped} == {"2.weight": "missing", "2.bias": "missing"}
    for old, new in ((0, 0), (2, 4), (4, 6)):
        assert torch.equal(target[new].weight, source[old].weight)
    assert torch.equal(target[2].weight, before["2.weight"])
    assert loaded.notes == ("layers have moved: `2` is `4` here, `4` is `6` here",)
    shorter = nn.Sequential(*(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Linear(4, 2)))
    load(shorter, source.state_dict(), partial=True)  # and where one is gone
    assert torch.equal(shorter[2].weight, source[4].weight)


def test_in_part_layers_that_could_stand_in_several_places_are_refused() -> None:
    layers = [nn.Conv2d(3, 8, 3), *(nn.Conv2d(8, 8, 3) for _ in range(4)), nn.Linear(8, 2)]
    source, target = nn.Sequential(*layers[:3], layers[5]), nn.Sequential(*layers)
    says = refusal(target, dict(source.state_dict()), partial=True)
    assert says == (
        "layers cannot be aligned: the list `network` has 6 entries with weights here and 4 in the source, and several "
        "are alike, so which are new cannot be told\n"
        "  help: choose them in Python: `network.load_state_dict({name: tensor, …}, strict=False)`, with this network's "
        "names and the tensors of `archspec.weights.read(FILE)`"
    )
    deep = nn.Sequential(*(nn.Linear(2, 2) for _ in range(3000)))  # told at once, not after hours
    assert "cannot be aligned" in refusal(deep, dict(deep[1:].state_dict()), partial=True)


def test_in_part_layers_keep_to_the_parts_they_are_named_by() -> None:
    """Alignment is within a list: of blocks, those of their own stage alone."""

    def network(*depths: int) -> nn.Module:
        stages = {f"stage{n}": nn.Sequential(*(nn.Linear(4, 4) for _ in range(d))) for n, d in enumerate(depths)}
        return nn.ModuleDict({**stages, "head": nn.Linear(4, 2)})

    source, target = network(2, 2), network(2, 3)
    assert "the list `stage1` has 3 entries with weights here and 2" in refusal(
        target, dict(source.state_dict()), partial=True
    )
    loaded = load(network(2, 2, 1), source.state_dict(), partial=True)
    assert {one.name for one in loaded.skipped} == {"stage2.0.weight", "stage2.0.bias"}


# --- another input ---------------------------------------------------------------------------------------------------
# What is expected was computed once by timm 1.0.31: resample_abs_pos_embed, resize_rel_pos_bias_table_simple and
# adapt_input_conv, of the values that stand here.

NINE = [0.0, 1, 2, 4, 3, 5, 7, 8, 6]
TWO_BY_TWO = [1.2956303358078003, 2.489924192428589, 6.210182189941406, 5.975311756134033]
TWO_BY_FOUR = [
    1.2678059339523315, 1.3111482858657837, 2.0783884525299072, 3.088533878326416,
    6.09926700592041, 6.2878828048706055, 6.136996746063232, 5.741201877593994,
]  # fmt: skip
FIVE_BY_FIVE = [
    -0.49843183159828186, 0.013408701866865158, 0.8080002069473267, 1.4470722675323486, 1.7987844944000244,
    1.328321933746338, 1.2463699579238892, 1.416001558303833, 2.4474732875823975, 3.2528977394104004,
    4.096000671386719, 3.4679999351501465, 3.0, 4.152000427246094, 5.1920013427734375,
    6.116320610046387, 6.182112216949463, 6.204000473022461, 5.979648590087891, 5.791904926300049,
    7.173569679260254, 7.922144412994385, 8.480001449584961, 7.106817722320557, 5.867138862609863,
]  # fmt: skip


class Holder(nn.Module):
    def __init__(self, **tensors: Tensor) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            setattr(self, name, nn.Parameter(tensor))


@pytest.mark.parametrize(
    ("count", "input_shape", "expected"),
    [(5, None, [9.0, *TWO_BY_TWO]), (9, (3, 32, 64), [9.0, *TWO_BY_FOUR]), (4, None, None), (9, None, None)],
)
def test_position_embeddings_are_interpolated(count: int, input_shape: Any, expected: list[float] | None) -> None:
    state = {"pos": torch.tensor([9.0, *NINE]).reshape(1, 10, 1)}
    target = Holder(pos=torch.zeros(1, count, 1))
    if expected is None:  # one has a token before the image's and the other has none; the grid is no square
        assert "1×10×1 in the source" in refusal(target, state, adapt=True)
        return
    loaded = load(target, state, adapt=True, input_shape=input_shape)
    torch.testing.assert_close(target.pos.detach().flatten(), torch.tensor(expected), atol=1e-6, rtol=0)
    assert loaded.notes == (f"pos was interpolated: 1×10×1 became 1×{count}×1",)


def test_tables_of_relative_positions_are_interpolated() -> None:
    state = {"bias_table": torch.tensor(NINE).reshape(9, 1)}
    target = Holder(bias_table=torch.zeros(25, 1))
    says = refusal(target, state)
    assert says.endswith("leaves it out and loads the rest; --adapt converts tensors to another size or number of "
                         "channels")  # fmt: skip
    load(target, state, adapt=True)
    torch.testing.assert_close(target.bias_table.detach().flatten(), torch.tensor(FIVE_BY_FIVE), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (1, [7.0]),
        (2, [1.5, 3.0]),
        (4, [0.75, 1.5, 3.0, 0.75]),
        (7, [3 / 7, 6 / 7, 12 / 7, 3 / 7, 6 / 7, 12 / 7, 3 / 7]),
    ],
)
def test_the_first_convolution_takes_other_channels(channels: int, expected: list[float]) -> None:
    source = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Conv2d(1, 1, 1))
    with torch.no_grad():
        source[0].weight.copy_(torch.tensor([1.0, 2, 4]).reshape(1, 3, 1, 1))
    target = nn.Sequential(nn.Conv2d(channels, 1, 1), nn.Conv2d(1, 1, 1))
    load(target, source.state_dict(), adapt=True)
    torch.testing.assert_close(target[0].weight.detach().flatten(), torch.tensor(expected))
    assert torch.equal(target[1].weight, source[1].weight)
    other = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Conv2d(2, 1, 1))  # only the first is converted
    assert "`1.weight`: 1×1×1×1 in the source, 1×2×1×1 in the network" in refusal(
        other, dict(source.state_dict()), adapt=True
    )


@pytest.mark.slow
def test_a_vision_transformer_for_larger_grey_images(run: Callable, folder: Path) -> None:
    small = ["--set", "width=32", "--set", "depth=1", "--set", "heads=2"]
    first = run("build", "vit_b_32", *small, "--set", "input=[3, 64, 64]", "--save", "w.safetensors")
    assert first.returncode == 0, first.stderr
    command = ["build", "vit_b_32", *small, "--set", "input=[1, 96, 96]", "--weights", "w.safetensors"]
    done = run(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--adapt converts tensors" in done.stderr
    done = run(*command, "--adapt", "--save", "grey.safetensors")
    assert done.returncode == 0, done.stderr
    assert "note: embedding.0.weight was converted: 32×3×32×32 became 32×1×32×32" in done.stdout
    assert "note: embedding.3.weight was interpolated: 1×5×32 became 1×10×32" in done.stdout
    before, after = load_file("w.safetensors"), load_file("grey.safetensors")
    torch.testing.assert_close(after["embedding.0.weight"], before["embedding.0.weight"].sum(1, keepdim=True))
    assert torch.equal(after["embedding.3.weight"][:, 0], before["embedding.3.weight"][:, 0])


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


@pytest.mark.slow
def test_a_file_is_loaded_counted_and_saved_again(run: Callable, folder: Path) -> None:
    module = digits()
    save(module, "w.pt")
    done = run("build", "digits", "--weights", "w.pt", "--save", "again.safetensors")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "Digits  -  1×8×8 → 10  308,074 parameters  3.03 MMACs\n"
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


@pytest.mark.slow
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


@pytest.mark.parametrize("option", ["--partial", "--adapt"])
def test_how_weights_are_loaded_needs_weights(run: Callable, option: str) -> None:
    done = run("build", "digits", option)
    assert (done.returncode, done.stderr) == (2, f"error: {option} says how weights are loaded: it needs --weights\n")


BASE = """archspec: 1
name: base
input: [3, 32, 32]
network:
  - conv: {out: 8, kernel: 3, padding: 1}
  - relu
  - conv: {out: 8, kernel: 3, padding: 1}
  - relu
  - global_avg_pool
  - flatten
  - linear: 10
"""


@pytest.mark.slow
def test_an_inserted_layer_that_cannot_be_told_from_its_neighbours_is_refused(run: Callable, folder: Path) -> None:
    Path("base.yaml").write_text(BASE)
    layer = "  - conv: {out: 8, kernel: 3, padding: 1}\n  - relu\n"
    Path("alike.yaml").write_text(BASE.replace("  - global", f"{layer}  - global"))
    Path("other.yaml").write_text(BASE.replace("  - global", f"{layer.replace('3', '5')}  - global"))
    run("build", "./base.yaml", "--save", "w.safetensors")
    done = run("build", "./alike.yaml", "--weights", "w.safetensors", "--partial")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: layers cannot be aligned: the list `network` has 4 entries with weights here and 3" in done.stderr
    done = run("build", "./other.yaml", "--weights", "w.safetensors", "--partial")
    assert done.stdout.splitlines()[1:] == [
        "weights loaded from w.safetensors: 6 of 8 tensors",
        "  note: layers have moved: `6` is `8` here",
        "  not loaded: 4.weight (8×8×5×5, not in the source), bias (8, not in the source)",
    ]

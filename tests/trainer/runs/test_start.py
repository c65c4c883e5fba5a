"""The weights that a training starts from, what is known of their images, and what is said before the first step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
import yaml
from conftest import with_history
from kills import Killed
from safetensors.torch import save_file
from torch import Tensor

from archspec.foundation.errors import UsageError
from archspec.recipe import Moments, Resize
from archspec.spec import from_dict, load
from archspec.weights.origins import metadata_of
from trainer.runs import checkpoints, folders as run_folders
from trainer.runs.identity import fingerprint
from trainer.runs.job import load_job, prepare
from trainer.session import Options, resume_run, train
from trainer.steps.module import SpecModule

pytestmark = pytest.mark.usefixtures("without_pictures")

SLOW = pytest.mark.slow
SPEC: dict[str, Any] = {
    "archspec": 1,
    "name": "Small",
    "input": [1, 8, 8],
    "vars": {"num_classes": 10},
    "network": {
        "stem": [{"conv": {"out": 4, "kernel": 3}}, "batch_norm", "relu"],
        "head": ["flatten", {"linear": "=num_classes"}],
    },
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def weights(classes: int = 10, seed: int = 3) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    state = with_history(from_dict(SPEC | {"vars": {"num_classes": classes}}).build()).state_dict()
    return {name: tensor.clone() for name, tensor in state.items()}


def job(**recipe: Any) -> Any:
    train = {"epochs": 1, "validation": 0.2, "batch_size": 100, "weights": "w.pt", **recipe}
    return prepare(from_dict(SPEC | {"train": train}, "small"), Path())


@SLOW
def test_a_training_begins_with_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    state = weights()
    torch.save(state, "w.pt")
    begun: dict[str, Tensor] = {}

    def on_train_start(self: SpecModule) -> None:
        begun.update({name: tensor.clone() for name, tensor in self.network.state_dict().items()})

    monkeypatch.setattr(SpecModule, "on_train_start", on_train_start)
    train(job(), Path("runs"), Options(pictures=False))
    assert begun.keys() == state.keys()
    assert all(torch.equal(begun[name], state[name]) for name in state)


@SLOW
def test_the_best_weights_of_a_run_are_taken_with_their_mean_and_std() -> None:
    torch.save(weights(), "w.pt")
    first = train(job(normalize={"mean": [0.25], "std": [0.5]}, epochs=3), Path("runs"), Options(pictures=False))
    best = checkpoints.load(Path(first.folder, "checkpoints", "best.ckpt"))["state_dict"]
    second = job(weights=first.folder)
    assert {f"network.{name}" for name in second.start.tensors} == {
        name for name in best if name.startswith("network.")
    }
    assert all(torch.equal(tensor, best[f"network.{name}"]) for name, tensor in second.start.tensors.items())
    assert [one.tolist() for one in second.statistics] == [[0.25], [0.5]]
    assert second.start.classes == tuple("0123456789")


def test_whose_mean_and_standard_deviation_images_are_normalised_by() -> None:
    save_file(weights(), "w.safetensors", {"mean": "[0.25]", "std": "[0.5]"})
    torch.save(weights(), "w.pt")
    data = [one.tolist() for one in prepare(from_dict(SPEC, "small"), Path()).statistics or ()]
    for source, normalize, expected in (
        ("w.safetensors", True, [[0.25], [0.5]]),
        ("w.safetensors", "weights", [[0.25], [0.5]]),
        ("w.safetensors", {"mean": [0.125], "std": [0.75]}, [[0.125], [0.75]]),
    ):
        assert [one.tolist() for one in job(weights=source, normalize=normalize).statistics] == expected
    for source, normalize in (("w.safetensors", "data"), ("w.pt", True), ("w.pt", "data")):
        recipe = {"weights": source, "normalize": normalize, "validation": 0.1}
        assert [one.tolist() for one in job(**recipe).statistics] == data
    assert job(weights="w.safetensors", normalize=False).statistics is None
    with pytest.raises(UsageError) as caught:
        job(normalize="weights")
    assert str(caught.value) == (
        "w.pt does not say the mean and standard deviation of its images, or has other channels\n"
        "  help: `normalize: imagenet`, or `{mean: […], std: […]}`, gives them; `data` takes the training images'"
    )


def test_a_head_of_other_classes_stays_new_and_that_is_said(run: Callable) -> None:
    torch.save(weights(classes=7), "w.pt")
    Path("small.yaml").write_text(yaml.safe_dump(SPEC | {"train": {"epochs": 1, "freeze": ["stem"]}}, sort_keys=False))
    command = ["train", "small.yaml", "--weights", "w.pt", "--set", "train.lr_scale.head=10"]
    done = run(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: the tensors of w.pt are not this network's:\n"
        "    `head.1.weight`: 7×144 in the source, 10×144 in the network\n"
        "    `head.1.bias`: 7 in the source, 10 in the network\n"
        "  help: --partial leaves them out and loads the rest\n"
    )
    done = run(*command, "--partial")
    assert done.stderr == ""
    assert done.stdout.splitlines()[1:6] == [
        "  weights     w.pt: 7 of 9 tensors",
        "  not loaded  head.1.weight (7×144 in the source, 10×144 in the network), "
        "bias (7 in the source, 10 in the network)",
        "  frozen      stem, 48 of 1,498 parameters",
        "  rates       head ×10",
        "  images      resize stretch; normalised by the training images' mean and standard deviation",
    ]
    kept = json.loads(Path("runs/small/environment.json").read_text())["weights"]
    assert kept["origin"] == "w.pt"
    assert [one["name"] for one in kept["loaded"]["not_loaded"]] == ["head.1.weight", "head.1.bias"]


def test_a_frozen_part_that_is_not_loaded_is_refused() -> None:
    state = weights()
    del state["stem.0.weight"]
    torch.save(state, "w.pt")
    for freeze in (["stem"], {"stem": 1}):
        with pytest.raises(UsageError) as caught:
            job(partial=True, freeze=freeze)
        assert str(caught.value) == (
            "w.pt lacks weights of parts that `train.freeze` keeps as they are: `stem.0.weight`\n"
            "  help: freeze no more than what is loaded: the others have initial weights, drawn at random"
        )
    job(partial=True, freeze=["stem.1"])


def test_frozen_initial_weights_and_other_classes_are_noted() -> None:
    words = prepare(from_dict(SPEC | {"train": {"freeze": {"stem": 2}}}, "small"), Path()).described()
    assert words == [
        "  frozen  stem, 48 of 1,498 parameters, trained from epoch 3 on",
        "  note    there are no `weights`: what is frozen keeps initial weights, drawn at random",
    ]
    names = ["zero", *"123456789"]
    save_file(weights(), "w.safetensors", {"mean": "[0.25]", "std": "[0.5]", "classes": json.dumps(names)})
    assert job(weights="w.safetensors").described() == [
        "  weights  w.safetensors: 9 tensors",
        "  note     the weights know other classes: number 0 is `zero` to them, `0` here",
        "  images   resize stretch; normalised as the weights were trained",
    ]
    assert prepare(from_dict(SPEC, "small"), Path()).described() == []


@SLOW
def test_other_weights_of_the_same_name_make_another_run(run: Callable) -> None:
    Path("small.yaml").write_text(yaml.safe_dump(SPEC | {"train": {"epochs": 1, "weights": "w.pt"}}, sort_keys=False))
    for seed in (1, 2):
        torch.save(weights(seed=seed), "w.pt")
        done = run("train", "small.yaml")
        assert "already trained" not in done.stdout
    assert "already trained: this is the result of runs/small-2" in run("train", "small.yaml").stdout


@SLOW
def test_a_run_without_a_checkpoint_begins_again_with_its_own_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(weights(), "w.pt")
    whole = train(job(), Path("whole"), Options(pictures=False))

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(SpecModule, "training_step", killed)
        with pytest.raises(Killed):
            train(job(), Path("killed"), Options(pictures=False))
    run = run_folders.find("small", Path("killed"))
    torch.save(weights(seed=9), "w.pt")
    with pytest.raises(UsageError) as caught:
        resume_run(run, None, Options(pictures=False), print)
    assert caught.value.message == (
        "the run killed/small cannot be resumed: w.pt holds other weights than it began with"
    )
    torch.save(weights(), "w.pt")
    result = resume_run(run, None, Options(pictures=False), print)
    assert result.metrics == whole.metrics
    assert fingerprint(load_job(run, None)) == run.environment["key"]


# --- torchvision's ----------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """torch's hub folder with weights of resnet18 in it, under the name that torchvision looks for."""
    torch.manual_seed(5)
    state = with_history(torchvision.models.resnet18()).state_dict()
    monkeypatch.setenv("TORCH_HOME", str(folder / "home"))
    file = folder / "home" / "hub" / "checkpoints" / torchvision.models.ResNet18_Weights.DEFAULT.url.rsplit("/", 1)[1]
    file.parent.mkdir(parents=True)
    torch.save(state, file)
    return dict(state)


@SLOW
def test_torchvisions_weights_come_with_their_images(hub: dict[str, Tensor]) -> None:
    recipe = ["train.data=fake", "train.weights=torchvision:resnet18", "train.partial=true", "train.resize=weights"]
    spec = load("resnet18", set=["input=[3, 64, 64]", "train.freeze=[stem, stages.0]", *recipe])
    made = prepare(spec, Path())
    assert len(made.start.tensors) == 120
    assert torch.equal(made.start.tensors["stem.0.conv.weight"], hub["conv1.weight"])
    assert [one.tolist() for one in made.statistics] == [
        pytest.approx([0.485, 0.456, 0.406]),
        pytest.approx([0.229, 0.224, 0.225]),
    ]
    # 256 of 224 pixels, for 64
    assert made.recipe.resize == Resize("crop", {"size": 73, "interpolation": "bilinear"})
    assert made.described() == [
        "  weights     torchvision:resnet18.IMAGENET1K_V1: 120 of 122 tensors; on a random input their layers give the "
        "source's results",
        "  not loaded  head.2.weight (1000×512 in the source (`fc.weight`), 10×512 in the network), bias (1000 in the "
        "source (`fc.bias`), 10 in the network)",
        "  frozen      stem, 9,536 of 11,181,642 parameters",
        "  frozen      stages.0, 147,968 of 11,181,642 parameters",
        "  images      resize crop (size 73, interpolation bilinear); normalised as the weights were trained",
    ]


def test_what_torchvisions_transforms_say() -> None:
    known = metadata_of("torchvision:swin_t")
    theirs = torchvision.models.Swin_T_Weights.DEFAULT
    assert (known["mean"], known["std"]) == (theirs.transforms().mean, theirs.transforms().std)
    assert known["resize"] == {"name": "crop", "size": 232, "interpolation": "bicubic"}
    assert (known["input"], known["classes"]) == ([224, 224], theirs.meta["categories"])


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_the_two_that_change_their_input_themselves(name: str) -> None:
    """What they do to images normalised by ImageNet's moments gives values from −1 to 1."""
    model = torchvision.models.get_model(name, weights=None, init_weights=False, transform_input=True)
    images = torch.rand(2, 3, 4, 4)
    transforms = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    mean, std = (torch.tensor(one)[:, None, None] for one in (transforms.mean, transforms.std))
    known = Moments.from_dict(metadata_of(f"torchvision:{name}"))
    ours = (images - known.mean[0]) / known.std[0]
    torch.testing.assert_close(model._transform_input((images - mean) / std), ours)

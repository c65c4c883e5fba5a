"""How images are brought to the input's size: as torchvision does it, and the same wherever it is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from torchvision import models
from torchvision.transforms import InterpolationMode, v2

from archspec.recipe import Resize
from archspec.spec import from_dict
from trainer.input import splits
from trainer.input.files import decode
from trainer.input.images import fit_to_input
from trainer.input.resizing import bring_to_size
from trainer.runs.job import prepare
from trainer.steps.module import SpecModule


def image(height: int, width: int, channels: int = 3, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, channels, height, width), generator=generator, dtype=torch.uint8)


SIZES = [(40, 64), (64, 40), (37, 91), (300, 257), (20, 33)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_cropping_is_torchvisions(size: tuple[int, int], interpolation: str) -> None:
    mode = InterpolationMode(interpolation)
    theirs = v2.Compose([v2.Resize(36, mode, antialias=True), v2.CenterCrop(32)])
    ours = bring_to_size(image(*size), (32, 32), Resize("crop", {"size": 36, "interpolation": interpolation}))
    assert torch.equal(ours, theirs(image(*size)))


@pytest.mark.parametrize("size", SIZES)
def test_what_published_weights_expect_is_what_their_transforms_do(size: tuple[int, int]) -> None:
    transforms = models.ResNet18_Weights.DEFAULT.transforms()
    theirs = transforms(image(*size)[0])
    ours = bring_to_size(image(*size), (224, 224), Resize("crop"))[0]
    mean, std = (torch.tensor(one)[:, None, None] for one in (transforms.mean, transforms.std))
    # these work on floats, and round what ours computes in whole numbers
    grey_level = 1 / 255 / std.min().item()
    torch.testing.assert_close((ours / 255 - mean) / std, theirs, atol=grey_level + 1e-5, rtol=0)


@pytest.mark.parametrize(
    ("size", "resized", "left", "top"),
    [((40, 64), (20, 32), 0, 6), ((64, 40), (32, 20), 6, 0), ((100, 1), (32, 1), 15, 0), ((50, 50), (32, 32), 0, 0)],
)
def test_padding_keeps_the_whole_image(size: tuple[int, int], resized: tuple[int, int], left: int, top: int) -> None:
    """Sizes and margins worked out by hand."""
    made = bring_to_size(image(*size), (32, 32), Resize("pad", {"fill": 9}))
    inner = v2.functional.resize(image(*size), list(resized), InterpolationMode.BILINEAR, antialias=True)
    expected = torch.full((1, 3, 32, 32), 9, dtype=torch.uint8)
    expected[:, :, top : top + resized[0], left : left + resized[1]] = inner
    assert torch.equal(made, expected)


def test_stretching_is_what_it_was() -> None:
    expected = v2.functional.resize(image(40, 64), [32, 24], InterpolationMode.BILINEAR, antialias=True)
    for made in (bring_to_size(image(40, 64), (32, 24)), fit_to_input(image(40, 64), (3, 32, 24))):
        assert torch.equal(made, expected)


def test_an_input_that_is_not_square_is_covered() -> None:
    """An input of 32×64: with the margin 36×72, which an image of 40×64 covers at 45×72."""
    made = bring_to_size(image(40, 64), (32, 64), Resize("crop", {"size": 36}))
    expected = v2.functional.resize(image(40, 64), [45, 72], InterpolationMode.BILINEAR, antialias=True)
    assert torch.equal(made, v2.functional.center_crop(expected, [32, 64]))


def test_images_of_the_inputs_size_are_left_alone() -> None:
    for resize in (Resize("stretch"), Resize("crop"), Resize("pad")):
        assert torch.equal(bring_to_size(image(32, 32), (32, 32), resize), image(32, 32))


# --- everywhere the same ----------------------------------------------------------------------------------------------

SPEC: dict[str, Any] = {
    "archspec": 1,
    "name": "Small",
    "input": [3, 16, 16],
    "vars": {"num_classes": 2},
    "network": [{"conv": {"out": 4, "kernel": 3}}, "relu", "flatten", {"linear": "=num_classes"}],
}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images whose ratios differ: white with a mark at one end, so that cropping and stretching differ."""
    monkeypatch.chdir(tmp_path)
    for number in range(24):
        name = ("left", "right")[number % 2]
        size = (60, 30) if number % 3 else (30, 45)
        pixels = image(size[1], size[0], seed=number)[0].permute(1, 2, 0).numpy()
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number:02}.png")
    return tmp_path / "photos"


def job(resize: Any, photos: Path) -> Any:
    recipe = {"data": str(photos), "resize": resize, "batch_size": 4, "validation": 4}
    return prepare(from_dict(SPEC | {"train": recipe}, "small"), Path())


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad", {"name": "crop", "size": 16, "interpolation": "bicubic"}])
def test_training_validation_test_and_prediction_see_the_same(
    resize: Any, photos: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = job(resize, photos)
    with monkeypatch.context() as patch:
        patch.setattr(splits, "MEMORY_LIMIT", 0)
        streamed = job(resize, photos)
    module = SpecModule(held.spec.resolved | {"train": held.recipe.to_dict()})
    for part in ("train", "validation", "test"):
        files = getattr(streamed, part).files
        seen, _ = getattr(streamed, part)[0, list(range(len(files)))]
        expected = torch.cat([module.fit_images(decode(files.file(i))[None]) for i in range(len(files))])
        assert torch.equal(seen, expected)
        assert torch.equal(getattr(held, part).images, expected)
        assert torch.equal(module.fit_images(expected), expected)
    torch.testing.assert_close(streamed.statistics, held.statistics)


@pytest.mark.slow
def test_a_run_predicts_as_it_was_tested(run: Callable, photos: Path) -> None:
    recipe = {"data": "./photos", "epochs": 2, "batch_size": 4, "validation": 4, "resize": "crop"}
    Path("small.yaml").write_text(yaml.safe_dump(SPEC | {"train": recipe}, sort_keys=False))
    done = run("train", "small.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    accuracy = json.loads(Path("runs/small/results.json").read_text())["test_accuracy"]
    tested = prepare(from_dict(SPEC | {"train": recipe}), Path()).test
    files = prepare(from_dict(SPEC | {"train": recipe}), Path()).data.test
    assert len(tested) == len(files)
    names = [str(files.file(i)) for i in range(len(files))]
    found = json.loads(run("predict", "small", *names, "--format", "json").stdout)
    answers = [one["top"][0]["class"] for one in found["results"]]
    right = sum(answer == Path(name).parent.name for answer, name in zip(answers, names, strict=True))
    assert right / len(files) == accuracy


@pytest.mark.parametrize("resize", [Resize("stretch"), Resize("crop"), Resize("pad", {"fill": 200})])
def test_a_mask_goes_where_its_image_goes(resize: Resize) -> None:
    """An image with a bright corner, and its mask; where nothing of the image is, the mask is ignored (255)."""
    bright = torch.zeros(1, 1, 60, 100, dtype=torch.uint8)
    bright[..., :33, 41:] = 255
    made = bring_to_size(bright, (32, 32), resize)
    mask = bring_to_size((bright > 0).to(torch.uint8), (32, 32), resize, masks=True)
    outside = mask == 255
    assert outside.any() == (resize.name == "pad")
    assert torch.equal(made[outside], torch.full_like(made[outside], 200))
    inside = ~outside & ((made < 90) | (made > 165))  # but for the edge, which is blurred
    assert inside.float().mean() > 0.5
    assert torch.equal(mask[inside] == 1, made[inside] > 127)

"""Target images: losses and scores by hand, folders of pairs, augmentation of both, trained, tested, predicted."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.image import peak_signal_noise_ratio

from archspec.foundation.errors import UsageError
from archspec.recipe import AppliedAugmentation, Recipe
from archspec.spec import from_dict, load
from trainer import data
from trainer.data import noisy_digits
from trainer.input import splits
from trainer.input.augment_batch import Augmentation
from trainer.input.augment_image import transform
from trainer.input.loaders import Stream
from trainer.runs import evaluation, folders
from trainer.runs.job import prepare
from trainer.runs.prediction import predict
from trainer.session import Options, make_module, train
from trainer.tasks.image_regression import TASK

SIZE = (16, 24)


def spec(scale: int = 1, channels: int = 1, **recipe: Any) -> dict[str, Any]:
    network: list[Any] = [{"conv": {"out": channels * scale**2, "kernel": 3, "padding": 1}}]
    network += [{"pixel_shuffle": scale}] if scale > 1 else []
    train = {"epochs": 1, "batch_size": 4, "validation": 0.2, **recipe}
    return {"archspec": 1, "name": "Images", "input": [1, *SIZE], "network": network, "train": train}


def make_pairs(root: Path, count: int = 12, scale: int = 1, *, colour: bool = False, parts: bool = False) -> Path:
    """Images whose targets are their negatives, `scale` times as large."""
    random = np.random.default_rng(0)
    for number in range(count):
        part = f"{'test' if number < 4 else 'train'}/" if parts else ""
        pixels = random.integers(0, 256, (*SIZE, 3) if colour else SIZE, dtype=np.uint8)
        put(root / "images" / f"{part}{number:02}.png", pixels)
        put(root / "targets" / f"{part}{number:02}.png", 255 - pixels.repeat(scale, 0).repeat(scale, 1))
    return root


def put(file: Path, pixels: np.ndarray[Any, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def images(seed: int, count: int = 5) -> tuple[Tensor, Tensor]:
    """A network's answers, some beyond 0 to 1, and targets uint8."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(256, (count, 3, *SIZE), generator=generator, dtype=torch.uint8)
    return targets / 255 + 0.2 * torch.randn(targets.shape, generator=generator), targets


# --- losses and scores ------------------------------------------------------------------------------------------------


def ssim(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    """That of Wang et al. for values 0 to 1, `(C, H, W)`, whose borders are mirrored."""

    def blur(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return gaussian_filter(values, (0, 1.5, 1.5), truncate=5 / 1.5, mode="mirror")

    means = blur(one), blur(other)
    variances = blur(one**2) - means[0] ** 2 + blur(other**2) - means[1] ** 2
    covariance = blur(one * other) - means[0] * means[1]
    light = (2 * means[0] * means[1] + 0.01**2) / (means[0] ** 2 + means[1] ** 2 + 0.01**2)
    return float((light * (2 * covariance + 0.03**2) / (variances + 0.03**2)).mean())


def test_scores_are_means_over_images() -> None:
    metrics, evaluator = TASK.make_metrics(from_dict(spec(channels=3)).plan), TASK.evaluator()
    batches = [images(seed) for seed in range(3)]
    for output, targets in batches:
        evaluator.update(output, targets)
        for one in metrics.values():
            one.update(output, targets)
    output, targets = (torch.cat(part) for part in zip(*batches, strict=True))
    cut, meant = output.clamp(0, 1).double(), targets.double() / 255
    theirs = {
        "psnr": float(peak_signal_noise_ratio(cut, meant, data_range=1.0, dim=(1, 2, 3))),
        "ssim": float(np.mean([ssim(a.numpy(), b.numpy()) for a, b in zip(cut, meant, strict=True)])),
        "mae": float((cut - meant).abs().mean()),
    }
    found = evaluator.compute(0.5)
    assert dict(found.metrics) == pytest.approx(theirs, rel=1e-4)
    assert {name: float(one.compute()) for name, one in metrics.items()} == pytest.approx(theirs, rel=1e-4)
    assert list(found.answers)[:4] == [0, 1, 2, 3]
    lowest = found.scores["psnr"].argsort()[:4].tolist()
    assert set(found.answers) == {0, 1, 2, 3, *lowest}
    assert torch.equal(found.answers[0], (output[0] * 255).round().clamp(0, 255).byte())


def test_an_exact_answer_is_finite_and_small_images_have_no_ssim() -> None:
    evaluator = TASK.evaluator()
    targets = torch.randint(256, (2, 1, 8, 8), dtype=torch.uint8)
    evaluator.update(targets / 255, targets)
    assert dict(evaluator.compute(0.0).metrics) == {"psnr": 100.0, "mae": 0.0}


@pytest.mark.parametrize(
    ("loss", "theirs"),
    [
        ("mean_squared_error", functional.mse_loss),
        ("mean_absolute_error", functional.l1_loss),
        ({"name": "charbonnier", "eps": 0.1}, lambda a, b: ((a - b) ** 2 + 0.01).sqrt().mean() - 0.1),
        ({"name": "smooth_l1", "beta": 0.3}, lambda a, b: functional.smooth_l1_loss(a, b, beta=0.3)),
    ],
)
def test_losses_are_of_values_in_the_targets_deviations(
    loss: Any, theirs: Callable[[Tensor, Tensor], Tensor], tmp_path: Path
) -> None:
    root = make_pairs(tmp_path / "pairs")
    job = prepare(from_dict(spec(data=str(root), loss=loss)), tmp_path)
    module = make_module(job).eval()
    some, targets = job.train[[0, 1, 2]]  # type: ignore[index]
    every = job.train.labels.double() / 255  # type: ignore[union-attr]
    mean, std = every.mean(), every.std(correction=0)
    with torch.no_grad():
        raw = module.network(module.normalize(some)).double()
        output = module(some)
    torch.testing.assert_close(output.double(), raw * std + mean, rtol=1e-5, atol=1e-5)
    expected = theirs(raw, (targets.double() / 255 - mean) / std)
    assert float(module.loss(output, targets)) == pytest.approx(float(expected), rel=1e-4)


# --- data -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True], ids=["memory", "stream"])
@pytest.mark.parametrize("scale", [1, 3])
def test_a_folder_of_pairs_is_read(
    scale: int, streamed: bool, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_pairs(tmp_path / "pairs", scale=scale, parts=True)
    if streamed:
        monkeypatch.setattr(splits, "MEMORY_LIMIT", 0)
    recipe = {"data": str(root), "augment": ["horizontal_flip"], "validation": 2}
    job = prepare(from_dict(spec(scale, **recipe)), tmp_path)
    assert (job.task.name, job.data.class_names) == ("image_regression", ("grey",))
    assert [len(part) for part in (job.train, job.validation, job.test)] == [6, 2, 4]
    assert isinstance(job.test, Stream) is streamed
    some, targets = job.test[0, [0, 1, 2, 3]] if isinstance(job.test, Stream) else job.test[[0, 1, 2, 3]]
    assert targets.shape == (4, 1, SIZE[0] * scale, SIZE[1] * scale)
    assert torch.equal(255 - some.repeat_interleave(scale, 2).repeat_interleave(scale, 3), targets)
    if isinstance(job.train, Stream):  # which augments
        some, targets = job.train[5, [0, 1, 2, 3, 4, 5]]
        plain = [job.train.files.decode(position)[0] for position in range(6)]
        flipped = [not torch.equal(a, b) for a, b in zip(some, plain, strict=True)]
        assert set(flipped) == {True, False}
        assert torch.equal(255 - some.repeat_interleave(scale, 2).repeat_interleave(scale, 3), targets)


def test_colour_is_told_by_the_first_target_and_16_bits_are_said(tmp_path: Path) -> None:
    found = data.load(str(make_pairs(tmp_path / "colour", colour=True)), tmp_path)
    assert (found.class_names, found.targets) == (("red", "green", "blue"), "images")
    root = make_pairs(tmp_path / "depth")
    for file in sorted((root / "targets").iterdir()):
        Image.fromarray(np.full(SIZE, 256 * 9, np.uint16)).save(file)
    found = data.load(str(root), tmp_path)
    first = found.train.targets[0]  # type: ignore[union-attr]
    assert (found.class_names, found.notes) == (("grey",), (f"{root / first} has 16 bits, of which 8 are kept",))
    assert found.train.decode(0)[1].unique().tolist() == [9]  # type: ignore[union-attr]


def test_noisy_digits_are_the_same_everywhere() -> None:
    first = noisy_digits.load(Path())
    content = hashlib.sha256(first.train.images.numpy().tobytes())  # type: ignore[union-attr]
    content.update(first.test.labels.numpy().tobytes())  # type: ignore[union-attr]
    assert content.hexdigest()[:16] == "13316a94a6a5de86"
    noise = first.train.images.double() - first.train.labels.double()  # type: ignore[union-attr]
    middle = (first.train.labels > 110) & (first.train.labels < 145)  # type: ignore[union-attr]
    assert float(noise[middle].std()) == pytest.approx((12 * (33**2 - 1) / 12) ** 0.5, rel=0.02)


# --- augmentation moves both ------------------------------------------------------------------------------------------

MOVING: dict[str, dict[str, Any]] = {
    "horizontal_flip": {},
    "vertical_flip": {},
    "random_resized_crop": {"scale": [0.2, 1.0]},
    "padded_crop": {"padding": 5},
    "rotation": {"degrees": 40},
}


@pytest.mark.parametrize("streamed", [False, True], ids=["batch", "stream"])
@pytest.mark.parametrize("name", MOVING)
def test_a_target_that_is_a_copy_stays_one(name: str, streamed: bool) -> None:
    before = torch.randint(1, 256, (12, 3, *SIZE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    augment = [AppliedAugmentation(name, MOVING[name])]
    torch.manual_seed(3)
    if streamed:
        change = transform(augment, (3, *SIZE), target_shape=(3, *SIZE))
        made = [torch.stack(part) for part in zip(*(change(one, one.clone()) for one in before), strict=True)]
    else:
        made = list(Augmentation(augment, (3, *SIZE), 3)(before, before.clone()))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], before)


@pytest.mark.parametrize("streamed", [False, True], ids=["batch", "stream"])
def test_colours_change_in_the_image_alone(streamed: bool) -> None:
    before = torch.randint(256, (12, 3, *SIZE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    augment = [AppliedAugmentation("color_jitter", {"brightness": 0.5}), AppliedAugmentation("erasing", {"p": 1.0})]
    torch.manual_seed(3)
    if streamed:
        change = transform(augment, (3, *SIZE), target_shape=(3, *SIZE))
        made = [torch.stack(part) for part in zip(*(change(one, one.clone()) for one in before), strict=True)]
    else:
        made = list(Augmentation(augment, (3, *SIZE), 3)(before, before.clone()))
    assert torch.equal(made[1], before)
    assert not torch.equal(made[0], before)


# --- trained, tested, predicted ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_network_learns_negatives_and_writes_them(tmp_path: Path) -> None:
    root = make_pairs(tmp_path / "pairs", 40)
    recipe = {"data": str(root), "epochs": 6, "optimizer": {"name": "adam", "lr": 0.05}, "loss": "charbonnier"}
    job = prepare(from_dict(spec(**recipe)), tmp_path)
    result = train(job, tmp_path / "runs", Options(pictures=False))
    assert result.metrics.keys() == {"val_psnr", "test_psnr", "test_ssim", "test_mae", "test_loss"}
    assert result.metrics["test_psnr"] > 28
    run = folders.read(Path(result.folder))
    assert run is not None
    rows = list(csv.DictReader((run.folder / "predictions.csv").open()))
    assert sum(float(row["psnr"]) for row in rows) / len(rows) == pytest.approx(result.metrics["test_psnr"], rel=1e-4)
    assert evaluation.test(run, None, str(root))["test_psnr"] == pytest.approx(result.metrics["test_psnr"])
    file = root / rows[0]["file"]
    ((_, found),) = predict(run, [file], 5, tmp_path / "saved")
    saved = np.asarray(Image.open(found["saved"])).astype(int)
    meant = 255 - np.asarray(Image.open(file)).astype(int)
    psnr = 10 * np.log10(255**2 / ((saved - meant) ** 2).mean())
    assert psnr == pytest.approx(float(rows[0]["psnr"]), abs=0.1)  # files have whole values
    assert found["size"] == [*SIZE]
    assert TASK.describe(found) == f"an image of 16×24, mean grey {found['mean']['grey']:.3f}"


@pytest.mark.slow
def test_a_larger_answer_is_written_larger_and_drawn(tmp_path: Path) -> None:
    root = make_pairs(tmp_path / "pairs", scale=2)
    result = train(prepare(from_dict(spec(2, data=str(root))), tmp_path), tmp_path / "runs")
    run = folders.read(Path(result.folder))
    assert run is not None
    for name in ("images.png", "images.svg", "curves.png"):
        assert (run.folder / name).stat().st_size > 5000
    photo = tmp_path / "photo.png"
    put(photo, np.zeros((30, 50, 3), np.uint8))
    ((_, found),) = predict(run, [photo], 5, tmp_path / "saved")
    with Image.open(found["saved"]) as saved:
        assert (saved.size, saved.mode) == ((100, 60), "L")


def test_the_bundled_network_takes_noisy_digits(tmp_path: Path) -> None:
    job = prepare(load("dncnn_small"), tmp_path)
    module = make_module(job)
    some, targets = job.train[[0, 1]]  # type: ignore[index]
    assert module(some).shape == targets.shape == (2, 1, 32, 32)
    assert Recipe().to_dict()["loss"] == {"name": "cross_entropy"}


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "written", "message"),
    [
        (
            {"colour": True},
            spec(),
            "the targets of `ROOT` are of the channels red, green, blue, for an output of 3×16×24 or a multiple of "
            "that height and width, but Images gives 1×16×24\n"
            "  help: end the network in `- conv: {out: 3, kernel: 3, padding: 1}`; `conv_transpose`, `upsample` and "
            "`pixel_shuffle` enlarge",
        ),
        (
            {},
            spec() | {"network": [{"conv": {"out": 1, "kernel": 3}}]},
            "the targets of `ROOT` are grey, for an output of 1×16×24 or a multiple of that height and width, but "
            "Images gives 1×14×22\n"
            "  help: end the network in `- conv: {out: 1, kernel: 3, padding: 1}`; `conv_transpose`, `upsample` and "
            "`pixel_shuffle` enlarge",
        ),
        (
            {"scale": 2},
            spec(2, augment=["horizontal_flip", {"color_jitter": {"hue": 0.1}}, "rotation"]),
            "`rotation` moves images by pixels, and targets are 2 times as large as they are\n"
            "  help: leave it out of `train.augment`; flips move both alike",
        ),
        (
            {},
            spec(augment=["mixup"]),
            "`mixup` mixes the targets of images, and those of image_regression cannot be mixed\n"
            "  help: leave it out of `train.augment`",
        ),
        (
            {},
            spec(loss="dice"),
            "the loss `dice` does not fit the task image_regression\n"
            "  help: --set train.loss=mean_squared_error; `mean_squared_error`, `mean_absolute_error`, `charbonnier`, "
            "`smooth_l1` would fit",
        ),
    ],
)
def test_what_does_not_fit_is_said(made: dict[str, Any], written: dict[str, Any], message: str, tmp_path: Path) -> None:
    root = make_pairs(tmp_path / "pairs", **made)
    written = written | {"train": written["train"] | {"data": str(root)}}
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(written), tmp_path)
    assert str(caught.value).replace(str(root), "ROOT") == message


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no target": (
        lambda root: (root / "targets" / "03.png").unlink(),
        "the image ROOT/images/03.png has no target of that name in ROOT/targets\n"
        "  help: add the target, or remove the image",
    ),
    "no image": (
        lambda root: [(root / "images" / f"0{number}.png").unlink() for number in (3, 4)],
        "the target ROOT/targets/03.png has no image of that name in ROOT/images, nor have 1 others\n"
        "  help: add the image, or remove the target",
    ),
    "another size": (
        lambda root: put(root / "targets" / "03.png", np.zeros((20, 24), np.uint8)),
        "1 of the 12 images of `ROOT` cannot be read\n"
        "    ROOT/images/03.png: its target targets/03.png is 20×24, no multiple of the image's 16×24\n"
        "  help: repair or remove them, or skip them by --skip-unreadable",
    ),
    "colour": (
        lambda root: put(root / "targets" / "11.png", np.zeros((*SIZE, 3), np.uint8)),
        "1 of the 12 images of `ROOT` cannot be read\n"
        "    ROOT/images/11.png: its target targets/11.png is in colour, and the first target is grey\n"
        "  help: repair or remove them, or skip them by --skip-unreadable",
    ),
    "damaged": (
        lambda root: (root / "targets" / "05.png").write_bytes(b"no image"),
        "1 of the 12 images of `ROOT` cannot be read\n"
        "    ROOT/images/05.png: its target targets/05.png cannot be read: not an image\n"
        "  help: repair or remove them, or skip them by --skip-unreadable",
    ),
    "masks too": (
        lambda root: (root / "masks").mkdir(),
        "ROOT has images with `masks` and with `targets`: which is meant?\n  help: keep one of them",
    ),
    "none": (
        lambda root: [file.unlink() for file in sorted(root.glob("*/*.png"))],
        "ROOT holds no images to train with\n"
        "  help: put images and targets of the same names in `images` and `targets`, or such folders in train, val "
        "and test",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_folder_is_said(what: str, tmp_path: Path, own_cache: Path) -> None:
    spoil, message = WRONG[what]
    root = make_pairs(tmp_path / "pairs")
    spoil(root)
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(spec(data=str(root))), tmp_path)
    assert str(caught.value).replace(str(root), "ROOT") == message

"""Losses, metrics and augmentations of installed packages: in recipes, in trainings, and what is said of wrong ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from torch import Tensor

from archspec.arguments import Argument, integer
from archspec.foundation.arguments import Signature
from archspec.recipe import AUGMENTATIONS, AppliedAugmentation
from archspec.recipe.added import AddedAugmentation
from archspec.recipe.augmentations import Augmentation as Known
from trainer.input.augment_batch import Augmentation
from trainer.input.augment_image import transform
from trainer.input.masks import IGNORED

pytestmark = pytest.mark.usefixtures("without_pictures")

SPEC = {
    "archspec": 1,
    "input": [1, 8, 8],
    "network": ["flatten", {"linear": 10}],
    "train": {
        "data": "digits",
        "task": "classification+kappa",
        "epochs": 1,
        "validation": 0.2,
        "loss": ["cross_entropy", {"name": "poly", "epsilon": 2, "factor": 0.5}],
        "augment": [{"white": {"p": 0.5}}, "horizontal_flip"],
        "monitor": "val_kappa",
    },
}
LOSS = """
from archspec.arguments import Argument, number
from archspec.recipe.added import AddedLoss


class Poly(AddedLoss):
    doc = "Cross-entropy plus `epsilon` times the probability of wrong classes."
    tasks = ("classification",)
    arguments = (Argument("epsilon", number(), 1.0, "the weight of the first term"),)
    source = "https://arxiv.org/abs/2204.12511"

    def module(self, arguments):
        from torch import nn

        class PolyLoss(nn.Module):
            def forward(self, output, targets):
                losses = nn.functional.cross_entropy(output, targets, reduction="none")
                return (losses + arguments["epsilon"] * (1 - (-losses).exp())).mean()

        return PolyLoss()


LOSS = Poly()
"""
METRIC = """
from trainer.tasks import AddedMetric


class Kappa(AddedMetric):
    doc = "Cohen's kappa."
    tasks = ("classification",)
    format_spec = ".3f"

    def make(self, outputs):
        from torchmetrics.classification import MulticlassCohenKappa

        return MulticlassCohenKappa(outputs)


METRIC = Kappa()
"""
AUGMENTATION = """
from archspec.arguments import Argument, number
from archspec.recipe.added import AddedAugmentation


class White(AddedAugmentation):
    doc = "Makes an image white with probability p."
    arguments = (Argument("p", number(0, 1), 0.1, "the probability"),)

    def change(self, images, random, arguments, *, is_mask=False):
        return images.where(~random.bernoulli(arguments["p"])[:, None, None, None], images.new_tensor(255))


AUGMENTATION = White()
"""
GROUPS = {"losses": "poly", "metrics": "kappa", "augmentations": "white"}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs a package of the three, of which each text may be another, and writes a spec that uses them."""

    def install(
        losses: str = LOSS,
        metrics: str = METRIC,
        augmentations: str = AUGMENTATION,
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        site = tmp_path / "site"
        info = site / "theirs-1.0.dist-info"
        info.mkdir(parents=True)
        points = ""
        for group, text in (("losses", losses), ("metrics", metrics), ("augmentations", augmentations)):
            (site / f"their_{group}.py").write_text(text)
            points += f"[archspec.{group}]\n{names.get(group, GROUPS[group])} = their_{group}\n"
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)
        (tmp_path / "net.yaml").write_text(json.dumps(SPEC))
        monkeypatch.setenv("PYTHONPATH", ":".join([str(site), *filter(None, sys.path)]))

    return install


@pytest.mark.slow
def test_a_packages_loss_metric_and_augmentation_are_trained_with(
    run: Callable[..., Any], install: Callable[..., None], tmp_path: Path
) -> None:
    install()
    done = run("train", "net.yaml")
    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "runs" / "net" / "results.json").read_text())
    rows = [line.split(",") for line in (tmp_path / "runs" / "net" / "predictions.csv").read_text().splitlines()[1:]]
    from sklearn.metrics import cohen_kappa_score

    kappa = cohen_kappa_score(*zip(*[row[1:3] for row in rows], strict=True))
    assert kept["test_kappa"] == pytest.approx(kappa, abs=1e-6)
    assert f"test kappa {kept['test_kappa']:.3f}" in run("test", "net").stdout


def test_wrong_names_and_arguments_are_said_as_those_of_our_own(
    run: Callable[..., Any], install: Callable[..., None]
) -> None:
    install()
    assert run("train", "net.yaml", "--set", "train.loss={name: poly, epsilo: 1}").stderr == (
        "--set train.loss:1:14: error[key-unknown]: `epsilo` has no meaning in `train.loss`\n"
        "    1 | {name: poly, epsilo: 1}\n"
        "      |              ^^^^^^\n"
        "  help: did you mean `epsilon`?\n"
    )
    assert run("train", "net.yaml", "--set", "train.augment=[{white: {p: 2}}]").stderr == (
        "--set train.augment:1:14: error[out-of-range]: `train.augment.0.white.p` must be a number from 0 to 1, not the "
        "number 2\n"
        "    1 | [{white: {p: 2}}]\n"
        "      |              ^\n"
    )
    assert run("train", "net.yaml", "--task", "classification+kapa").stderr == (
        "error: there is no metric `kapa` of a package (`archspec.metrics`)\n  help: did you mean `kappa`?\n"
    )
    fitting = ["--data", "iris", "--set", "input=[4]", "--set", "train.augment=[]"]
    assert run("train", "net.yaml", *fitting, "--task", "regression+kappa").stderr == (
        "error: the metric `kappa` measures `classification`, and not regression\n  help: leave it out\n"
    )


@pytest.mark.parametrize(
    ("package", "message"),
    [
        (
            {"losses": "LOSS = 1\n"},
            "error: the `LOSS` of `their_losses` of theirs is no `archspec.recipe.added.AddedLoss`\n",
        ),
        (
            {"names": {"losses": "focal"}},
            "error: `their_losses` of theirs adds `focal`, which archspec has itself\n"
            "  help: give its entry point another name\n",
        ),
        (
            {"augmentations": AUGMENTATION.replace("number(0, 1), 0.1, ", "number(0, 1), doc=")},
            "error: `their_augmentations` of theirs adds `white`, an argument of which has no default\n"
            "  help: give it one\n",
        ),
    ],
)
def test_a_package_that_breaks_its_promise_is_named(
    package: dict[str, Any], message: str, run: Callable[..., Any], install: Callable[..., None]
) -> None:
    install(**package)
    done = run("train", "net.yaml")
    assert (done.returncode, done.stderr) == (2, message)


class Rolled(AddedAugmentation):
    doc = "Moves an image to the right by up to `by` pixels, round its edge."
    arguments = (Argument("by", integer(1), 3, "in pixels"),)
    moves = True

    def change(self, images: Tensor, random: Any, arguments: Mapping[str, Any], *, is_mask: bool = False) -> Tensor:
        by = random.integers(arguments["by"] + 1).tolist()
        return torch.stack([image.roll(number, -1) for image, number in zip(images, by, strict=True)])


@pytest.mark.parametrize("streamed", [False, True])
def test_what_moves_images_moves_their_masks_by_the_same_numbers(
    streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Known(Rolled.doc, Signature("rolled", Rolled.arguments), added=Rolled())
    monkeypatch.setitem(AUGMENTATIONS, "rolled", known)
    listed = [AppliedAugmentation("rolled", {"by": 7})]
    masks = torch.randint(5, (16, 6, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    masks[:, 0, 0] = IGNORED
    images = masks[:, None].expand(-1, 3, -1, -1).contiguous()
    torch.manual_seed(0)
    if streamed:
        change = transform(listed, (3, 6, 8))
        pairs = [change(image, mask) for image, mask in zip(images, masks, strict=True)]
        changed, moved = (torch.stack(part) for part in zip(*pairs, strict=True))
    else:
        changed, moved = Augmentation(listed, (3, 6, 8), 5)(images, masks)
    assert torch.equal(changed[:, 0], moved)
    assert len({mask[0].tolist().index(IGNORED) for mask in moved}) > 3

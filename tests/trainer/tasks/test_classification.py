"""Classes of images: metrics against scikit-learn and torchmetrics, weights of classes, images drawn equally often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, f1_score, top_k_accuracy_score
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_calibration_error

from archspec.foundation.errors import SpecError, UsageError
from archspec.recipe import Recipe
from archspec.spec import from_dict
from trainer.input.loaders import Batches
from trainer.runs import folders
from trainer.runs.job import prepare
from trainer.session import Options, make_module, resume_run, train
from trainer.tasks import segmentation
from trainer.tasks._classes import draw_reliability
from trainer.tasks.classification import TASK

CLASSES = 12


def spec(classes: int = CLASSES, **recipe: Any) -> dict[str, Any]:
    network = ["flatten", {"linear": "=num_classes"}]
    return {
        "archspec": 1,
        "name": "Classes",
        "input": [1, 8, 8],
        "vars": {"num_classes": classes},
        "network": network,
        "train": {"epochs": 1, "batch_size": 8, "validation": 0.2, **recipe},
    }


def batch(seed: int, classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    """Logits and labels; the last class is never right, though it is answered."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes - 1, (60,), generator=generator)
    return torch.randn(60, classes, generator=generator) * 2 + 2 * functional.one_hot(labels, classes), labels


def make_uneven(root: Path) -> Path:
    """Images of two classes, of which one has few."""
    random = np.random.default_rng(0)
    for name, count in (("common", 40), ("rare", 10)):
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 120, (8, 8), dtype=np.uint8) + (100 if name == "rare" else 0)
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{number}.png")
    return root


# --- metrics ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [10, CLASSES])
def test_metrics_are_those_of_scikit_learn_and_torchmetrics(classes: int) -> None:
    plan = from_dict(spec(classes)).plan
    metrics, evaluator = TASK.make_metrics(plan), TASK.evaluator()
    batches = [batch(seed, classes) for seed in range(3)]
    for logits, labels in batches:
        evaluator.update(logits, labels)
        for one in metrics.values():
            one.update(logits, labels)
    logits, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    answers = logits.argmax(1)
    assert classes - 1 in answers.tolist()
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        balanced = balanced_accuracy_score(labels, answers)
    theirs = {
        "accuracy": float((answers == labels).double().mean()),
        "balanced_accuracy": balanced,
        "f1": f1_score(labels, answers, average="macro"),
        "ece": float(multiclass_calibration_error(logits, labels, classes, n_bins=15)),
    }
    if classes > 10:
        theirs["top5"] = top_k_accuracy_score(labels, logits.softmax(1).numpy(), k=5, labels=range(classes))
    found = evaluator.compute(0.5)
    assert dict(found.metrics) == pytest.approx(theirs, rel=1e-5)
    assert {name: float(one.compute()) for name, one in metrics.items()} == pytest.approx(theirs, rel=1e-5)
    assert {one.name for one in TASK.measured(plan)} == theirs.keys()


def test_calibration_is_counted_in_fifteen_bins() -> None:
    evaluator = TASK.evaluator()
    probability = torch.tensor([0.99, 0.97, 0.95, 0.55, 0.54, 1.0])  # three, and the last one, are in the highest bin
    right = torch.tensor([True, True, False, True, False, True])
    logits = torch.stack([probability, 1 - probability], 1).log()
    evaluator.update(logits, (~right).long())
    found = evaluator.compute(0.5)
    filled = [row for row in found.tables(["a", "b"])["calibration"] if row[2]]
    assert filled == [
        ("from", "to", "images", "probability", "right"),
        [8 / 15, 9 / 15, 2, pytest.approx(0.545, abs=1e-6), 0.5],
        [14 / 15, 1.0, 4, pytest.approx(3.91 / 4, abs=1e-6), 0.75],
    ]
    assert found.metrics["ece"] == pytest.approx((abs(1.09 - 1) + abs(3.91 - 3)) / 6, abs=1e-6)


def test_a_run_keeps_all_of_them(tmp_path: Path) -> None:
    root = make_uneven(tmp_path / "uneven")
    result = train(prepare(from_dict(spec(data=str(root))), tmp_path), tmp_path, Options(pictures=False))
    names = {"accuracy", "balanced_accuracy", "f1", "ece", "loss"}
    assert result.metrics.keys() == {"val_accuracy"} | {f"test_{name}" for name in names}
    run = Path(result.folder)
    header = (run / "metrics.csv").read_text().splitlines()[0]
    assert header == "epoch,step,lr-AdamW,val_loss,val_accuracy,val_balanced_accuracy,val_f1,val_ece,train_loss"
    rows = [line.split(",") for line in (run / "calibration.csv").read_text().splitlines()]
    assert sum(int(row[2]) for row in rows[1:]) == result_count(run)


def result_count(run: Path) -> int:
    return len((run / "predictions.csv").read_text().splitlines()) - 1


def test_the_picture_of_calibration_has_a_bar_for_each_bin(tmp_path: Path) -> None:
    bins = torch.tensor([[4.0, 6.0], [3.5, 5.4], [3.0, 6.0]]).double()
    draw_reliability(torch.cat([torch.zeros(3, 13), bins], 1), tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").stat().st_size > 5000
    text = (tmp_path / "reliability.svg").read_text()
    assert "<!-- expected calibration error 11.00% -->" in text


# --- losses -----------------------------------------------------------------------------------------------------------


def fitted(loss: Any, labels: Tensor, names: list[str]) -> torch.nn.Module:
    made = TASK.make_loss(Recipe.from_dict({"loss": loss}), len(names))
    TASK.fit_weights(made, labels, names)
    return made


def test_weights_of_classes_are_torchs_and_scikit_learns_meaned_over_images() -> None:
    logits, labels = batch(0)
    names = [f"class {number}" for number in range(CLASSES)]
    balanced = torch.ones(CLASSES)
    balanced[:-1] = torch.tensor(compute_class_weight("balanced", classes=np.arange(11), y=labels.numpy())).float()
    given = torch.ones(CLASSES)
    given[3], given[7] = 2.5, 0.5
    mixed = functional.one_hot(labels, CLASSES) * 0.7 + functional.one_hot(labels.roll(1), CLASSES) * 0.3
    for weight, values in (("balanced", balanced), ({"class 3": 2.5, "class 7": 0.5}, given)):
        cross_entropy = fitted({"name": "cross_entropy", "weight": weight, "label_smoothing": 0.1}, labels, names)
        for targets in (labels, mixed):
            theirs = functional.cross_entropy(logits, targets, values, label_smoothing=0.1, reduction="none").mean()
            torch.testing.assert_close(cross_entropy(logits, targets), theirs)
        focal = fitted({"name": "focal", "gamma": 1.5, "weight": weight}, labels, names)
        right = logits.softmax(1)[range(60), labels]
        theirs = (-values[labels] * (1 - right) ** 1.5 * right.log()).mean()
        torch.testing.assert_close(focal(logits, labels), theirs)
    plain = fitted(
        [{"name": "cross_entropy", "weight": {"class 0": 3}}, {"name": "focal", "factor": 0.5}], labels, names
    )
    weights = torch.ones(CLASSES)
    weights[0] = 3
    right = logits.softmax(1)[range(60), labels]
    theirs = functional.cross_entropy(logits, labels, weights, reduction="none").mean()
    torch.testing.assert_close(plain(logits, labels), theirs - 0.5 * ((1 - right) ** 2 * right.log()).mean())


def test_weights_of_classes_are_kept_with_a_run(tmp_path: Path) -> None:
    root = make_uneven(tmp_path / "uneven")
    job = prepare(from_dict(spec(data=str(root), loss={"weight": "balanced"})), tmp_path)
    module = make_module(job)
    counts = torch.bincount(job.train.labels)  # type: ignore[union-attr]
    expected = counts.sum() / (2 * counts)
    torch.testing.assert_close(module.loss.weight.values, expected)
    result = train(job, tmp_path, Options(pictures=False))
    state = torch.load(Path(result.folder) / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    torch.testing.assert_close(state["loss.weight.values"], expected)


# --- images of every class equally often ------------------------------------------------------------------------------


def test_a_balanced_epoch_has_images_of_every_class_equally_often() -> None:
    labels = torch.tensor([0] * 70 + [2] * 25 + [5] * 5)
    batches = Batches(100, 10, 3, labels=labels)
    epochs = []
    for epoch in range(6):
        batches.set_epoch(epoch)
        epochs.append([position for one in batches for position in one])
    for order in epochs:
        counts = torch.bincount(labels[order], minlength=6).tolist()
        assert sorted(counts) == [0, 0, 0, 33, 33, 34]
        assert [counts[one] for one in (1, 3, 4)] == [0, 0, 0]
        seen = torch.bincount(torch.tensor(order), minlength=100)
        assert seen[:70].max() == 1  # of a class that has more: none twice
        assert set(seen[70:95].tolist()) <= {1, 2}
        assert set(seen[95:].tolist()) <= {6, 7}
    assert len({tuple(order) for order in epochs}) == 6
    assert len({order[0] for order in epochs}) > 1


def test_the_order_of_a_balanced_epoch_depends_on_seed_and_epoch_alone() -> None:
    labels = torch.tensor([0] * 30 + [1] * 10)
    whole = Batches(40, 8, 3, labels=labels)
    whole.set_epoch(2)
    order = list(whole)
    torch.rand(5)
    resumed = Batches(40, 8, 3, labels=labels)
    resumed.start_at(2, 3)
    assert list(resumed) == order[3:]
    shares = []
    for rank in range(2):
        one = Batches(40, 8, 3, labels=labels, rank=rank, size=2)
        one.set_epoch(2)
        shares.append(list(one))
    assert [a + b for a, b in zip(*shares, strict=True)] == order


def test_a_balanced_training_trains_with_both_classes_and_says_so_in_its_recipe(tmp_path: Path) -> None:
    root = make_uneven(tmp_path / "uneven")
    job = prepare(from_dict(spec(data=str(root), sampler="balanced", epochs=2)), tmp_path)
    result = train(job, tmp_path, Options(pictures=False))
    run = folders.read(Path(result.folder))
    assert run is not None
    assert "sampler: balanced" in (run.folder / "recipe.yaml").read_text()
    assert "sampler" not in Recipe().to_dict()  # runs of before are found by what they were
    again = resume_run(run, None, Options(), print)
    assert again.metrics == result.metrics


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            {"loss": {"weight": {"commom": 2}}},
            "`train.loss` weighs the class `commom`, which the data set does not have\n  help: did you mean `common`?",
        ),
        (
            {"loss": ["focal", {"name": "focal", "weight": {"dog": 2}}]},
            "`train.loss` weighs the class `dog`, which the data set does not have\n"
            "  help: the classes are `common`, `rare`",
        ),
        (
            {"monitor": "val_top5"},
            "`train.monitor` is `val_top5`, which classification of 2 does not measure\n"
            "  help: choose one of `val_accuracy`, `val_balanced_accuracy`, `val_f1`, `val_ece`, `val_loss`",
        ),
        (
            {"early_stopping": {"patience": 1, "monitor": "val_balanced"}},
            "`train.early_stopping.monitor` is `val_balanced`, which classification does not measure\n"
            "  help: did you mean `val_balanced_accuracy`?",
        ),
    ],
)
def test_what_does_not_fit_the_classes_is_said(recipe: dict[str, Any], message: str, tmp_path: Path) -> None:
    root = make_uneven(tmp_path / "uneven")
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(spec(data=str(root), **recipe)), tmp_path)
    assert str(caught.value) == message


def test_only_classes_are_drawn_equally_often(tmp_path: Path) -> None:
    root = tmp_path / "labelled"
    root.mkdir()
    for number in range(4):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(root / f"{number}.png")
    (root / "labels.csv").write_text("file,labels\n0.png,a\n1.png,b\n2.png,a b\n3.png,a\n")
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(spec(data=str(root), sampler="balanced", batch_size=1)), tmp_path)
    assert str(caught.value) == (
        "`sampler: balanced` draws images of each class equally often, and multi_label knows no class of an image\n"
        "  help: leave `train.sampler` out"
    )


def test_masks_cannot_be_weighed_by_how_many_images_a_class_has() -> None:
    recipe = Recipe.from_dict({"loss": ["dice", {"name": "focal", "weight": "balanced"}]})
    with pytest.raises(UsageError) as caught:
        segmentation.TASK.check_recipe(recipe, from_dict(spec()).plan, ["a", "b"])
    assert str(caught.value) == (
        "`weight: balanced` counts the images of each class, and an image has pixels of several\n"
        "  help: give the weight of each class, `--set 'train.loss.weight={NAME: 2}'` for example"
    )


def test_weights_of_pixels_count_by_their_class() -> None:
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    masks = torch.randint(3, (2, 4, 4), generator=torch.Generator().manual_seed(1)).byte()
    masks[0, 0] = 255
    weights, known = torch.tensor([1.0, 4.0, 1.0]), masks != 255
    plain = functional.cross_entropy(logits, masks.long(), ignore_index=255, reduction="none")[known]
    share = weights[masks[known].long()]
    for name, theirs in (("cross_entropy", plain), ("focal", (1 - (-plain).exp()) ** 2 * plain)):
        loss = segmentation.TASK.make_loss(Recipe.from_dict({"loss": {"name": name, "weight": {"b": 4}}}), 3)
        segmentation.TASK.fit_weights(loss, masks, ["a", "b", "c"])
        torch.testing.assert_close(loss(logits, masks), (share * theirs).mean())


def test_weights_of_classes_have_their_form() -> None:
    with pytest.raises(SpecError) as caught:
        from_dict(spec(loss={"weight": "balance"}))
    assert caught.value.diagnostics[0].message == (
        "`train.loss.weight` must be `balanced`, or `{class: weight}`, weights above 0, not the text 'balance'"
    )

"""Recipes, carried out: what training does equals what torch does when it is told the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from archspec.errors import UsageError
from archspec.spec import from_dict, load
from trainer.module import SpecModule
from trainer.run import prepare, train

# --- side classifiers ----------------------------------------------------------------------------------------------


def with_sides(classes: Any = "=num_classes") -> dict[str, Any]:
    """A network of one shared layer, two side classifiers and a named output, on made-up images."""
    return {
        "archspec": 1,
        "name": "Sided",
        "input": [1, 4, 4],
        "vars": {"num_classes": 10},
        "network": {
            "shared": ["flatten", {"linear": 8}, {"output": "features"}],
            "first": [{"aux": {"name": "low", "weight": 0.3, "body": {"linear": classes}}}, "tanh"],
            "second": [{"aux": {"name": "high", "weight": 0.7, "body": {"linear": "=num_classes"}}}],
            "head": {"linear": "=num_classes"},
        },
        "train": {"data": "digits", "epochs": 1, "validation": 0.2},
    }


def test_the_loss_of_side_classifiers_is_added_by_their_weights() -> None:
    module = SpecModule(with_sides()).train()
    images, labels = torch.randint(0, 256, (5, 1, 4, 4), dtype=torch.uint8), torch.tensor([3, 1, 4, 1, 5])
    loss = module.training_step((images, labels), 0)
    loss.backward()

    weight = {name: value.detach().clone().requires_grad_() for name, value in module.network.named_parameters()}
    hidden = functional.linear(images.flatten(1) / 255, weight["shared.1.weight"], weight["shared.1.bias"])
    low = functional.linear(hidden, weight["first.low.weight"], weight["first.low.bias"])
    high = functional.linear(hidden.tanh(), weight["second.high.weight"], weight["second.high.bias"])
    main = functional.linear(hidden.tanh(), weight["head.weight"], weight["head.bias"])
    expected = sum(
        share * -functional.log_softmax(logits, 1)[range(5), labels].mean()
        for share, logits in ((1, main), (0.3, low), (0.7, high))
    )
    assert isinstance(expected, torch.Tensor)
    expected.backward()
    torch.testing.assert_close(loss, expected)
    for name, parameter in module.network.named_parameters():
        torch.testing.assert_close(parameter.grad, weight[name].grad)


def test_googlenets_loss_is_that_of_torchvisions_three_outputs() -> None:
    from torchvision.models import googlenet

    from archspec.weights import transplant

    module = SpecModule(load("imagenet/googlenet", set=["input=[3, 32, 32]", "num_classes=10"]).resolved).train()
    theirs = googlenet(num_classes=10, aux_logits=True, init_weights=False, transform_input=False).train()
    transplant(theirs, module.network, (3, 32, 32))
    images, labels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8), torch.tensor([0, 9, 3, 3])
    torch.manual_seed(0)
    output = theirs(images / 255)
    losses = [functional.cross_entropy(o, labels) for o in (output.logits, output.aux_logits1, output.aux_logits2)]
    expected = losses[0] + 0.3 * losses[1] + 0.3 * losses[2]
    torch.manual_seed(0)
    torch.testing.assert_close(module.training_step((images, labels), 0), expected)


def test_a_network_with_side_classifiers_is_evaluated_by_its_output(tmp_path: Path) -> None:
    ready = prepare(from_dict(with_sides(), "sided"), tmp_path)
    result = train(ready, tmp_path / "runs", progress=False)
    kept = tmp_path / "runs" / "sided" / "checkpoints" / "last.ckpt"
    module = SpecModule.load_from_checkpoint(kept, weights_only=True).eval()
    test = ready.data.test
    with torch.no_grad():
        logits, beside = module.network(module.prepared(functional.interpolate(test.images, 4)))
        assert list(beside) == ["features"]
        # its answer is the network's first output
        assert module(test.images).shape == logits.shape == (360, 10)
        right = (module(test.images).argmax(1) == test.labels).float().mean().item()
    assert json.loads((tmp_path / "runs" / "sided" / "results.json").read_text())["test_accuracy"] == pytest.approx(
        right, abs=1e-6
    )
    assert result.test_accuracy == pytest.approx(right, abs=1e-6)


def test_googlenet_with_side_classifiers_trains(tmp_path: Path) -> None:
    settings = ["input=[3, 32, 32]", "train={data: fake, epochs: 1, batch_size: 128, validation: 128}"]
    ready = prepare(load("imagenet/googlenet", set=settings), tmp_path)
    train(ready, tmp_path / "runs", progress=False)
    kept = tmp_path / "runs" / "googlenet" / "checkpoints" / "last.ckpt"
    after = SpecModule.load_from_checkpoint(kept, weights_only=True)
    torch.manual_seed(42)
    before = SpecModule(after.hparams["spec"])
    for (name, a), b in zip(before.network.named_parameters(), after.network.parameters(), strict=True):
        assert not torch.equal(a, b), name


def test_a_side_classifier_of_other_classes_is_said_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(from_dict(with_sides(classes=7)), tmp_path)
    assert str(caught.value) == (
        "the data set `digits` has 10 classes, but the side classifier `low` of Sided gives 7\n"
        "  help: end its body in `- linear: =num_classes`"
    )

"""Published architectures on a GPU: given torchvision's weights, torchvision's logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from conftest import with_history

import archspec
from archspec.weights import transplant

pytestmark = pytest.mark.gpu

MODELS: dict[str, dict[str, Any]] = {
    "resnet18": {},
    "googlenet": {"init_weights": False},
    "densenet121": {},
    "mobilenet_v3_small": {},
    "efficientnet_b0": {},
    "regnet_y_400mf": {},
    "convnext_tiny": {},
    "vit_b_16": {},
    "swin_t": {},
    "maxvit_t": {},
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["", "channels last"])
def test_transplanted_weights_give_torchvisions_logits(name: str, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    theirs = with_history(torchvision.models.get_model(name, **MODELS[name])).eval()
    spec = archspec.load(name)
    ours = spec.build().eval()
    transplant(theirs, ours, spec.plan.input)
    images = torch.randn(2, *spec.plan.input).cuda().contiguous(memory_format=layout)
    theirs, ours = (model.cuda().to(memory_format=layout) for model in (theirs, ours))
    with torch.inference_mode():
        expected, found = theirs(images), ours(images)
        assert torch.equal(found, expected), f"off by {(found - expected).abs().max():.3g}"
        with torch.autocast("cuda", torch.bfloat16):
            expected, found = theirs(images), ours(images)
        assert torch.equal(found, expected), f"in bf16: off by {(found - expected).abs().max():.3g}"


def test_weights_on_a_gpu_are_transplanted_there() -> None:
    theirs = with_history(torchvision.models.resnet18()).eval().cuda()
    spec = archspec.load("resnet18")
    ours = spec.build().eval().cuda()
    transplant(theirs, ours, spec.plan.input)
    images = torch.randn(2, *spec.plan.input, device="cuda")
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs(images))

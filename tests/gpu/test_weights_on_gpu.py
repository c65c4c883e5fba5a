"""Published architectures on a GPU: given torchvision's weights, torchvision's logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from conftest import with_history
from torch import Tensor

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
def test_transplanted_weights_give_torchvisions_logits(
    name: str, layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    theirs = with_history(torchvision.models.get_model(name, **MODELS[name])).eval()
    for parameter in theirs.parameters():
        if not parameter.any():  # heads that begin as zeros would give zeros, whatever comes before them
            torch.nn.init.normal_(parameter, std=0.02)
    spec = archspec.load("imagenet/googlenet" if name == "googlenet" else name)
    ours = spec.build().eval()
    transplant(theirs, ours, spec.plan.input)
    images = torch.randn(2, *spec.plan.input).cuda().contiguous(memory_format=layout)
    theirs, ours = (model.cuda().to(memory_format=layout) for model in (theirs, ours))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    with torch.inference_mode():
        assert difference(theirs(images), ours(images)) < 1e-5
        with torch.autocast("cuda", torch.bfloat16):
            assert difference(theirs(images), ours(images)) < 0.02


def difference(expected: Tensor, found: Tensor) -> float:
    """The greatest difference, as a share of the greatest number."""
    return float((found - expected).abs().max() / expected.abs().max())


def test_weights_on_a_gpu_are_transplanted_there() -> None:
    theirs = with_history(torchvision.models.resnet18()).eval().cuda()
    spec = archspec.load("resnet18")
    ours = spec.build().eval().cuda()
    transplant(theirs, ours, spec.plan.input)
    images = torch.randn(2, *spec.plan.input, device="cuda")
    with torch.inference_mode():
        assert difference(theirs(images), ours(images)) < 1e-3

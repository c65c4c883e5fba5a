"""A trained module as a file of torch's, traced, and exported: for images of any size, as the module itself."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from trainer.module import SpecModule

pytestmark = pytest.mark.slow

SPEC: dict[str, Any] = {
    "archspec": 1,
    "input": [3, 8, 8],
    "vars": {"num_classes": 5},
    "network": [{"conv": {"out": 4, "kernel": 3}}, "batch_norm", "relu", "flatten", {"linear": "=num_classes"}],
}


def images(*size: int) -> Tensor:
    return torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(sum(size)))


@pytest.fixture(params=[{}, {"channels_last": True}], ids=["channels first", "channels last"])
def module(request: pytest.FixtureRequest) -> SpecModule:
    return SpecModule(SPEC | {"train": request.param}).eval()


def assert_same(one: Callable[[Tensor], Tensor], module: SpecModule) -> None:
    for size in ((8, 8), (20, 30), (7, 9), (64, 8)):
        torch.testing.assert_close(one(images(*size)), module(images(*size)))


def test_torch_saves_a_module(module: SpecModule) -> None:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    assert_same(torch.load(file, weights_only=False), module)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings(
    "ignore::torch.jit.TracerWarning", "ignore:This property will be removed:DeprecationWarning"
)
@pytest.mark.parametrize("example", [(8, 8), (20, 30)], ids=str)
def test_a_traced_module_takes_images_of_any_size(module: SpecModule, example: tuple[int, int]) -> None:
    with torch.no_grad():
        assert_same(torch.jit.trace(module, images(*example)), module)


@pytest.mark.parametrize("example", [(8, 8), (20, 30)], ids=str)
def test_an_exported_module_takes_images_of_any_size(module: SpecModule, example: tuple[int, int]) -> None:
    height, width = torch.export.Dim("height", min=4, max=512), torch.export.Dim("width", min=4, max=512)
    program = torch.export.export(module, (images(*example),), dynamic_shapes=({2: height, 3: width},))
    assert_same(program.module(), module)


def test_a_module_alone_has_no_trainer(module: SpecModule) -> None:
    assert not hasattr(module, "trainer")

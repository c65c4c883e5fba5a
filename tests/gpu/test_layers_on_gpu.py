"""Every registered primitive on a GPU: the CPU's outputs, gradients and running statistics, in double precision."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from layers.test_primitives import cases
from torch import Tensor, nn

from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape
from archspec.layers.primitive import Primitive
from archspec.layers.registry import primitives

pytestmark = pytest.mark.gpu


def results(module: nn.Module, images: Tensor, device: str) -> dict[str, Tensor]:
    """What a module computes on a device, and what it then holds: output, gradients, buffers."""
    module = copy.deepcopy(module).to(device)
    images = images.detach().clone().to(device).requires_grad_()
    output = module(images)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    if output.requires_grad:  # some give shapes or masks that depend on no number of the input
        (output * weights.to(device)).sum().backward()
    found = {"output": output, "input": images.grad}
    found |= {f"gradient of {name}": parameter.grad for name, parameter in module.named_parameters()}
    found |= dict(module.named_buffers())
    return {name: tensor.detach().cpu() for name, tensor in found.items() if tensor is not None}


def draws(module: nn.Module, images: Tensor) -> bool:
    """Whether a module draws random numbers in training."""
    before = torch.get_rng_state()
    copy.deepcopy(module)(images)
    return not torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("primitive", primitives().values(), ids=list(primitives()))
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
@given(data=st.data())
def test_a_layer_gives_on_a_gpu_what_it_gives_on_a_cpu(primitive: Primitive, data: st.DataObject) -> None:
    arguments: dict[str, Any]
    shape: Shape
    arguments, shape = data.draw(cases(primitive))
    try:
        primitive.output(arguments, shape)
    except Fault:
        return
    if "eps" in arguments:  # a smallest one divides by the rounding of zero, which differs
        arguments["eps"] = max(arguments["eps"], 1e-5)
    torch.manual_seed(0)
    module = primitive.module(arguments, shape).double()
    images = torch.randn(2, *shape, dtype=torch.float64)
    if draws(module, images):
        module.eval()
    expected, found = results(module, images, "cpu"), results(module, images, "cuda")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        close = torch.allclose(found[name], tensor, rtol=1e-7, atol=1e-9, equal_nan=True)
        assert close, f"{name} of {arguments} at {shape}: off by {(found[name] - tensor).abs().max():.3g}"

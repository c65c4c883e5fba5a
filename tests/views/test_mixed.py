"""Mixed precision on a CPU: which layers give 32 bits a value, by torch's own autocast."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
import yaml
from layer_examples import spec_of
from peaks import saved

from archspec.layers.registry import primitives
from archspec.spec import from_dict
from archspec.views.memory import kept_bytes
from archspec.views.mixed import wide_tensors


def given(name: str, taken: torch.dtype) -> torch.dtype:
    """What a layer gives under autocast of what it takes."""
    one = primitives()[name]
    network = [yaml.safe_load(one.examples[0])]
    module = from_dict({"archspec": 1, "input": list(one.example_input), "network": network}).build()
    with torch.autocast("cpu", torch.bfloat16), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: torch.Tensor = module(torch.rand(2, *one.example_input).to(taken))
    return found.dtype


def test_layers_widen_what_they_take_as_they_say() -> None:
    found = {name for name in primitives() if given(name, torch.bfloat16) == torch.float32}
    assert found == {name for name, one in primitives().items() if one.widens}


def test_products_narrow_what_they_take() -> None:
    found = {name for name in primitives() if given(name, torch.float32) == torch.bfloat16}
    data = {"archspec": 1, "input": [8, 16, 16]}
    narrow = set()
    for name, one in primitives().items():
        graph = from_dict(
            data | {"input": list(one.example_input), "network": [yaml.safe_load(one.examples[0])]}
        ).plan.graph
        narrow |= {name} if graph.output not in wide_tensors(graph) else set()
    assert found ^ narrow == {"gru", "prelu"}  # small; `gru` gives what it takes, `prelu` always 16 bits


COPYING = {name for name in primitives() if name.endswith("pool_3d")} | {"local_response_norm"}
"""Those that autocast gives a copy of 32 bits, which is not counted."""


@pytest.mark.parametrize("name", sorted(set(primitives()) - COPYING - {"lstm"}))  # `lstm` does not say what it keeps
def test_each_layer_keeps_what_it_says_in_mixed_precision(name: str, tmp_path: Path) -> None:
    one = primitives()[name]
    for example in one.examples:
        if "reflect" in example or "replicate" in example:
            continue  # these too
        spec = spec_of(one, example, tmp_path, learns=True)
        module = spec.build().train()
        small, large = (saved(module, torch.rand(batch, *spec.plan.input), mixed=True) for batch in (4, 8))
        # without the copies of weights, which do not grow with the batch
        said = kept_bytes(spec.plan, 8, "bf16-mixed") - kept_bytes(spec.plan, 4, "bf16-mixed")
        assert said == large - small, example

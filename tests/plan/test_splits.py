"""Merges along a chosen axis, and branches that take parts: against torch by hand, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from interpreter import interpreted
from torch import Tensor, nn

from archspec.foundation.errors import SpecError
from archspec.spec import Spec, from_dict
from archspec.views.receptive import receptive_fields


def load(*network: Any, shape: tuple[int, ...] = (8, 6, 6), **more: Any) -> Spec:
    defaults = {"act": "relu", "norm": "batch_norm"}
    return from_dict({"archspec": 1, "input": list(shape), "defaults": defaults, "network": list(network), **more})


def conv(out: Any, kernel: int = 3) -> dict[str, Any]:
    return {"conv": {"out": out, "kernel": kernel, "padding": "same"}}


def assert_given(spec: Spec, expected: Any) -> None:
    """What `expected` makes of the module and images, in outputs and gradients, and what the plan's JSON says of it."""
    module = spec.build()
    images = torch.randn(2, *spec.plan.input, requires_grad=True)
    data = json.loads(json.dumps(spec.plan.to_dict()))
    results = []
    for run in (module, lambda x: expected(module.get_submodule, x), lambda x: interpreted(data, module, x)[""]):
        output: Tensor = run(images)
        assert tuple(output.shape[1:]) == spec.plan.output
        results.append([output, *torch.autograd.grad(output.square().sum(), [images, *module.parameters()])])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert torch.equal(one, two)


def test_the_unit_of_shufflenet_v2() -> None:
    spec = load({"concat": {"passed": [], "new": [conv("=c_in"), "relu"]}, "split": "equal"}, {"channel_shuffle": 2})

    def expected(part: Any, x: Tensor) -> Tensor:
        passed, new = x.chunk(2, dim=1)
        joined = torch.cat([passed, part("0.new.0")(new).relu()], 1)
        return joined.unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2)

    assert list(spec.build().state_dict()) == ["0.new.0.weight", "0.new.0.bias"]
    assert_given(spec, expected)


def test_the_scales_of_res2net() -> None:
    """Each part but the first goes through a convolution, with what the one before it gave added to it."""
    body: list[Any] = [
        {"add": {"part": [], "before": {"when": "=index > 1", "body": {"load": "scale"}}}, "when": "=not first"},
        {**conv("=c_in"), "when": "=not first"},
        {"save": "scale", "when": "=not (first or last)"},
    ]
    spec = load({"concat": {"for": {"i": "=range(4)"}, "body": body}, "split": "equal"})

    def expected(part: Any, x: Tensor) -> Tensor:
        one, *others = x.split(2, 1)
        given = [one]
        for i, other in enumerate(others, 1):
            given.append(part(f"0.{i}.1")(other + given[-1] if i > 1 else other))
        return torch.cat(given, 1)

    assert_given(spec, expected)


def test_a_gated_mlp_on_tokens_and_glu() -> None:
    spec = load({"linear": 24}, {"multiply": {"value": [], "gate": "silu"}, "split": "equal", "axis": 1}, shape=(5, 6))
    assert_given(spec, lambda part, x: (lambda a, b: a * nn.functional.silu(b))(*part("0")(x).chunk(2, -1)))
    glu = load({"multiply": {"value": [], "gate": "sigmoid"}, "split": "equal"})
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(glu.build()(x), nn.functional.glu(x, 1))


def test_parts_of_chosen_sizes_along_each_axis() -> None:
    for axis, sizes in ((0, [1, 3, 4]), (1, [2, 2, 2]), (2, [1, 1, 4])):
        spec = load({"concat": [[], "tanh", conv("=c_in")], "split": sizes, "axis": axis})

        def expected(part: Any, x: Tensor, axis: int = axis, sizes: list[int] = sizes) -> Tensor:
            one, two, three = x.split(sizes, axis + 1)
            return torch.cat([one, two.tanh(), part("0.2")(three)], axis + 1)

        assert_given(spec, expected)


@pytest.mark.parametrize(("shape", "axis"), [((5, 6), 0), ((5, 6), 1), ((3, 4, 5, 6), 3), ((8, 6, 6), 2)])
def test_concat_joins_along_any_axis(shape: tuple[int, ...], axis: int) -> None:
    spec = load({"concat": [[], "relu"], "axis": axis}, shape=shape)
    images = torch.randn(2, *shape)
    assert torch.equal(spec.build()(images), torch.cat([images, images.relu()], axis + 1))
    assert spec.plan.output == (*shape[:axis], 2 * shape[axis], *shape[axis + 1 :])


def test_no_split_is_what_a_formula_may_give() -> None:
    blocks = {
        "unit": {
            "args": {"stride": 1},
            "body": [{"concat": [conv(4, 1), "relu"], "split": "='equal' if stride == 1 else none"}],
        }
    }
    spec = load({"unit": 1}, {"unit": 2}, blocks=blocks)
    assert [layer.layer.input for layer in spec.plan.layers] == [(4, 6, 6), (4, 6, 6), (8, 6, 6), (8, 6, 6)]


def test_a_shared_module_in_parts_of_one_size() -> None:
    spec = load({"concat": [{**conv(4), "share": "x"}, {"share": "x"}], "split": "equal"})
    assert_given(spec, lambda part, x: torch.cat([part("0.0")(one) for one in x.chunk(2, 1)], 1))


def test_receptive_fields_follow_parts_and_joints() -> None:
    spec = load(
        {
            "concat": {"top": [{"max_pool": {"kernel": 2, "stride": 1}}, {"pad": [0, 1, 0, 1]}], "bottom": []},
            "split": [2, 4],
            "axis": 1,
        },
        {"concat": [[], {"max_pool": {"kernel": [1, 2]}}], "axis": 2},
    )
    field = receptive_fields(spec.plan)[-1]
    assert (field.first[0], field.last[0]) == ((0, 1, 2, 3, 4, 5), (1, 2, 2, 3, 4, 5))
    assert (field.first[1][6:], field.last[1][6:]) == ((0, 2, 4), (2, 4, 5))


WRONG = [
    ({"split": [3, 4]}, "input-shape", "the sizes of `split` do not add up to the 8 channels: 3 + 4 is 7", None),
    (
        {"split": [1, 2, 5]},
        "input-shape",
        "`split` makes 3 parts for 2 branches: each branch takes one",
        "give one size for each branch, or `split: equal`",
    ),
    (
        {"split": [2, 5], "axis": 2},
        "input-shape",
        "the sizes of `split` do not add up to axis 2, which is 6: 2 + 5 is 7",
        None,
    ),
    (
        {"split": "equal", "axis": 3},
        "input-shape",
        "`split` along axis 3 needs more than 3 axes, but its input is 8×6×6",
        None,
    ),
    (
        {"split": 2},
        "type-mismatch",
        "`split` is `equal`, or a list of sizes from 1, not the number 2",
        "the parts are as many as the branches",
    ),
    ({"split": "=[0, 8]"}, "out-of-range", "`split` is `equal`, or a list of sizes from 1, not the list [0, 8]", None),
    (
        {"axis": 3},
        "shape-mismatch",
        "`concat` along axis 3 needs more than 3 axes, but its branches have 3",
        "the first axis is 0, the last 2",
    ),
    ({"axis": 4}, "out-of-range", "`axis` must be an integer from 0 to 3, not the number 4", None),
]


def fault_of(*network: Any) -> tuple[str, str, str | None]:
    with pytest.raises(SpecError) as caught:
        load(*network)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic.code, diagnostic.message, diagnostic.help


@pytest.mark.parametrize(("beside", "code", "message", "help"), WRONG, ids=lambda one: str(one)[:30])
def test_what_does_not_fit_is_refused(beside: dict[str, Any], code: str, message: str, help: str | None) -> None:
    assert fault_of({"concat": [[], "relu"], **beside}) == (code, message, help)


def test_what_cannot_be_meant_is_refused() -> None:
    assert fault_of({"concat": [[], "relu", "tanh"], "split": "equal"}) == (
        "input-shape",
        "`split` cannot make 3 equal parts of the 8 channels",
        "give a size for each: `split: [3, 3, 2]`",
    )
    assert fault_of({"add": [[], "relu"], "axis": 1}) == (
        "key-unknown",
        "`axis` has no meaning beside `add` without `split`",
        None,
    )
    assert fault_of({"concat": {"a": [], "b": "relu", "split": "equal"}}) == (
        "key-unknown",
        "`split` stands beside a merge, not among its branches",
        "indent it as the merge itself: `- {concat: […], split: equal}`",
    )
    assert fault_of({"concat": [[], {"when": False, "body": ["relu"]}], "split": "equal"}) == (
        "branch-missing",
        "part 2 of `split` goes nowhere: the `when` of its branch is false",
        "`split: none` splits nothing",
    )
    code, message, _ = fault_of({"save": "x"}, {"concat": {"a": {"load": "x"}, "b": "relu"}, "split": "equal"})
    assert (code, message.partition(": ")[0]) == ("tensor-unused", "part `a` of `split` goes nowhere")

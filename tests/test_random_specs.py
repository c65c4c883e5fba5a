"""Random networks: what the plan says of each layer is what torch does, or the spec is refused."""

from __future__ import annotations

import copy
from typing import Any

import torch
from hypothesis import HealthCheck, event, given, settings, strategies as st

from archspec import source
from archspec.errors import Mark, Text
from archspec.spec import SpecFile

LEAVES = st.sampled_from(
    [
        "relu",
        "norm",
        "act",
        "identity",
        {"conv": {"out": "=c_in", "kernel": 3, "padding": 1}},
        {"conv": {"out": 4, "kernel": 1}},
        {"conv": {"out": "=2 * c_in", "kernel": 3, "stride": 2, "padding": 1, "bias": False}},
        {"conv": {"out": "=width", "kernel": [1, 3], "padding": "same"}},
        {"max_pool": {"kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True}},
        {"avg_pool": 2},
        {"group_norm": "=c_in"},
        {"dropout": 0.3},
        {"softmax": None, "when": "=h_in > 4"},
        {"resnet": {"width": "=width", "stride": "=1 if h_in < 4 else 2", "shortcut": "zeros"}},
        {"dense": {"growth": 3, "newest": "first"}},
        {"mine": "=width + 1"},
        {"use": "=kind"},
    ]
)


def wider(nodes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(nodes, max_size=3)
    branches = st.lists(lists | nodes, min_size=1, max_size=3)
    named = st.dictionaries(st.sampled_from(["left", "right", "self", "main"]), lists | nodes, min_size=1, max_size=3)
    merges = st.builds(
        lambda kind, parts: {kind: parts}, st.sampled_from(["concat", "add", "multiply"]), branches | named
    )
    repeats = st.builds(
        lambda body, count: {"use": "mine", "with": {"width": 4}, "repeat": count}, lists, st.integers(0, 3)
    )
    loops = st.builds(
        lambda body, rows: {"for": {"row": rows, "width": 3}, "body": body},
        lists,
        st.lists(st.integers(1, 4), min_size=1, max_size=3),
    )
    return lists | merges | repeats | loops


NETWORKS = st.lists(st.recursive(LEAVES, wider, max_leaves=8), min_size=1, max_size=4)
MINE = {
    "args": {"width": {"type": "integer"}},
    "let": {"half": "=width // 2 + 1"},
    "body": {"first": {"conv": {"out": "=half", "kernel": 1}}, "rest": ["norm", {"relu": None, "when": "=half > 2"}]},
}


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    network=NETWORKS,
    input=st.sampled_from([(3, 8, 8), (2, 5, 7), (4, 1, 1), (6,)]),
    norm=st.sampled_from(["batch_norm", "none"]),
)
def test_the_module_is_what_the_plan_says(network: Any, input: tuple[int, ...], norm: str) -> None:
    data = {
        "archspec": 1,
        "input": list(input),
        "vars": {"width": 3, "kind": "tanh"},
        "defaults": {"act": {"leaky_relu": 0.1}, "norm": norm},
        "blocks": {"mine": MINE},
        "network": network,
    }
    tree = source.from_python(copy.deepcopy(data), Mark(Text("net", ()), 1, 1))
    checked = SpecFile("net", "net", tree).check()
    if checked.diagnostics:
        codes = {d.code for d in checked.diagnostics}
        event("refused")
        assert codes <= {"input-shape", "shape-mismatch", "formula-value", "out-of-range", "node-form"}, codes
        return
    event("sound")
    (spec,) = checked.specs
    module = spec.build()
    seen: list[tuple[str, tuple[int, ...]]] = []
    for placed in spec.plan.layers:
        module.get_submodule(placed.path).register_forward_hook(
            lambda _, inputs, output, path=placed.path: seen.append((path, tuple(output.shape[1:])))
        )
    assert tuple(module.eval()(torch.randn(2, *input)).shape[1:]) == spec.plan.output
    assert seen == [(placed.path, placed.layer.output) for placed in spec.plan.layers]
    expected = {f"{p.path}.{name}".strip("."): shape for p in spec.plan.layers for name, shape in p.layer.parameters}
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == expected

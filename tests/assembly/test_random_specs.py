"""Random networks: what the plan says of each layer is what torch does, or the spec is refused."""

from __future__ import annotations

import copy
import json
import operator
import pickle
from collections.abc import Callable
from functools import reduce
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, event, given, settings, strategies as st
from interpreter import given_by, interpreted
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from archspec.foundation import source
from archspec.foundation.errors import Mark, Text
from archspec.plan.nodes import Layer, Node, Wire
from archspec.plan.plan import Plan
from archspec.spec import Checked, SpecFile, from_dict

KEEPING = st.sampled_from(
    [
        "relu",
        "norm",
        "act",
        "identity",
        {"conv": {"out": "=c_in", "kernel": 3, "padding": 1}},
        {"group_norm": "=c_in"},
        {"dropout": 0.3},
        {"stochastic_depth": 0.5},
        {"layer_scale": 0.5},
        "skipping",
    ]
)
LEAVES = KEEPING | st.sampled_from(
    [
        {"conv": {"out": 4, "kernel": 1}},
        {"conv": {"out": 5, "kernel": 1}, "init": {"conv": {"weight": "=1 / c_in", "bias": 3}}},
        {"conv": {"out": "=2 * c_in", "kernel": 3, "stride": 2, "padding": 1, "bias": False}},
        {"conv": {"out": "=width", "kernel": [1, 3], "padding": "same"}},
        {"max_pool": {"kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True}},
        {"avg_pool": 2},
        {"softmax": None, "when": "=h_in > 4"},
        {"resnet": {"width": "=width", "stride": "=1 if h_in < 4 else 2", "shortcut": "zeros"}},
        {"dense": {"growth": 3, "newest": "first"}, "recompute": True},
        {"mine": "=width + 1"},
        {"use": "=kind"},
        {"tapped": "x"},
        {"output": "y"},
        {"save": "a"},
        {"load": "a"},
    ]
)
MERGES: dict[str, Callable[..., Tensor]] = {
    "concat": torch.cat,
    "add": lambda given: reduce(operator.add, given),
    "subtract": lambda given: given[0] - given[1],
    "multiply": lambda given: reduce(operator.mul, given),
    "mean": lambda given: reduce(operator.add, given) / len(given),
    "maximum": lambda given: reduce(torch.maximum, given),
    "matmul": lambda given: given[0] @ given[1],
}
NAMES = st.sampled_from(["a", "b", "c"])


def wider(nodes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(nodes, max_size=3)
    branches = st.lists(lists | nodes, min_size=1, max_size=3)
    named = st.dictionaries(st.sampled_from(["left", "right", "input", "main"]), lists | nodes, min_size=1, max_size=3)
    merges = st.builds(lambda kind, parts: {kind: parts}, st.sampled_from(list(MERGES)), branches | named)
    split = st.builds(
        lambda kind, parts, beside: {kind: parts, **beside},
        st.sampled_from(list(MERGES)),
        branches,
        st.sampled_from(
            [
                {"split": "equal"},
                {"split": "=[c_in - 1, 1]"},
                {"split": [1, 2]},
                {"split": "equal", "axis": 1},
                {"split": "=[h_in - 1, 1]", "axis": 1},
                {"split": "none"},
            ]
        ),
    )
    joined = st.builds(lambda parts, axis: {"concat": parts, "axis": axis}, branches | named, st.integers(0, 2))
    repeats = st.builds(
        lambda body, count: {"use": "mine", "with": {"width": 4}, "repeat": count}, lists, st.integers(0, 3)
    )
    loops = st.builds(
        lambda body, rows: {"for": {"row": rows, "width": 3}, "body": body},
        lists,
        st.lists(st.integers(1, 4), min_size=1, max_size=3),
    )
    return lists | merges | split | joined | repeats | loops | wires(nodes) | modified(nodes) | sharing(nodes)


def wires(nodes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Saves with their loads: past nodes that keep the shape, or any; out of branches; through loops; auxiliary classifiers."""
    lists = st.lists(nodes, max_size=3)
    past = st.builds(
        lambda name, body: [{"save": name}, *body, {"add": {"input": [], "other": {"load": name}}}],
        NAMES,
        st.lists(KEEPING, max_size=3),
    )
    far = st.builds(
        lambda name, body: [
            {"save": name},
            body,
            {"concat": ["flatten", [{"load": name}, "flatten"]]},
            {"reshape": [-1, 1, 1]},
        ],
        NAMES,
        lists,
    )
    between = st.builds(
        lambda name, one, other: {"concat": [[one, {"save": name}], [{"load": name}, "relu"], [{"load": name}, other]]},
        NAMES,
        nodes,
        KEEPING,
    )
    through = st.builds(
        lambda keeping: [
            {"for": {"skip": ["s0", "s1"]}, "body": [*keeping, {"save": "=skip"}]},
            {"for": {"skip": ["s1", "s0"]}, "body": {"add": [[], {"load": "=skip"}]}, "recompute": True},
        ],
        st.lists(KEEPING, max_size=2),
    )
    carried = st.builds(
        lambda name, one: [
            {"save": name},
            {"for": {"i": [1, 2]}, "body": [one, {"add": [[], {"load": name}]}, {"save": name}]},
            {"multiply": [[], {"load": name}]},
        ],
        NAMES,
        KEEPING,
    )
    side = st.builds(
        lambda name, body: {"aux": {"name": f"side_{name}", "weight": 0.3, "body": [*body, "flatten", {"linear": 2}]}},
        NAMES,
        lists,
    )
    seeing = st.builds(
        lambda name, one: [
            {"save": name},
            one,
            {"aux": {"name": f"side_{name}", "weight": 1, "body": [{"load": name}, one, "flatten"]}},
        ],
        NAMES,
        nodes,
    )
    return past | far | between | through | carried | side | seeing | exchanges()


def exchanges() -> st.SearchStrategy[Any]:
    """Blocks that take and give several tensors: in sequences, branches and loops, shared and recomputed."""
    kept = st.lists(KEEPING, max_size=2)
    beside = st.sampled_from([{}, {}, {"recompute": True}, {"repeat": 2}, {"share": "e"}])

    def call(name: str, loads: list[str], saves: list[str], more: Any) -> dict[str, Any]:
        again = {**more, "repeat": 2} if "share" in more else more
        return {name: None, **({"load": loads} if loads else {}), **({"save": saves} if saves else {}), **again}

    crossed = st.builds(
        lambda one, other, more: [
            *one,
            {"save": "e0"},
            *other,
            {"save": "e1"},
            call("crossing", ["e0", "e1"], ["e1", "e0"], more),
            {"mean": [{"load": "e0"}, [{"load": "e1"}, "tanh"]]},
        ],
        kept,
        kept,
        beside,
    )
    passing = st.builds(
        lambda body, more: [
            {"save": "e2"},
            *body,
            {"save": "e3"},
            {"for": {"i": [1, 2]}, "body": [call("passing", ["e3", "e2"], ["e3", "e2"], more)]},
        ],
        kept,
        beside,
    )
    forked = st.builds(
        lambda body, more: {
            "add": [[*body, call("forked", [], ["e4", "e5"], more), {"multiply": [[], {"load": "e5"}]}], "relu"]
        },
        kept,
        st.sampled_from([{}, {"recompute": True}]),
    )
    joined = st.builds(
        lambda body, more: [{"save": "e6"}, *body, {"save": "e7"}, call("joined", ["e7", "e6"], [], more)], kept, beside
    )
    return crossed | passing | forked | joined


def sharing(nodes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Nodes that are one module: in passes of a loop, in branches, in sequences around others, of other sizes."""
    kept = st.sampled_from(
        [
            {"conv": {"out": "=c_in", "kernel": 3, "padding": 1}, "share": "x"},
            {"norm": None, "share": "y"},
            {"sharing": None, "share": "z"},
            {"for": {"i": [1, 2]}, "body": ["skipping", {"group_norm": "=c_in"}], "share": "w"},
        ]
    )
    passes = st.builds(
        lambda node, body: {"for": {"i": [1, 2, 3]}, "body": [*body, node]}, kept, st.lists(KEEPING, max_size=2)
    )
    repeated = st.builds(lambda node, again: [{**node, "repeat": 2}, {"share": node["share"], **again}], kept, AGAIN)
    branches = st.builds(
        lambda node, body, again: {"add": [[node], [*body, {"share": node["share"], **again}]]},
        kept,
        st.lists(KEEPING, max_size=2),
        AGAIN,
    )
    sizes = st.builds(
        lambda node, again: [
            {
                "concat": {
                    "whole": [node, "flatten"],
                    "part": [{"avg_pool": {"kernel": 1, "stride": 2}}, {"share": node["share"], **again}, "flatten"],
                }
            },
            {"reshape": [-1, 1, 1]},
        ],
        kept,
        AGAIN,
    )
    deep = st.builds(
        lambda node, body, again: [
            {"add": [[], [*body, {"add": [[node], "relu"]}]]},
            {"share": node["share"], **again},
        ],
        kept,
        st.lists(nodes, max_size=1),
        AGAIN,
    )
    return passes | repeated | branches | sizes | deep


AGAIN = st.sampled_from([{}, {}, {"recompute": True}, {"repeat": 2}, {"when": "=c_in > 3"}])


def modified(nodes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    free = {"save", "load", "output", "aux", "share"}  # these cannot be, or stand alone already
    return nodes.map(
        lambda node: {**node, "recompute": True} if isinstance(node, dict) and not free & node.keys() else node
    )


SHARING = {"share-mismatch", "share-unknown", "share-unused"}
NETWORKS = st.lists(st.recursive(LEAVES, wider, max_leaves=8), min_size=1, max_size=4)
BLOCKS = {
    "mine": {
        "args": {"width": {"type": "integer"}},
        "let": {"half": "=width // 2 + 1"},
        "body": {
            "first": {"conv": {"out": "=half", "kernel": 1}},
            "rest": ["norm", {"relu": None, "when": "=half > 2"}],
        },
    },
    "skipping": {"body": [{"save": "a"}, "tanh", {"add": [[], {"load": "a"}]}]},
    "sharing": {"body": [{"conv": {"out": "=c_in", "kernel": 1}, "share": "x", "repeat": 2}, "norm", {"share": "x"}]},
    "crossing": {
        "inputs": ["one", "two"],
        "outputs": ["left", "right"],
        "body": [
            {"subtract": [[], [{"load": "two"}, "skipping"]]},
            {"conv": {"out": "=c_in", "kernel": 1}},
            {"save": "left"},
            {"load": "two"},
            {"add": ["tanh", {"load": "left"}, [{"load": "one"}, {"joined": None, "load": ["left", "one"]}]]},
            {"save": "right"},
        ],
    },
    "joined": {"inputs": ["one", "two"], "body": [{"multiply": [[], [{"load": "two"}, "sigmoid"]]}]},
    "forked": {"outputs": ["one", "two"], "body": ["tanh", {"save": "two"}, "norm", "relu", {"save": "one"}]},
    "passing": {
        "inputs": ["x", "past"],
        "outputs": ["out", "x"],
        "body": {
            "first": {"add": [[], [{"load": "past"}, "tanh"]]},
            "last": [{"group_norm": "=c_in"}, {"save": "out"}],
        },
    },
    "tapped": {"args": {"name_": "x"}, "body": ["sigmoid", {"output": "=name_"}]},
}


def checked(network: Any, input: tuple[int, ...], norm: str, second: str = "") -> Checked:
    """The network on one input; or on two of its shape, which it joins before or after all else, or within."""
    if second:
        other = {"concat": ["flatten", [{"load": "other"}, "flatten"]]}
        merge = {"add": [[], {"load": "other"}]}
        network = {
            "before": [merge, *network],
            "after": [*network, other],
            "first": [{"load": "other"}, *network, {"concat": ["flatten", [{"load": "input"}, "flatten"]]}],
            "within": [{"add": [[merge, "tanh"], {"for": {"i": [1, 2]}, "body": merge}]}, *network, other],
        }[second]
    data = {
        "archspec": 1,
        "input": {"input": list(input), "other": list(input)} if second else list(input),
        "vars": {"width": 3, "kind": "tanh"},
        "defaults": {"act": {"leaky_relu": 0.1}, "norm": norm},
        "blocks": BLOCKS,
        "network": network,
    }
    tree = source.from_python(copy.deepcopy(data), Mark(Text("net", ()), 1, 1))
    return SpecFile("net", "net", tree).check()


def walk(
    module: nn.Module, node: Node, path: str, tensor: Tensor, saved: dict[str, Tensor], shared: Any, beside: Any
) -> Tensor:
    """What a part of a plan gives, by the module's layers, and dictionaries of saved tensors and shared paths alone."""
    if node.share:
        path = shared.setdefault(node.share, path)
    if isinstance(node, Layer):
        result: Tensor = module.get_submodule(path)(tensor)
        return result
    if isinstance(node, Wire):
        if node.kind == "load":
            return saved[node.name]
        {"save": saved, "output": beside}[node.kind][node.name] = tensor
        return tensor
    if node.kind == "aux" and not module.training:
        return tensor
    own = {"block": {}, "aux": dict(saved)}.get(node.kind, saved)
    for port in node.takes:
        own[port.name] = saved[port.wire.name] if port.wire else tensor
    tensor = own[node.takes[0].name] if node.takes else tensor
    shared = {} if node.kind in ("block", "aux") else shared
    results = []
    after = tensor
    parts = tensor.split(node.split, node.axis + 1) if node.split else [tensor] * len(node.children)
    for (key, child), part in zip(node.children, parts, strict=True):
        merge = node.kind in MERGES
        inner = f"{path}.{key}".strip(".")
        after = walk(module, child, inner, part if merge else after, own, shared, beside)
        results.append(after)
    if node.kind == "aux":
        beside[node.arguments["name"]] = after
        return tensor
    for port in node.gives:
        if port.wire:
            saved[port.wire.name] = own[port.name]
    after = own[node.gives[0].name] if node.gives else after
    if node.kind in MERGES:
        return MERGES[node.kind](results, **({"dim": node.axis + 1} if node.kind == "concat" else {}))
    return after


def expected(module: nn.Module, plan: Plan, *images: Tensor) -> dict[str, Tensor]:
    beside: dict[str, Tensor] = {}
    saved = dict(zip(plan.inputs, images, strict=True))
    return {"": walk(module, plan.root, "", images[0], saved, {}, beside), **beside}


def seeded(run: Callable[..., dict[str, Tensor]], *arguments: Any) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return run(*arguments)


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def ordered_as(one: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors in another's order: of JSON, outputs come before auxiliary classifiers."""
    assert one.keys() == other.keys()
    return {name: other[name] for name in one}


def gradients(module: nn.Module, results: dict[str, Tensor]) -> list[Tensor]:
    total = reduce(operator.add, [one.square().sum() for one in results.values()])
    used = list(module.parameters())
    grads = torch.autograd.grad(total, used, allow_unused=True) if total.requires_grad else []
    return [grad for grad in grads if grad is not None]


@pytest.mark.slow
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    network=NETWORKS,
    input=st.sampled_from([(3, 8, 8), (2, 5, 7), (4, 1, 1), (6,)]),
    norm=st.sampled_from(["batch_norm", "none"]),
    second=st.sampled_from(["", "", "", "before", "after", "first", "within"]),
)
def test_the_module_is_what_the_plan_says(network: Any, input: tuple[int, ...], norm: str, second: str) -> None:
    found = checked(network, input, norm, second)
    if found.diagnostics:
        codes = {d.code for d in found.diagnostics}
        event("refused")
        at_fault = {"input-shape", "shape-mismatch", "formula-value", "out-of-range", "node-form", "branch-missing"}
        assert codes <= at_fault | {"tensor-unknown", "tensor-unused", "duplicate-name", "init-shape", *SHARING}, codes
        return
    event(f"sound, {len(found.specs[0].plan.inputs)} inputs")
    (spec,) = found.specs
    plan = spec.plan
    module = spec.build().eval()
    images = [torch.randn(2, *input) for _ in plan.inputs]
    seen: list[tuple[str, tuple[int, ...]]] = []
    hooks = [
        module.get_submodule(path).register_forward_hook(
            lambda _, inputs, output, path=path: seen.append((path, tuple(output.shape[1:])))
        )
        for path in dict.fromkeys(placed.module for placed in plan.layers)
    ]
    evaluated = seeded(given_by, module, *images)
    assert seen == [(placed.module, placed.layer.output) for placed in plan.layers if placed.aux is None]
    for hook in hooks:
        hook.remove()
    assert {name: tuple(one.shape[1:]) for name, one in evaluated.items()} == {"": plan.output, **plan.outputs}
    assert plan.params == sum(p.params for p in plan.layers) == sum(p.numel() for p in module.parameters())
    parameters = {f"{p.module}.{name}".strip("."): shape for p in plan.layers for name, shape in p.layer.parameters}
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == parameters
    for placed in plan.layers:
        for name, (function, arguments) in placed.layer.init:
            values = module.get_submodule(placed.module).get_parameter(name)
            assert (function, values.unique().tolist()) == ("constant", [torch.tensor(dict(arguments)["val"]).item()])
    assert_equal(evaluated, seeded(expected, module, plan, *images))
    data = json.loads(json.dumps(plan.to_dict()))
    assert_equal(evaluated, ordered_as(evaluated, seeded(interpreted, data, module, *images)))
    copied = pickle.loads(pickle.dumps(copy.deepcopy(module)))
    assert_equal(evaluated, seeded(given_by, copied, *images))
    module.train()
    trained, by_hand = seeded(given_by, module, *images), seeded(expected, module, plan, *images)
    sides = {name: one.shape for name, one in plan.aux.items()}
    assert {name: tuple(one.shape[1:]) for name, one in trained.items()} == {"": plan.output, **plan.outputs, **sides}
    assert_equal(trained, by_hand)
    assert_equal(trained, ordered_as(trained, seeded(interpreted, data, module, *images)))
    for ours, theirs in zip(gradients(module, trained), gradients(module, by_hand), strict=True):
        torch.testing.assert_close(ours, theirs, equal_nan=True)
    with FlopCounterMode(display=False) as counter:
        spec.build("meta").eval()(*(torch.empty(1, *input, device="meta") for _ in plan.inputs))
    assert counter.get_total_flops() == 2 * plan.macs
    again = from_dict(spec.resolved, "net").plan
    assert [(p.path, p.layer) for p in again.layers] == [(p.path, p.layer) for p in plan.layers]
    assert (again.outputs, again.aux) == (plan.outputs, plan.aux)
    bare = spec.build(aux=False).train()
    kept = {f"{p.module}.{name}".strip(".") for p in plan.layers if not p.aux for name, _ in p.layer.parameters}
    assert {name for name, _ in bare.named_parameters()} == kept
    bare.load_state_dict(module.state_dict(), strict=False)
    assert_equal(seeded(given_by, bare.eval(), *images), seeded(given_by, module.eval(), *images))

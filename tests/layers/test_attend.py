"""The merge `attend` and positions of tokens, against torch's and torchvision's modules and the papers' formulas."""

from __future__ import annotations

import cmath
import json
from typing import Any

import pytest
import torch
from interpreter import interpreted
from peaks import saved
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import swin_transformer

from archspec.foundation.errors import SpecError
from archspec.spec import Spec, from_dict
from archspec.views.memory import kept_bytes


def load(*network: Any, shape: tuple[int, ...] = (9, 16)) -> Spec:
    return from_dict({"archspec": 1, "input": list(shape), "network": list(network)})


def formula(query: Tensor, key: Tensor, value: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """softmax(Q·Kᵀ / √k + bias)·V of each head, one after the other."""
    found = []
    for at, (q, k, v) in enumerate(zip(*(one.chunk(heads, -1) for one in (query, key, value)), strict=True)):
        scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
        found.append((scores + (0 if bias is None else bias[:, at])).softmax(-1) @ v)
    return torch.cat(found, -1)


def assert_counted(spec: Spec) -> nn.Module:
    """The plan's MACs, kept bytes and JSON are what torch does."""
    module, images = spec.build(), torch.randn(2, *spec.plan.input)
    assert kept_bytes(spec.plan, 2) == saved(module, images)
    torch.manual_seed(0)
    result = module(images)
    torch.manual_seed(0)
    assert torch.equal(result, interpreted(json.loads(json.dumps(spec.plan.to_dict())), module, images)[""])
    with FlopCounterMode(display=False) as counter:
        spec.build("meta").eval()(torch.empty(1, *spec.plan.input, device="meta"))
    assert counter.get_total_flops() == 2 * spec.plan.macs
    return module


@pytest.mark.parametrize(("heads", "causal"), [(1, False), (4, False), (4, True)])
def test_split_projections_that_attend_are_torchs_self_attention(heads: int, causal: bool) -> None:
    attend: dict[str, Any] = {"attend": {"query": [], "key": [], "value": []}, "split": "equal", "axis": 1}
    attend |= {"heads": heads, "causal": causal}
    ours = assert_counted(load({"linear": 48}, attend, {"linear": 16}))
    theirs = nn.MultiheadAttention(16, heads, batch_first=True)
    names = ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
    theirs.load_state_dict(dict(zip(names, ours.state_dict().values(), strict=True)))
    x = torch.randn(2, 9, 16)
    mask = torch.ones(9, 9).triu(1) == 1 if causal else None
    expected = theirs(x, x, x, need_weights=False, attn_mask=mask)[0]
    torch.testing.assert_close(ours(x), expected)
    layer = assert_counted(load({"attention": {"heads": heads, "causal": causal}}))
    layer.load_state_dict({f"0.heads.{name}": one for name, one in theirs.state_dict().items()})
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize(("heads", "values"), [(1, 6), (2, 6), (2, 10), (1, 10)])
def test_queries_attend_to_another_tensor_with_values_of_another_width(heads: int, values: int) -> None:
    branches = {
        "query": [{"slice": {"stop": 3}}, "relu", {"linear": 6}],
        "key": [{"load": "context"}, {"linear": 6}],
        "value": [{"load": "context"}, {"linear": values}],
    }
    ours = assert_counted(load({"linear": 16}, {"save": "context"}, {"attend": branches, "heads": heads}))
    x = torch.randn(2, 9, 16)
    context = ours.get_submodule("0")(x)
    given = zip(("query.2", "key.1", "value.1"), (context[:, :3].relu(), context, context), strict=True)
    q, k, v = (ours.get_submodule(f"2.{name}")(one) for name, one in given)
    torch.testing.assert_close(ours(x), formula(q, k, v, heads))
    assert ours(x).shape == (2, 3, values)


def test_a_bias_of_relative_positions_makes_it_swins_attention() -> None:
    parts = {
        name: [{"slice": {"start": 12 * at, "stop": 12 * at + 12, "axis": 1}}]
        for at, name in enumerate(("query", "key", "value"))
    }
    attend = {
        "attend": {
            **parts,
            "bias": [{"relative_position_bias": {"heads": 3, "size": 4}}],
        },
        "heads": 3,
    }
    spec = load("tokens", {"linear": 36}, attend, {"linear": 12}, {"feature_map": 4}, shape=(12, 4, 4))
    ours = spec.build()
    theirs = swin_transformer.ShiftedWindowAttention(12, [4, 4], [0, 0], 3)
    names = {"1": "qkv", "3": "proj", "2.bias.0": "relative_position_bias_table"}
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            path, _, last = name.rpartition(".")
            other = names[path] if path == "2.bias.0" else f"{names[path]}.{last}"
            theirs.get_parameter(other).copy_(parameter.normal_(std=0.2))
    images = torch.randn(2, 12, 4, 4)
    torch.testing.assert_close(ours(images).permute(0, 2, 3, 1), theirs(images.permute(0, 2, 3, 1)))
    assert_counted(load({"linear": 36}, attend, shape=(16, 12)))


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("beside", ["causal", "dropout", "causal dropout", "causal bias", "causal dropout bias"])
def test_masks_and_dropout_of_the_weights(beside: str, heads: int) -> None:
    """The formula with the later tokens left out, and with weights that a dropout of the same seed takes away."""
    branches = {name: [{"linear": 12 if name == "value" else 16}] for name in ("query", "key", "value")}
    branches |= {"bias": [{"relative_position_bias": heads}]} if "bias" in beside else {}
    rate = 0.4 if "dropout" in beside else 0.0
    node = {"attend": branches, "heads": heads, "causal": "causal" in beside, "dropout": rate}
    module = assert_counted(load({"linear": 16}, "relu", node))
    assert not [name for name in module.state_dict() if "dropout" in name]
    x = torch.randn(2, 9, 16)
    before = module.get_submodule("1")(module.get_submodule("0")(x))
    parts = {name: module.get_submodule(f"2.{name}")(before) for name in branches}
    query, key, value = (parts[name].unflatten(-1, (heads, -1)).transpose(1, 2) for name in ("query", "key", "value"))
    scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5 + parts.get("bias", torch.tensor(0.0))
    if "causal" in beside:
        scores = scores.masked_fill(torch.ones(9, 9).tril() == 0, -torch.inf)
    for training in (True, False):
        torch.manual_seed(3)
        result = module.train(training)(x)
        torch.manual_seed(3)
        weights = nn.functional.dropout(scores.softmax(-1), rate, training)
        torch.testing.assert_close(result, (weights @ value).transpose(1, 2).flatten(2))


def test_what_stands_beside_attend_is_checked() -> None:
    attend, add = {"attend": {"query": [], "key": [], "value": []}}, {"add": ["relu", "tanh"]}
    for node, message in (
        (attend | {"dropout": 1}, "`dropout` must be a number ≥ 0 and < 1, not the number 1"),
        (attend | {"causal": 1}, "`causal` must be true or false, not the number 1"),
        (add | {"causal": True}, "`causal` has no meaning beside `add`"),
        (add | {"dropout": 0.2}, "one node has one layer, but here stand `add`, `dropout`"),
    ):
        with pytest.raises(SpecError) as caught:
            load(node)
        assert [one.message for one in caught.value.diagnostics] == [message]


def test_rotary_positions_turn_pairs_as_complex_numbers() -> None:
    """Each pair of features is a complex number, times exp(i·position·θ): by the paper, and by row and column."""
    x = torch.randn(2, 6, 16, dtype=torch.float64)
    for size, heads in ((None, 2), ([2, 3], 2), (None, 1)):
        ours = load({"rotary_positions": {"heads": heads, "size": size}}, shape=(6, 16)).build().double()
        width, expected = 16 // heads, x.clone()
        for token in range(6):
            places = [token] if size is None else [token // 3, token % 3]
            pairs = width // 2 // len(places)
            for head in range(heads):
                for pair in range(width // 2):
                    angle = places[pair // pairs] * 10000 ** (-(pair % pairs) / pairs)
                    at = head * width + 2 * pair
                    turn = cmath.exp(1j * angle)
                    real, imaginary = x[:, token, at], x[:, token, at + 1]
                    expected[:, token, at] = real * turn.real - imaginary * turn.imag
                    expected[:, token, at + 1] = real * turn.imag + imaginary * turn.real
        torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-6)


def test_scores_of_rotated_tokens_depend_on_their_distance_alone() -> None:
    ours = load({"rotary_positions": 1}, shape=(7, 8)).build()
    query, key = (ours(torch.randn(1, 1, 8).expand(1, 7, 8)) for _ in range(2))
    scores = (query @ key.transpose(1, 2))[0]
    for distance in range(-6, 7):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("branches", "beside", "shapes", "needs", "help"),
    [
        ([[], []], {}, ["9×16", "9×16"],
            "three branches, queries, keys and values, and may take a fourth, a bias of the scores", None),
        ([[], {"linear": 8}, []], {}, ["9×16", "9×8", "9×16"], "queries and keys of as many features", None),
        ([[], [], {"slice": {"stop": 4}}], {}, ["9×16", "9×16", "4×16"], "as many values as keys", None),
        ([[], [], []], {"heads": 3}, ["9×16"] * 3, "features that its `heads` (3) divide, in every branch", None),
        ([{"slice": {"stop": 4}}, [], []], {"causal": True}, ["4×16", "9×16", "9×16"],
            "as many keys as queries, since it is `causal`", None),
        ([[], [], [], {"linear": 9}], {}, ["9×16", "9×16", "9×16", "9×9"], "a bias of heads×queries×keys, 1×9×9",
            "`reshape: [1, 9, 9]` makes one of it"),
        ([[], [], [], {"linear": 9}], {"heads": 2}, ["9×16", "9×16", "9×16", "9×9"],
            "a bias of heads×queries×keys, 2×9×9",
            "`reshape: [1, 9, 9]` makes one of it; each of the 2 heads takes one: join them by `concat`"),
        ([[], [], [], {"relative_position_bias": 1}], {"heads": 2}, ["9×16", "9×16", "9×16", "1×9×9"],
            "a bias of heads×queries×keys, 2×9×9", "each head takes one: join 2 of them by `concat`"),
        ([{"feature_map": 3}] * 3, {}, ["16×3×3"] * 3, "queries, keys and values of tokens (tokens×features)",
            "end each branch in `tokens`"),
    ],
    ids=["count", "widths", "numbers", "heads", "causal", "matrix", "matrix of heads", "one of heads", "maps"],
)  # fmt: skip
def test_what_cannot_attend_is_refused_with_the_reason(
    branches: list[Any], beside: dict[str, Any], shapes: list[str], needs: str, help: str | None
) -> None:
    with pytest.raises(SpecError) as caught:
        load({"attend": branches} | beside)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.message, diagnostic.help) == (
        "shape-mismatch",
        f"`attend` needs {needs}, but its branches give",
        help,
    )
    assert [note.split()[1] for note in diagnostic.notes] == shapes


def test_the_cures_of_a_bias_check() -> None:
    load({"attend": [[], [], [], [{"linear": 9}, {"reshape": [1, 9, 9]}]]})
    load({"attend": [[], [], [], {"concat": [{"relative_position_bias": 1}] * 2}], "heads": 2})
    load({"attend": [[{"feature_map": 3}, "tokens"]] * 3})


@pytest.mark.parametrize(
    ("width", "axis", "help"),
    [
        (48, {}, "write `axis: 1` beside it for equal parts of the 48"),
        (49, {"axis": 1}, "queries and keys are equally wide: make what reaches it a multiple, `linear: =3 * 32` say"),
    ],
)
def test_a_split_that_does_not_divide_says_how_it_would(width: int, axis: dict[str, int], help: str) -> None:
    with pytest.raises(SpecError) as caught:
        load({"linear": width}, {"attend": [[], [], []], "split": "equal"} | axis, shape=(8, 16))
    assert caught.value.diagnostics[0].help == help


def test_a_mask_may_be_an_input_of_the_network() -> None:
    branches = {one: {"linear": 8} for one in ("query", "key", "value")}
    mask = {"concat": [{"load": "mask"}, {"load": "mask"}]}
    spec = from_dict(
        {
            "archspec": 1,
            "input": {"words": [9, 8], "mask": [1, 9, 9]},
            "network": [{"attend": branches | {"mask": mask}, "heads": 2}],
        }
    )
    module = spec.build().eval()
    words, away = torch.randn(2, 9, 8), torch.zeros(2, 1, 9, 9)
    away[0, :, :, 6:] = -1e9  # of the first sample, three tokens are padding
    other = words.clone()
    other[:, 6:] += 1
    torch.testing.assert_close(module(words, away)[0, :6], module(other, away)[0, :6])
    assert not torch.allclose(module(words, away)[1, :6], module(other, away)[1, :6])

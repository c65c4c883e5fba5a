"""Weights carried from one network into another: torchvision's own models say what is right."""

from __future__ import annotations

import random
from collections import OrderedDict
from typing import Any

import pytest
import torch
import torchvision
from conftest import unchanged, with_history
from torch import Tensor, nn
from torch.nn import functional

import archspec
from archspec.foundation.errors import UsageError
from archspec.weights import Loaded, TransplantError, transplant

MAXVIT = {"block_channels": [32, 64], "block_layers": [1, 2], "head_dim": 16, "stochastic_depth_prob": 0.2}
MODELS: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {  # images, their size, and what the model is made with
    "googlenet": ((2, 96), {"init_weights": False}),
    "inception_v3": ((2, 299), {"init_weights": False}),  # its auxiliary classifier needs the full size
    "VisionTransformer": (
        (2, 32),
        {"image_size": 32, "patch_size": 16, "num_layers": 3, "num_heads": 4, "hidden_dim": 64, "mlp_dim": 96},
    ),
    "swin_t": ((2, 64), {}),
    "swin_v2_t": ((2, 64), {}),
    "MaxVit": ((2, 56), {"input_size": (56, 56), "stem_channels": 16, "partition_size": 7} | MAXVIT),
    "convnext_tiny": ((2, 64), {}),
    "efficientnet_b0": ((2, 64), {}),
    "shufflenet_v2_x0_5": ((2, 64), {}),
}


def model(name: str) -> nn.Module:
    return with_history(getattr(torchvision.models, name)(**MODELS[name][1]))


def same(one: nn.Module, other: nn.Module) -> bool:
    theirs, ours = one.state_dict(), other.state_dict()
    return theirs.keys() == ours.keys() and all(torch.equal(theirs[key], ours[key]) for key in theirs)


def state(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in module.state_dict().items()}


class Nested(nn.Module):
    """A network below another name, whose outputs come in another container."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.Sequential(OrderedDict(body=inner))])

    def forward(self, images: Tensor) -> Any:
        output = self.stages[0](images)
        if isinstance(output, Tensor):
            return {"logits": output}
        return {"aux": list(output[1:]), "logits": output[0]}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_torchvisions_models_into_renamed_copies_of_themselves(name: str) -> None:
    torch.manual_seed(0)
    source, target = model(name), model(name)
    assert not same(source, target)
    count, size = MODELS[name][0]
    loaded = transplant(source, Nested(target), torch.randn(count, 3, size, size))
    assert same(source, target)  # of one class: every tensor has found its namesake
    assert loaded.proven
    assert not loaded.skipped
    assert {n.removeprefix("stages.0.body.") for n in loaded.names} >= dict(source.named_parameters()).keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d", "densenet121"])
def test_torchvisions_models_into_specs(name: str) -> None:
    torch.manual_seed(0)
    source = with_history(torchvision.models.get_model(name)).eval()
    target = archspec.build(name).eval()
    loaded = transplant(source, target, (3, 64, 64))
    assert sorted(loaded.names) == sorted(target.state_dict())
    images = torch.randn(2, 3, 96, 96)  # not the images of the proof
    with torch.no_grad():
        assert torch.equal(source(images), target(images))


def small(**changes: Any) -> nn.Sequential:
    """A network with the layers whose arguments a test gives in place of the usual ones."""
    layers = {
        "conv": nn.Conv2d(3, 8, 3, padding=1, bias=False),
        "norm": nn.BatchNorm2d(8),
        "act": nn.ReLU(),
        "conv2": nn.Conv2d(8, 8, 3),
        "drop": nn.Dropout(0.5),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flat": nn.Flatten(),
        "head": nn.Linear(8, 4),
    }
    return nn.Sequential(OrderedDict(layers | changes))


def failure(source: nn.Module, target: nn.Module, shape: tuple[int, ...] = (3, 8, 8), **options: Any) -> str:
    """The message with which a transplantation fails, having changed nothing."""
    before = state(source), state(target)
    with pytest.raises(TransplantError) as caught:
        transplant(source, target, shape, **options)
    assert unchanged(source, before[0])
    assert unchanged(target, before[1])
    assert isinstance(caught.value, UsageError)
    return str(caught.value)


def test_other_shapes_are_named_on_both_sides() -> None:
    renamed = nn.Sequential(OrderedDict(outer=small(conv2=nn.Conv2d(8, 8, 5, padding=1))))
    assert failure(small(), renamed) == (
        "cannot transplant: number 6 in the order of use is\n"
        "    `conv2.weight` (8×8×3×3, Conv2d, used by convolution) in the source\n"
        "    `outer.conv2.weight` (8×8×5×5, Conv2d, used by convolution) in the target\n"
        "  but their shapes or types differ\n"
        "  help: --partial (`partial=True`) leaves it out"
    )


def test_other_operations_are_named_on_both_sides() -> None:
    says = failure(small(), small(norm=nn.GroupNorm(2, 8)))
    assert "`norm.weight` (8, BatchNorm2d, used by native_batch_norm) in the source" in says
    assert "`norm.weight` (8, GroupNorm, used by native_group_norm) in the target" in says
    assert "but their operations differ" in says


@pytest.mark.parametrize("side", ["source", "target"])
def test_what_is_left_over_is_listed_and_capped(side: str) -> None:
    longer = nn.Sequential(*small(), *(nn.Linear(4, 4) for _ in range(8)))
    says = failure(longer, small()) if side == "source" else failure(small(), longer)
    assert "after 9 matching tensors some are left over" in says
    assert f"    in the {side}: `8.weight` (4×4, Linear, used by addmm)\n" in says
    assert says.endswith(f"    in the {side}: 6 more\n  help: --partial (`partial=True`) leaves them out")
    loaded = partially(longer, small()) if side == "source" else partially(small(), longer)
    assert len(loaded.names) == 10


def test_parameters_that_are_never_used_are_left_over() -> None:
    class Idle(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Conv2d(3, 8, 3))
            self.scale = nn.Parameter(torch.ones(3))

    says = failure(Idle(), nn.Sequential(nn.Conv2d(3, 8, 3)))
    assert "after 2 matching tensors some are left over\n    in the source: `scale` (3, Idle, never used)" in says


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"act": nn.GELU()}, "conv2.bias"),
        ({"norm": nn.BatchNorm2d(8, eps=0.1)}, "norm.running_var"),
        ({"conv2": nn.Conv2d(8, 8, 3, padding=2, dilation=2)}, "conv2.bias"),
        ({"drop": nn.Tanh()}, "head.bias"),
    ],
    ids=str,
)
def test_the_first_layer_that_computes_something_else_is_named(changes: dict[str, nn.Module], first: str) -> None:
    says = failure(with_history(small()), nn.Sequential(OrderedDict(outer=small(**changes))))
    assert "with the same weights the networks compute different things in evaluation" in says
    assert f"    of `{first}` in the source\n    of `outer.{first}` in the target\n" in says


def test_different_ends_are_found() -> None:
    assert "but the outputs (4 and 4) differ" in failure(small(), nn.Sequential(*small(), nn.Softmax(1)))


def test_outputs_that_prove_nothing_are_refused() -> None:
    class Infinite(nn.Module):
        def forward(self, logits: Tensor) -> Tensor:
            return logits / 0

    ends = [nn.Sequential(*small(), Infinite()) for _ in range(2)]
    assert "the source's output is not finite" in failure(*ends)


def test_weights_that_are_not_finite_are_carried_and_said() -> None:
    """The proof uses weights of its own."""
    source, target = small(), small()
    with torch.no_grad():
        source.head.bias.fill_(torch.nan)
    loaded = transplant(source, target, (3, 8, 8))
    assert target.head.bias.isnan().all()
    assert loaded.render().endswith("\n  note: 1 tensor holds values that are not finite: head.bias")


class Sided(nn.Module):
    """A network with an auxiliary classifier that runs in training alone."""

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.body, self.head, self.side = nn.Linear(6, 6), nn.Linear(6, 3), nn.Linear(6, 3)
        self.act = act

    def forward(self, features: Tensor) -> Any:
        features = self.body(features)
        output = self.head(features)
        return (output, self.side(self.act(features))) if self.training else output


def test_side_classifiers_are_carried_and_proven() -> None:
    source, target = Sided(nn.ReLU()).eval(), Sided(nn.ReLU()).eval()
    transplant(source, target, (6,))
    assert same(source, target)
    says = failure(source, Sided(nn.Tanh()).eval(), (6,))
    assert "compute different things in training" in says
    assert "of `side.bias` in the source" in says


def test_random_layers_need_not_be_equal() -> None:
    """Dropout has no weights: another probability, or none at all, is the same architecture."""
    source, target = small(drop=nn.Dropout(0.3)), small(drop=nn.Identity())
    transplant(source, target, (3, 8, 8))
    assert same(source, target)


def test_nothing_else_changes() -> None:
    source, target = with_history(small()), with_history(small())
    source.norm.eval()
    target.conv.eval()
    for module in (source, target):
        module.conv.weight.requires_grad_(False)
        module.head.bias.grad = torch.ones(4)
    flags = [[part.training for part in module.modules()] for module in (source, target)]
    before, parameters = state(source), dict(target.named_parameters())
    torch.manual_seed(3)
    random.seed(3)
    expected = torch.get_rng_state(), random.getstate()
    transplant(source, target, (3, 8, 8))
    assert torch.equal(torch.get_rng_state(), expected[0])
    assert random.getstate() == expected[1]
    assert torch.backends.mha.get_fastpath_enabled()
    assert [[part.training for part in module.modules()] for module in (source, target)] == flags
    assert unchanged(source, before)
    assert all(parameter is parameters[name] for name, parameter in target.named_parameters())
    for module in (source, target):
        assert not module.conv.weight.requires_grad
        assert module.head.weight.requires_grad
        assert torch.equal(module.head.bias.grad, torch.ones(4))
        assert module.conv.weight.grad is None
    with torch.no_grad():  # the two share no memory
        source.head.bias.fill_(9)
    assert not (target.head.bias == 9).any()


def test_layers_that_look_at_values_are_run_as_they_are() -> None:
    class Looking(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images if images.sum().item() > 1e9 else images * 2)

    source, target = Looking(nn.Conv2d(3, 4, 3)), nn.Sequential(Looking(nn.Conv2d(3, 4, 3)))
    transplant(source, target, torch.randn(1, 3, 5, 5))
    assert torch.equal(source[0].weight, target[0][0].weight)


def test_shared_parameters_count_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(5, 5), nn.Linear(5, 5)
            self.b.weight = self.a.weight

        def forward(self, features: Tensor) -> Tensor:
            return self.b(self.a(features))

    source, target = Tied(), Tied()
    assert len(transplant(source, target, (5,)).names) == 3
    assert same(source, target)
    assert target.b.weight is target.a.weight
    apart = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5))
    says = failure(apart, Tied(), (5,))
    assert "the target uses one tensor where the source has two" in says
    assert "`1.weight` (5×5, Linear, used by addmm) in the source" in says
    transplant(source, apart, (5,))  # the other way round each gets its copy
    assert torch.equal(apart[1].weight, source.a.weight)


def test_attention_as_a_layer_and_written_out() -> None:
    """torch's layer never calls its own output projection: it hands its parameters to a function."""

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2)

        def forward(self, tokens: Tensor) -> Tensor:
            return self.attention(tokens, tokens, tokens, need_weights=False)[0]

    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

        def forward(self, tokens: Tensor) -> Tensor:
            length, n, width = tokens.shape
            q, k, v = self.qkv(tokens).reshape(length, n, 3, 2, width // 2).permute(2, 1, 3, 0, 4)
            mixed = functional.scaled_dot_product_attention(q, k, v)
            return self.out(mixed.permute(2, 0, 1, 3).reshape(length, n, width))

    source, target = Layer(), Written()
    with torch.no_grad():
        source.attention.in_proj_bias.uniform_()
    transplant(source, target, (5, 8))
    assert torch.equal(target.qkv.weight, source.attention.in_proj_weight)
    assert torch.equal(target.qkv.bias, source.attention.in_proj_bias)
    assert torch.equal(target.out.weight, source.attention.out_proj.weight)


def test_networks_that_do_not_run_on_the_example_say_so() -> None:
    says = failure(small(), small(), (1, 8, 8))
    assert says.startswith("cannot transplant: the source does not run on an input of 1×8×8: ")
    assert "3 channels" in says
    assert says.endswith("\n  help: give an example of a shape that both networks take")


def test_networks_without_memory_are_refused() -> None:
    for devices in (("meta", "cpu"), ("cpu", "meta")):
        with pytest.raises(TransplantError, match="on the device `meta`, so it holds no memory"):
            transplant(*(archspec.load("digits").build(device) for device in devices), (1, 8, 8))


def test_other_operations_are_cured_by_taking_what_comes_before() -> None:
    source, target = with_history(small()), small(norm=nn.GroupNorm(2, 8))
    assert failure(source, target).endswith("help: --partial (`partial=True`) loads what comes before")
    assert partially(source, target).names == ("conv.weight",)


def partially(source: nn.Module, target: nn.Module, shape: tuple[int, ...] = (3, 8, 8), **options: Any) -> Loaded:
    return transplant(source, target, shape, partial=True, **options)


def test_a_head_of_another_size_is_left_out() -> None:
    source, target = with_history(small()), small(head=nn.Linear(8, 7))
    before = target.head.weight.clone()
    loaded = partially(source, target)
    assert [(one.name, one.reason) for one in loaded.skipped] == [("head.weight", "shape"), ("head.bias", "shape")]
    assert loaded.skipped[0].detail == "4×8 in the source (`head.weight`), 7×8 in the network"
    assert torch.equal(target.head.weight, before)
    assert same(source[:-1], target[:-1])


def test_a_stem_of_another_size_is_left_out_and_the_rest_is_proven() -> None:
    source, target = with_history(small()), small(conv=nn.Conv2d(1, 8, 3, padding=1, bias=False))
    loaded = partially(source, target, (1, 8, 8), source_example=(3, 8, 8))
    assert [one.name for one in loaded.skipped] == ["conv.weight"]
    assert same(source[1:], target[1:])
    other = small(conv=nn.Conv2d(1, 8, 3, padding=1, bias=False), act=nn.GELU())
    says = failure(source, other, (1, 8, 8), source_example=(3, 8, 8), partial=True)
    assert "of `conv2.bias` in the source" in says


def test_a_layer_is_left_out_as_a_whole() -> None:
    """The bias of a convolution means nothing without its weights."""
    source, target = small(), small(conv2=nn.Conv2d(8, 8, 5, padding=1))
    loaded = partially(source, target)
    assert [(one.name, one.reason) for one in loaded.skipped] == [("conv2.weight", "shape"), ("conv2.bias", "layer")]


def test_what_is_left_out_of_the_source_may_be_named_like_what_is_loaded() -> None:
    source = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 4))
    target = nn.Sequential(OrderedDict({"2": nn.Conv2d(3, 4, 3)}))
    loaded = partially(source, target, (3, 3, 3))
    assert loaded.names == ("2.weight", "2.bias")
    assert torch.equal(target[0].weight, source[0].weight)


def test_what_comes_after_the_first_other_operation_is_left_out() -> None:
    source = with_history(small())
    target = nn.Sequential(*small()[:3], nn.Conv2d(8, 8, 3), nn.GroupNorm(2, 8), nn.Flatten(), nn.Linear(288, 2))
    loaded = partially(source, target)
    assert {one.name: one.reason for one in loaded.skipped} == {
        "4.weight": "missing",
        "4.bias": "missing",
        "6.weight": "missing",
        "6.bias": "missing",
        "head.weight": "unknown",
        "head.bias": "unknown",
    }
    assert torch.equal(target[3].weight, source.conv2.weight)
    assert "no layer of the source fits" in failure(source, nn.Sequential(nn.Conv2d(3, 4, 1)), partial=True)


# --- along the data, not in the order of execution -------------------------------------------------------------------


class Branches(nn.Module):
    """Two branches of equal shapes that do different things, in either order, added or concatenated."""

    def __init__(
        self, first: str, *, acts: tuple[nn.Module, nn.Module], join: str = "add", turned: bool = False
    ) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 1), nn.Conv2d(3, 6, 1)
        self.act_a, self.act_b = acts
        self.head = nn.Conv2d(6 if join == "add" else 12, 2, 1)
        self.first, self.join, self.turned = first, join, turned

    def forward(self, images: Tensor) -> Tensor:
        results = {}
        for name in ("a", "b") if self.first == "a" else ("b", "a"):
            results[name] = getattr(self, f"act_{name}")(getattr(self, name)(images))
        pair = [results["a"], results["b"]]
        pair = pair[::-1] if self.turned else pair
        return self.head(pair[0] + pair[1] if self.join == "add" else torch.cat(pair, 1))


def carried(source: nn.Module, target: nn.Module, shape: tuple[int, ...] = (3, 8, 8), *, atol: float = 0.0) -> Loaded:
    """What was loaded, where the two networks now give equal results for an image that is not the proof's."""
    loaded = transplant(source, target, shape)
    image = torch.randn(2, *shape)
    with torch.no_grad():
        expected, found = source.eval()(image), target.eval()(image)
    assert expected.std() > 0
    torch.testing.assert_close(found, expected, atol=atol, rtol=0)
    return loaded


@pytest.mark.parametrize(("join", "turned"), [("add", False), ("add", True), ("cat", False)])
def test_branches_run_in_another_order_are_found_by_what_they_do(join: str, turned: bool) -> None:
    acts = nn.ReLU(), nn.Tanh()
    source = Branches("a", acts=acts, join=join)
    target = Branches("b", acts=acts, join=join, turned=turned)
    carried(source, target, atol=0)
    assert torch.equal(target.a.weight, source.a.weight)
    assert torch.equal(target.b.bias, source.b.bias)


def test_branches_told_apart_by_their_place_in_a_concatenation() -> None:
    acts = nn.ReLU(), nn.ReLU()
    source, target = Branches("a", acts=acts, join="cat"), Branches("b", acts=acts, join="cat")
    carried(source, target)
    assert torch.equal(target.a.weight, source.a.weight)


def test_branches_told_apart_by_a_pooling_before_them() -> None:
    class Pooled(nn.Module):
        def __init__(self, first: str) -> None:
            super().__init__()
            self.plain, self.pooled, self.first = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), first
            self.pool = nn.AvgPool2d(3, 1, 1)

        def forward(self, images: Tensor) -> Tensor:
            if self.first == "plain":
                plain = self.plain(images)
                return plain + self.pooled(self.pool(images))
            pooled = self.pooled(self.pool(images))
            return self.plain(images) + pooled

    source, target = Pooled("plain"), Pooled("pooled")
    carried(source, target)
    assert torch.equal(target.plain.weight, source.plain.weight)


def test_branches_that_differ_in_their_function_are_refused() -> None:
    """ReLU and GELU against ReLU and tanh: shapes, operations with weights and places are equal."""
    source = Branches("a", acts=(nn.ReLU(), nn.Tanh()))
    says = failure(source, Branches("b", acts=(nn.ReLU(), nn.GELU())))
    assert "the networks compute different things in evaluation" in says


@pytest.mark.parametrize("dropped", ["shortcut", "stride", "groups"])
def test_what_is_left_out_or_changed_is_caught_though_new_weights_hide_it(dropped: str) -> None:
    """The last factor of each branch is 0 in a new network, so that a branch could be anything."""

    class Residual(nn.Module):
        def __init__(self, change: str = "") -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3, padding=1)
            self.conv = nn.Conv2d(
                8, 8, 3, padding=2 if change == "groups" else 1, dilation=2 if change == "groups" else 1
            )
            self.gamma = nn.Parameter(torch.zeros(8, 1, 1))
            self.pool = nn.AvgPool2d(3, 1, 1) if change == "stride" else nn.Identity()
            self.head, self.change = nn.Linear(8, 4), change

        def forward(self, images: Tensor) -> Tensor:
            x = self.stem(images)
            branch = self.pool(self.conv(x)) * self.gamma
            x = branch + x * 0 if self.change == "shortcut" else x + branch
            return self.head(x.mean((2, 3)))

    source = Residual()
    with torch.no_grad():
        source.head.weight.zero_()
    transplant(source, Residual(), (3, 8, 8))
    assert "compute different things" in failure(source, Residual(dropped))


def test_a_vector_is_a_factor_of_channels() -> None:
    class Scaled(nn.Module):
        def __init__(self, *shape: int) -> None:
            super().__init__()
            self.conv, self.gamma = nn.Conv2d(3, 5, 1), nn.Parameter(torch.randn(shape))

        def forward(self, images: Tensor) -> Tensor:
            return self.gamma.reshape(1, 5, 1, 1) * self.conv(images)

    source, target = Scaled(5), Scaled(5, 1, 1)
    carried(source, target)
    assert torch.equal(target.gamma.flatten(), source.gamma)


def test_linear_layers_are_convolutions_over_their_whole_input() -> None:
    source = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 6), nn.ReLU(), nn.Linear(6, 2))
    target = nn.Sequential(nn.Conv2d(3, 6, 4), nn.ReLU(), nn.Conv2d(6, 2, 1), nn.Flatten())
    for one, other in ((source, target), (target, source)):
        loaded = carried(one, other, (3, 4, 4), atol=1e-5)
        assert loaded.proven
    assert torch.equal(target[0].weight.flatten(1), source[1].weight)


def test_weights_kept_the_other_way_round() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.randn(6, 4)), nn.Parameter(torch.randn(4))

        def forward(self, features: Tensor) -> Tensor:
            return torch.relu(features @ self.weight + self.bias)

    source, target = Turned(), nn.Sequential(nn.Linear(6, 4), nn.ReLU())
    carried(source, target, (6,), atol=1e-5)
    assert torch.equal(target[0].weight, source.weight.t())
    again = Turned()
    carried(target, again, (6,), atol=1e-5)
    assert torch.equal(again.weight, source.weight)


class Fused(nn.Module):
    """Attention of which query, key and value come of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.qkv, self.out = nn.Linear(8, 8), nn.Linear(8, 24), nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = self.qkv(self.stem(tokens)).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        return self.out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Separate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.q, self.k, self.v, self.out = (nn.Linear(8, size) for size in (8, 8, 8, 8, 3))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.stem(tokens)
        q, k, v = (layer(tokens).unflatten(-1, (2, 4)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        return self.out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def test_query_key_and_value_as_one_tensor_or_three() -> None:
    source, target = Fused(), Separate()
    carried(source, target, (5, 8), atol=1e-5)
    assert torch.equal(torch.cat([target.q.weight, target.k.weight, target.v.weight]), source.qkv.weight)
    assert torch.equal(torch.cat([target.q.bias, target.k.bias, target.v.bias]), source.qkv.bias)
    again = Fused()
    carried(target, again, (5, 8), atol=1e-5)
    assert same(again, source)


def test_biases_put_together_with_constants() -> None:
    """Swin v2 has no bias of keys; some keep two vectors and a constant, some one vector of which a third counts not."""

    class Together(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.q, self.v = (nn.Parameter(torch.randn(shape)) for shape in ((12, 5), (4,), (4,)))
            self.register_buffer("k", torch.zeros(4))

        def forward(self, tokens: Tensor) -> Tensor:
            return functional.linear(tokens, self.weight, torch.cat([self.q, self.k, self.v])).tanh()

    class Zeroed(nn.Sequential):
        def __init__(self, start: int) -> None:
            super().__init__(nn.Linear(5, 12))
            self.start = start

        def forward(self, tokens: Tensor) -> Tensor:
            bias = self[0].bias.clone()
            bias[self.start : self.start + 4].zero_()
            return functional.linear(tokens, self[0].weight, bias).tanh()

    source, target = Together(), Zeroed(4)
    carried(source, target, (5,))
    assert torch.equal(target[0].bias, torch.cat([source.q, source.k, source.v]))
    again = Together()
    carried(target, again, (5,))
    assert torch.equal(again.v, source.v)
    assert "the target has constants where the source has weights" in failure(source, Zeroed(0), (5,))


def test_sums_in_another_order_are_proven_in_double_precision() -> None:
    class Summed(nn.Module):
        def __init__(self, turned: bool) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
            self.head, self.turned = nn.Linear(6, 4), turned

        def forward(self, x: Tensor) -> Tensor:
            a = self.layers[0](x)
            b = self.layers[1](a.tanh())
            c = self.layers[2](b.tanh())
            return self.head(a + (b + c) if self.turned else (a + b) + c)

    source = Summed(False)
    loaded = carried(source, Summed(True), (6,), atol=1e-5)
    assert (loaded.rounding, loaded.to_dict()["rounding"]) == (1e-9, 1e-9)
    assert loaded.render().endswith("give the source's results, within 1e-09 in double precision")
    assert carried(source, Summed(False), (6,)).rounding == 0


def test_a_difference_that_single_precision_would_hide_is_refused() -> None:
    says = failure(with_history(small()), small(norm=nn.BatchNorm2d(8, eps=1.1e-5)))
    assert says.endswith(
        "the first result that differs is\n    of `norm.running_var` in the source\n"
        "    of `norm.running_var` in the target\n"
        "  where `eps` is 1e-05 in the source and 1.1e-05 in the target\n"
        "  help: give both layers the same settings"
    )

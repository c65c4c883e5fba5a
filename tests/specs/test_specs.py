"""Every bundled spec and variant: published figures, real modules, and torchvision's logits."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torchvision
from conftest import ROOT, carry_over, with_history
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archspec.language.finder import bundled, variants
from archspec.language.schema import spec_schema
from archspec.spec import Spec, load, open_file
from archspec.weights.match import nodes_of
from archspec.weights.network import Network

# Parameters as published, section A of the reference networks
PUBLISHED = {"googlenet": 260_650, "resnet": 272_378, "preact": 272_250, "densenet": 239_146}
ALL = [
    (name, variant)
    for name in bundled()
    for variant in (None, *(v for v, owner in variants().items() if owner == name))
]
IDS = [f"{name}-{variant}" if variant else name for name, variant in ALL]
TORCHVISION = [
    variant
    for variant, owner in variants().items()
    if owner.startswith("imagenet/") and variant in torchvision.models.list_models()
]


@functools.cache
def spec_of(name: str, variant: str | None) -> Spec:
    return load(name, variant)


@pytest.mark.parametrize("name", bundled())
def test_all_variants_are_found_by_name(name: str) -> None:
    """The quick search for `variants:` sees what the parser sees."""
    sound = open_file(name)[0].check()
    assert sound.diagnostics == ()
    parsed = {spec.variant for spec in sound.specs if spec.variant}
    assert parsed == {variant for variant, owner in variants().items() if owner == name}


@pytest.mark.parametrize(("name", "params"), PUBLISHED.items())
def test_parameters_are_as_published(name: str, params: int) -> None:
    assert spec_of(name, None).plan.params == params


@pytest.mark.parametrize("variant", TORCHVISION)
def test_figures_are_torchvisions(variant: str) -> None:
    """Against the metadata that torchvision publishes with its weights."""
    weights = next(iter(torchvision.models.get_model_weights(variant)))
    plan = spec_of(variants()[variant], variant).plan
    assert plan.params == weights.meta["num_params"]
    assert f"{plan.macs / 1e9:.3f}" == f"{weights.meta['_ops']:.3f}"


@pytest.mark.parametrize(("name", "variant"), ALL, ids=IDS)
def test_spec_vouches_for_its_figures(name: str, variant: str | None) -> None:
    root = open_file(name)[0].tree
    section = root.get("variants").get(variant) if variant else root  # type: ignore[attr-defined]
    assert {"params", "gmacs"} <= section.get("expect").entries.keys()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant"), ALL, ids=IDS)
def test_module_is_what_the_plan_says(name: str, variant: str | None) -> None:
    """Parameters, their names and shapes, MACs, and every layer's output as it runs."""
    plan = spec_of(name, variant).plan
    module = spec_of(name, variant).build(device="meta")
    expected = {
        f"{placed.path}.{parameter}": shape for placed in plan.layers for parameter, shape in placed.layer.parameters
    }
    assert {key: tuple(p.shape) for key, p in module.named_parameters()} == expected
    assert sum(p.numel() for p in module.parameters()) == plan.params
    shapes: dict[str, tuple[int, ...]] = {}
    for placed in plan.layers:
        module.get_submodule(placed.path).register_forward_hook(
            lambda _, inputs, output, path=placed.path: shapes.update({path: tuple(output.shape[1:])})
        )
    module.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        output = module(*(torch.empty(1, *shape, device="meta") for shape in plan.inputs.values()))
    if plan.outputs:
        output, named = output
        assert {name: tuple(one.shape[1:]) for name, one in named.items()} == plan.outputs
    assert tuple(output.shape) == (1, *plan.output)
    evaluated = [placed for placed in plan.layers if placed.aux is None]
    assert shapes == {placed.path: placed.layer.output for placed in evaluated}
    assert list(shapes) == [placed.path for placed in evaluated]
    assert counter.get_total_flops() == 2 * plan.macs  # two operations a MAC
    if plan.aux:
        _, named = module.train()(torch.empty(2, *plan.input, device="meta"))
        assert {name: tuple(named[name].shape[1:]) for name in plan.aux} == {
            n: one.shape for n, one in plan.aux.items()
        }
        assert shapes == {placed.path: placed.layer.output for placed in plan.layers}


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled())
def test_spec_fits_the_json_schema(name: str) -> None:
    """With all its variants, which stand in the same file."""
    from archspec.foundation.schemas import validator
    from archspec.foundation.source import plain

    assert list(validator(spec_schema()).iter_errors(plain(open_file(name)[0].tree))) == []


@pytest.mark.parametrize("name", bundled())
def test_spec_reads_like_a_table(name: str) -> None:
    tree = open_file(name)[0].tree
    assert tree.get("description") is not None  # type: ignore[attr-defined]
    assert len(tree.mark.text.lines) <= 70
    assert name == "digits" or str(tree.get("source").value).startswith("https://")  # type: ignore[attr-defined]


def in_execution_order(module: nn.Module, images: torch.Tensor) -> list[nn.Module]:
    """The layers that hold parameters, as they run."""
    layers: list[nn.Module] = []
    leaves = [m for m in module.modules() if not list(m.children()) and list(m.parameters())]
    handles = [leaf.register_forward_pre_hook(lambda m, _: layers.append(m)) for leaf in leaves]
    with torch.inference_mode():
        module(images)
    for handle in handles:
        handle.remove()
    return layers


def torchvisions(variant: str, size: int) -> nn.Module:
    """torchvision's model for images of a size, less the auxiliary classifiers where the published weights lack them."""
    options = {
        "googlenet": {"aux_logits": False, "init_weights": False},
        "inception_v3": {"init_weights": False},
    }.get(variant, {"image_size": size} if variant.startswith("vit") else {})
    with cpu_for_regnets_table():
        model: nn.Module = torchvision.models.get_model(variant, **options)
    return model


@contextlib.contextmanager
def cpu_for_regnets_table() -> Iterator[None]:
    """torchvision computes RegNet's widths as tensors, which a network on the device `meta` needs the values of."""
    table = torchvision.models.regnet.BlockParams
    original = table.from_init_params

    def computed(*args: Any, **kwargs: Any) -> Any:
        with torch.device("cpu"):
            return original(*args, **kwargs)

    table.from_init_params = computed
    try:
        yield
    finally:
        table.from_init_params = original


def smallest(variant: str) -> int:
    """The side of the smallest images that a network takes, but at least 64 pixels; a ViT's whole patches."""
    least = max(next(iter(torchvision.models.get_model_weights(variant))).meta["min_size"])
    if variant.startswith(("vit", "swin")):  # torchvision states the size of training
        return 56 if variant == "vit_h_14" else 64
    return 299 if variant == "inception_v3" else max(64, least)  # its auxiliary classifier needs more than it does


SIZES = {v: spec_of(variants()[v], v).plan.params for v in TORCHVISION}
LEAST = {min((v for v in TORCHVISION if variants()[v] == owner), key=SIZES.__getitem__) for owner in variants().values()
         if owner in {variants()[v] for v in TORCHVISION}}  # fmt: skip
SMALL = [
    v
    for v in TORCHVISION
    if (v in LEAST and v != "inception_v3") or v in ("resnext50_32x4d", "vgg11_bn", "regnet_x_400mf", "swin_v2_t")
]
"""Of each file the smallest, and others of another form; Inception v3 is tested with its auxiliary classifier."""
OTHERS = [v for v in TORCHVISION if v not in SMALL]


@pytest.mark.slow
@pytest.mark.parametrize("variant", SMALL)
def test_logits_are_torchvisions_bit_for_bit(variant: str) -> None:
    torch.manual_seed(0)
    size = smallest(variant)
    theirs = torchvisions(variant, size).eval()
    ours = load(variants()[variant], variant, set=[f"input=[3, {size}, {size}]"]).build().eval()
    with_history(theirs)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():  # zeros and ones could be left out unnoticed
            if parameter.dim() == 1 or "layer_scale" in name or "token" in name or name.startswith("heads"):
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    carry_over(theirs, ours, (3, size, size))
    images = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        logits = theirs(images)
        assert torch.equal(ours(images), logits)
        assert logits.isfinite().all()
        assert logits.std() > 0
        in_training = []
        for network in (theirs.train(), ours.train()):
            torch.manual_seed(1)  # what is dropped is drawn in the same order
            in_training.append(network(images))
    assert torch.equal(*in_training)
    assert not torch.equal(logits, in_training[0])


@pytest.mark.slow
@pytest.mark.parametrize("variant", OTHERS[::3])
def test_the_large_ones_use_the_same_tensors_along_the_same_data(variant: str) -> None:
    """Without memory for them: operations, shapes and what flows into them, on the device `meta`.

    `benchmarks/zoo.py` compares the logits of all; those that are left out here differ from others in numbers alone.
    """
    size = smallest(variant)
    with torch.device("meta"):
        networks = (
            torchvisions(variant, size),
            load(variants()[variant], variant, set=[f"input=[3, {size}, {size}]"]).build("meta"),
        )
    images = torch.empty(2, 3, size, size)
    theirs, ours = (
        Network(side, network, images) for side, network in zip(("source", "target"), networks, strict=True)
    )
    found = nodes_of(theirs, ours)
    for side, network in enumerate(networks):
        used = {name for pair in found for operand in pair[side].operands for name in operand.names}
        assert used == dict(network.named_parameters()).keys() | statistics(network)
    assert len(found) > 10


def statistics(network: nn.Module) -> set[str]:
    return {name for name, _ in network.named_buffers() if name.endswith(("running_mean", "running_var"))}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("imagenet/googlenet", 96), ("imagenet/inception", 299)])
def test_networks_with_side_classifiers_are_torchvisions(name: str, size: int) -> None:
    torch.manual_seed(0)
    spec = load(name, set=[f"input=[3, {size}, {size}]", "num_classes=10"])
    model = {"imagenet/googlenet": torchvision.models.googlenet, "imagenet/inception": torchvision.models.inception_v3}
    theirs = model[name](num_classes=10, aux_logits=True, init_weights=False, transform_input=False)
    with_history(theirs)
    ours = spec.build()
    carry_over(theirs, ours, (3, size, size))
    images, labels = torch.randn(2, 3, size, size), torch.arange(2)
    with torch.inference_mode():
        assert torch.equal(theirs.eval()(images), ours.eval()(images))
    losses = []
    for network in (theirs.train(), ours.train()):
        torch.manual_seed(1)  # for the dropouts, which draw in the same order
        output = network(images)
        if network is theirs:
            sides = [output.aux_logits] if name.endswith("inception") else [output.aux_logits1, output.aux_logits2]
            output = output.logits
        else:
            output, named = output
            sides = [named[side] for side in spec.plan.aux]
        loss = nn.functional.cross_entropy(output, labels)
        for logits, side in zip(sides, spec.plan.aux.values(), strict=True):
            loss = loss + side.weight * nn.functional.cross_entropy(logits, labels)
        loss.backward()
        losses.append((loss, output, *sides))
    assert all(torch.equal(a, b) for a, b in zip(*losses, strict=True))
    gradients = [sorted(p.grad.double().sum().item() for p in network.parameters()) for network in (theirs, ours)]
    assert gradients[0] == gradients[1]


@pytest.mark.slow
def test_a_feature_pyramid_is_torchvisions() -> None:
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    torch.manual_seed(0)
    theirs = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=nn.BatchNorm2d, trainable_layers=5
    ).eval()
    with_history(theirs)
    ours = load("imagenet/fpn", set=["input=[3, 96, 96]"]).build().eval()
    carry_over(theirs, ours, (3, 96, 96))
    images = torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        expected, (output, found) = theirs(images), ours(images)
    names = {"0": "p2", "1": "p3", "2": "p4", "3": "p5", "pool": "p6"}
    assert sorted(names.values()) == sorted(found)
    assert all(torch.equal(expected[key], found[name]) for key, name in names.items())
    assert torch.equal(output, found["p2"])


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["resnet18", "densenet121"])
def test_training_step_is_torchvisions_bit_for_bit(variant: str) -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(variant, num_classes=10).train()
    ours = load(variant, vars={"num_classes": 10}).build().train()
    images, labels = torch.randn(4, 3, 64, 64), torch.arange(4)
    carry_over(theirs, ours, images)
    gradients = []
    for model in (theirs, ours):
        nn.functional.cross_entropy(model(images), labels).backward()
        gradients.append([layer.weight.grad for layer in in_execution_order(model.eval(), images)])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("name", sorted(PUBLISHED))
@pytest.mark.parametrize("act", ["tanh", "relu", "leaky_relu", "gelu"])
def test_activation_of_the_cifar_networks_is_a_choice(name: str, act: str) -> None:
    plan = load(name, set=[f"defaults.act={act}"]).plan
    kinds = {placed.layer.primitive for placed in plan.layers}
    assert kinds & {"tanh", "relu", "leaky_relu", "gelu"} == {act}
    assert plan.params == PUBLISHED[name]


def test_resnet_block_offers_the_three_shortcuts() -> None:
    """ResNet-20 with each; the counts are those of the parts, by hand."""
    base = 272_378 - (32 * 16 + 32) - (64 * 32 + 64)  # without its two biased 1×1 shortcuts
    projection = (32 * 16 + 2 * 32) + (64 * 32 + 2 * 64)
    found = {}
    for form in ("conv", "projection", "zeros"):
        text = load("resnet").resolved
        text["network"]["stages"]["body"]["resnet"]["shortcut"] = form
        text.pop("expect")
        from archspec.spec import from_dict

        found[form] = from_dict(text).plan.params
    assert found == {"conv": 272_378, "projection": base + projection, "zeros": base}


def test_dense_offers_both_orders() -> None:
    from archspec.spec import from_dict

    for newest, where in (("first", slice(16, 24)), ("last", slice(0, 8))):
        spec = from_dict(
            {
                "archspec": 1,
                "input": [8, 4, 4],
                "defaults": {"act": "relu", "norm": "batch_norm"},
                "network": [{"dense": {"growth": 16, "newest": newest}}],
            }
        )
        images = torch.randn(2, 8, 4, 4)
        assert torch.equal(spec.build().eval()(images)[:, where], images)


def test_settings_add_up_and_the_last_one_wins() -> None:
    spec = load("digits", vars={"width": 8}, set=["defaults.act=gelu"])
    more = spec.replace(vars={"num_classes": 7}, set=["train.epochs=1"])
    assert dict(more.plan.vars) == {"num_classes": 7, "width": 8}
    assert "gelu" in {placed.layer.primitive for placed in more.plan.layers}
    assert more.recipe.epochs == 1
    assert dict(more.replace(vars={"width": 4}).plan.vars)["width"] == 4


@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant"), ALL, ids=IDS)
def test_a_resolved_spec_makes_the_same_plan(name: str, variant: str | None) -> None:
    from archspec.spec import from_dict

    spec = spec_of(name, variant)
    again = from_dict(spec.resolved).plan
    placeless = [
        (p.path, p.layer.primitive, p.layer.frozen_arguments, p.layer.output, p.layer.init) for p in again.layers
    ]
    assert placeless == [
        (p.path, p.layer.primitive, p.layer.frozen_arguments, p.layer.output, p.layer.init) for p in spec.plan.layers
    ]
    assert again.name == spec.plan.name


@pytest.mark.parametrize(("name", "variant"), ALL, ids=IDS)
def test_a_plan_is_json_and_knows_where_everything_comes_from(name: str, variant: str | None) -> None:
    import json

    plan = spec_of(name, variant).plan
    data = json.loads(json.dumps(plan.to_dict()))
    extended = re.findall(r"^extends: (\S+)", (ROOT / "specs" / f"{name}.yaml").read_text(), re.M)
    files = {f"specs/{name}.yaml", *(f"specs/{one}" for one in extended)}
    assert sum(layer["params"] for layer in data["layers"]) == data["params"] == plan.params
    assert sum(layer["macs"] for layer in data["layers"] if layer["aux"] is None) == data["macs"] == plan.macs
    shape = data["input"]
    for layer in data["layers"]:
        assert layer["line"] >= 1
        assert layer["file"].endswith(".yaml")
        assert layer["calls"] or layer["file"] in files
        assert all(size > 0 for size in [*layer["input"], *layer["output"]])
    assert data["layers"][0]["input"] == shape
    assert data["layers"][-1]["output"] == data["output"]


def test_python_shows_specs_in_a_line() -> None:
    import archspec

    spec = load("resnet50")
    assert repr(spec.plan) == "<Plan ResNet (resnet50): 3×224×224 → 1000, 25,557,032 parameters, 4.089 GMACs>"
    assert repr(spec) == f"<Spec specs/imagenet/resnet.yaml: {spec.plan!r}>"
    assert set(archspec.__all__) <= set(dir(archspec))
    first = spec.plan.layers[0]
    assert (first.path, first.input, first.output) == ("stem.0.conv", (3, 224, 224), (64, 112, 112))
    assert (first.params, first.macs, first.file) == (
        64 * 147,
        64 * 147 * 112**2,
        "archspec/layers/blocks/conv_norm_act.yaml",
    )
    assert first.line > 10


def test_a_plan_cannot_be_changed() -> None:
    import dataclasses

    plan = load("digits").plan
    for thing, name in (
        (plan, "name"),
        (plan.root, "kind"),
        (plan.layers[0].layer, "primitive"),
        (plan.layers[0], "path"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, "other")
    plan.layers[0].layer.arguments["out"] = 3
    assert plan.layers[0].layer.arguments["out"] == 32

"""Tensors led past the sequence: save and load, outputs, auxiliary classifiers, recomputation, initial values of a node."""

from __future__ import annotations

import copy
import os
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archspec
from archspec.spec import Spec, from_dict


def spec(network: Any, input: tuple[int, ...] = (3, 32, 32), **sections: Any) -> Spec:
    return from_dict({"archspec": 1, "input": list(input), "network": network, **sections})


def conv(out: int, kernel: int = 3) -> dict[str, Any]:
    return {"conv": {"out": out, "kernel": kernel, "padding": kernel // 2}}


UNET = {
    "down": {
        "for": {"width": [4, 8], "skip": ["s0", "s1"]},
        "body": [conv("=width"), "relu", {"save": "=skip"}, {"max_pool": 2}],
    },
    "middle": [conv(16), "relu"],
    "up": {
        "for": {"width": [8, 4], "skip": ["s1", "s0"]},
        "body": [
            {"conv_transpose": {"out": "=width", "kernel": 2, "stride": 2}},
            {"concat": {"up": [], "skip": {"load": "=skip"}}},
            conv("=width"),
            "relu",
        ],
    },
    "head": conv(2, 1),
}


class UNetByHand(nn.Module):
    """The same network as a person writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.down0, self.down1 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.middle = nn.Conv2d(8, 16, 3, padding=1)
        self.rise1, self.up1 = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(16, 8, 3, padding=1)
        self.rise0, self.up0 = nn.ConvTranspose2d(8, 4, 2, 2), nn.Conv2d(8, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 2, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        s0 = self.down0(x).relu()
        s1 = self.down1(self.pool(s0)).relu()
        x = self.middle(self.pool(s1)).relu()
        x = self.up1(torch.cat([self.rise1(x), s1], 1)).relu()
        x = self.up0(torch.cat([self.rise0(x), s0], 1)).relu()
        return self.head(x)


def test_a_unet_equals_one_written_by_hand() -> None:
    ours, theirs = spec(UNET).build(), UNetByHand()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert a.shape == b.shape
        a.data.copy_(b.data)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(ours(images), theirs(images))
    for model in (ours, theirs):
        model(images).square().mean().backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)


def test_paths_are_those_of_the_tree_and_wires_take_a_place() -> None:
    keys = list(spec(UNET).build().state_dict())
    assert keys[:4] == ["down.0.0.weight", "down.0.0.bias", "down.1.0.weight", "down.1.0.bias"]
    assert keys[-4:] == ["up.1.2.weight", "up.1.2.bias", "head.weight", "head.bias"]
    module = spec([{"save": "a"}, conv(3), {"add": [[], {"load": "a"}]}]).build()
    assert list(module.state_dict()) == ["1.weight", "1.bias"]


SIDE: Any = {"aux": {"name": "side", "weight": 0.5, "body": ["flatten", {"linear": 2}]}}


def everything() -> Spec:
    """A network with all that leads tensors elsewhere, at several levels."""
    network = {
        **UNET,
        "middle": [
            {**conv(16), "recompute": True},
            {"aux": {"name": "side", "weight": 0.3, "body": ["global_avg_pool", "flatten", {"linear": 5}]}},
            {"block": {"width": 16}},
            {"output": "features"},
        ],
    }
    blocks = {
        "block": {
            "args": {"width": {"type": "integer"}},
            "body": [{"save": "s0"}, conv("=width"), "relu", {"add": [[], {"load": "s0"}]}],
        }
    }
    return spec(network, blocks=blocks)


@pytest.mark.parametrize("form", ["built", "copied", "pickled", "compiled"])
def test_outputs_and_side_classifiers(form: str) -> None:
    original = everything().build()
    module: Any = {
        "built": lambda: original,
        "copied": lambda: copy.deepcopy(original),
        "pickled": lambda: pickle.loads(pickle.dumps(original)),
        "compiled": lambda: torch.compile(original, fullgraph=True, backend="eager"),
    }[form]()
    images = torch.randn(2, 3, 32, 32)
    output, named = module.train()(images)
    assert output.shape == (2, 2, 32, 32)
    assert {name: tuple(one.shape) for name, one in named.items()} == {"side": (2, 5), "features": (2, 16, 8, 8)}
    output, named = module.eval()(images)
    assert {name: tuple(one.shape) for name, one in named.items()} == {"features": (2, 16, 8, 8)}
    assert torch.equal(output, original.eval()(images)[0])
    assert torch.equal(named["features"], original(images)[1]["features"])


def test_what_a_block_saves_is_its_own() -> None:
    blocks = {"b": {"body": [{"save": "a"}, "tanh", {"add": [[], {"load": "a"}]}]}}
    images = torch.randn(2, 3, 8, 8)
    inner = images.sigmoid() + images.sigmoid().tanh()
    for call in ("b", {"b": None, "recompute": True}):
        network = [{"save": "a"}, "sigmoid", call, {"multiply": [[], {"load": "a"}]}]
        module = spec(network, (3, 8, 8), blocks=blocks).build()
        assert torch.equal(module(images), inner * images)


def test_a_side_classifier_alone_leaves_evaluation_as_it_is() -> None:
    side = {"aux": {"name": "side", "weight": 0.3, "body": ["flatten", {"linear": 5}]}}
    network = spec([conv(4), side, "global_avg_pool", "flatten", {"linear": 10}])
    module = network.build()
    images = torch.randn(2, 3, 32, 32)
    runs = []
    module.side.register_forward_hook(lambda *_: runs.append(1))
    assert module.eval()(images).shape == (2, 10)
    assert runs == []
    logits, named = module.train()(images)
    assert (logits.shape, named["side"].shape, runs) == ((2, 10), (2, 5), [1])
    # its weights are the network's, its work is not
    without = spec([conv(4), "global_avg_pool", "flatten", {"linear": 10}])
    assert network.plan.macs == without.plan.macs
    assert network.plan.params == without.plan.params + 4 * 32 * 32 * 5 + 5
    assert network.plan.aux["side"].weight == 0.3
    assert network.plan.aux["side"].shape == (5,)
    assert [p.aux for p in network.plan.layers] == [None, "side", "side", None, None, None]


def test_side_classifiers_can_be_left_out() -> None:
    full = everything()
    bare = full.without_aux()
    assert bare.plan.aux == {}
    assert bare.plan.outputs == {"features": (16, 8, 8)}
    keys = set(full.build(aux=False).state_dict())
    assert keys == {key for key in full.build().state_dict() if ".side." not in key}
    module = full.build(aux=False).train()
    assert list(module(torch.randn(2, 3, 32, 32))[1]) == ["features"]
    # as a branch, one passes its input on
    side = {"aux": {"name": "side", "weight": 1, "body": ["flatten"]}}
    assert torch.equal(
        spec([{"add": [side, []]}]).build(aux=False)(torch.ones(1, 3, 32, 32)), torch.full((1, 3, 32, 32), 2.0)
    )


@pytest.mark.parametrize("network", [SIDE, "b", ["identity", "b"], {"add": ["b", "relu"]}, [{"b": None, "name": "x"}]])
def test_a_side_classifier_may_stand_alone_in_a_body(network: Any) -> None:
    made = spec(network, (3, 8, 8), blocks={"b": {"body": SIDE}})
    images = torch.randn(2, 3, 8, 8)
    module = made.build().train()
    output, named = module(images)
    placed = made.plan.layers[-1] if network != {"add": ["b", "relu"]} else made.plan.layers[1]
    assert (placed.path.split(".")[-2:], placed.aux) == (["side", "1"], "side")
    linear = module.get_submodule(placed.path)
    assert torch.equal(named["side"], torch.nn.functional.linear(images.flatten(1), linear.weight, linear.bias))
    bare = made.build(aux=False).train()
    assert not list(bare.parameters())
    assert torch.equal(bare(images), output)


def test_a_plan_tells_what_is_beside_the_output() -> None:
    plan = everything().plan
    data = plan.to_dict()
    assert data["outputs"] == {"features": [16, 8, 8]}
    assert data["aux"] == {"side": {"output": [5], "weight": 0.3}}
    nodes = data["graph"]["nodes"]
    assert nodes[data["graph"]["output"]]["path"] == "head"
    assert nodes[data["graph"]["aux"]["side"]]["path"] == "middle.side.2"
    features = nodes[data["graph"]["outputs"]["features"]]
    assert (features["kind"], features["path"]) == ("add", "middle.2.3")
    assert [nodes[id]["path"] for id in features["sources"]] == ["middle.2.2", "middle.0"]


def test_recomputation_gives_the_same_gradients_and_keeps_less() -> None:
    def network(recompute: bool) -> Any:
        deep = [conv(8), "relu", conv(8), "relu", {"dropout": 0.5}, conv(8), "relu"]
        return [conv(8), {"deep": {}, "recompute": recompute}, "flatten", {"linear": 3}], {"deep": {"body": deep}}

    images = torch.randn(2, 3, 16, 16)
    kept, gradients = [], []
    for recompute in (False, True):
        body, blocks = network(recompute)
        torch.manual_seed(0)
        module = spec(body, (3, 16, 16), blocks=blocks).build()
        count = [0]

        def pack(tensor: Tensor, count: list[int] = count) -> Tensor:
            count[0] += tensor.numel()
            return tensor

        torch.manual_seed(1)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = module(images).square().mean()
        kept.append(count[0])
        loss.backward()
        gradients.append([p.grad for p in module.parameters()])
    assert kept[1] < 0.6 * kept[0]
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_recomputation_survives_pickling_and_compiling() -> None:
    module = spec([{**conv(8), "recompute": True}, {"relu": None, "repeat": 2, "recompute": True}]).build()
    images = torch.randn(2, 3, 32, 32)
    expected = module(images)
    for other in (pickle.loads(pickle.dumps(module)), torch.compile(module, fullgraph=True, backend="aot_eager")):
        result = other(images)
        assert torch.equal(result, expected)
        result.sum().backward()
    assert "recomputed" in pickle.loads(pickle.dumps(module)).code


def test_init_of_a_node_is_over_that_of_the_file() -> None:
    blocks = {"two": {"body": [conv(4), conv(4)]}}
    network = [
        conv(4),
        {"two": {}, "init": {"conv": {"weight": 1}}},
        {"two": {}, "init": {"conv": {"bias": "=c_in / 8"}}},
        {"two": {}},
        {"for": {"value": [5, 6]}, "body": {"two": {}, "init": {"conv": {"weight": "=value"}}}},
    ]
    module = spec(network, blocks=blocks, init={"conv": {"weight": 2, "bias": 3}}).build()
    found = {name: sorted(set(p.flatten().tolist())) for name, p in module.named_parameters()}
    assert {found[f"{name}.weight"][0] for name in ("0", "2.0", "2.1", "3.0")} == {2}
    assert {found[f"{name}.weight"][0] for name in ("1.0", "1.1")} == {1}
    assert {found[f"{name}.bias"][0] for name in ("0", "1.0", "3.1")} == {3}
    assert {found[f"{name}.bias"][0] for name in ("2.0", "2.1")} == {0.5}
    assert (found["4.0.0.weight"], found["4.1.1.weight"]) == ([5], [6])
    assert all(len(values) == 1 for values in found.values())


def test_init_and_recompute_beside_repeat_see_the_pass() -> None:
    node = {**conv(4), "repeat": 2, "init": {"conv": {"weight": "=index + 1"}}, "recompute": "=first"}
    module = spec([node]).build()
    assert [module.get_parameter(f"0.{i}.weight").unique().tolist() for i in range(2)] == [[1], [2]]
    assert module[0].code.count("recomputed(") == 1


def test_initial_values_may_be_a_node_argument() -> None:
    # a node argument is the one value of a formula that is a mapping
    blocks = {
        "weight": {"args": {"x": 1}, "body": []},
        "b": {"args": {"n": {"type": "node"}}, "body": {**conv(2), "init": {"conv": "=n"}}},
    }
    module = spec([{"b": {"n": {"weight": 3}}}], blocks=blocks).build()
    assert module.get_submodule("0").weight.unique().tolist() == [3]


# --- extends -----------------------------------------------------------------------------------------------------------

BASE = """archspec: 1
name: Base
input: [3, 32, 32]
vars: {width: 8}
network: [conv: {out: =width, kernel: 3}]
expect: {params: 224}
variants:
  wide: {vars: {width: 16}, expect: {params: 448}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bases").mkdir()
    (tmp_path / "bases" / "base.yaml").write_text(BASE)
    (tmp_path / "middle.yaml").write_text("archspec: 1\nextends: bases/base.yaml\ndefaults: {conv: {bias: false}}\n")
    (tmp_path / "net.yaml").write_text("archspec: 1\nextends: middle.yaml\nname: Mine\nvars: {width: 4}\n")
    return tmp_path


def test_a_spec_is_laid_over_the_one_it_extends(folder: Path) -> None:
    found = archspec.load("net.yaml")
    assert (found.plan.name, found.plan.params) == ("Mine", 4 * 27)
    # variants come along, less the figures they vouch for
    assert archspec.load("net.yaml", variant="wide").plan.params == 16 * 27
    assert "extends" not in found.resolved
    assert from_dict(found.resolved).plan.params == 4 * 27


def test_a_network_that_is_written_replaces_the_other_one(folder: Path) -> None:
    (folder / "net.yaml").write_text("archspec: 1\nextends: bases/base.yaml\nnetwork: [flatten]\n")
    assert archspec.load("net.yaml").plan.output == (3 * 32 * 32,)


def test_a_variant_is_laid_over_that_of_the_base_like_a_file(folder: Path) -> None:
    (folder / "bases" / "base.yaml").write_text(
        BASE.replace("wide: {", "wide: {defaults: {act: {leaky_relu: 0.1}}, network: {stem: [act]}, ")
    )
    over = "variants: {wide: {defaults: {act: {gelu: tanh}}, network: {head: [act, flatten]}}}\n"
    (folder / "net.yaml").write_text(f"archspec: 1\nextends: bases/base.yaml\n{over}")
    layers = archspec.load("net.yaml", variant="wide").plan.layers
    assert [(one.path, one.layer.primitive) for one in layers] == [("head.0", "gelu"), ("head.1", "flatten")]


def test_errors_point_into_the_file_that_is_wrong(folder: Path) -> None:
    (folder / "bases" / "base.yaml").write_text(BASE.replace("kernel: 3", "kernel: 0"))
    with pytest.raises(archspec.SpecError) as raised:
        archspec.load("net.yaml")
    assert str(raised.value) == (
        "bases/base.yaml:5:39: error[out-of-range]: `kernel` of `conv` must be an integer ≥ 1 or a list of 2 such, not the number 0\n"
        "    5 | network: [conv: {out: =width, kernel: 0}]\n"
        "      |                                       ^"
    )


def test_files_that_extend_one_another_are_refused(folder: Path) -> None:
    (folder / "bases" / "base.yaml").write_text("archspec: 1\nextends: ../net.yaml\n")
    with pytest.raises(
        archspec.SpecError,
        match=r"^bases/base\.yaml:2:10: error\[extends-path\]: `\.\./net\.yaml` does not lie in this",
    ):
        archspec.load("net.yaml")
    (folder / "middle.yaml").write_text("archspec: 1\nextends: net.yaml\n")
    with pytest.raises(
        archspec.SpecError,
        match=r"^middle\.yaml:2:10: error\[extends-path\]: net\.yaml extends itself, through middle\.yaml",
    ):
        archspec.load("net.yaml")


def test_a_link_does_not_lead_out_of_the_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret.yaml"
    elsewhere.write_text(BASE)
    (folder / "link.yaml").symlink_to(elsewhere)
    (folder / "net.yaml").write_text("archspec: 1\nextends: link.yaml\n")
    with pytest.raises(archspec.SpecError, match=r"`link\.yaml` does not lie in this file's folder or below"):
        archspec.load("net.yaml")


def test_a_spec_given_as_data_extends_nothing() -> None:
    with pytest.raises(archspec.SpecError, match="a spec given as data has no folder, so it cannot extend a file"):
        from_dict({"archspec": 1, "extends": "base.yaml"})


def test_what_a_base_lacks_is_asked_of_the_file_that_extends_it(folder: Path) -> None:
    (folder / "bases" / "base.yaml").write_text("archspec: 1\nvars: {width: 8}\n")
    with pytest.raises(archspec.SpecError, match=r"^net\.yaml:1:1: error\[key-missing\]: a spec needs the key `input`"):
        archspec.load("net.yaml")


def test_a_base_in_another_version_is_refused(folder: Path) -> None:
    (folder / "bases" / "base.yaml").write_text(BASE.replace("archspec: 1", "archspec: 2"))
    with pytest.raises(archspec.SpecError, match=r"^bases/base\.yaml:1:11: error\[version-unknown\]"):
        archspec.load("net.yaml")


def test_a_variant_laid_over_one_of_the_base_replaces_its_network(folder: Path) -> None:
    wide = "{network: {a: flatten, b: {linear: 3}}, defaults: {act: {leaky_relu: 0.1}}}"
    (folder / "bases" / "base.yaml").write_text(BASE.replace("{vars: {width: 16}, expect: {params: 448}}", wide))
    mine = "{network: {c: act}, defaults: {act: {elu: 0.5}}}"
    (folder / "net.yaml").write_text(f"archspec: 1\nextends: bases/base.yaml\nvariants: {{wide: {mine}}}\n")
    (placed,) = archspec.load("net.yaml", variant="wide").plan.layers
    assert (placed.path, placed.layer.primitive, placed.layer.arguments) == ("c", "elu", {"alpha": 0.5})


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "ring", "binary", "huge"])
def test_only_a_spec_is_read(folder: Path, kind: str) -> None:
    base = folder / "odd.yaml"
    {
        "pipe": lambda: os.mkfifo(base),
        "folder": base.mkdir,
        "device": lambda: base.symlink_to("/dev/zero"),
        "ring": lambda: base.symlink_to(base),
        "binary": lambda: base.write_bytes(bytes(range(256))),
        "huge": lambda: base.write_bytes(b" " * 5_000_000),
    }[kind]()
    (folder / "net.yaml").write_text("archspec: 1\nextends: odd.yaml\n")
    with pytest.raises(archspec.SpecError) as raised:
        archspec.load("net.yaml")
    (found,) = raised.value.diagnostics
    assert found.code == {"binary": "yaml-syntax", "huge": "too-large"}.get(kind, "extends-path")
    assert found.help is None or "odd" not in found.help


def test_many_saved_tensors_are_led_in_time_that_grows_with_them() -> None:
    network = [{word: f"a{i}"} for word in ("save", "load") for i in range(10_000)]
    spec = from_dict({"archspec": 1, "input": [3, 4, 4], "network": [*network, "relu"]})
    began = time.process_time()
    module = spec.build("meta")
    assert time.process_time() - began < 5  # 15 s and 4.6 GB, if what is live were kept for each
    assert tuple(module(torch.empty(1, 3, 4, 4, device="meta")).shape) == (1, 3, 4, 4)

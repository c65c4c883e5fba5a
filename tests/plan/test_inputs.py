"""Networks of several inputs: equal to those written by hand, in every view, and refused where one tensor is all there is."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from interpreter import given_by, interpreted
from torch import Tensor, nn

from archspec.cli import cli
from archspec.foundation.errors import SpecError, UsageError
from archspec.spec import Spec, from_dict, load
from archspec.views.difference import Change, compare
from archspec.views.drawing.html import html
from archspec.views.drawing.mermaid import mermaid
from archspec.views.figures import depth
from archspec.views.memory import inference_memory, kept_bytes, training_memory
from archspec.views.receptive import receptive_fields
from trainer.steps.module import SpecModule

STREAMS = """archspec: 1
name: Streams
input: {image: [3, 16, 16], depth: [1, 16, 16]}
vars: {width: 8}
defaults: {act: relu, norm: batch_norm}
blocks:
  stream: {args: {width: {type: integer}}, body: [conv_norm_act: {out: =width}, max_pool: 2]}
network:
  - stream: =width
  - save: colours
  - load: depth
  - stream: =width
  - concat: [load: colours, []]
  - global_avg_pool
  - flatten
  - linear: 10
variants:
  wide: {vars: {width: 16}}
  deep: {input: {depth: [2, 16, 16]}}
"""


@pytest.fixture
def streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spec:
    monkeypatch.chdir(tmp_path)
    Path("streams.yaml").write_text(STREAMS, encoding="utf-8")
    return load("streams.yaml")


def carry(theirs: nn.Module, ours: nn.Module) -> None:
    for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert a.shape == b.shape
        b.data.copy_(a.data)


def assert_equal(theirs: nn.Module, ours: nn.Module, *inputs: Tensor) -> None:
    """Outputs in training and evaluation, and gradients, bit for bit."""
    carry(theirs, ours)
    wanted, found = theirs(*inputs), ours(*inputs)
    assert torch.equal(wanted, found)
    wanted.square().sum().backward()
    found.square().sum().backward()
    for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)
    assert torch.equal(theirs.eval()(*inputs), ours.eval()(*inputs))


class StreamsByHand(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.colour = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
        self.depth = nn.Sequential(nn.Conv2d(1, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Linear(16, 10)

    def forward(self, image: Tensor, depth: Tensor) -> Tensor:
        both = torch.cat([self.colour(image), self.depth(depth)], 1)
        return self.head(nn.functional.adaptive_avg_pool2d(both, 1).flatten(1))


def test_two_streams_equal_a_module_written_by_hand(streams: Spec) -> None:
    assert_equal(StreamsByHand(), streams.build(), torch.randn(2, 3, 16, 16), torch.randn(2, 1, 16, 16))


class SiameseByHand(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 5))
        self.head = nn.Linear(5, 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.head((self.tower(left) - self.tower(right)) ** 2)


def test_a_siamese_network_equals_one_written_by_hand() -> None:
    tower = {"body": [{"conv": {"out": 4, "kernel": 3}}, "relu", "flatten", {"linear": 5}]}
    branches = {
        "left": [{"load": "left"}, {"tower": None, "share": "tower"}],
        "right": [{"load": "right"}, {"share": "tower"}],
    }
    shapes = {"left": [1, 8, 8], "right": [1, 8, 8]}
    network = [{"subtract": branches}, {"power": 2}, {"linear": 1}]
    spec = from_dict({"archspec": 1, "input": shapes, "blocks": {"tower": tower}, "network": network})
    module = spec.build()
    assert len(list(module.parameters())) == 6
    assert_equal(SiameseByHand(), module, torch.randn(2, 1, 8, 8), torch.randn(2, 1, 8, 8))


def test_inputs_are_given_in_the_order_of_the_file_or_by_name(streams: Spec) -> None:
    assert streams.plan.inputs == {"image": (3, 16, 16), "depth": (1, 16, 16)}
    assert streams.plan.input == (3, 16, 16)
    assert repr(streams.plan).startswith("<Plan Streams: image 3×16×16, depth 1×16×16 → 10, ")
    image, depths = torch.randn(2, 3, 16, 16), torch.randn(2, 1, 16, 16)
    module = streams.build().eval()
    wanted = module(image, depths)
    assert torch.equal(module(depth=depths, image=image), wanted)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other(image, depths), wanted)
    assert torch.equal(torch.export.export(module, (image, depths)).module()(image, depths), wanted)
    assert torch.equal(torch.compile(module, fullgraph=True, backend="eager")(image, depths), wanted)


def test_the_json_leads_from_each_input(streams: Spec) -> None:
    data = json.loads(json.dumps(streams.plan.to_dict()))
    assert data["inputs"] == {"image": [3, 16, 16], "depth": [1, 16, 16]}
    assert [(one["kind"], one["name"], one["output"]) for one in data["graph"]["nodes"][:2]] == [
        ("input", "image", [3, 16, 16]),
        ("input", "depth", [1, 16, 16]),
    ]
    (load_,) = [one for one in data["graph"]["nodes"] if one["kind"] == "load" and one["name"] == "depth"]
    assert (load_["saved"], load_["sources"]) == (1, [1])
    given = torch.randn(2, 3, 16, 16), torch.randn(2, 1, 16, 16)
    module = streams.build().eval()
    assert torch.equal(interpreted(data, module, *given)[""], given_by(module, *given)[""])
    unnamed = from_dict({"archspec": 1, "input": [3], "network": ["relu"]}).plan
    assert unnamed.inputs == {"input": (3,)}
    assert unnamed.to_dict()["graph"]["nodes"][0]["name"] == "input"


NAMES = ["torch", "nn", "Tensor", "inf", "device", "input", "len", "part_0", "saved_other", "operator", "forward"]


@pytest.mark.parametrize("name", NAMES)
def test_an_input_may_have_a_name_that_means_something_to_torch(name: str) -> None:
    network = [{"add": [[], {"load": "other"}]}, {"multiply": [[{"load": name}], "tanh"]}]
    module = from_dict({"archspec": 1, "input": {name: [4], "other": [4]}, "network": network}).build()
    one, other = torch.randn(2, 4), torch.randn(2, 4)
    assert torch.equal(module(**{name: one, "other": other}), one * (one + other).tanh())


def test_one_input_may_have_a_name_too() -> None:
    spec = from_dict({"archspec": 1, "input": {"image": [4]}, "network": ["tanh", {"add": [[], {"load": "image"}]}]})
    tensor = torch.randn(2, 4)
    assert torch.equal(spec.build()(image=tensor), tensor.tanh() + tensor)


def test_formulas_variants_and_settings_shape_each_input(streams: Spec) -> None:
    assert load("streams.yaml", "deep").plan.inputs == {"image": (3, 16, 16), "depth": (2, 16, 16)}
    assert load("streams.yaml", set=["input.depth=[=width, 16, 16]"]).plan.inputs["depth"] == (8, 16, 16)
    assert load("streams.yaml", set=["input.image==[1, 16, 16]"]).plan.inputs["image"] == (1, 16, 16)
    assert from_dict(streams.resolved).plan.inputs == streams.plan.inputs


def test_figures_count_every_input(streams: Spec) -> None:
    plan = streams.plan
    one = from_dict({"archspec": 1, "input": [4, 16, 16], "network": ["tanh", "flatten", {"linear": 10}]}).plan
    batch = 4 * 16 * 16 * 4  # channels, height, width, bytes
    assert training_memory(plan).input == batch == training_memory(one).input
    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    module = streams.build()
    own = {one.untyped_storage().data_ptr() for one in [*module.parameters(), *module.buffers()]}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = module(torch.randn(1, 3, 16, 16), torch.randn(1, 1, 16, 16))
    assert kept_bytes(plan) == sum(size for at, size in saved.items() if at not in own)
    assert result.shape == (1, 10)
    assert inference_memory(plan) > 4 * plan.params + batch
    assert depth(plan) == 2
    assert [str(field) for field in receptive_fields(plan)][-4:] == ["4", "all", "all", "all"]
    vector = [{"concat": [[], [{"load": "b"}, "flatten"]]}]
    other = from_dict({"archspec": 1, "input": {"a": [4], "b": [2, 3, 3]}, "network": vector}).plan
    assert receptive_fields(other) == [None] * 5


def test_pictures_and_differences_name_the_inputs(streams: Spec) -> None:
    assert '  n0(["image"]):::end_' in mermaid(streams.plan).splitlines()
    assert '  n1(["depth"]):::end_' in mermaid(streams.plan).splitlines()
    assert '{"kind":"end","lines":[["depth",0],["1×16×16",1]],"id":1,"beside":1}' in html(streams.plan)
    other = load("streams.yaml", "deep").plan
    changes = compare(streams.plan, other).changes
    assert changes[0] == Change("changed", "input", "depth", "depth", (("shape", (1, 16, 16), (2, 16, 16)),))
    single = from_dict({"archspec": 1, "input": [3, 16, 16], "network": ["flatten", {"linear": 10}]}).plan
    kinds = [(one.kind, one.old, one.new) for one in compare(single, streams.plan).changes if one.what == "input"]
    assert kinds == [("removed", "input", None), ("added", None, "image"), ("added", None, "depth")]


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, [*arguments])
    return done.exit_code, done.output


def test_commands_show_every_input(streams: Spec) -> None:
    line = "Streams  -  image 3×16×16, depth 1×16×16 → 10  490 parameters  73.9 KMACs\n"
    figures = 3 * 8 * 9 + 16 + 8 * 9 + 16 + 170
    assert streams.plan.params == figures == 490
    assert streams.plan.macs == 4 * 8 * 9 * 256 + 160
    code, output = run("check", "streams.yaml", "--variant", "deep")
    assert (code, output.split("  ")[:4]) == (
        0,
        ["Streams", "deep", "image 3×16×16, depth 2×16×16 → 10", "562 parameters"],
    )
    assert run("build", "streams.yaml") == (0, line)
    code, output = run("check", "streams.yaml", "--format", "json")
    assert json.loads(output)["results"][0]["inputs"] == {"image": [3, 16, 16], "depth": [1, 16, 16]}
    code, output = run("summary", "streams.yaml")
    assert (code, output.splitlines()[0]) == (0, line.strip())


def test_a_setting_of_an_input_that_there_is_not_names_the_one_that_is_meant(streams: Spec) -> None:
    with pytest.raises(SpecError) as caught:
        load("streams.yaml", set=["input.dept=[1, 16, 16]"])
    (one,) = caught.value.diagnostics
    assert (one.message, one.help) == ("nothing uses the input `dept`", "did you mean `depth`?")


ROWS = (
    "archspec train trains networks of several inputs where all are rows, columns of a table, but for one that may be an "
    "image; those of Streams are image 3×16×16, depth 1×16×16"
)
HAVE = "networks of one input, but Streams has 2: image 3×16×16, depth 1×16×16"


def test_what_needs_one_input_says_so(streams: Spec) -> None:
    for call, says in (
        (lambda: cli(["train", "streams.yaml", "digits"], standalone_mode=False), ROWS),
        (lambda: SpecModule(streams.resolved), ROWS),
        (
            lambda: cli(["build", "streams.yaml", "--weights", "torchvision:resnet18"], standalone_mode=False),
            "torchvision:NAME loads weights into " + HAVE,
        ),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert caught.value.message == says
        assert caught.value.help

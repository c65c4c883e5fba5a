"""What exports to Python read like: names, arguments and loops as a reviewer wants them."""

from __future__ import annotations

import re
from cProfile import Profile

import torch
from exports.test_python_export import assert_computes_the_same, network

from archspec.exports.python import class_name, write
from archspec.spec import from_dict, load


def class_of(name: str, spec: str) -> str:
    """The text of a class in the file of a network."""
    text = write(load(spec).plan)
    found = re.search(rf"^class {name}\(.*?(?=^class |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found
    return found[0]


def test_a_size_that_a_stride_decides_is_no_argument() -> None:
    text = class_of("ShuffleUnit", "shufflenet_v2_x1_0")
    assert (
        "        self, in_channels: int, out_channels: int, stride: int = 1, kernel_size: int = 3\n"
        "    ) -> None:\n"
        "        super().__init__()\n"
        "        inner_channels = in_channels // 2 if stride == 1 else in_channels\n"
    ) in text
    assert "ConvNormAct(inner_channels, out_channels // 2, 1)," in text


def test_a_size_that_a_flag_decides_is_no_argument() -> None:
    assert "        start = width + 2 * growth if project else in_channels\n" in class_of("DualPath", "dpn92")


def test_two_long_passes_of_a_block_are_a_loop() -> None:
    text = class_of("MaxViT", "maxvit_t")
    assert text.count("MultiAxisAttention(") == 1
    assert text.count("Mlp(") == 1
    assert '                for by in ("window", "grid")\n' in text


def test_features_beside_a_height_are_not_called_width() -> None:
    assert "def __init__(self, in_channels: int, height: int, features: int) -> None:" in class_of("Mlp", "swin_t")


def test_blocks_of_the_file_have_its_words() -> None:
    assert class_of("Double", "unet_plus_plus_small").startswith(
        'class Double(nn.Sequential):\n    """Two convolutions of one width."""\n'
    )


def test_a_plus_is_part_of_a_name() -> None:
    assert class_name(load("unet_plus_plus_small").plan) == "SmallUNetPlusPlus"


def test_named_outputs_take_the_number_of_classes() -> None:
    plan = load("unet_plus_plus_small").plan
    text = write(plan).replace("num_classes: int = 11", "num_classes: int = 5")
    state = network(text, "SmallUNetPlusPlus").state_dict()
    assert (state["first.0.weight"].shape[0], state["head.0.weight"].shape[0]) == (5, 5)


def test_a_convolution_that_gives_the_classes_takes_their_number() -> None:
    for name, made, key in (
        ("squeezenet1_1", "SqueezeNet1_1", "head.1.conv.weight"),
        ("fashion/nin", "NiNFashionMNIST", "head.1.1.1.conv.weight"),
    ):
        text = re.sub(r"num_classes: int = \d+", "num_classes: int = 5", write(load(name).plan))
        with torch.device("meta"):
            assert network(text, made).state_dict()[key].shape[0] == 5


def test_the_condition_of_a_shortcut_is_the_one_of_the_paper() -> None:
    """Pre-activation ResNet: a flag of the block, `activated`, is true where a shortcut has weights, by chance."""
    text = class_of("PreactBottleneck", "preact_resnet50")
    assert "            if stride != 1 or in_channels != 4 * width\n" in text
    assert "activated" not in text.partition('"""\n\n')[2]


def test_what_a_stride_decides_is_said_by_the_stride() -> None:
    text = class_of("ShuffleUnit", "shufflenet_v2_x1_0")
    assert (text.count("if stride == 1"), text.count("if stride != 1")) == (3, 2)
    assert "in_channels != out_channels" not in text


def test_a_list_of_values_that_follow_no_rule_is_gone_through() -> None:
    branch = [
        {"conv": {"out": "=c_in", "kernel": "=size", "padding": "=size // 2"}},
        "batch_norm",
        {"use": "=act"},
        {"conv": {"out": "=c_in", "kernel": 1}},
        "batch_norm",
        {"dropout": 0.25},
    ]
    body = {"for": {"size": [5, 3], "act": ["relu", "relu"]}, "body": {"add": {"main": branch, "shortcut": []}}}
    data = {
        "archspec": 1,
        "name": "Sizes",
        "input": [8, 8, 8],
        "blocks": {"pair": {"args": {"width": 8}, "body": [{"conv": {"out": "=width", "kernel": 1}}, body]}},
        "network": [{"pair": 4}, {"pair": 6}, {"pair": 12}],
    }
    spec = from_dict(data)
    text = write(spec.plan)
    assert "for kernel_size, padding in ((5, 2), (3, 1))\n" in text
    assert text.count("nn.Dropout") == 1
    assert_computes_the_same(spec)


def test_what_a_dense_block_grows_by_is_not_taken_for_a_factor() -> None:
    """64 + 6 * 32, 128 + 12 * 32 and 256 + 24 * 32 are four times the first number, by chance."""
    assert "Transition(in_channels + 32 * depth)\n" in class_of("DenseNet121", "densenet121")


def test_stages_have_the_expansions_of_the_paper() -> None:
    """EfficientNet-B1: expansion 1 in the first stage and 6 in the others, whose first block has fewer channels."""
    text = class_of("EfficientNetB1", "efficientnet_b1")
    rows = [line.strip() for line in text.splitlines() if line.startswith(" " * 20 + "(")]
    assert rows[:2] == ["(32, 16, 0, 3, 1, 2, 1),", "(16, 24, 2, 3, 2, 3, 6),"]
    assert text.count("width=expansion * in_channels,") == text.count("width=expansion * out_channels,") == 1


def test_rates_of_stochastic_depth_are_shares_of_one_everywhere() -> None:
    assert write(load("efficientnet_v2_s").plan).count("0.2 * first / 40") == 2
    drops = [{"inverted_residual": {"out": 4, "drop": drop}} for drop in (0.05, 0.1, 0.2)]
    defaults = {"act": "relu", "norm": "batch_norm"}
    data = {"archspec": 1, "name": "Drops", "input": [4, 8, 8], "defaults": defaults, "network": drops}
    text = write(from_dict(data).plan)
    assert [text.count(f"0.2 * {part} / 4)") for part in (1, 2, 3, 4)] == [1, 1, 0, 1]


def test_blocks_that_lack_different_parts_are_one_class() -> None:
    """Of EfficientNetV2's fused blocks, those with expansion 1 have no last convolution, those with a stride no drop."""
    text = write(load("efficientnet_v2_s").plan)
    assert re.findall(r"^class (Fused\w*)", text, re.MULTILINE) == ["FusedInvertedResidual"]
    assert (
        "        if expansion != 1:\n"
        "            self.main.project = ConvNormAct(\n"
        "                in_channels * expansion, out_channels, 1, act=False\n"
        "            )\n"
        "        if stride == 1 and in_channels == out_channels and drop > 0:\n"
        "            self.main.drop = StochasticDepth(drop)\n"
        "        self.has_shortcut = stride == 1 and in_channels == out_channels\n"
    ) in text


def test_stages_of_two_blocks_are_two_loops() -> None:
    """EfficientNetV2-S, table 4: channels, expansion, stride and layers of each stage."""
    text = class_of("EfficientNetV2S", "efficientnet_v2_s")
    rows = [line.strip() for line in text.splitlines() if re.match(r" {16}(for | {4}\()", line)]
    assert rows == [
        "for in_channels, out_channels, first, expansion, stride, depth in (",
        "(24, 24, 0, 1, 1, 2),",
        "(24, 48, 2, 4, 2, 4),",
        "(48, 64, 6, 4, 2, 4),",
        "for in_channels, out_channels, first, stride, depth, expansion in (",
        "(64, 128, 10, 2, 6, 4),",
        "(128, 160, 16, 1, 9, 6),",
        "(160, 256, 25, 2, 15, 6),",
    ]


def test_passes_of_several_kinds_are_several_loops() -> None:
    """Nothing is done in passes 3 and 7; the last two are too few for a loop."""
    body = [
        {"conv": {"out": "=width", "kernel": 3, "padding": 1}, "when": "=index not in [3, 7]"},
        {"relu": {}, "when": "=index not in [3, 7]"},
        {"batch_norm": {}, "when": "=index > 3 and index < 7"},
        {"dropout": "=0.1 * index", "when": "=index > 7"},
    ]
    loop = {"for": {"width": [2, 3, 4, 4, 5, 6, 7, 7, 8, 9]}, "body": body}
    network = {"body": loop, "head": {"conv": {"out": 3, "kernel": 1}}}
    spec = from_dict({"archspec": 1, "name": "Kinds", "input": [2, 6, 6], "network": network})
    text = write(spec.plan)
    assert "in ((2, 2), (2, 3), (3, 4))\n" in text
    assert "in ((4, 5), (5, 6), (6, 7))\n" in text
    assert text.count("nn.Identity()") == 2
    assert_computes_the_same(spec)


def test_what_a_layer_takes_is_what_the_one_before_it_gives() -> None:
    """DnCNN normalises only where a convolution has as many channels before as after."""
    assert "self.norm = nn.BatchNorm2d(out_channels)\n" in class_of("ConvNormAct", "dncnn")


def test_the_argument_of_a_branch_is_not_taken_for_another_size() -> None:
    """64 channels after the pool of Inception-ResNet's first block, and by chance in two other branches."""
    text = class_of("InceptionA", "inception_resnet_v2")
    assert text.count("pool)") + text.count("pool,") == 1
    assert "ConvNormAct(in_channels, pool, 1),\n" in text


def test_numbers_in_the_names_of_variants_stay_apart() -> None:
    names = ["regnet_x_1_6gf", "regnet_x_16gf", "wide_resnet50_2", "resnext50_32x4d", "efficientnet_v2_s", "vit_b_16"]
    assert [class_name(load(name).plan) for name in names] == [
        "RegNetX1_6gf",
        "RegNetX16gf",
        "WideResNet50_2",
        "Resnext50_32x4d",
        "EfficientNetV2S",
        "ViTB16",
    ]


def test_a_number_of_many_digits_is_one_less_a_number_of_few() -> None:
    assert "momentum=1 - 0.9997)" in write(load("mnasnet0_5").plan)


def test_twice_as_many_branches_take_twice_as_much_work() -> None:
    def calls(count: int) -> int:
        branches = {f"branch{i}": [{"conv": {"out": 2, "kernel": 1}}, "relu"] for i in range(count)}
        plan = from_dict({"archspec": 1, "name": "Wide", "input": [2, 2, 2], "network": {"add": branches}}).plan
        profile = Profile()
        profile.runcall(write, plan)
        return sum(int(one.callcount) for one in profile.getstats())

    calls(10)  # what is read once is read
    assert calls(200) < 2.3 * calls(100)

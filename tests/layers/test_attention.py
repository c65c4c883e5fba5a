"""Attention, alone and in blocks, against torch's and torchvision's modules with the same weights: equal to the bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import convnext, maxvit, swin_transformer, vision_transformer

from archspec.spec import from_dict


def network(node: Any, shape: tuple[int, ...], norm: Any = "none") -> nn.Module:
    spec = {"archspec": 1, "input": list(shape), "defaults": {"act": "gelu", "norm": norm}, "network": [node]}
    return from_dict(spec).build().eval()


def share(theirs: nn.Module, ours: nn.Module, names: dict[str, str]) -> None:
    """Give both networks the same noise. `names` says what each beginning of their names is in ours."""
    own = dict(ours.named_parameters())
    with torch.no_grad():
        for name, parameter in theirs.eval().named_parameters():
            parameter.normal_(std=0.2)
            begin = max((one for one in names if name.startswith(one)), key=len)
            own.pop(names[begin] + name.removeprefix(begin)).copy_(parameter)
    assert not own


def channels_last(images: torch.Tensor) -> torch.Tensor:
    return images.permute(0, 2, 3, 1)


@pytest.mark.parametrize("heads", [1, 4])
def test_attention_is_torchs(heads: int) -> None:
    theirs = nn.MultiheadAttention(16, heads, batch_first=True)
    ours = network({"attention": heads}, (9, 16))
    share(theirs, ours, {"": "0.heads."})
    x = torch.randn(2, 9, 16)
    assert torch.equal(ours(x), theirs(x, x, x, need_weights=False)[0])


SWIN = {
    "v1": (
        swin_transformer.ShiftedWindowAttention,
        {"qkv": "0.qkv", "proj": "0.out", "relative_position_bias_table": "0.bias_table"},
    ),
    "v2": (
        swin_transformer.ShiftedWindowAttentionV2,
        {"qkv": "0.qkv", "proj": "0.out", "logit_scale": "0.temperature", "cpb_mlp": "0.bias_network"},
    ),
}


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (4, 4), (4, 9)], ids=str)
@pytest.mark.parametrize("shift", [(0, 0), (2, 2), (1, 3), (0, 2)], ids=str)
def test_window_attention_is_torchvisions(version: str, size: tuple[int, int], shift: tuple[int, int]) -> None:
    """Whole windows, sizes that are filled up, and maps that one window covers."""
    kind, names = SWIN[version]
    theirs = kind(12, [4, 4], list(shift), 3)
    node = {"window_attention": {"heads": 3, "window": 4, "shift": list(shift), "version": version}}
    ours = network(node, (12, *size))
    share(theirs, ours, names)
    images = torch.randn(2, 12, *size)
    assert torch.equal(channels_last(ours(images)), theirs(channels_last(images)))


def test_a_key_has_no_bias_in_v2() -> None:
    ours = network({"window_attention": {"heads": 3, "window": 4, "version": "v2"}}, (12, 8, 8))
    qkv = ours.get_parameter("0.qkv.bias")
    assert torch.equal(qkv[12:24], torch.zeros(12))
    assert qkv[:12].all()
    images = torch.randn(2, 12, 8, 8)
    before = ours(images)
    with torch.no_grad():
        qkv[12:24] = 5.0
    assert torch.equal(ours(images), before)


MAXVIT = {
    "attn_layer.0": "{}.0.main.0",
    "attn_layer.1.to_qkv": "{}.0.main.1.qkv",
    "attn_layer.1.merge": "{}.0.main.1.out",
    "attn_layer.1.relative_position_bias_table": "{}.0.main.1.bias_table",
    "mlp_layer.0": "{}.1.main.0",
    "mlp_layer.1": "{}.1.main.1.1",
    "mlp_layer.3": "{}.1.main.1.4",
}
MBCONV = {
    "proj.0": "0.conv.shortcut.1",
    "proj.1": "0.conv.shortcut.1",
    "layers.pre_norm": "0.conv.main.norm",
    "layers.conv_a.0": "0.conv.main.expand.conv",
    "layers.conv_a.1": "0.conv.main.expand.norm",
    "layers.conv_b.0": "0.conv.main.depthwise.conv",
    "layers.conv_b.1": "0.conv.main.depthwise.norm",
    "layers.squeeze_excitation.fc1": "0.conv.main.squeeze.weights.squeeze",
    "layers.squeeze_excitation.fc2": "0.conv.main.squeeze.weights.excite",
    "layers.conv_c": "0.conv.main.project",
}


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [32, 64])
def test_maxvit_block_is_torchvisions(stride: int, channels: int) -> None:
    theirs = maxvit.MaxVitLayer(
        channels, 64, 0.25, 4, stride, nn.BatchNorm2d, nn.GELU, 32, 4, 0.0, 0.0, 0.0, 4, (16 // stride, 16 // stride)
    )
    spec = {
        "archspec": 1,
        "input": [channels, 16, 16],
        "defaults": {"act": "gelu", "norm": "batch_norm", "squeeze_excite": {"act": "silu"}},
        "network": [{"maxvit": {"out": 64, "stride": stride, "size": 4}}],
    }
    ours = from_dict(spec).build().eval()
    names = {f"layers.MBconv.{a}": b for a, b in MBCONV.items()}
    for index, part in enumerate(("window", "grid")):
        names |= {f"layers.{part}_attention.{a}": b.format(f"0.attention.{index}") for a, b in MAXVIT.items()}
    share(theirs, ours, names)
    images = torch.randn(2, channels, 16, 16)
    assert torch.equal(ours(images), theirs(images))
    assert ours(images).is_contiguous() == theirs(images).is_contiguous()


def test_transformer_encoder_is_torchvisions() -> None:
    theirs = vision_transformer.EncoderBlock(4, 16, 64, 0.0, 0.0)
    ours = network({"transformer_encoder": {"heads": 4}}, (9, 16), norm={"layer_norm": {"eps": 1e-6}})
    names = {"ln_1": "0.attention.main.0", "self_attention": "0.attention.main.1.heads"}
    names |= {"ln_2": "0.mlp.main.0", "mlp.0": "0.mlp.main.1.1", "mlp.3": "0.mlp.main.1.4"}
    share(theirs, ours, names)
    x = torch.randn(2, 9, 16)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_swin_block_is_torchvisions(version: str) -> None:
    theirs = {"v1": swin_transformer.SwinTransformerBlock, "v2": swin_transformer.SwinTransformerBlockV2}[version](
        12, 3, [4, 4], [2, 2]
    )
    node = {"swin": {"heads": 3, "window": 4, "shift": 2, "version": version}}
    ours = network(node, (12, 8, 8), norm="layer_norm_2d")
    norm = 0 if version == "v1" else 2
    names = {f"attn.{a}": f"0.attention.main.1{b.removeprefix('0')}" for a, b in SWIN[version][1].items()}
    names |= {"norm1": f"0.attention.main.{norm}", "norm2": f"0.mlp.main.{norm}"}
    names |= {"mlp.0": "0.mlp.main.1.1", "mlp.3": "0.mlp.main.1.4"}
    share(theirs, ours, names)
    images = torch.randn(2, 12, 8, 8)
    assert torch.equal(channels_last(ours(images)), theirs(channels_last(images)))


def test_convnext_block_is_torchvisions() -> None:
    theirs = convnext.CNBlock(16, 1e-6, 0.0)
    ours = network("convnext", (16, 14, 14), norm={"layer_norm_2d": {"eps": 1e-6}})
    names = {"block.0": "0.main.depthwise", "block.2": "0.main.norm", "layer_scale": "0.main.scale.weight"}
    names |= {"block.3": "0.main.mlp.1", "block.5": "0.main.mlp.4"}
    share(theirs, ours, names)
    images = torch.randn(2, 16, 14, 14)
    assert torch.equal(ours(images), theirs(images))
    assert ours(images).stride() == theirs(images).stride()


@pytest.mark.parametrize("shape", [(12,), (5, 12), (12, 3, 4)], ids=str)
def test_mlp_works_at_each_position(shape: tuple[int, ...]) -> None:
    ours = network({"mlp": {"width": 20}}, shape)
    first, second = (m for m in ours.modules() if isinstance(m, nn.Linear))
    assert (first.in_features, first.out_features, second.out_features) == (12, 20, 12)
    x = torch.randn(2, *shape)
    last = channels_last(x) if len(shape) == 3 else x
    expected = second(nn.functional.gelu(first(last)))
    result = channels_last(ours(x)) if len(shape) == 3 else ours(x)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)

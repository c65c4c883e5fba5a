"""Words that people bring from torch, Keras and papers, each with what is written here."""

from __future__ import annotations

import re
from collections.abc import Container

from archspec.foundation.arguments import Schema

LAYERS = {
    "sequential": "a sequence is a list: `- [relu, tanh]`",
    "modulelist": "a sequence is a list: `- [relu, tanh]`",
    "list": "a sequence is a list: `- [relu, tanh]`",
    "layers": "a sequence is a list: `- [relu, tanh]`; `for` repeats its `body`",
    "residual": "write `add: {main: […], shortcut: []}`",
    "skip": "write `add: {main: […], shortcut: []}`",
    "skipconnection": "write `add: {main: […], shortcut: []}`",
    "parallel": "write `concat` or `add`, with a list of branches",
    "branches": "write `concat` or `add`, with a list of branches",
    "foreach": "write `for: {…}` with a `body`",
    "while": "write `for: {…}` with a `body`",
    "if": "put `when: …` beside a node",
    "loop": "put `repeat: 3` beside a node, or write `for: {…}` with a `body`",
    "depthwiseconv": "write `conv: {out: =c_in, kernel: 3, padding: same, groups: =c_in}`",
    "depthwise": "write `conv: {out: =c_in, kernel: 3, padding: same, groups: =c_in}`",
    "dwconv": "write `conv: {out: =c_in, kernel: 3, padding: same, groups: =c_in}`",
    "se": "write `squeeze_excite`",
    "eca": "write `efficient_channel_attention`",
    "sum": "write `add`",
    "plus": "write `add`",
    "addition": "write `add`",
    "eltwise": "write `add` or `multiply`",
    "elementwise": "write `add` or `multiply`",
    "cat": "write `concat`",
    "stack": "write `concat`",
    "concatenate": "write `concat`",
    "mul": "write `multiply`",
    "mult": "write `multiply`",
    "product": "write `multiply`",
    "prod": "write `multiply`",
    "sub": "write `subtract`",
    "avg": "write `mean`",
    "average": "write `mean`",
    "max": "write `maximum`",
    "bmm": "write `matmul`",
    "fc": "write `linear: 10`",
    "dense2d": "write `linear: 10`",
    "bn": "write `batch_norm`",
    "gn": "write `group_norm`",
    "ln": "write `layer_norm`",
    "in": "write `instance_norm`",
    "rmsnorm": "`layer_norm` is the nearest; another layer is written as a plugin",
    "lrn": "write `local_response_norm`",
    "grn": "write `global_response_norm`",
    "swish": "write `silu`",
    "hswish": "write `hardswish`",
    "hsigmoid": "write `hardsigmoid`",
    "lrelu": "write `leaky_relu`",
    "gap": "write `global_avg_pool`",
    "gmp": "write `global_max_pool`",
    "globalaveragepooling": "write `global_avg_pool`",
    "globalmaxpooling": "write `global_max_pool`",
    "averagepooling": "write `avg_pool: 2`",
    "maxpooling": "write `max_pool: 2`",
    "droppath": "write `stochastic_depth`",
    "zeropad": "write `pad`",
    "interpolate": "write `upsample`",
    "deconv": "write `conv_transpose`",
    "convbnrelu": "write `conv_norm_act`",
    "convbnact": "write `conv_norm_act`",
    "convmodule": "write `conv_norm_act`",
    "mhsa": "write `attention`",
    "multiheadattention": "write `attention`",
    "identity": "write `[]`, which leaves the tensor as it is",
    "bilstm": "write `lstm: {hidden: 64, bidirectional: true}`",
    "bigru": "write `gru: {hidden: 64, bidirectional: true}`",
    "bidirectional": "write `lstm: {hidden: 64, bidirectional: true}`",
    "rnn": "write `gru: 64`, or `lstm: 64`",
    "simplernn": "write `gru: 64`, or `lstm: 64`",
    "embedding": "inputs are numbers here, no indices: give it their vectors",
    "separableconv": "write `conv: {out: =c_in, kernel: 3, padding: same, groups: =c_in}`, then `conv: {out: 8, "
    "kernel: 1}`",
    "split": "put `split: equal` beside a merge, each of whose branches takes one part",
    "chunk": "put `split: equal` beside a merge, each of whose branches takes one part",
    "upsampling": "write `upsample: 2`",
    "none": "write `[]` for a branch that leaves the tensor as it is, or leave the node out",
    "pass": "write `[]` for a branch that leaves the tensor as it is, or leave the node out",
    "input": "write `[]` for a branch that leaves the tensor as it is, or leave the node out",
    "x": "write `[]` for a branch that leaves the tensor as it is, or leave the node out",
    "no": "write `none` for no layer",
}
"""Of nodes, without `_`, `2d` and capitals."""

VALUES = {
    "relu": "another activation has other values: `leaky_relu: 0.1`",
    "global_avg_pool": "`adaptive_avg_pool` takes a size",
    "global_max_pool": "`adaptive_max_pool` takes a size",
}
"""Of layers that take no arguments: where a value would go."""

ARGUMENTS = {
    "in_channels": "leave `in_channels` out: the channels follow from the tensor",
    "in_features": "leave `in_features` out: the features follow from the tensor",
    "num_features": "leave `num_features` out: the channels follow from the tensor",
    "features": "it takes no channels: they follow from the tensor",
    "normalized_shape": "leave `normalized_shape` out: the axes follow from the tensor",
    "num_channels": "leave `num_channels` out: the channels follow from the tensor",
    "num_parameters": "leave `num_parameters` out: the channels follow from the tensor",
    "num_groups": "write `groups`",
    "num_heads": "write `heads`",
    "epsilon": "write `eps`",
    "planes": "write `width`",
    "k": "write `kernel`",
    "s": "write `stride`",
    "strides": "write `stride`",
    "pool_size": "write `kernel`",
    "pad": "write `padding`",
    "use_bias": "write `bias`",
    "num_classes": "write `out`",
    "scale_factor": "write `scale`",
    "alpha": "write `negative_slope`",
    "drop_rate": "write `p`",
    "prob": "write `p`",
    "elementwise_affine": "write `affine`",
    "channels_last": "leave `channels_last` out: a recipe says it",
    "axes": "write `axis`, counted from 0 without the batch",
    "op": "write `by`",
    "reduction": "write `by`",
    "n": "write `branches`",
    "input_size": "leave `input_size` out: the features follow from the tensor",
    "hidden_size": "write `hidden`",
    "num_layers": "each is a layer of its own: put `repeat: 2` beside it",
    "return_sequences": "every token comes out; `token: =c_in - 1` after it takes the last",
    "batch_first": "leave `batch_first` out: a sample is tokens×features, without the batch",
    "dropout": "put `dropout: 0.2` after it, as the next node",
    "dim": "leave `dim` out: the features follow from the tensor",
    "in": "leave `in` out: the channels follow from the tensor",
    "padding_mode": "put `pad: {size: 1, mode: reflect}` before it, in place of its `padding`",
    "embed_dim": "leave `embed_dim` out: the features follow from the tensor",
    "channels": "the channels that come in follow from the tensor",
    "inplace": "leave `inplace` out: memory is seen to",
    "kernel_size": "write `kernel`",
    "out_channels": "write `out`",
    "out_features": "write `out`",
    "width": "write `out`",
    "filters": "write `out`",
    "units": "write `out`",
    "act": "write `conv_norm_act`, or the activation as the next node",
    "activation": "write `conv_norm_act`, or the activation as the next node",
    "norm": "write `conv_norm_act`, or the normalisation as the next node",
    "rate": "write `p`",
}
"""Of arguments."""

BESIDE = dict.fromkeys(("times", "n", "number", "count", "depth", "num_layers", "copies"), "write `repeat`")
BESIDE |= dict.fromkeys(
    ("mask", "attn_mask", "attention_mask", "is_causal"),
    "`causal: true` is the mask of a decoder; any other is a fourth branch, a bias of the scores",
)
BESIDE |= dict.fromkeys(("dim", "dims", "axes"), "write `axis`, counted from 0 without the batch: channels are 0")
BESIDE |= dict.fromkeys(("if", "unless", "condition", "enabled"), "write `when`")
"""Of what stands beside a node."""


def beside_hint(name: str) -> str | None:
    """What to write for a modifier of another name."""
    return BESIDE.get(name)


def layer_hint(name: str) -> str | None:
    """What to write for a layer of another library."""
    return LAYERS.get(name.lower().replace("_", "").removesuffix("2d"))


def value_hint(name: str, value: object, *, role: bool) -> str:
    """What to write in place of a value beside a layer or role that takes no arguments."""
    if role:
        meant = value if isinstance(value, str) else "…"
        return f"name the layer itself, or say `defaults: {{{name}: {meant}}}`"
    cure = f"write `{name}` alone"
    if isinstance(value, bool):
        return f"{cure}; `when: {str(value).lower()}` beside it says whether it stands there"
    return "; ".join(filter(None, [cure, VALUES.get(name)]))


def argument_hint(name: str, known: object) -> str | None:
    """What to write for an argument of another library, where a layer knows the arguments `known`."""
    hint = ARGUMENTS.get("axes" if name == "dim" and isinstance(known, list) and "axis" in known else name)
    if hint and hint.startswith("write `"):
        word = hint.split("`")[1]
        if isinstance(known, (dict, list)) and word not in known and word != "conv_norm_act":
            return None
    return hint


def number_hint(value: object, schema: Schema) -> str | None:
    """How a number, or two, is written where an argument has it in another form."""
    alternatives = [schema, *schema.get("anyOf", ())]
    integer = any(one.get("type") == "integer" for one in alternatives)
    pair = any(one.get("maxItems") == 2 for one in alternatives)
    if isinstance(value, float) and integer and value.is_integer():
        return f"write `{int(value)}`"
    if isinstance(value, list) and integer and not pair and value and all(isinstance(one, int) for one in value):
        return "one number stands here: what comes in follows from the tensor, and other arguments have their names"
    if schema.get("type") == "boolean" and (word := _BOOLEANS.get(str(value).lower())):
        return f"write `{word}`" if word != value else f"write `{word}`, without quotes"
    if not isinstance(value, str):
        return None
    if integer and value.isascii() and value.isdigit():
        return f"write `{int(value)}`, without quotes"
    if integer and re.fullmatch(r"\d{1,3}([,_]\d{3})+", value):
        return f"write `{value.replace(',', '').replace('_', '')}`"
    if re.fullmatch(r"\d+,\d+", value):
        return f"a number has a point: `{value.replace(',', '.')}`"
    if integer and value in ("depthwise", "c_in"):
        return "write `=c_in`"
    if pair and (two := re.match(r"\(?(\d+)(?: *[x×*,] *(\d+))?", value)) and value != two[1]:
        return f"two numbers are a list: `[{two[1]}, {two[2] or two[1]}]`"
    if value == "valid" and any("same" in one.get("enum", ()) for one in alternatives):
        return "write `0`"
    if re.fullmatch(r"[\d.]+( *(\*\*|//|[-+*/%]) *[\d.]+)+", value):
        return f"a formula begins with `=`: `={value}`"
    return None


def listed_hint(value: object, owner: str, known: Container[str]) -> str | None:
    """How the arguments of a layer are written that stand in a list, or in a text."""
    given: list[tuple[str, object]] = []
    if isinstance(value, str):
        given = re.findall(r"(\w+) *[=:] *([^\s,]+)", value)
    elif isinstance(value, list) and all(isinstance(one, dict) for one in value):
        given = [item for one in value for item in one.items()]
    if not given or any(name not in known for name, _ in given):
        return None
    written = ", ".join(f"{name}: {word}" for name, word in given)
    return f"arguments are a mapping: `{owner}: {{{written}}}`"


_BOOLEANS = dict.fromkeys(("no", "n", "off", "false", "none", "0"), "false")
_BOOLEANS |= dict.fromkeys(("yes", "y", "on", "true", "1"), "true")
"""What people write for a boolean that is none here, in small letters."""

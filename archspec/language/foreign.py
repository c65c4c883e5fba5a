"""Words that people bring from torch, Keras and papers, each with what is written here."""

from __future__ import annotations

LAYERS = {
    "sequential": "a sequence is a list: `- [relu, tanh]`",
    "residual": "write `add: {main: […], shortcut: []}`",
    "loop": "put `repeat: 3` beside a node, or write `for: {…}` with a `body`",
    "depthwiseconv": "write `conv: {out: =c_in, kernel: 3, padding: same, groups: =c_in}`",
    "se": "write `squeeze_excite`",
    "sum": "write `add`",
    "plus": "write `add`",
    "cat": "write `concat`",
    "concatenate": "write `concat`",
    "mul": "write `multiply`",
    "fc": "write `linear: 10`",
    "dense2d": "write `linear: 10`",
    "identity": "write `[]`, which leaves the tensor as it is",
    "none": "write `[]` for a branch that leaves the tensor as it is, or leave the node out",
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
    hint = ARGUMENTS.get(name)
    if hint and hint.startswith("write `"):
        word = hint.split("`")[1]
        if isinstance(known, (dict, list)) and word not in known and word != "conv_norm_act":
            return None
    return hint

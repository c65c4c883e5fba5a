"""Tensors into a network by their names. What does not fit is said first, so that no network is half loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor, nn

from archspec.foundation.errors import UsageError, escape_line
from archspec.weights.adapt import adapt_tensor
from archspec.weights.align import renamed, without_prefix
from archspec.weights.loaded import SHOWN, Loaded, Skipped, show_name, unsound
from archspec.weights.tensors import format_tensor


def load(
    module: nn.Module,
    state: Mapping[str, Tensor],
    *,
    partial: bool = False,
    adapt: bool = False,
    source: str = "the source",
    input_shape: tuple[int, ...] | None = None,
) -> Loaded:
    """Load tensors into a module by name. Nothing is loaded where an error is raised.

    Floating-point tensors of another precision are converted to the module's. `num_batches_tracked` may be missing, as
    in files of old. A prefix that all names have (`module.`, `_orig_mod.`) and the module's have not is taken off.

    Args:
        module: The module, which is changed in place.
        state: Tensors by the names of the module's `state_dict`, as `read` returns them.
        partial: Whether to load what fits by name and shape, and to report the rest. Places in lists are no names:
            where a list is longer in one of the two, its entries are aligned.
        adapt: Whether to interpolate position embeddings and tables of relative position biases for another size, and
            to repeat or sum the first convolution for other input channels.
        source: What errors call the tensors.
        input_shape: The shape of one image, `(C, H, W)`: position embeddings of images that are not square need it.

    Returns:
        What was loaded, and with `partial` what was not.

    Raises:
        UsageError: Tensors are missing, are not the module's, or have another shape or type; with `partial`, none fits,
            or entries of a list can be aligned in more than one way.

    Example:
        ```python
        loaded = load(model, read("resnet18.safetensors"), partial=True)
        print(loaded.render())
        ```
    """
    own = {name: tensor for name, tensor in module.state_dict().items() if isinstance(tensor, Tensor)}
    notes: list[str] = []
    if prefix := without_prefix(state, own):
        notes.append(f"the prefix `{escape_line(prefix)}` of all names was taken off")
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    names = renamed(state, own) if partial else {name: name for name in state if name in own}
    notes += _moved(names)
    given = {names[name]: tensor for name, tensor in state.items() if name in names}
    adapted, adaptions = adapt_tensor(given, own, input_shape)
    if adapt:
        given = adapted
        notes += adaptions
    skipped = [one for name, tensor in own.items() if (one := _misfit(name, given.get(name), tensor))]
    unfit = {one.name for one in skipped}
    fitting = tuple(name for name in own if name in given and name not in unfit)
    skipped += [
        Skipped(n, "unknown", f"{format_tensor(t)}, not in the network") for n, t in state.items() if n not in names
    ]
    if skipped and not partial:
        cure = _cure(skipped, own, state, any_fits=bool(fitting))
        if adaptions and not adapt:
            cure += "; --adapt converts tensors to another size or number of channels"
        raise UsageError(f"the tensors of {source} are not this network's:\n{_shown(skipped)}", help=cure)
    if not fitting:
        raise UsageError(f"no tensor of {source} fits this network:\n{_shown(skipped)}", help=_other_names(own, state))
    with torch.no_grad():
        for name in fitting:
            own[name].copy_(given[name])
    notes += unsound({name: own[name] for name in fitting})  # as they are now: a large float64 is infinite here
    return Loaded(source, fitting, tuple(skipped), notes=tuple(notes))


def _moved(names: Mapping[str, str]) -> list[str]:
    """A note on layers that have another place in the network."""
    layers = {name.rpartition(".")[0]: own.rpartition(".")[0] for name, own in names.items() if name != own}
    shortest = [layer for layer in layers if layer]
    pairs = [f"`{show_name(layer)}` is `{show_name(layers[layer])}` here" for layer in shortest[: SHOWN // 2]]
    more = [f"and {len(shortest) - len(pairs)} more"] if len(shortest) > len(pairs) else []
    return [f"layers have moved: {', '.join(pairs + more)}"] if pairs else []


def _misfit(name: str, value: Tensor | None, own: Tensor) -> Skipped | None:
    """Why a tensor cannot be loaded, or `None` where it can."""
    if value is None:
        if name.endswith("num_batches_tracked"):
            return None
        return Skipped(name, "missing", f"{format_tensor(own)}, not in the source")
    detail = f"{format_tensor(value)} in the source, {format_tensor(own)} in the network"
    if value.shape != own.shape:
        return Skipped(name, "shape", detail)
    if value.dtype != own.dtype and not (value.is_floating_point() and own.is_floating_point()):
        return Skipped(name, "dtype", detail)
    return None


def _shown(skipped: Iterable[Skipped]) -> str:
    """Lines on the first tensors of each reason."""
    reasons: dict[str, list[str]] = {}
    for one in skipped:
        reasons.setdefault(one.reason, []).append(f"    `{show_name(one.name)}`: {one.detail}")
    lines = [line for found in reasons.values() for line in found[: SHOWN // 2]]
    rest = sum(map(len, reasons.values())) - len(lines)
    return "\n".join([*lines, f"    and {rest} more"] if rest else lines)


def _cure(
    skipped: Collection[Skipped], own: Mapping[str, Tensor], state: Mapping[str, Tensor], *, any_fits: bool
) -> str:
    """What to do where not all tensors fit."""
    reasons = {one.reason for one in skipped}
    if reasons == {"dtype"}:
        return "convert them in Python to the network's types (`dequantize()` where they were quantised), save that"
    if reasons == {"shape"}:
        return f"--partial leaves {'it' if len(skipped) == 1 else 'them'} out and loads the rest"
    return "--partial loads what fits" if any_fits else _other_names(own, state)


def _other_names(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """What to do where no name is known: they may differ by a prefix that not all have."""
    for name in state:
        prefix, dot, rest = name.partition(".")
        if rest in own:
            prefix = escape_line(prefix + dot)
            return f"some names begin with `{prefix}`: in Python, read the file, keep those and save them without it"
    return (
        "torchvision's own weights are loaded by --weights torchvision:NAME; those of another network that you have in "
        "Python, by `archspec.weights.transplant(theirs, ours, shape)`"
    )

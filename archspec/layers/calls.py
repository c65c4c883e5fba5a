"""The call of a class that makes a layer's module, known without torch: it is made of, and exported as, this call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

_WINDOW = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
_POOL = {"stride": None, "padding": 0, "ceil_mode": False}
_NORM = {"eps": 1e-5, "momentum": 0.1, "affine": True}
DEFAULTS: dict[str, dict[str, Any]] = {
    **{f"nn.Conv{axes}d": _WINDOW for axes in (1, 2, 3)},
    **{f"{form}Conv{axes}d": _WINDOW for form in ("Same", "Padded") for axes in (1, 2, 3)},
    **dict.fromkeys(("SameWsConv", "PaddedWsConv"), _WINDOW),
    **{
        f"{form}ConvTranspose{axes}d": _WINDOW | {"output_padding": 0}
        for form in ("nn.", "Cropped")
        for axes in (1, 2, 3)
    },
    **{f"nn.MaxPool{axes}d": _POOL | {"dilation": 1} for axes in (1, 2, 3)},
    **{f"nn.AvgPool{axes}d": _POOL | {"count_include_pad": True} for axes in (1, 2, 3)},
    **{f"nn.BatchNorm{axes}d": _NORM for axes in (1, 2, 3)},
    "nn.GroupNorm": {"eps": 1e-5, "affine": True},
    **{f"nn.InstanceNorm{axes}d": {"eps": 1e-5, "affine": False} for axes in (1, 2, 3)},
    "ChannelNorm": {"eps": 1e-5, "elementwise_affine": True},
    "nn.LayerNorm": {"eps": 1e-5, "elementwise_affine": True},
    "LayerNorm2d": {"eps": 1e-5, "elementwise_affine": True},
    "nn.LocalResponseNorm": {"alpha": 1e-4, "beta": 0.75, "k": 1.0},
    "nn.Linear": {"bias": True},
    "nn.LeakyReLU": {"negative_slope": 0.01},
    "nn.GELU": {"approximate": "none"},
    "nn.ELU": {"alpha": 1.0},
    "nn.PReLU": {"num_parameters": 1, "init": 0.25},
    "nn.Softmax": {},
    "nn.Upsample": {"size": None, "scale_factor": None, "mode": "nearest", "align_corners": None},
}
"""The arguments of torch's classes that may be left out, and what they are then; a test holds them to torch's own."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a class of `torch.nn` (`nn.Conv2d`), or of one in `archspec.layers.modules` (`LayerScale`)."""

    function: str
    positional: tuple[Any, ...] = ()
    named: tuple[tuple[str, Any], ...] = ()

    def make(self) -> nn.Module:
        """The module."""
        from torch import nn

        arguments = [one.make() if isinstance(one, Call) else one for one in self.positional]
        room, _, name = self.function.rpartition(".")
        if room:
            module: nn.Module = getattr(nn, name)(*arguments, **dict(self.named))
            return module
        kind = getattr(import_module(f"archspec.layers.modules.{file_of(name)}"), name)
        return traced(kind(*arguments, **dict(self.named)))


def call(function: str, *positional: Any, **named: Any) -> Call:
    """A call with its arguments as they would be written; those named that are torch's defaults are left out."""
    defaults = DEFAULTS.get(function, {})
    kept = {key: one for key, one in named.items() if not (key in defaults and _is(_short(one), defaults[key]))}
    return Call(function, positional, tuple(kept.items()))


def _is(value: Any, default: Any) -> bool:
    return bool(value == default) and isinstance(value, bool) is isinstance(default, bool)


def _short(value: Any) -> Any:
    """One number for all axes, where they have the same."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


@cache
def file_of(name: str) -> str:
    """The file in `archspec/layers/modules/` that holds a class: `layer_scale` holds `LayerScale`."""
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in name).lstrip("_")


def traced(module: nn.Module) -> nn.Module:
    """A module that torch has no class for, as a graph of torch's own operations, which archspec has no part in.

    Its parameters, buffers and submodules keep their names. Its `forward` is recorded once, by `torch.fx`; a network
    that holds it can therefore be pickled, and loaded where the class is not defined.

    Args:
        module: The module. Its `forward` must not branch on values.

    Example:
        ```python
        return traced(PowerMeanPool2d())  # at the end of `Primitive.module`
        ```
    """
    from torch import fx

    graph = fx.Tracer().trace(module)
    for node in graph.nodes:
        node.type = None  # a name, where annotations are not evaluated; torch 2.10 cannot pickle it
    made = fx.GraphModule(module, graph, class_name=type(module).__name__)
    made._non_persistent_buffers_set |= module._non_persistent_buffers_set & made._buffers.keys()  # torch 2.10 forgets
    return made

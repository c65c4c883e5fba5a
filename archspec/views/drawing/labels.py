"""What stands in a box, and how much room it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archspec.foundation.shapes import show
from archspec.layers.registry import primitives
from archspec.plan.nodes import Group, Layer

# Advance widths of Helvetica, in thousandths of the size, from the space to `~` (Adobe's metrics; Arial's are the same)
_WIDTHS = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
)  # fmt: skip
_SYMBOLS = {"×": 700, "·": 333, "→": 1000, "…": 1000, "−": 584}
WIDER = 1.2
"""How much wider than Helvetica the fonts are that may stand in for it: DejaVu Sans, and bold."""
MAX_TEXT = 40  # characters of a line
MAX_NAMES = 28  # of one that names several layers

HEAVY = ("convolution", "linear", "attention")
"""The families of layers that compute; the others of a small block stand below them in smaller type."""
_FAMILIES = {
    "window_attention": "attention",
    "transposed_convolution": "convolution",
    "other_norms": "normalization",
    "adaptive_pooling": "pooling",
    "padding": "resampling",
    "positions": "attention",
    "recurrent": "linear",
    "weighted_mean": "structure",
    "axes": "structure",
    "elementwise": "structure",
    "regularization": "structure",
}


def text_width(text: str, size: float) -> float:
    """The room that a line takes, in pixels, in any of the fonts that a reader may have."""
    units = sum(_WIDTHS[ord(sign) - 32] if 32 <= ord(sign) < 127 else _SYMBOLS.get(sign, 1000) for sign in text)
    return units * size * WIDER / 1000


def cut(text: str, length: int = MAX_TEXT) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


@dataclass(frozen=True, slots=True)
class Line:
    """A line in a box."""

    text: str
    small: bool = False


def family(layer: Layer) -> str:
    """The family of a layer, by which it is coloured: that of the file that its primitive stands in."""
    name = type(primitives()[layer.primitive]).__module__
    if not name.startswith("archspec.layers.primitives."):
        return "plugin"
    found = name.rsplit(".", 1)[1]
    return _FAMILIES.get(found, found)


def layer_label(layer: Layer) -> str:
    """A layer in a line, with what tells it from others of its kind: `conv 3×3, 64, /2`."""
    given = layer.arguments
    text = layer.primitive.replace("_", " ")
    groups = given.get("groups", 1)
    if "kernel" in given and groups > 1 and groups == layer.input[0]:
        text = f"depthwise {text}"
    rank = len(layer.output) - 1
    if "kernel" in given:
        text += f" {_window(given['kernel'], rank)}"
    if "out" in given:
        text += (", " if "kernel" in given else " ") + str(given["out"])
    stride = given.get("stride", 1)
    stride = given.get("kernel", 1) if stride is None else stride
    if stride not in (1, [1] * rank):
        text += f", {'×' if 'transpose' in layer.primitive else '/'}{_window(stride, 1)}"
    if given.get("dilation", 1) not in (1, [1] * rank):
        text += f", dilation {_window(given['dilation'], 1)}"
    if "kernel" in given and 1 < groups != layer.input[0]:
        text += f", {groups} groups"
    if "heads" in given:
        text += f", {given['heads']} heads"
    if layer.primitive in ("dropout", "stochastic_depth"):
        text += f" {given['p']:.2g}"
    if layer.primitive.startswith("upsample"):
        text += f" ×{_window(given['scale'], 1)}" if given.get("size") is None else f" to {_window(given['size'], 1)}"
    if layer.primitive.startswith("adaptive"):
        text += f" {_window(given['size'], 1)}"
    return cut(text)


def _window(value: int | Sequence[int], rank: int) -> str:
    """A size along `rank` axes: `3×3` of 3, `1×7` of [1, 7]; a single number where all are equal and rank is 1."""
    if isinstance(value, int):
        return show([value] * max(rank, 1))
    return str(value[0]) if rank == 1 and len(set(value)) == 1 else show(value)


def cell_lines(layers: Sequence[Layer]) -> tuple[Line, ...]:
    """The lines of a few layers in one box: that which computes, and in smaller type what comes before and after."""
    heavy = next((at for at, one in enumerate(layers) if family(one) in HEAVY), 0)
    before, after = layers[:heavy], layers[heavy + 1 :]
    return (*_names(before), Line(layer_label(layers[heavy])), *_names(after))


def _names(layers: Sequence[Layer]) -> list[Line]:
    """The names of layers, in as many lines as they need."""
    lines: list[str] = []
    for name in (one.primitive.replace("_", " ") for one in layers):
        if lines and len(lines[-1]) + len(name) + 3 <= MAX_NAMES:
            lines[-1] += f" · {name}"
        else:
            lines.append(cut(name))
    return [Line(line, small=True) for line in lines]


def block_lines(group: Group) -> tuple[Line, ...]:
    """The lines of a block: its name, and the numbers that it must be given, where these are few."""
    from archspec.language.vocabulary import library_names

    lines = [Line(cut(group.block.replace("_", " ")))]
    if group.block in library_names():
        given = _needed(group.block, group.arguments)
        if 0 < len(given) <= MAX_NEEDED:
            lines.append(Line(cut(", ".join(f"{name} {value}" for name, value in given)), small=True))
    return tuple(lines)


MAX_NEEDED = 2


def _needed(block: str, arguments: dict[str, Any]) -> list[tuple[str, Any]]:
    """The arguments without a default, with their values."""
    from archspec.foundation.arguments import REQUIRED
    from archspec.language.vocabulary import library_block

    needed = [one.name for one in library_block(block).signature.arguments if one.default is REQUIRED]
    return [(name, arguments[name]) for name in needed if isinstance(arguments.get(name), (int, float, str))]


def count(number: float, unit: str = "") -> str:
    """A number as people say it: `25.6 M`."""
    for limit, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit * 0.9995:
            return f"{number / limit:.3g} {sign}{unit}"
    return f"{number:,.0f}{' ' + unit if unit else ''}"

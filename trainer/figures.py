"""What all pictures share: their colours, fonts that have the letters, and files as PNG and SVG."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#666666"
"""Colours that are told apart with every kind of colour blindness (Okabe and Ito, https://jfly.uni-koeln.de/color/)."""
DPI = 200
"""Dots per inch of PNG files: a picture of a column's width, 3.5 inches, is sharp in print."""
DEFAULT_FONT = "DejaVu Sans"


def figure_of(width: float, height: float, count: int) -> tuple[Any, list[Any]]:
    """A figure of so many inches, and its parts side by side; without a window, or anything that all figures share."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, count, squeeze=False).flatten())


def save(figure: Any, file: Path) -> None:
    """Write a figure as the PNG file that is named, and as an SVG file beside it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing", category=UserWarning)
        how: dict[str, Any] = {"dpi": DPI, "bbox_inches": "tight", "pad_inches": 0.05}
        figure.savefig(file, **how)
        figure.savefig(file.with_suffix(".svg"), metadata={"Date": None}, **how)


@contextmanager
def fonts_for(texts: Iterable[str]) -> Iterator[None]:
    """Draw with installed fonts that have the characters of some texts inside the `with` block."""
    import matplotlib

    families = [DEFAULT_FONT, *_more_fonts(frozenset("".join(texts)))]
    with matplotlib.rc_context({"font.family": families, "svg.hashsalt": "archspec"}):
        yield


def without_glyphs(texts: Iterable[str]) -> list[str]:
    """The characters of some texts that no installed font has, each once, in order."""
    found = list(dict.fromkeys("".join(texts)))
    return [one for one in found if _drawn(one) and not any(ord(one) in _characters(file) for file in _files(found))]


def short(text: str, most: int) -> str:
    """A text on one line, with its middle left out where it is longer than so many characters.

    Chinese, Japanese and Korean characters count as two: they are as wide.
    """
    line = " ".join(text.split())
    if _width(line) <= most:
        return line
    kept = most - 1
    begin, end = "", ""
    for character in line:
        if _width(begin + character) > kept - kept // 2:
            break
        begin += character
    for character in reversed(line):
        if _width(character + end) > kept // 2:
            break
        end = character + end
    return f"{begin}…{end}"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def engineer(axis: Any, values: Iterable[float]) -> None:
    """Write the numbers along an axis as `150 k` where they are large, `20 µ` where they are small.

    matplotlib would put a power of ten beside the axis, where titles stand.
    """
    from matplotlib.ticker import EngFormatter

    greatest = max(map(abs, values), default=0.0)
    if greatest >= 1e5 or 0 < greatest < 1e-3:
        axis.set_major_formatter(EngFormatter())


def _drawn(character: str) -> bool:
    return unicodedata.category(character)[0] not in "CZ"


def _files(characters: Sequence[str]) -> list[str]:
    from matplotlib import font_manager

    first = str(font_manager.findfont(DEFAULT_FONT))
    if all(ord(one) in _characters(first) for one in characters if _drawn(one)):
        return [first]
    return [first, *(str(font.fname) for font in _installed())]


def _installed() -> list[Any]:
    """The fonts there are, but for those that have a box for every character, as matplotlib's own `Last Resort`."""
    from matplotlib import font_manager

    return [font for font in font_manager.fontManager.ttflist if "Last Resort" not in font.name]


def _more_fonts(characters: frozenset[str]) -> list[str]:
    """The families that have what the default font lacks; few where one has much."""
    files = _files(sorted(characters))
    missing = {ord(one) for one in characters if _drawn(one)} - _characters(files[0])
    families = []
    for font in _installed() if missing else ():
        if missing & _characters(str(font.fname)):
            families.append(font.name)
            missing -= _characters(str(font.fname))
    return families


@cache
def _characters(file: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(file).get_charmap())
    except RuntimeError:  # a font that cannot be read
        return frozenset()

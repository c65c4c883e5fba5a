"""Pictures as files, by their ending."""

from __future__ import annotations

import os
from collections.abc import Callable

from archspec.foundation.errors import UsageError, escape_line, join_words
from archspec.plan.plan import Plan
from archspec.writing.files import write as write_file


def _svg(plan: Plan, depth: int | None, columns: int | None) -> bytes:
    from archspec.views.drawing.svg import svg

    return svg(plan, depth, columns).encode()


def _mermaid(plan: Plan, depth: int | None, columns: int | None) -> bytes:
    from archspec.views.drawing.mermaid import mermaid

    return mermaid(plan, depth).encode()


def _html(plan: Plan, depth: int | None, columns: int | None) -> bytes:
    from archspec.views.drawing.html import html

    return html(plan, depth).encode()


def _png(plan: Plan, depth: int | None, columns: int | None) -> bytes:
    data: bytes = _cairosvg("svg2png")(bytestring=_svg(plan, depth, columns), scale=PNG_SCALE)
    return data


def _pdf(plan: Plan, depth: int | None, columns: int | None) -> bytes:
    data: bytes = _cairosvg("svg2pdf")(bytestring=_svg(plan, depth, columns))
    return data


PNG_SCALE = 3
"""Pixels of a PNG for each of the SVG's: some 290 to the inch."""
FORMATS: dict[str, Callable[[Plan, int | None, int | None], bytes]] = {
    ".svg": _svg,
    ".html": _html,
    ".png": _png,
    ".pdf": _pdf,
    ".mmd": _mermaid,
}
NEEDING_CAIRO = (".png", ".pdf")


def check_target(path: str) -> None:
    """Raises `UsageError` where a picture could not be written, before any work is done for it."""
    shown = escape_line(path)
    ending = os.path.splitext(path)[1].lower()
    if ending not in FORMATS:
        what = f"ends in `{escape_line(ending)}`" if ending else "has no ending"
        raise UsageError(f"cannot draw {shown}: it {what}", help=f"pictures end in {join_words(FORMATS)}")
    check_place(path)
    if ending in NEEDING_CAIRO:
        _cairosvg("svg2png")


def check_place(path: str) -> None:
    """Raises `UsageError` where no file could be written."""
    shown, folder = escape_line(path), os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write {shown}: {escape_line(folder)} is not a folder that can be written to")
    if os.path.isdir(path):
        raise UsageError(f"cannot write {shown}: it is a folder")


def write(plan: Plan, path: str, depth: int | None = None, columns: int | None = None) -> None:
    """Draw a plan to a file, whose ending says how. Raises `UsageError`."""
    check_target(path)
    data = FORMATS[os.path.splitext(path)[1].lower()](plan, depth, columns)
    write_file(path, data)


def _cairosvg(function: str) -> Callable[..., bytes]:
    """A function of CairoSVG. Raises `UsageError` where that, or the library below it, is not installed."""
    try:
        import cairosvg
    except ImportError:
        raise UsageError(
            "PNG and PDF are made by CairoSVG, which is not installed",
            help="install it by `pip install 'archspec-nets[draw]'`, or draw SVG or HTML, which need nothing",
        ) from None
    except OSError:
        raise UsageError(
            "PNG and PDF are made by CairoSVG, which does not find the library cairo",
            help="install it by the system's packages (`apt install libcairo2`, `brew install cairo`), or draw SVG or "
            "HTML, which need nothing",
        ) from None
    made: Callable[..., bytes] = getattr(cairosvg, function)
    return made

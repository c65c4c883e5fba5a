"""Pictures as files, by their ending."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from archspec.foundation.errors import UsageError, escape_line, join_words
from archspec.plan.plan import Plan
from archspec.writing.files import make, replace


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
    shown = escape_line(path) or "``"
    ending = os.path.splitext(path)[1].lower()
    if ending not in FORMATS:
        what = f"ends in `{escape_line(ending)}`" if ending else "has no ending"
        raise UsageError(f"cannot draw {shown}: it {what}", help=f"pictures end in {join_words(FORMATS)}")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write {shown}: {escape_line(folder)} is not a folder that can be written to")
    if os.path.isdir(path):
        raise UsageError(f"cannot write {shown}: it is a folder")
    if ending in NEEDING_CAIRO:
        _cairosvg("svg2png")


LATIN = 0x24F
"""The last character of those that all fonts have."""
MOST_EDGES = 500
"""The lines that Mermaid draws where nobody has set it to more."""


def write(plan: Plan, path: str, depth: int | None = None, columns: int | None = None) -> list[str]:
    """Draw a plan to a file, whose ending says how; gives what is to be said about it. Raises `UsageError`."""
    check_target(path)
    ending = os.path.splitext(path)[1].lower()
    data = FORMATS[ending](plan, depth, columns)
    _put(path, data)
    notes = [note] if (note := columns_note(plan, depth, columns, ending)) else []
    edges = data.count(b"->") if ending == ".mmd" else 0
    if edges > MOST_EDGES:
        notes.append(
            f"this flowchart has {edges} lines, and GitHub draws {MOST_EDGES} at most: choose a smaller `--depth`"
        )
    strange = [sign for sign in dict.fromkeys(plan.title) if ord(sign) > LATIN] if ending in NEEDING_CAIRO else []
    if strange:
        notes.append(f"CairoSVG draws the name in a single font, which may lack `{strange[0]}`: SVG and HTML do not")
    return notes


def _put(path: str, data: bytes) -> None:
    """Write a file whole or not at all; what is no file, such as a pipe, takes what is written."""
    if os.path.isfile(path):
        replace(path, data)
    elif not os.path.lexists(path):
        make(path, data)
    else:
        try:
            Path(path).write_bytes(data)
        except OSError as error:
            raise UsageError(f"cannot write {escape_line(path)}: {error.strerror or error}") from None


def columns_note(plan: Plan, depth: int | None, columns: int | None, ending: str = ".svg") -> str:
    """What is to be said where the columns that were asked for could not be drawn."""
    if columns is None:
        return ""
    if ending in (".html", ".mmd"):
        return f"`--columns` changes nothing here: a {ending} file is laid out by what shows it"
    from archspec.views.drawing.picture import lay_out

    if columns > 1 and lay_out(plan, depth, columns).whole:
        return "`--columns` changes nothing here: a network that saved tensors lead across is drawn as a whole"
    return ""


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

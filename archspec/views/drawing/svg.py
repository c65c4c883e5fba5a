"""A scene as SVG."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from html import escape
from math import hypot

from archspec.foundation.shapes import show
from archspec.language.inputs import show_inputs
from archspec.plan.plan import Plan
from archspec.views.drawing.labels import count, cut, text_width
from archspec.views.drawing.part import Part
from archspec.views.drawing.picture import Layout, lay_out
from archspec.views.drawing.scene import LINE, SHAPE, SMALL, TITLE, TITLE_X, Box, Edge, Frame, Point
from archspec.views.drawing.style import COLOURS, SHADES, describe

FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
MARGIN = 14.0  # around the picture
INK, GREY, FRAME_INK = "#1b1f24", "#5b6470", "#44546a"
AT_RIGHT = 'text-anchor="end" font-weight="700"'
COUNT_GAP = 6.0  # from what is counted to its count
LONGEST = 70  # characters of the name above it
CAPTION = 34.0  # the height of its name and figures
ROUND = 6.0  # radius of a line's corners


def svg(
    plan: Plan,
    depth: int | None = None,
    columns: int | None = None,
    *,
    caption: bool = True,
    toggled: Container[str] | None = None,
) -> str:
    """A plan as an SVG picture.

    Args:
        plan: The network.
        depth: How many levels of groups are open; without it, as many as make a picture of some thirty boxes.
        columns: In how many columns a long network is drawn; without it, as many as suit.
        caption: Whether the network's name and figures stand above it.
        toggled: For a page on which groups open and close: the keys of those that are not as they are by default. All
            that can be are then marked by `data-key` and `data-open`.
    """
    layout = lay_out(plan, depth, columns, toggled or ())
    return "\n".join(document(layout, caption, marked=toggled is not None)) + "\n"


def document(layout: Layout, caption: bool = True, marked: bool = False) -> Iterator[str]:
    """A laid out picture as the lines of an SVG file; `marked` where its groups open and close on a page."""
    plan, scene = layout.outline.plan, layout.scene
    costs = f"{count(plan.params)} parameters · {count(plan.macs, 'MACs')}"
    figures = f"{show_inputs(plan.takes)} → {show(plan.output)} · {costs}"
    above = CAPTION if caption else 0
    name = cut(plan.title, LONGEST)
    least = max(text_width(name, TITLE + 2), text_width(figures, SMALL)) if caption else 0
    width = max(scene.width, least) + 2 * MARGIN
    height = scene.height + above + 2 * MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}" '
        f'viewBox="0 0 {_n(width)} {_n(height)}" role="img" aria-label="{escape(plan.title)}" font-family="{FONT}">'
    )
    yield f"<title>{escape(plan.title)}</title>"
    yield f"<desc>{escape(figures)}. {escape(plan.description)}</desc>"
    yield (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" '
        'orient="auto"><path d="M0 0.8 8 4 0 7.2z" fill="#5b6470"/></marker></defs>'
    )
    yield f'<rect width="{_n(width)}" height="{_n(height)}" fill="#ffffff"/>'
    if caption:
        yield _text(MARGIN, MARGIN + 9, TITLE + 2, escape(name), INK, 'font-weight="600"')
        yield _text(MARGIN, MARGIN + 24, SMALL, escape(figures), GREY)
    left = MARGIN + (width - 2 * MARGIN - scene.width) / 2
    yield f'<g transform="translate({_n(left)} {_n(MARGIN + above)})">'
    for frame in scene.frames:
        yield _frame(frame, layout, _mark(frame.part, layout) if marked else "")
    for edge in scene.edges:
        yield _edge(edge)
    for box in scene.boxes:
        yield from _box(box, layout, _mark(box.part, layout) if marked else "")
    for label in scene.labels:
        yield _text(label.x, label.y + 3, SHAPE, escape(label.text), GREY)
    yield "</g>"
    yield "</svg>"


def _text(x: float, y: float, size: float, inner: str, ink: str, more: str = "") -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}" font-size="{size:g}" fill="{ink}"{" " + more if more else ""}>{inner}</text>'


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _mark(part: Part, layout: Layout) -> str:
    """What says of a group on a page whether it is open."""
    if part.make is None or not part.lines:
        return ""
    return f' data-key="{escape(part.key)}" data-open="{str(layout.is_open(part)).lower()}"'


def _frame(frame: Frame, layout: Layout, mark: str) -> str:
    title, times = layout.frame_title(frame.part)
    text = _text(frame.x + frame.indent, frame.y + 13, SMALL, escape(title), FRAME_INK)
    if times:
        text += _text(
            frame.right - TITLE_X, frame.y + 13, SMALL, times, FRAME_INK, 'text-anchor="end" font-weight="700"'
        )
    if mark:
        text = f"<g{mark}><title>{escape(describe(frame.part))}</title>{text}</g>"
    return (
        f'<rect x="{_n(frame.x)}" y="{_n(frame.y)}" width="{_n(frame.width)}" height="{_n(frame.height)}" rx="7" '
        f'fill="#44546a" fill-opacity="0.05" stroke="#9aa5b4" stroke-width="0.8"/>'
    ) + text


def _edge(edge: Edge) -> str:
    style = ' stroke="#c0492b" stroke-dasharray="5 3"' if edge.skip else ' stroke="#5b6470"'
    return f'<path d="{path(edge.points)}" fill="none"{style} stroke-width="1.2" marker-end="url(#arrow)"/>'


def path(points: Sequence[Point]) -> str:
    """A line along points, its corners rounded."""
    kept: list[Point] = []
    for point in points:
        if kept and abs(kept[-1][0] - point[0]) < 0.05 and abs(kept[-1][1] - point[1]) < 0.05:
            continue
        kept.append(point)
    text = f"M{_n(kept[0][0])} {_n(kept[0][1])}"
    for before, corner, after in zip(kept, kept[1:], kept[2:], strict=False):
        radius = min(ROUND, _length(before, corner) / 2, _length(corner, after) / 2)
        start, end = _towards(corner, before, radius), _towards(corner, after, radius)
        text += f"L{_n(start[0])} {_n(start[1])}Q{_n(corner[0])} {_n(corner[1])} {_n(end[0])} {_n(end[1])}"
    return text + f"L{_n(kept[-1][0])} {_n(kept[-1][1])}"


def _length(one: Point, two: Point) -> float:
    return hypot(one[0] - two[0], one[1] - two[1])


def _towards(start: Point, end: Point, by: float) -> Point:
    length = _length(start, end) or 1
    return start[0] + (end[0] - start[0]) * by / length, start[1] + (end[1] - start[1]) * by / length


def _box(box: Box, layout: Layout, mark: str) -> Iterator[str]:
    part = box.part
    fill, border = COLOURS[part.family]
    if part.family == "block":
        fill = SHADES[min(layout.coarseness(part.input), len(SHADES) - 1)]
    ink = "#ffffff" if part.family == "end" else "#1b1f24"
    radius = box.height / 2 if part.kind in ("merge", "input", "given", "end", "output") else 4
    yield f"<g{mark}><title>{escape(describe(part))}</title>"
    yield (
        f'<rect x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}" rx="{_n(radius)}" '
        f'fill="{fill}" stroke="{border}" stroke-width="1.1"/>'
    )
    middle = box.middle[0]
    y = box.y + (box.height - sum(LINE[line.small] for line in box.lines)) / 2
    for line in box.lines:
        size = SMALL if line.small else TITLE
        y += LINE[line.small]
        down = y - LINE[line.small] / 2 + size * 0.35
        at = middle
        if part.count > 1 and not line.small:
            times = f"×{part.count}"
            beside = text_width(times, size) + COUNT_GAP
            yield _text(middle + (text_width(line.text, size) + beside) / 2, down, size, times, ink, AT_RIGHT)
            at -= beside / 2
        yield _text(at, down, size, escape(line.text), ink, 'text-anchor="middle"')
    yield "</g>"

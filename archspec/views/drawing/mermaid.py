"""A scene as a Mermaid flowchart, which GitHub and GitLab draw in Markdown; others lay it out, so no place is kept."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from archspec.plan.plan import Plan
from archspec.views.drawing.picture import Layout, lay_out
from archspec.views.drawing.scene import Box, Frame
from archspec.views.drawing.style import COLOURS

SHAPES = {
    "merge": ("((", "))"),
    "input": ("([", "])"),
    "given": ("([", "])"),
    "end": ("([", "])"),
    "output": ("([", "])"),
}


def mermaid(plan: Plan, depth: int | None = None) -> str:
    """A plan as a Mermaid flowchart; `depth` as in `svg`."""
    return "\n".join(_lines(plan, lay_out(plan, depth))) + "\n"


def _lines(plan: Plan, layout: Layout) -> Iterator[str]:
    scene = layout.scene
    yield "---"
    yield f'title: "{_title(plan.title)}"'
    yield "---"
    yield "flowchart TB"
    used = {box.part.family for box in scene.boxes}
    for family, (fill, border) in COLOURS.items():
        if family not in used:
            continue
        ink = "#fff" if family == "end" else "#1b1f24"
        yield f"  classDef {family}_ fill:{fill},stroke:{border},color:{ink}"
    open_frames: list[Frame] = []
    frames: list[str] = []
    for box in sorted(
        scene.boxes, key=lambda box: box.part.stop if box.part.kind != "end" else len(layout.outline.graph.nodes) + 1
    ):
        around = [frame for frame in scene.frames if _within(box, frame)]
        shared = len(list(takewhile(lambda pair: pair[0] is pair[1], zip(open_frames, around, strict=False))))
        for _ in open_frames[shared:]:
            yield "  end"
        for frame in around[shared:]:
            title = " ".join(filter(None, layout.frame_title(frame.part)))
            frames.append(f"f{scene.frames.index(frame)}")
            yield f'  subgraph {frames[-1]}["{_text(title)}"]'
        open_frames = around
        before, after = SHAPES.get(box.part.kind, ("[", "]"))
        yield f'  n{box.id}{before}"{_box_text(box)}"{after}:::{box.part.family}_'
    yield from ("  end" for _ in open_frames)
    if frames:
        yield "  classDef frame_ fill:#f4f6f8,stroke:#9aa5b4,color:#44546a"
        yield f"  class {','.join(frames)} frame_"
    for edge in scene.edges:
        shape = "" if edge.skip else scene.shape_at(edge.source)
        arrow = "-.->" if edge.skip else "-->"
        yield f"  n{edge.source} {arrow}{f'|{_text(shape)}|' if shape else ''} n{edge.target}"
    arcs = [str(at) for at, edge in enumerate(scene.edges) if edge.skip]
    if arcs:
        yield f"  linkStyle {','.join(arcs)} stroke:#c0492b"


def _within(box: Box, frame: Frame) -> bool:
    return frame.part.start <= box.part.start and 0 <= box.part.stop <= frame.part.stop and box.part is not frame.part


def _box_text(box: Box) -> str:
    lines = []
    for line in box.lines:
        times = f" ×{box.part.count}" if box.part.count > 1 and not line.small else ""
        lines.append(_text(line.text + times))
    return "<br>".join(lines)


def _text(text: str) -> str:
    """Text as Mermaid takes it between quotes: every sign that could mean something to it by its number."""
    return "".join(sign if sign.isalnum() or sign in " ,./·×→…_()" else f"#{ord(sign)};" for sign in text)


def _title(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')

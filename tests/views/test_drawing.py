"""Pictures of networks: what is in them, where it lies, and what is said where none can be drawn."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import combinations, pairwise
from math import prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import pytest
from assembly.test_random_specs import NETWORKS, checked
from fontTools.ttLib import TTFont
from hypothesis import HealthCheck, given, settings, strategies as st

from archspec.language.finder import bundled
from archspec.layers.primitive import Primitive
from archspec.layers.registry import primitives
from archspec.plan.plan import Plan
from archspec.spec import from_dict, open_file
from archspec.views.drawing import outline as outlines
from archspec.views.drawing.labels import family
from archspec.views.drawing.picture import Layout, lay_out
from archspec.views.drawing.scene import SHAPE, SMALL, TITLE, Box, Rectangle
from archspec.views.drawing.style import COLOURS
from archspec.views.drawing.svg import document, svg

Run = Callable[..., subprocess.CompletedProcess[str]]
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
SVG = "{http://www.w3.org/2000/svg}"


@cache
def plans(name: str) -> tuple[Plan, ...]:
    """A bundled file's network and all of its variants."""
    return tuple(spec.plan for spec in open_file(name)[0].check().specs)


@cache
def layouts(name: str, depth: int | None) -> tuple[Layout, ...]:
    return tuple(lay_out(plan, depth) for plan in plans(name))


EVERY = pytest.mark.parametrize("name", bundled())
DEPTHS = pytest.mark.parametrize("depth", [None, 2, 99], ids=["as_fits", "two_levels", "all_open"])


# what is in them ----------------------------------------------------------------------------------------------------


def times(layout: Layout, box: Box) -> int:
    """How often a box stands for what it shows: by the open groups around it that follow one another."""
    return prod(part.count for part in layout.repeats if part.start <= box.part.start < part.stop)


def every_layer_stands_in_exactly_one_box(layout: Layout) -> None:
    plan = layout.outline.plan
    boxes = [box for box in layout.scene.boxes if box.part.kind not in ("merge", "output", "input", "given", "end")]
    assert sum(box.part.layers * times(layout, box) for box in boxes) == len(plan.layers)
    for box in boxes:
        assert box.part.params == sum(one.params for one in plan.layers if box.part.start <= one.id < box.part.stop)
    assert layout.repeats or sum(box.part.params for box in boxes) == plan.params
    shown = sorted((box.part.start, box.part.stop) for box in boxes)
    assert all(stop <= start for (_, stop), (start, _) in pairwise(shown))


def passes(layout: Layout, node: int) -> tuple[tuple[int, int], ...]:
    """The passes of open repeats that a node stands in, outermost first, and the node that is drawn for it, at last."""
    found = []
    for part in sorted(layout.repeats, key=lambda part: (part.start, -part.stop, -part.count)):
        if part.start <= node < part.stop:
            number, inside = divmod(node - part.start, (part.stop - part.start) // part.count)
            found.append((part.start, number))
            node = part.start + inside
    return (*found, (-1, node))


def box_of(layout: Layout, node: int) -> int:
    """The box that a node is shown in, found anew."""
    _, drawn = passes(layout, node)[-1]
    boxes = [box for box in layout.scene.boxes if box.part.start <= drawn < box.part.stop]
    merges = [box.id for box in boxes if box.part.kind == "merge" and box.part.stop - 1 == drawn]
    found = [box.id for box in boxes if box.part.kind != "merge"] or merges
    assert len(found) == 1
    return found[0]


def across_passes(one: tuple[tuple[int, int], ...], two: tuple[tuple[int, int], ...]) -> bool:
    """Whether two nodes stand in different passes of one repeat: only its first pass is drawn."""
    return any(a[0] == b[0] != -1 and a[1] != b[1] for a, b in zip(one, two, strict=False))


def every_line_is_an_edge_of_the_graph_and_every_edge_is_drawn(layout: Layout) -> None:
    graph = layout.outline.graph
    end = next(box.id for box in layout.scene.boxes if box.part.kind == "end")
    expected = {(box_of(layout, graph.output), end)}
    for node in graph.nodes:
        if node.kind in ("save", "load"):
            continue
        for source in node.sources:
            pair = box_of(layout, source), box_of(layout, node.id)
            if pair[0] != pair[1] and not across_passes(passes(layout, source), passes(layout, node.id)):
                expected.add(pair)
    assert {(edge.source, edge.target) for edge in layout.scene.edges} == expected


# where it lies ------------------------------------------------------------------------------------------------------


def apart(one: Rectangle, two: Rectangle, by: float = 0) -> bool:
    return one.right + by <= two.x or two.right + by <= one.x or one.bottom + by <= two.y or two.bottom + by <= one.y


def within(one: Rectangle, two: Rectangle) -> bool:
    return two.x <= one.x and one.right <= two.right and two.y <= one.y and one.bottom <= two.bottom


def nothing_overlaps(layout: Layout) -> None:
    scene = layout.scene
    for one, two in combinations(scene.boxes, 2):
        assert apart(one, two, 4), (one, two)
    for frame in scene.frames:
        for one in scene.rectangles:
            if one is not frame:
                assert apart(one, frame) or within(one, frame) or within(frame, one), (one, frame)
        for box in scene.boxes:
            inside = frame.part.start <= box.part.start and 0 <= box.part.stop <= frame.part.stop
            assert within(box, frame) if inside else apart(box, frame), (box, frame)
    labels = [Rectangle(scene.boxes[one.source].part, one.x, one.y - 4, one.width, 8) for one in scene.labels]
    for one, two in combinations(labels, 2):
        assert apart(one, two), (one, two)
    for label in labels:
        for box in scene.boxes:
            assert apart(label, box), (label, box)
        for frame in scene.frames:
            assert apart(label, frame) or within(label, frame), (label, frame)
    whole = Rectangle(scene.boxes[0].part, -0.1, -0.1, scene.width + 0.2, scene.height + 0.2)
    assert all(within(one, whole) for one in [*scene.rectangles, *labels])


def no_line_runs_through_a_box(layout: Layout) -> None:
    scene = layout.scene
    for edge in scene.edges:
        for (x, y), (to_x, to_y) in pairwise(edge.points):
            line = Rectangle(scene.boxes[0].part, min(x, to_x), min(y, to_y), abs(to_x - x), abs(to_y - y))
            for box in scene.boxes:
                assert box.id in (edge.source, edge.target) or apart(line, box), (edge, box)


def no_line_lies_on_another_tensors(layout: Layout) -> None:
    lines = [(edge, *ends) for edge in layout.scene.edges if edge.skip for ends in pairwise(edge.points)]
    for (edge, one, two), (other, three, four) in combinations(lines, 2):
        for across in (0, 1):
            if edge.source != other.source and one[across] == two[across] == three[across] == four[across]:
                mine, its = (sorted(ends[1 - across] for ends in pair) for pair in ((one, two), (three, four)))
                assert mine[1] <= its[0] or its[1] <= mine[0], (edge, other)


@cache
def font(name: str) -> tuple[dict[int, str], dict[str, tuple[int, int]], int]:
    loaded = TTFont(FONTS / name)
    return loaded.getBestCmap(), loaded["hmtx"].metrics, loaded["head"].unitsPerEm


def measured(text: str, size: float, name: str = "DejaVuSans.ttf") -> float:
    """The width of a text in pixels, by the font's own metrics."""
    characters, widths, units = font(name)
    return sum(widths[characters[ord(sign)]][0] for sign in text) * size / units


def no_text_is_wider_than_its_box(layout: Layout) -> None:
    scene = layout.scene
    for box in scene.boxes:
        for line in box.lines:
            width = measured(line.text, SMALL if line.small else TITLE)
            if box.part.count > 1 and not line.small:
                width += measured(f" ×{box.part.count}", TITLE, "DejaVuSans-Bold.ttf")
            assert width <= box.width - 4, (line, box.width)
    for frame in scene.frames:
        title, count = layout.frame_title(frame.part)
        assert frame.indent + measured(f"{title} {count}", SMALL) <= frame.width
    for label in scene.labels:
        assert measured(label.text, SHAPE) <= label.width


# what the file says, read from the file alone --------------------------------------------------------------------------

Place = tuple[float, float, float, float]


def rectangle(element: ElementTree.Element) -> Place:
    x, y, width, height = (float(element.get(name, "")) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def boxes_of(picture: str) -> list[tuple[str, str, int, int]]:
    """The boxes of a file: tooltip, first line in large type, own count, and how often the frames around it repeat."""
    drawn = ElementTree.fromstring(picture).find(f"{SVG}g")
    assert drawn is not None
    frames: list[tuple[Place, int]] = []
    boxes = []
    for one in drawn:
        counts = [
            int(text.text[1:]) for text in [one, *one.iter(f"{SVG}text")] if re.fullmatch(r"×\d+", text.text or "")
        ]
        if one.tag == f"{SVG}rect":
            frames.append((rectangle(one), 1))
        elif one.tag == f"{SVG}text" and counts:
            frames[-1] = (frames[-1][0], counts[0])
        elif one.tag == f"{SVG}g":
            inner = one.find(f"{SVG}rect")
            assert inner is not None
            (left, top, right, bottom), texts = rectangle(inner), one.findall(f"{SVG}text")
            around = [count for (x, y, x2, y2), count in frames if x < left and right < x2 and y < top and bottom < y2]
            large = [text.text or "" for text in texts if text.get("font-size") == "12"]
            boxes.append((one.findtext(f"{SVG}title") or "", (large or [""])[0], prod(counts), prod(around)))
    return boxes


def figure(tooltip: str, unit: str) -> int:
    found = re.search(rf"([\d,]+) {unit}", tooltip)
    return int(found[1].replace(",", "")) if found else 0


def tooltips_add_up_to_the_network(layout: Layout) -> None:
    plan, boxes = layout.outline.plan, boxes_of("\n".join(document(layout)))
    params = sum(figure(tooltip, "parameters") * times for tooltip, *_, times in boxes)
    assert params == plan.params or layout.outline.graph.shared  # passes that share a module are drawn once
    macs = sum(figure(tooltip, "MACs") * times for tooltip, *_, times in boxes)
    assert macs >= plan.macs if plan.without_aux().params < plan.params else macs == plan.macs  # without those of `aux`


@pytest.mark.slow
@EVERY
def test_every_layer_is_a_box_of_the_file(name: str) -> None:
    """Where all is open, each box is a layer, an end, a merge or an output: what it says is counted, not our parts."""
    words = sorted((name.replace("_", " ") for name in primitives()), key=len, reverse=True)
    for layout in layouts(name, 99):
        found: Counter[str] = Counter()
        for tooltip, text, count, times in boxes_of("\n".join(document(layout))):
            if " → " in tooltip and text:
                word = text.removeprefix("depthwise ")
                found[next(one for one in words if re.match(rf"{one}\b", word))] += count * times
        assert found == Counter(one.layer.primitive.replace("_", " ") for one in layout.outline.plan.layers)


CLAIMS = [
    every_layer_stands_in_exactly_one_box,
    tooltips_add_up_to_the_network,
    every_line_is_an_edge_of_the_graph_and_every_edge_is_drawn,
    nothing_overlaps,
    no_text_is_wider_than_its_box,
    no_line_runs_through_a_box,
    no_line_lies_on_another_tensors,
]


@pytest.mark.slow
@EVERY
@DEPTHS
@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_bundled_networks(name: str, depth: int | None, claim: Callable[[Layout], None]) -> None:
    for layout in layouts(name, depth):
        claim(layout)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    network=NETWORKS,
    depth=st.sampled_from([None, 0, 1, 2, 99]),
    second=st.sampled_from(["", "", "before", "after", "first", "within"]),
)
def test_random_networks(network: Any, depth: int | None, second: str) -> None:
    """What one branch saves and another one loads may have no way but behind a box: that is not looked at."""
    for spec in checked(network, (3, 8, 8), "batch_norm", second).specs:
        layout = lay_out(spec.plan, depth)
        for claim in CLAIMS:
            if claim is not no_line_runs_through_a_box:
                claim(layout)
        ElementTree.fromstring(svg(spec.plan, depth))


@pytest.mark.slow
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    network=NETWORKS,
    depth=st.sampled_from([None, 0, 1, 2, 99]),
    second=st.sampled_from(["", "", "before", "after", "first", "within"]),
)
def test_long_columns_of_random_networks(network: Any, depth: int | None, second: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outlines, "MAX_COLUMN", 3)  # as if they were long
        patch.setattr(outlines, "STRETCHES", 2)
        for spec in checked(network, (3, 8, 8), "batch_norm", second).specs:
            layout = lay_out(spec.plan, depth)
            for claim in CLAIMS:
                if claim is not no_line_runs_through_a_box:
                    claim(layout)


def test_ten_thousand_layers_are_a_few_boxes_that_open(tmp_path: Path) -> None:
    layers = [f"  - conv: {{out: {4 + at % 3}, kernel: 1}}\n  - {'relu' if at % 2 else 'tanh'}\n" for at in range(5000)]
    (tmp_path / "long.yaml").write_text("archspec: 1\ninput: [3, 8, 8]\nnetwork:\n" + "".join(layers))
    (spec,) = open_file(tmp_path / "long.yaml")[0].check().specs
    layout = lay_out(spec.plan)
    every_layer_stands_in_exactly_one_box(layout)
    every_line_is_an_edge_of_the_graph_and_every_edge_is_drawn(layout)
    assert [box.part.layers for box in layout.scene.boxes] == [0, *[313] * 31, 10_000 - 31 * 313, 0]
    first = layout.scene.boxes[1].part
    assert [line.text for line in first.lines] == ["0 … 312", "313 layers"]
    assert (first.params, first.macs) == figures(layers[:157], 313)
    opened = lay_out(spec.plan, toggled=[first.key])
    every_line_is_an_edge_of_the_graph_and_every_edge_is_drawn(opened)
    assert [box.part.layers for box in opened.scene.boxes][:33] == [0, *[10] * 31, 3]


def test_very_many_outputs_in_a_row_are_drawn(tmp_path: Path) -> None:
    outputs = "".join(f"  - output: o{at}\n" for at in range(outlines.MAX_COLUMN + 50))
    (tmp_path / "long.yaml").write_text(f"archspec: 1\ninput: [3, 8, 8]\nnetwork:\n{outputs}  - relu\n")
    (spec,) = open_file(tmp_path / "long.yaml")[0].check().specs
    layout = lay_out(spec.plan)
    assert [box.part.title for box in layout.scene.boxes if box.part.kind == "layer"] == ["relu"]
    assert sum(box.part.kind == "output" for box in layout.scene.boxes) == outlines.MAX_COLUMN + 50


def figures(lines: list[str], layers: int) -> tuple[int, int]:
    """Parameters and MACs of so many layers, each line a convolution and an activation, computed by hand."""
    widths = [3, *(int(re.search(r"out: (\d)", line)[1]) for line in lines[: (layers + 1) // 2])]  # type: ignore[index]
    pairs = list(pairwise(widths))
    return sum(a * b + b for a, b in pairs), sum(64 * a * b for a, b in pairs)


EXCHANGE = """\
archspec: 1
name: Exchange
input: [3, 64, 64]
defaults: {act: relu, norm: batch_norm}
blocks:
  exchange:
    inputs: [fine, coarse]
    outputs: [next_fine, next_coarse]
    args: {width: {type: integer, minimum: 1}}
    body:
      - add:
          own: [load: fine, conv_norm_act: {out: =width}]
          up: [load: coarse, conv_norm_act: {out: =width, kernel: 1, act: none}, upsample: {scale: 2}]
      - save: next_fine
      - add:
          own: [load: coarse, conv_norm_act: {out: =2*width}]
          down: [load: fine, conv_norm_act: {out: =2*width, stride: 2, act: none}]
      - save: next_coarse
network:
  stem: [conv_norm_act: {out: 32, stride: 2}, save: a, conv_norm_act: {out: 64, stride: 2}, save: b]
  stage1: {exchange: 32, load: [a, b], save: [a, b]}
  stage2: {exchange: 32, load: [a, b], save: [a, b]}
  head: [concat: {fine: {load: a}, coarse: [load: b, upsample: {scale: 2}]}, conv: {out: 5, kernel: 1}]
"""


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_lines_of_several_resolutions_can_be_told_apart(claim: Callable[[Layout], None], tmp_path: Path) -> None:
    (tmp_path / "exchange.yaml").write_text(EXCHANGE)
    (spec,) = open_file(tmp_path / "exchange.yaml")[0].check().specs
    for depth in (None, 1, 99):
        claim(lay_out(spec.plan, depth))


# the file -------------------------------------------------------------------------------------------------------------


@EVERY
def test_a_picture_is_valid_xml_with_a_name_and_figures(name: str) -> None:
    for plan in plans(name):
        root = ElementTree.fromstring(svg(plan))
        assert root.tag == f"{SVG}svg"
        assert root.get("role") == "img"
        assert root.findtext(f"{SVG}title") == plan.title
        assert (root.findtext(f"{SVG}desc") or "").endswith(plan.description)
        assert root.get("aria-label") == plan.title


@pytest.mark.parametrize("primitive", primitives().values(), ids=list(primitives()))
def test_every_layer_has_a_colour(primitive: Primitive) -> None:
    from archspec.foundation.reading import read
    from archspec.foundation.source import plain

    node = plain(read(primitive.examples[0].encode(), "example"))
    spec = from_dict({"archspec": 1, "input": list(primitive.example_input), "network": [node]})
    assert family(spec.plan.layers[0].layer) in COLOURS

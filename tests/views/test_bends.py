"""Networks that lead down and up again look like a U, however they are written; inputs stand where they are taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from views.test_drawing import CLAIMS

from archspec.spec import open_file
from archspec.views.drawing.picture import Layout, lay_out

UP_BLOCK = """\
archspec: 1
name: A decoder of blocks that take two tensors
input: [3, 64, 64]
defaults: {act: relu, norm: batch_norm}
blocks:
  residual:
    args: {out: {type: integer, minimum: 1}, stride: 1}
    body:
      - add:
          - [conv_norm_act: {out: =out, stride: =stride}, conv_norm_act: {out: =out, act: none}]
          - [conv: {out: =out, kernel: 1, stride: =stride}]
      - relu
  up:
    inputs: [x, skip]
    outputs: [y]
    args: {out: {type: integer, minimum: 1}}
    body:
      - concat: [[load: x, conv_transpose: {out: =out, kernel: 2, stride: 2}], [load: skip]]
      - residual: =out
      - save: y
network:
  - residual: 8
  - save: e0
  - residual: {out: 16, stride: 2}
  - save: e1
  - residual: {out: 32, stride: 2}
  - save: e2
  - {up: 16, load: [e2, e1], save: [d1]}
  - {up: 8, load: [d1, e0], save: [d0]}
  - load: d0
  - conv: {out: 2, kernel: 1}
"""
GATED = """\
archspec: 1
name: Each saved tensor is used twice
input: [1, 64, 64]
defaults: {act: relu, norm: batch_norm}
network:
  - conv_norm_act: {out: 8}
  - save: s0
  - max_pool: 2
  - conv_norm_act: {out: 16}
  - save: s1
  - max_pool: 2
  - conv_norm_act: {out: 32}
  - conv_transpose: {out: 16, kernel: 2, stride: 2}
  - concat: [[], [multiply: [[load: s1], [load: s1, conv: {out: 1, kernel: 1}, sigmoid]]]]
  - conv_transpose: {out: 8, kernel: 2, stride: 2}
  - concat: [[], [multiply: [[load: s0], [load: s0, conv: {out: 1, kernel: 1}, sigmoid]]]]
  - conv: {out: 2, kernel: 1}
"""
LEVELS = """\
archspec: 1
name: Several tensors of a resolution, wider where it is coarser
input: [3, 32, 32]
network:
  - conv: {out: 8, kernel: 3, padding: 1}
  - save: h0
  - conv: {out: 8, kernel: 3, padding: 1}
  - save: h1
  - conv: {out: 8, kernel: 3, stride: 2, padding: 1}
  - save: h2
  - conv: {out: 32, kernel: 3, padding: 1}
  - save: h3
  - add: [[conv: {out: 32, kernel: 1}], [conv: {out: 32, kernel: 3, padding: 1}]]
  - concat: [[], load: h3]
  - concat: [[], load: h2]
  - upsample: 2
  - concat: [[], load: h1]
  - concat: [[], load: h0]
  - conv: {out: 3, kernel: 1}
"""


def drawn(tmp_path: Path, text: str, depth: int | None = None) -> Layout:
    (tmp_path / "net.yaml").write_text(text, encoding="utf-8")
    (spec,) = open_file(tmp_path / "net.yaml")[0].check().specs
    layout = lay_out(spec.plan, depth)
    for claim in CLAIMS:
        claim(layout)
    return layout


@pytest.mark.parametrize(
    ("text", "across", "beside"),
    [(UP_BLOCK, 2, 0), (GATED, 2, 2), (LEVELS, 4, 0)],
    ids=["blocks_of_two_tensors", "used_twice", "several_of_a_resolution"],
)
def test_saved_tensors_lead_straight_across_a_u(tmp_path: Path, text: str, across: int, beside: int) -> None:
    scene = drawn(tmp_path, text).scene
    begin, end = (next(box for box in scene.boxes if box.part.kind == kind) for kind in ("input", "end"))
    assert end.x > begin.right
    assert end.bottom < scene.height / 3
    arcs = [edge for edge in scene.edges if edge.skip]
    straight = [edge for edge in arcs if len(edge.points) == 2 and abs(edge.points[0][1] - edge.points[1][1]) < 1]
    assert len(straight) == across
    assert len(arcs) == across + beside


def test_every_line_is_upright_or_level(tmp_path: Path) -> None:
    for text in (UP_BLOCK, LEVELS):
        for edge in drawn(tmp_path, text).scene.edges:
            for one, two in zip(edge.points, edge.points[1:], strict=False):
                assert abs(one[0] - two[0]) < 1 or abs(one[1] - two[1]) < 1, edge


def test_arcs_of_one_tensor_share_a_lane(tmp_path: Path) -> None:
    text = (
        "archspec: 1\ninput: [3, 8, 8]\nnetwork:\n  - relu\n  - save: x\n  - conv: {out: 3, kernel: 1}\n"
        "  - add: [[], load: x]\n  - conv: {out: 3, kernel: 1}\n  - add: [[], load: x]\n"
    )
    arcs = [edge for edge in drawn(tmp_path, text).scene.edges if edge.skip]
    assert len(arcs) == 2
    assert len({max(x for x, _ in edge.points) for edge in arcs}) == 1


TWO = "archspec: 1\ninput: {image: [3, 8, 8], depth: [1, 8, 8]}\nnetwork:\n"


@pytest.mark.parametrize(
    ("network", "above"),
    [
        ("  - concat: [[load: image, relu], [load: depth, relu]]\n", {0, 1}),
        ("  - concat: [[relu], [load: depth, relu]]\n", {0, 1}),
        ("  - concat: [[], [load: depth]]\n", {0, 1}),
        ("  - concat: [[relu], [load: depth, relu], [tanh]]\n", {1}),
        ("  - concat: [[load: image, relu], [load: depth, relu], [load: image, tanh]]\n", {1}),
        ("  - concat: [[relu], [load: depth, relu]]\n  - concat: [[], load: depth]\n", {0}),
        ("  - relu\n  - concat: [[relu], [load: depth, relu]]\n", set()),
    ],
)
@pytest.mark.parametrize("depth", [None, 0])
def test_an_input_that_one_branch_takes_stands_above_it(
    tmp_path: Path, network: str, above: set[int], depth: int | None
) -> None:
    scene = drawn(tmp_path, TWO + network, depth).scene
    if depth == 0:
        assert [box.part.kind for box in scene.boxes] == ["input", "given", "group", "end"]
        return
    arcs = {edge.source for edge in scene.edges if edge.skip}
    inputs = [box for box in scene.boxes if box.part.kind in ("input", "given")]
    assert {box.part.start for box in inputs} == {0, 1}
    for box in inputs:
        lines = [edge for edge in scene.edges if edge.source == box.id]
        assert (len(lines) == 1 and box.id not in arcs and box.part.kind == "input") or box.part.start not in above


@pytest.mark.parametrize(("layers", "columns"), [(3, 1), (30, 2)])
def test_a_low_picture_is_a_single_column(tmp_path: Path, layers: int, columns: int) -> None:
    body = "".join(f"  - linear: {4 + at}\n" for at in range(layers))
    scene = drawn(tmp_path, "archspec: 1\ninput: [4]\nnetwork:\n" + body).scene
    assert (len({round(box.middle[0]) for box in scene.boxes}) > 1) is (columns > 1)


def test_columns_that_hardly_lower_a_picture_are_not_drawn(tmp_path: Path) -> None:
    body = "".join(f"    - linear: {4 + at}\n" for at in range(20))
    scene = drawn(tmp_path, "archspec: 1\ninput: [4]\nnetwork:\n  large:\n" + body + "  last: {linear: 3}\n").scene
    assert len(scene.frames) == 1
    assert len({round(box.middle[0]) for box in scene.boxes}) == 1

"""Pictures fit for print: what is drawn in them, read back from their SVG files and from matplotlib's own objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image

from trainer import drawing, figures
from trainer.input.datasets import InMemory
from trainer.logs import read_log
from trainer.report import pictures
from trainer.tasks import _scatter

LOG = "epoch,step,val_loss,val_accuracy,train_loss\n" + "".join(
    f"{i},{i},{2 - 0.1 * i},{0.5 + 0.04 * i},{3 - 0.2 * i}\n" for i in range(9)
)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are saved, laid out."""
    found: list[Any] = []
    inner = figures.save

    def save(figure: Any, file: Path) -> None:
        inner(figure, file)
        figure.canvas.draw()
        found.append(figure)

    for module in (drawing, _scatter):
        monkeypatch.setattr(module, "save", save)
    return found


def overlaps(texts: Sequence[Any]) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes overlap."""
    boxes = [(one.get_text(), one.get_window_extent()) for one in texts if one.get_text() and one.get_visible()]
    return [(a, b) for i, (a, one) in enumerate(boxes) for b, other in boxes[i + 1 :] if one.overlaps(other)]


def test_curves_mark_the_best_epoch_at_whole_ticks(tmp_path: Path, drawn: list[Any]) -> None:
    (tmp_path / "metrics.csv").write_text(LOG)
    drawing.curves(
        read_log(tmp_path / "metrics.csv"),
        tmp_path / "curves.png",
        "val_accuracy",
        "validation accuracy",
        best=7,
        percent=True,
    )
    left, right = drawn[0].axes
    for axes in (left, right):
        assert all(tick == round(tick) for tick in axes.get_xticks())
        assert not overlaps(axes.get_xticklabels())
        (best,) = [line for line in axes.lines if line.get_label() == "best: epoch 7"]
        assert list(best.get_xdata()) == [7, 7]
    assert [line.get_label() for line in left.lines] == ["training", "validation", "best: epoch 7"]
    assert list(left.lines[0].get_ydata()) == pytest.approx([3 - 0.2 * i for i in range(9)])
    assert right.get_yticklabels()[1].get_text().endswith("%")
    # told apart without colour: one line is dashed, and their lightness differs
    assert left.lines[0].get_linestyle() != left.lines[1].get_linestyle()
    assert (tmp_path / "curves.svg").read_text().startswith("<?xml")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.width >= 7 * figures.DPI


def test_colours_are_told_apart_with_colour_blindness() -> None:
    """Seen by somebody without red or green cones (Viénot 1999), the two lines stay far apart."""
    for cones in (
        [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    ):
        seen = [torch.tensor(cones) @ torch.tensor(to_rgb(one)) for one in (figures.BLUE, figures.VERMILLION)]
        assert float((seen[0] - seen[1]).norm()) > 0.4


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 20, 21, 60, 100])
def test_every_class_is_named_and_no_texts_overlap(count: int, tmp_path: Path, drawn: list[Any]) -> None:
    names = [f"class {i}" if i % 5 else f"a long name of species {i}" for i in range(count)]
    matrix = torch.eye(count, dtype=torch.int64) * 30 + 1
    drawing.confusion(matrix, names, tmp_path / "confusion.png")
    axes = drawn[0].axes[0]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == [figures.short(name, 24) for name in names]
        assert not overlaps(labels)
    assert len(axes.texts) == (count**2 if count <= 20 else 0)
    # nothing is outside of the picture
    box = drawn[0].get_tightbbox()
    with Image.open(tmp_path / "confusion.png") as image:
        assert image.width >= box.width * figures.DPI


@pytest.mark.slow
def test_of_very_many_classes_some_are_named(tmp_path: Path, drawn: list[Any]) -> None:
    names = [f"class {i}" for i in range(250)]
    drawing.confusion(torch.eye(250, dtype=torch.int64), names, tmp_path / "confusion.png")
    labels = drawn[0].axes[0].get_yticklabels()
    assert [label.get_text() for label in labels[:3]] == ["class 0", "class 3", "class 6"]
    assert not overlaps(labels)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (5, (1, 5)), (7, (2, 4)), (13, (3, 5)), (24, (4, 6))])
def test_rows_of_images_are_about_equally_long(
    count: int, shape: tuple[int, int], tmp_path: Path, drawn: list[Any]
) -> None:
    title = "some/very/long/path/of/an/image/IMG_0001.jpg\nan animal with a long name, taken for\nanother (87%)"
    drawing.grid(torch.zeros(count, 3, 8, 8, dtype=torch.uint8), [title] * count, tmp_path / "grid.png", 6, "title")
    (axes,) = drawn[0].axes
    rows, columns, _ = axes.images[0].get_array().shape
    assert (rows // drawing._TALL, columns // drawing._TILE) == shape
    assert not overlaps([*axes.texts, axes.title])


def test_images_fill_a_page_and_their_legend_stays_within(tmp_path: Path, drawn: list[Any]) -> None:
    legend = [(f"a long name of species {number}", "#0072B2") for number in range(20)]
    tiles = torch.zeros(24, 3, 8, 8, dtype=torch.uint8)
    drawing.grid(tiles, ["first:\nimage 1", "mask", "predicted,\nIoU 90%"] * 8, tmp_path / "grid.png", 6, "", legend)
    (figure,) = drawn
    assert figure.get_figwidth() == pytest.approx(6.9)  # inches: a page between its margins
    assert not overlaps(figure.legends[0].get_texts())
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


@pytest.mark.slow
def test_large_numbers_stand_along_axes_and_wide_letters_above_images_without_touching(
    tmp_path: Path, drawn: list[Any]
) -> None:
    numbers = torch.tensor([[0.0, 1e-5], [1.5e8, 2e-5], [2e8, 4e-5]])
    _scatter.scatter(numbers, numbers, ["income in a year, in US dollars", "a small one"], tmp_path / "scatter.png")
    for axes in drawn[0].axes:
        labels = [label for label in axes.get_xticklabels() if label.get_text()]
        assert not overlaps(labels)
        assert axes.xaxis.get_offset_text().get_text() == ""
    assert "80 M" in [label.get_text() for label in drawn[0].axes[0].get_xticklabels()]
    titles = ["1.75e+08 → 1.783e+08\nIMG_2024_01_01_0001_NEW.JPG"] * 6
    drawing.grid(torch.zeros(6, 3, 8, 8, dtype=torch.uint8), titles, tmp_path / "grid.png", 6, "title")
    assert not overlaps(drawn[1].axes[0].texts)


def test_chinese_letters_count_as_two_of_a_line() -> None:
    assert figures.short("一二三四五六七八九十", 11) == "一二…九十"
    assert figures.short("abcdefghijkl", 11) == "abcde…hijkl"
    assert figures.short("一二三四五", 10) == "一二三四五"


def test_files_that_no_font_can_write_are_numbered() -> None:
    part = InMemory(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.zeros(2), ("cat/1.png", "cat/\U00012345.png"))
    assert drawing.files_at(part, [0, 1]) == ["cat/1.png", "image 1"]


# --- characters ------------------------------------------------------------------------------------------------------


def test_characters_are_drawn_by_a_font_that_has_them(tmp_path: Path) -> None:
    """𝒜 (U+1D49C) is not in DejaVu Sans, but in STIX, which comes with matplotlib."""
    import matplotlib

    with figures.fonts_for(["dog", "\U0001d49c"]):
        families = matplotlib.rcParams["font.family"]
    assert families[0] == "DejaVu Sans"
    assert len(families) == 2
    assert figures.without_glyphs(["dog", "\U0001d49c", "собака"]) == []


def test_classes_that_no_font_can_write_are_numbered_and_noted_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    odd = "\U0001f9ff\U00012345"  # an emoji, cuneiform
    missing = figures.without_glyphs([odd])
    assert missing
    assert pictures._legible(["cat", odd, "dog"]) == ["cat", "class 1", "dog"]
    assert capsys.readouterr().err.startswith(f"note: no font has the characters `{missing[0]}`")
    drawing.confusion(torch.eye(2, dtype=torch.int64), ["cat", odd], tmp_path / "confusion.png")
    assert not recwarn.list
    assert pictures._legible(["cat", "dog"]) == ["cat", "dog"]
    assert capsys.readouterr().err == ""

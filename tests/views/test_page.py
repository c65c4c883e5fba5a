"""The HTML picture, in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from views.test_bends import GATED, UP_BLOCK

import archspec
from archspec.language.finder import bundled
from archspec.views.drawing.html import html


@pytest.mark.parametrize("name", bundled())
def test_a_page_holds_every_layer_and_loads_nothing(name: str) -> None:
    plan = archspec.load(name).plan
    page = html(plan)
    assert re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!#)([^"')> ]+)""", page) == [plan.source] * bool(plan.source)
    held = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert held

    def layers(parts: list[dict[str, Any]]) -> int:
        inner = sum(layers(branch) for part in parts for branch in part.get("branches", []))
        loose = sum(layers(part["parts"]) for part in parts if part["kind"] == "side" and not part["lines"])
        return inner + loose + sum(part.get("layers", 0) for part in parts)

    parts = json.loads(held[1])["parts"]
    assert layers(parts) == len(plan.layers)
    assert ids(parts, "load") <= ids(parts, "save", "end")


def ids(parts: list[dict[str, Any]], *kinds: str) -> set[int]:
    """By what numbers parts of some kinds, wherever they stand, find each other."""
    own = {part["id"] for part in parts if part["kind"] in kinds and "id" in part}
    inner = [parts for part in parts for parts in [part.get("parts", []), *part.get("branches", [])] if parts]
    return own.union(*(ids(parts, *kinds) for parts in inner))


class Opened:
    """A network's page in a browser, and what went wrong there."""

    def __init__(self, browser: Any, folder: Path, name: str, width: int = 1200, **options: Any) -> None:
        self.wrong: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("request", lambda request: self.wrong.append(request.url) if self.loaded else None)
        self.loaded = False
        file = folder / "net.html"
        file.write_text(html(archspec.load(name).plan), encoding="utf-8")
        self.page.goto(file.as_uri())
        self.loaded = True

    def texts(self, selector: str = ".box") -> list[str]:
        return [text.replace("\n", " ") for text in self.page.locator(selector).all_inner_texts()]


@pytest.mark.slow
def test_groups_open_and_close_by_a_click_and_by_keys(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, tmp_path, "resnet50")
    page = opened.page
    boxes = opened.texts()
    assert boxes[:4] == ["input", "conv 7×7, 64, /2 batch norm · relu", "max pool 3×3, /2", "bottleneck width 64"]
    page.locator(".box", has_text="bottleneck").first.click()
    inside = ["conv 1×1, 64 batch norm · relu", "conv 3×3, 64 batch norm · relu", "conv 1×1, 256 batch norm"]
    assert opened.texts()[3:6] == inside
    page.keyboard.press("ArrowLeft")  # what was opened has the focus still
    assert opened.texts() == boxes
    page.keyboard.press("ArrowRight")
    assert opened.texts()[3:6] == inside
    page.locator(".head", has_text="bottleneck").first.click()
    assert opened.texts() == boxes
    page.keyboard.press("[")
    assert opened.texts()[3:5] == ["stages.0", "stages.1"]
    page.keyboard.press("]")
    assert opened.texts() == boxes
    assert opened.wrong == []


@pytest.mark.slow
def test_what_is_pointed_at_is_explained(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, tmp_path, "resnet50")
    opened.page.locator(".box", has_text="max pool").hover()
    assert opened.page.locator("#about").inner_text().split("\n") == [
        "max pool 3×3, /2 stem.1 64×112×112 → 64×56×56 specs/imagenet/resnet.yaml:12",
        "max_pool: {kernel: 3, stride: 2, padding: 1, dilation: 1, ceil_mode: false}",
    ]


@pytest.mark.slow
def test_search_opens_what_it_finds(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, tmp_path, "resnet50")
    page = opened.page
    page.keyboard.press("/")
    page.keyboard.type("stages.3 conv 3x3")
    assert page.locator("#found").inner_text() == "1 of 4"
    assert opened.texts(".hit") == ["conv 3×3, 512, /2 batch norm · relu"]
    page.keyboard.press("Enter")
    assert page.locator("#found").inner_text() == "2 of 4"
    page.fill("#search", "nothing of the kind")
    assert page.locator("#found").inner_text() == "none"
    assert opened.wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "imagenet/fpn"])
def test_saved_tensors_lead_straight_across(browser: Any, tmp_path: Path, name: str) -> None:
    opened = Opened(browser, tmp_path, name)
    saves, loads = (opened.page.locator(f".box.{kind}").all() for kind in ("save", "load"))
    heights = {one.inner_text().split()[-1]: one.bounding_box()["y"] for one in saves}
    across = [one for one in loads if one.inner_text().split()[-1] != "merged"]
    assert len(across) == (4 if name == "unet" else 3)
    for one in across:
        assert abs(heights[one.inner_text().split()[-1]] - one.bounding_box()["y"]) < 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "unet", "imagenet/fpn", "imagenet/googlenet", "swin_t", "inception_v3"])
@pytest.mark.parametrize("levels", [0, 2])
def test_no_box_covers_another_and_no_text_leaves_its_box(browser: Any, tmp_path: Path, name: str, levels: int) -> None:
    opened = Opened(browser, tmp_path, name)
    for _ in range(levels):
        opened.page.keyboard.press("]")
    wrong = opened.page.evaluate(
        """() => {
          const boxes = [...document.querySelectorAll(".box")], wrong = [];
          const places = boxes.map(one => one.getBoundingClientRect());
          boxes.forEach((one, at) => {
            if (one.scrollWidth > one.clientWidth + 1) wrong.push(one.innerText);
            for (let other = 0; other < at; other++) {
              const a = places[at], b = places[other];
              if (a.left < b.right - .5 && b.left < a.right - .5 && a.top < b.bottom - .5 && b.top < a.bottom - .5)
                wrong.push(one.innerText + " covers " + boxes[other].innerText);
            }
          });
          return wrong;
        }"""
    )
    assert wrong == []
    assert opened.wrong == []


@pytest.mark.slow
def test_a_phone_shows_the_whole_width_and_the_dark_is_dark(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, tmp_path, "imagenet/googlenet", width=390, color_scheme="dark")
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
    assert opened.page.locator(".box").first.is_visible()


@pytest.mark.slow
def test_inputs_stand_above_the_branches_that_take_them(browser: Any, tmp_path: Path) -> None:
    spec = tmp_path / "two.yaml"
    branches = "{concat: [[load: image, relu], [load: depth, relu]]}"
    spec.write_text(f"archspec: 1\ninput: {{image: [3, 8, 8], depth: [1, 8, 8]}}\nnetwork: [{branches}]\n")
    opened = Opened(browser, tmp_path, str(spec))
    assert opened.texts() == ["image", "relu", "depth", "relu", "concat", "output 4×8×8"]
    assert opened.page.locator("#arcs path[stroke-dasharray]").count() == 0
    places = [one.bounding_box() for one in opened.page.locator(".box").all()]
    for above, below in ((0, 1), (2, 3)):
        assert places[above]["y"] < places[below]["y"]
        middles = [places[at]["x"] + places[at]["width"] / 2 for at in (above, below)]
        assert abs(middles[0] - middles[1]) < 2
    assert not opened.wrong


@pytest.mark.slow
def test_inputs_that_are_used_twice_lead_to_where_they_are_loaded(browser: Any, tmp_path: Path) -> None:
    spec = tmp_path / "two.yaml"
    branches = "{concat: [[load: image, relu], [load: depth, relu], [load: depth, tanh], [load: image, tanh]]}"
    spec.write_text(f"archspec: 1\ninput: {{image: [3, 8, 8], depth: [1, 8, 8]}}\nnetwork: [{branches}]\n")
    opened = Opened(browser, tmp_path, str(spec))
    assert opened.texts()[:5] == ["image", "depth 1×8×8", "relu", "load depth", "relu"]
    assert opened.page.locator("#arcs path[stroke-dasharray]").count() == 2
    assert opened.page.locator("#canvas > .seq > .wire.none").count() == 0  # `image` flows on, past `depth`
    image, depth = (opened.page.locator(".box.end").nth(at).bounding_box() for at in (0, 1))
    assert depth["x"] > image["x"] + image["width"] / 2
    assert not opened.wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "unet_plus_plus_small", "blocks_of_two_tensors", "used_twice"])
def test_no_line_of_a_saved_tensor_crosses_a_box(browser: Any, tmp_path: Path, name: str) -> None:
    own = {"blocks_of_two_tensors": UP_BLOCK, "used_twice": GATED}
    if name in own:
        (tmp_path / "net.yaml").write_text(own[name], encoding="utf-8")
        name = str(tmp_path / "net.yaml")
    crossed = """() => {
        const found = [], origin = canvas.getBoundingClientRect();
        const boxes = [...canvas.querySelectorAll(".box")].map(one => [one.innerText, one.getBoundingClientRect()]);
        for (const path of arcs.querySelectorAll("path[stroke-dasharray]"))
            for (let at = 0; at < path.getTotalLength(); at += 3) {
                const point = path.getPointAtLength(at), [x, y] = [point.x * scale + origin.left, point.y * scale + origin.top];
                for (const [text, r] of boxes)
                    if (x > r.left + 2 && x < r.right - 2 && y > r.top + 2 && y < r.bottom - 2) found.push(text);
            }
        return [...new Set(found)];
    }"""
    opened = Opened(browser, tmp_path, name)
    assert opened.page.locator("#arcs path[stroke-dasharray]").count() >= 2
    assert opened.page.evaluate(crossed) == []


@pytest.mark.slow
def test_what_a_block_of_two_tensors_takes_is_shown_once(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(UP_BLOCK, encoding="utf-8")
    opened = Opened(browser, tmp_path, str(tmp_path / "net.yaml"))
    assert opened.texts(".pill") == ["save e0", "save e1", "load skip", "load skip"]
    assert opened.page.locator("#arcs path[stroke-dasharray]").count() == 2


@pytest.mark.slow
def test_what_a_block_takes_without_being_told_is_saved_in_it(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(
        "archspec: 1\ninput: [3, 8, 8]\nblocks:\n  twice:\n    inputs: [x]\n    outputs: [y]\n"
        "    body: [relu, add: [[], [load: x, tanh]], save: y]\nnetwork: [conv: {out: 4, kernel: 1}, twice: {}, sigmoid]\n"
    )
    opened = Opened(browser, tmp_path, str(tmp_path / "net.yaml"))
    assert opened.texts(".pill") == ["save x", "load x"]
    assert opened.page.locator("#arcs path[stroke-dasharray]").count() == 1


@pytest.mark.slow
def test_a_u_fits_a_phone_and_its_lines_stay_level_and_whole(browser: Any, tmp_path: Path) -> None:
    page = Opened(browser, tmp_path, "imagenet/fpn", width=390).page
    assert page.evaluate("main.scrollWidth <= main.clientWidth")
    assert page.evaluate("scale") < 0.7
    levels = "pairs().slice(0, 3).map(([from, to]) => Math.abs(place(from).y - place(to).y))"
    assert max(page.evaluate(levels)) < 2
    rise = """() => {
        const path = [...arcs.querySelectorAll("path:not([stroke-dasharray])")].at(-1), up = canvas.querySelector(".up");
        const end = path.getPointAtLength(path.getTotalLength()), bottom = place(canvas.querySelector(".u > .bottom"));
        return [end.y - place(up.firstElementChild).bottom, end.x - bottom.right];
    }"""
    gap, beside = page.evaluate(rise)
    assert abs(gap) < 2
    assert beside > 10

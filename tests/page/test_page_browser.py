"""The page in a real browser: Debian's Chromium, driven by Playwright; with `PYODIDE`, its npm package's folder, too."""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from archspec.page.package import write
from archspec.page.server import PageServer

SPEC = "archspec: 1\ninput: [3, 8, 8]\nnetwork:\n  - conv: {out: 4, kernel: 3}\n  - flatten\n  - linear: 10\n"
TOTALS = "mine: 3×8×8 → 10 · 1,562 parameters · 5.33 KMACs"  # 3·4·9 + 4·6·6·10 and biases; 108·36 + 1,440 MACs

pytestmark = pytest.mark.slow


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    wrong: list[str] = []

    def open(address: str, width: int = 1200, **options: Any) -> Any:
        page = browser.new_page(viewport={"width": width, "height": 800}, **options)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.goto(address)
        page.wait_for_selector("#drawing svg", timeout=60_000)
        return page

    yield open
    assert [one for one in wrong if "409 (Conflict)" not in one] == []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(SPEC, encoding="utf-8", newline="")
    return path


@pytest.fixture
def server(file: Path) -> Iterator[PageServer]:
    with PageServer(str(file)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def wait(page: Any, selector: str, text: str) -> None:
    page.locator(selector, has_text=re.compile(f"^{re.escape(text)}$")).wait_for(timeout=15_000)


VIEW = """(await import(new URL("codemirror.js", location.href))).EditorView.findFromDOM(
document.querySelector(".cm-editor"))"""


def select(page: Any, word: str) -> None:
    page.locator("#text").focus()
    code = f"async word => {{ const view = {VIEW}, at = view.state.doc.toString().indexOf(word);"
    page.evaluate(f"{code} view.dispatch({{selection: {{anchor: at, head: at + word.length}}}}); }}", word)


def written(page: Any) -> str:
    return str(page.evaluate(f"async () => ({VIEW}).state.doc.toString()"))


def write_all(page: Any, text: str) -> None:
    code = f"async text => {{ const view = {VIEW};"
    page.evaluate(f"{code} view.dispatch({{changes: {{from: 0, to: view.state.doc.length, insert: text}}}}); }}", text)


def line(page: Any) -> int:
    code = f"async () => {{ const {{state}} = {VIEW}; return state.doc.lineAt(state.selection.main.head).number; }}"
    return int(page.evaluate(code))


def test_a_mistake_is_shown_where_it_stands_and_mended_by_a_button(opened: Any, server: PageServer) -> None:
    page = opened(server.address)
    wait(page, "#totals", TOTALS)
    assert page.locator(".hint").all_inner_texts()[-1] == "144 → 10, 1,450 parameters, 1.44 KMACs"
    assert page.locator("#rows tr").all_inner_texts()[0].split() == ["0", "conv", "4", "4×6×6", "112", "3,888"]
    select(page, "flatten")
    page.keyboard.type("flaten")
    wait(page, "#status", "1 error (F8: next)")
    assert page.locator(".cm-lintRange-error").inner_text() == "flaten"
    assert page.locator(".cm-lint-marker-error").count() == 1
    said = "line 5: there is no primitive or block `flaten`\nhelp: did you mean `flatten`?\nwrite `flatten`"
    assert page.locator("#problems").inner_text() == said
    assert page.locator("#get-python").is_disabled()
    page.locator("#problems .fix").click()
    wait(page, "#status", "No errors")
    assert written(page) == SPEC
    page.keyboard.press("Control+z")  # the button's edit is one of the text's own
    wait(page, "#status", "1 error (F8: next)")


def test_it_saves_and_follows_the_file_and_loses_nothing(opened: Any, server: PageServer, file: Path) -> None:
    file.write_text(SPEC.replace("\n", "\r\n"), encoding="utf-8", newline="")
    page = opened(server.address)
    assert page.locator("#save").is_disabled()
    select(page, "10")
    page.keyboard.type("7")
    assert file.read_bytes() == SPEC.replace("\n", "\r\n").encode()  # nothing is written but on save
    page.keyboard.press("Control+s")
    page.wait_for_selector("#save:disabled")
    assert file.read_bytes() == SPEC.replace("10", "7").replace("\n", "\r\n").encode()
    file.write_text(SPEC.replace("10", "5"), encoding="utf-8")
    wait(page, "#totals", TOTALS.replace("10 ·", "5 ·").replace("1,562", "837").replace("5.33", "4.61"))
    select(page, "5")
    page.keyboard.type("6")
    file.write_text(SPEC.replace("10", "4"), encoding="utf-8")
    page.keyboard.press("Control+s")
    words = f"{file} has changed on disk since it was read. Take the file's textKeep mine"
    wait(page, "#banner", words)
    page.get_by_text("Keep mine").click()
    assert file.read_text(encoding="utf-8") == SPEC.replace("10", "4")
    page.locator("#save").click()
    page.wait_for_selector("#save:disabled")
    assert file.read_text(encoding="utf-8") == SPEC.replace("10", "6")
    file.write_text(SPEC.replace("10", "3"), encoding="utf-8")
    wait(page, "#totals", TOTALS.replace("10 ·", "3 ·").replace("1,562", "547").replace("5.33", "4.32"))
    page.locator("#text").focus()
    page.keyboard.press("Control+z")  # leads back to what was there
    assert written(page) == SPEC.replace("10", "6")
    file.unlink()
    wait(page, "#banner", f"{file} is no longer there; the text still is. Write it again")
    page.get_by_text("Write it again").click()
    page.wait_for_selector("#save:disabled")
    assert file.read_text(encoding="utf-8") == SPEC.replace("10", "6")


def test_keys_alone_reach_everything(opened: Any, server: PageServer) -> None:
    page = opened(server.address)
    select(page, "- flatten\n  - linear: 10\n")
    page.keyboard.type("- flaten\n- linear: ten\n")  # Enter keeps the indentation, and chooses nothing
    wait(page, "#status", "2 errors (F8: next)")
    page.keyboard.press("Control+Home")
    page.keyboard.press("F8")
    assert line(page) == 5
    page.keyboard.press("F8")
    assert line(page) == 6
    page.keyboard.press("Tab")  # leaves the text
    assert page.evaluate("document.activeElement.id") == "explain"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "go"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert "- flatten\n" in written(page)


def test_a_phone_shows_the_whole_width_and_the_dark_is_dark(opened: Any, server: PageServer) -> None:
    page = opened(server.address, width=390, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"


def test_words_are_explained_and_offered(opened: Any, server: PageServer) -> None:
    page = opened(server.address)
    page.locator(".key", has_text="conv").hover()
    said = page.locator(".cm-tooltip .explained")
    said.wait_for()
    assert said.locator("p").first.inner_text() == "conv: A 2-d convolution."
    assert said.locator("pre").inner_text().startswith("out = 4\nkernel = 3\nstride = 1")
    select(page, "kernel: 3")
    page.keyboard.press("F1")  # the same by the keyboard
    wait(
        page,
        "#explained p >> nth=0",
        "kernel, an argument of conv: window size; an integer ≥ 1 or a list of 2 such; required",
    )
    page.keyboard.press("Escape")
    assert page.locator("#explained").is_hidden()
    select(page, "kernel: 3")
    page.keyboard.type("kernel: 3, pad")
    page.locator(".cm-tooltip-autocomplete").wait_for()
    assert page.locator(".cm-completionLabel").all_inner_texts() == ["padding"]
    page.wait_for_timeout(100)  # CodeMirror heeds no key in the first 75 ms after it offers something
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.type(": 1")
    wait(page, "#status", "No errors")
    assert "conv: {out: 4, kernel: 3, padding: 1}" in written(page)
    page.locator("#outline summary").click()
    wait(page, "#symbols > ul > li > button >> nth=2", "network")
    page.locator("#symbols button", has_text="network").click()
    assert line(page) == 3


def test_texts_fold_and_are_searched(opened: Any, server: PageServer) -> None:
    page = opened(server.address)
    page.locator(".cm-foldGutter span[title='Fold line']").first.click()
    assert page.locator(".cm-foldPlaceholder").count() == 1
    page.locator("#text").focus()
    page.keyboard.press("Control+f")
    page.keyboard.type("linear")
    page.keyboard.press("Enter")
    page.locator(".cm-searchMatch-selected").wait_for()  # it unfolds
    page.keyboard.press("Escape")
    assert line(page) == 6


def test_a_long_text_has_hints_where_one_looks_and_its_drawing_opens(
    opened: Any, server: PageServer, file: Path
) -> None:
    layers = "".join(f"  - conv: {{out: {4 + at % 3}, kernel: 1}}\n" for at in range(1200))
    file.write_text(SPEC[: SPEC.index("  - conv")] + layers, encoding="utf-8")
    page = opened(server.address)
    groups = page.locator("#drawing [role=button]")
    assert [one.get_attribute("aria-expanded") for one in groups.all()] == ["false"] * 32
    assert page.locator("#rows tr").last.inner_text() == "… and 800 more"
    page.locator("#text").focus()
    page.keyboard.press("Control+End")
    page.locator(".cm-line", has_text="out: 6").last.locator(".hint").wait_for()
    assert page.locator(".hint").last.inner_text() == "5×8×8 → 6×8×8, 36 parameters, 1.92 KMACs"
    assert page.locator("#about").inner_text() == ""
    groups.nth(1).focus()
    page.keyboard.press("Enter")
    opened_group = page.locator("#drawing [aria-expanded=true]")
    opened_group.wait_for()  # of layers that give 6, then twelve times 4, 5 and 6, then 4 channels
    said = "38 … 75 · 38 layers, 38 · 5×8×8 → 4×8×8 · 1,132 parameters · 60,288 MACs"
    assert opened_group.get_attribute("aria-label") == said
    page.keyboard.press("Enter")  # the focus is where it was
    page.wait_for_function("document.querySelectorAll('#drawing [role=button]').length === 32")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def test_the_playground_answers_in_the_browser_and_shares_by_a_link(opened: Any, tmp_path: Path) -> None:
    pyodide = os.environ.get("PYODIDE")
    if not pyodide:
        pytest.skip("PYODIDE names no folder with Pyodide (npm pack pyodide)")
    write(str(tmp_path), "pyodide/")
    (tmp_path / "pyodide").symlink_to(pyodide)
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        page = opened(address)
        wait(page, "#totals", "Digits: 1×8×8 → 10 · 308,074 parameters · 3.03 MMACs")
        page.select_option("#gallery", "unet_small")  # extends another
        page.locator("#totals", has_text="1×").wait_for()
        wait(page, "#status", "No errors")
        write_all(page, SPEC.replace("10", "7") + "train: {epochs: soon}\n")  # said by jsonschema
        wait(page, "#status", "1 error (F8: next)")
        said = "line 7: `train.epochs` must be an integer ≥ 1, not the text 'soon'"
        assert page.locator("#problems").inner_text() == said
        write_all(page, SPEC)
        wait(page, "#status", "No errors")
        page.select_option("#gallery", "googlenet")
        page.locator("#totals", has_text="GoogLeNet").wait_for()
        page.get_by_text("Bring it back").click()
        page.locator("#totals", has_text="1,562").wait_for()
        with page.expect_download() as python:
            page.locator("#get-python").click()
        code = Path(python.value.path()).read_text(encoding="utf-8")
        assert "nn.Conv2d(3, 4," in code
        compile(code, "exported", "exec")
        page.locator("#share").click()
        page.wait_for_url(f"{address}#*")
        other = opened(page.url)
        assert written(other) == SPEC
        server.shutdown()

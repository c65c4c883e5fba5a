"""`archspec draw` as a person uses it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
CAIRO = importlib.util.find_spec("cairosvg") is not None


def answer(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


def test_a_picture_is_written_without_a_word(run: Run, tmp_path: Path) -> None:
    assert answer(run("draw", "resnet50", "-o", "net.svg")) == (0, "", "")
    assert ElementTree.parse(tmp_path / "net.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert [file.name for file in tmp_path.iterdir()] == ["net.svg"]


def test_a_picture_that_is_there_is_replaced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net.svg").write_text("old", encoding="utf-8")
    assert answer(run("draw", "digits", "-o", "net.svg")) == (0, "", "")
    assert (tmp_path / "net.svg").read_text(encoding="utf-8").startswith("<svg ")


def test_standard_output_takes_the_same_picture(run: Run, tmp_path: Path) -> None:
    run("draw", "imagenet/resnet", "--variant", "resnet18", "--depth", "4", "-o", "net.svg")
    done = run("draw", "resnet18", "--depth", "4", "-o", "-")
    assert answer(done) == (0, (tmp_path / "net.svg").read_text(encoding="utf-8"), "")


def test_depth_nought_is_a_single_box(run: Run) -> None:
    root = ElementTree.fromstring(run("draw", "imagenet/googlenet", "--depth", "0", "-o", "-").stdout)
    titles = [one.text for one in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == [
        "GoogLeNet",
        "input · 3×224×224",
        "GoogLeNet · 3×224×224 → 1000 · 13,004,888 parameters · 1,498,376,192 MACs",
        "output · 1000",
    ]


def test_auxiliary_classifiers_can_be_left_out(run: Run) -> None:
    picture = run("draw", "imagenet/googlenet", "-o", "-").stdout
    assert picture.count(">aux1<") == 1
    assert run("draw", "imagenet/googlenet", "--no-aux", "-o", "-").stdout.count(">aux1<") == 0


def test_mermaid_has_the_boxes_and_lines_of_the_network(run: Run, tmp_path: Path) -> None:
    spec = {
        "archspec": 1, "name": 'Small "net"', "input": [3, 8, 8],
        "network": [{"conv": {"out": 4, "kernel": 1}}, {"add": {"main": ["relu"], "way": []}}, "flatten"],
    }  # fmt: skip
    (tmp_path / "net.yaml").write_text(json.dumps(spec), encoding="utf-8")
    assert answer(run("draw", "net.yaml", "-o", "net.mmd")) == (0, "", "")
    assert (tmp_path / "net.mmd").read_text(encoding="utf-8") == (
        "---\n"
        'title: "Small \\"net\\""\n'
        "---\n"
        "flowchart TB\n"
        "  classDef convolution_ fill:#cfe3f3,stroke:#3b75af,color:#1b1f24\n"
        "  classDef activation_ fill:#fde6bd,stroke:#b7791f,color:#1b1f24\n"
        "  classDef structure_ fill:#eeeeee,stroke:#777777,color:#1b1f24\n"
        "  classDef merge_ fill:#ffffff,stroke:#333333,color:#1b1f24\n"
        "  classDef end_ fill:#444b57,stroke:#444b57,color:#fff\n"
        '  n0(["input"]):::end_\n'
        '  n1["conv 1×1, 4"]:::convolution_\n'
        '  n2["relu"]:::activation_\n'
        '  n3(("#43;")):::merge_\n'
        '  n4["flatten"]:::structure_\n'
        '  n5(["output<br>256"]):::end_\n'
        "  n0 -->|3×8×8| n1\n"
        "  n1 -->|4×8×8| n2\n"
        "  n2 --> n3\n"
        "  n1 -->|4×8×8| n3\n"
        "  n3 --> n4\n"
        "  n4 -->|256| n5\n"
    )


ENDINGS = "pictures end in `.svg`, `.html`, `.png`, `.pdf`, `.mmd`"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("net.gif", f"error: cannot draw net.gif: it ends in `.gif`\n  help: {ENDINGS}\n"),
        ("net", f"error: cannot draw net: it has no ending\n  help: {ENDINGS}\n"),
        ("", f"error: cannot draw ``: it has no ending\n  help: {ENDINGS}\n"),
        ("no/net.svg", "error: cannot write no/net.svg: {here}/no is not a folder that can be written to\n"),
        ("here.svg", "error: cannot write here.svg: it is a folder\n"),
    ],
)
def test_where_no_picture_can_be_drawn(run: Run, tmp_path: Path, output: str, message: str) -> None:
    (tmp_path / "here.svg").mkdir()
    assert answer(run("draw", "resnet50", "-o", output)) == (2, "", message.format(here=tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["here.svg"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(run: Run, tmp_path: Path) -> None:
    (tmp_path / "no").mkdir(mode=0o500)
    said = f"error: cannot write no/net.svg: {tmp_path}/no is not a folder that can be written to\n"
    assert answer(run("draw", "resnet50", "-o", "no/net.svg")) == (2, "", said)


def test_a_picture_that_finds_no_room_is_said_with_its_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net.svg").symlink_to("/dev/full")
    said = "error: cannot write net.svg: No space left on device\n"
    assert answer(run("draw", "digits", "-o", "net.svg")) == (2, "", said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["unet", "--columns", "2", "-o", "net.svg"],
            "note: `--columns` changes nothing here: a network that saved tensors lead across is drawn as a whole\n",
        ),
        (
            ["digits", "--columns", "2", "-o", "net.html"],
            "note: `--columns` changes nothing here: a .html file is laid out by what shows it\n",
        ),
        (
            ["maxvit_t", "--depth", "99", "-o", "net.mmd"],
            "note: this flowchart has 520 lines, and GitHub draws 500 at most: choose a smaller `--depth`\n",
        ),
        (["resnet50", "--columns", "2", "-o", "net.svg"], ""),
    ],
)
def test_what_a_picture_cannot_do_is_said(run: Run, tmp_path: Path, arguments: list[str], said: str) -> None:
    assert answer(run("draw", *arguments)) == (0, "", said)
    assert (tmp_path / arguments[-1]).stat().st_size > 1000


def test_a_wrong_spec_is_not_drawn(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("archspec: 1\ninput: [3, 8, 8]\nnetwork: [conv: {out: 4}]\n", encoding="utf-8")
    checked, drawn = run("check", "bad.yaml"), run("draw", "bad.yaml", "-o", "net.svg")
    assert answer(drawn) == (1, "", checked.stderr)
    assert not (tmp_path / "net.svg").exists()


def test_an_output_is_asked_for(run: Run) -> None:
    said = (
        "Usage: python -m archspec draw [OPTIONS] SPEC\n"
        "Try 'python -m archspec draw --help' for help.\n\n"
        "Error: Missing option '-o' / '--output'.\n"
    )
    assert answer(run("draw", "resnet50")) == (2, "", said)


@pytest.mark.skipif(CAIRO, reason="CairoSVG is installed")
@pytest.mark.parametrize("output", ["net.png", "net.pdf"])
def test_png_and_pdf_name_what_they_lack(run: Run, output: str) -> None:
    said = (
        "error: PNG and PDF are made by CairoSVG, which is not installed\n"
        "  help: install it by `pip install 'archspec-nets[draw]'`, or draw SVG or HTML, which need nothing\n"
    )
    assert answer(run("draw", "resnet50", "-o", output)) == (2, "", said)


@pytest.mark.skipif(not CAIRO, reason="CairoSVG is not installed (the extra `draw`)")
@pytest.mark.parametrize(("output", "begins"), [("net.png", b"\x89PNG\r\n"), ("net.pdf", b"%PDF-")])
def test_png_and_pdf_are_drawn(run: Run, tmp_path: Path, output: str, begins: bytes) -> None:
    assert answer(run("draw", "unet", "-o", output)) == (0, "", "")
    assert (tmp_path / output).read_bytes().startswith(begins)


@pytest.mark.skipif(not CAIRO, reason="CairoSVG is not installed (the extra `draw`)")
def test_a_name_that_a_single_font_may_lack_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(
        "archspec: 1\nname: 网络\ninput: [3, 8, 8]\nnetwork: [flatten]\n", encoding="utf-8"
    )
    said = "note: CairoSVG draws the name in a single font, which may lack `网`: SVG and HTML do not\n"
    assert answer(run("draw", "net.yaml", "-o", "net.pdf")) == (0, "", said)


def test_names_that_mean_something_to_xml_are_only_names(run: Run, tmp_path: Path) -> None:
    name = "<script>alert('1') & \"2\"</script>"
    spec = {"archspec": 1, "name": name, "description": "]]></desc>", "input": [3, 8, 8], "network": ["flatten"]}
    (tmp_path / "net.yaml").write_text(json.dumps(spec), encoding="utf-8")
    for output in ("net.svg", "net.html"):
        assert answer(run("draw", "net.yaml", "-o", output)) == (0, "", "")
    root = ElementTree.parse(tmp_path / "net.svg").getroot()
    assert root.findtext("{http://www.w3.org/2000/svg}title") == name
    assert "<script>alert" not in (tmp_path / "net.html").read_text(encoding="utf-8")

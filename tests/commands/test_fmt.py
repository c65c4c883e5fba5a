"""`archspec fmt`: what it writes, names and refuses."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from archspec.cli import cli
from archspec.foundation.errors import ArchspecError

LOOSE = "archspec: 1\ninput: [3,8,8]  # small\nnetwork:\n- relu\n"
TIDY = "archspec: 1\ninput: [3, 8, 8]  # small\nnetwork:\n  - relu\n"
BROKEN = "archspec: 1\nnetwork: [relu\n"
BROKEN_SAYS = """\
broken.yaml:2:10: error[yaml-syntax]: this is not YAML: did not find expected ',' or ']' (while parsing a flow sequence)
    2 | network: [relu
      |          ^
  help: close what is opened here, or put a comma between its parts
"""


def fmt(*arguments: str, given: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, ["fmt", *arguments], input=given)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loose.yaml").write_text(LOOSE)
    (tmp_path / "tidy.yaml").write_text(TIDY)
    return tmp_path


def test_a_file_is_brought_into_canonical_form_once(files: Path) -> None:
    result = fmt("loose.yaml", "tidy.yaml")
    assert (result.stdout, result.stderr) == ("formatted loose.yaml\n", "1 file changed, 1 file unchanged\n")
    assert result.exit_code == 0
    assert (files / "loose.yaml").read_text() == TIDY
    result = fmt("loose.yaml", "tidy.yaml", "./tidy.yaml")
    assert (result.stdout, result.stderr, result.exit_code) == ("", "2 files unchanged\n", 0)


def test_check_names_what_would_change_and_writes_nothing(files: Path) -> None:
    result = fmt("--check", "loose.yaml", "tidy.yaml")
    assert (result.stdout, result.stderr) == ("would format loose.yaml\n", "1 file would change, 1 file unchanged\n")
    assert result.exit_code == 1
    assert (files / "loose.yaml").read_text() == LOOSE
    assert fmt("--check", "tidy.yaml").exit_code == 0


def test_diff_shows_what_would_change_and_writes_nothing(files: Path) -> None:
    result = fmt("--diff", "loose.yaml")
    assert result.stdout == (
        "--- loose.yaml\n+++ loose.yaml\n@@ -1,4 +1,4 @@\n archspec: 1\n"
        "-input: [3,8,8]  # small\n+input: [3, 8, 8]  # small\n network:\n-- relu\n+  - relu\n"
    )
    assert result.exit_code == 1
    assert (files / "loose.yaml").read_text() == LOOSE


def test_a_broken_file_is_refused_as_by_check_and_left_while_others_are_formatted(files: Path) -> None:
    (files / "broken.yaml").write_text(BROKEN)
    result = fmt("broken.yaml", "loose.yaml")
    assert result.stderr == f"{BROKEN_SAYS}1 file changed\n"
    assert result.exit_code == 1
    assert (files / "broken.yaml").read_text() == BROKEN
    assert (files / "loose.yaml").read_text() == TIDY
    assert CliRunner().invoke(cli, ["check", "broken.yaml"]).stderr == BROKEN_SAYS


def test_of_a_folder_specs_and_blocks_are_formatted_and_other_yaml_is_not(files: Path) -> None:
    (files / "inner").mkdir()
    (files / ".hidden").mkdir()
    for name, text in {
        "inner/block.yaml": "doc: A block.\nbody: [ relu ]\n",
        "inner/ci.yaml": "jobs: [ a ]\n",
        "inner/template.yaml": "{{ not yaml }}: [\n",
        ".hidden/net.yaml": LOOSE,
    }.items():
        (files / name).write_text(text)
    result = fmt(".")
    assert (result.stdout, result.exit_code) == ("formatted ./loose.yaml\nformatted ./inner/block.yaml\n", 0)
    assert (files / "inner/ci.yaml").read_text() == "jobs: [ a ]\n"
    result = fmt("inner/ci.yaml")
    assert (result.stdout, result.exit_code) == ("", 0)
    assert result.stderr == "note: inner/ci.yaml is no spec, block or recipe; it was not changed\n"


def test_standard_input_is_printed() -> None:
    result = fmt("-", given=LOOSE.encode())
    assert (result.stdout, result.stderr, result.exit_code) == (TIDY, "", 0)
    assert fmt("-", given=TIDY.encode()).stdout == TIDY
    assert fmt("-", "--check", given=LOOSE.encode()).exit_code == 1
    result = fmt("-", given=BROKEN.encode())
    assert (result.stdout, result.stderr) == ("", BROKEN_SAYS.replace("broken.yaml", "standard input"))
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("missing.yaml", "error: cannot read missing.yaml: there is no such file\nno file was formatted\n"),
        (
            "resnet50",
            "error: `resnet50` is the name of a bundled spec, not a file\n"
            "  help: give the path of a file of yours\nno file was formatted\n",
        ),
    ],
)
def test_what_is_no_file_is_refused(path: str, says: str) -> None:
    result = fmt(path)
    assert (result.stderr, result.exit_code) == (says, 2)


def test_a_file_that_cannot_be_written_does_not_count_as_changed(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # whoever runs the tests may be able to write all files
    result = fmt("loose.yaml")
    said = "error: cannot write loose.yaml: Permission denied\nno file was formatted\n"
    assert (result.stdout, result.stderr, result.exit_code) == ("", said, 2)


def test_a_folder_without_specs_is_refused(files: Path) -> None:
    (files / "empty").mkdir()
    result = fmt("empty")
    assert isinstance(result.exception, ArchspecError)
    assert (str(result.exception), result.exception.exit_status) == ("there is no spec to format in `empty`", 2)
    os.mkfifo(files / "empty" / "fifo.yaml")
    (files / "empty" / "loop").symlink_to(".")
    result = fmt("empty")
    said = "error: cannot read empty/fifo.yaml: it is a FIFO, socket or device, not a file\nno file was formatted\n"
    assert (result.stderr, result.exit_code) == (said, 2)


def test_a_folder_that_cannot_be_listed_is_said_to_be_one(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "closed").mkdir()

    def refuse(path: str) -> Any:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)  # whoever runs the tests may be able to list all folders
    result = fmt("closed", "tidy.yaml")
    said = "error: cannot read closed: it is a folder that cannot be listed\n1 file unchanged\n"
    assert (result.stderr, result.exit_code) == (said, 2)


def test_modes_and_links_stay(files: Path) -> None:
    (files / "loose.yaml").chmod(0o640)
    (files / "link.yaml").symlink_to("loose.yaml")
    assert fmt("link.yaml").exit_code == 0
    assert (files / "link.yaml").is_symlink()
    assert (files / "loose.yaml").read_text() == TIDY
    assert stat.S_IMODE((files / "loose.yaml").stat().st_mode) == 0o640
    assert sorted(os.listdir()) == ["link.yaml", "loose.yaml", "tidy.yaml"]

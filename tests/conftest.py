"""What the tests share: real files, and the real command line in a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from archspec.spec import Checked, open_file

ROOT = Path(__file__).parent.parent


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `archspec …` in an empty folder, as a person does."""

    def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "archspec", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONIOENCODING": "utf-8"} | environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=600,
        )

    return command


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Checked]:
    """Writes a spec to net.yaml in an empty folder and checks it."""
    monkeypatch.chdir(tmp_path)

    def checked(text: str) -> Checked:
        Path("net.yaml").write_text(text, encoding="utf-8")
        return open_file("net.yaml")[0].check()

    return checked

"""How torch's threads wait for work: as long as we say, unless the user says something."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def settings(folder: Path, **environment: str) -> dict[str, str]:
    """What libgomp says of its settings when `archspec build` loads torch."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    done = subprocess.run(
        [sys.executable, "-m", "archspec", "build", "digits"],
        cwd=folder,
        env=clean | {"OMP_DISPLAY_ENV": "VERBOSE"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = dict(re.findall(r"(\w+) = '([^']*)'", done.stderr))
    if "GOMP_SPINCOUNT" not in found:
        pytest.skip("torch comes with another library than libgomp here")
    return found


def test_idle_threads_sleep_soon(tmp_path: Path) -> None:
    assert settings(tmp_path)["GOMP_SPINCOUNT"] == "1000"


def test_a_users_own_setting_stays(tmp_path: Path) -> None:
    assert settings(tmp_path, OMP_WAIT_POLICY="PASSIVE")["GOMP_SPINCOUNT"] == "0"
    assert settings(tmp_path, GOMP_SPINCOUNT="77")["GOMP_SPINCOUNT"] == "77"

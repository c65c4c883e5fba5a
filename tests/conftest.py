"""What the tests share: real files, and the real command line in a real process."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from forks import WITHOUT_PICTURES, run_forked
from torch import Tensor, nn

from archspec.spec import Checked, open_file
from archspec.weights import transplant

ROOT = Path(__file__).parent.parent
NEED_TORCH = ("build", "export", "predict", "test", "train")

# tests run side by side, one on each processor
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write what is said to the files of expected messages")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a GPU that torch reaches by CUDA"))


@pytest.fixture
def expect(request: pytest.FixtureRequest) -> Callable[[Path, str, str], None]:
    """Holds a part of a file of expected messages to what is said; with `--update`, writes it there instead."""

    def compare(file: Path, expected: str, found: str) -> None:
        if not request.config.getoption("--update"):
            assert found == expected
        elif found != expected:
            with file.open("r+", encoding="utf-8") as shared:
                fcntl.flock(shared, fcntl.LOCK_EX)  # tests that run side by side write to the same file
                text = shared.read()
                assert text.count(expected) == 1
                shared.seek(0)
                shared.write(text.replace(expected, found))
                shared.truncate()

    return compare


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for each test: nothing is read from, or left in, the user's."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings draw no pictures at their end, which takes seconds, in this process and in those forked."""
    monkeypatch.setattr("trainer.session._draw", lambda *_: None)
    monkeypatch.setenv(WITHOUT_PICTURES, "1")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `archspec …` in an empty folder, as a person does."""

    def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        if arguments[0] in NEED_TORCH and not any(name.startswith("OMP") for name in environment):
            return run_forked(list(arguments), tmp_path, **environment)
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright, which no extra brings."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    if (program := next(found, None)) is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def with_history(module: nn.Module) -> nn.Module:
    """The module with statistics unlike a new layer's, so that they count."""
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            buffer.uniform_(-0.1, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
        elif name.endswith("num_batches_tracked"):
            buffer.fill_(7)
    return module


def carry_over(theirs: nn.Module, ours: nn.Module, example: Tensor | tuple[int, ...]) -> None:
    """`transplant` without its proof, for tests that compare what the networks compute themselves.

    The proof runs both networks several times; tests of it are in `tests/weights`.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[transplant.__module__], "prove", lambda *_: 0.0)
        transplant(theirs, ours, example)


def unchanged(module: nn.Module, before: dict[str, Tensor]) -> bool:
    """Whether a module still holds what `before` says."""
    after = module.state_dict()
    return all(torch.equal(after[key], value) for key, value in before.items())

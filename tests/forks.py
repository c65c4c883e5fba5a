"""Commands that need torch, in processes forked from one that has imported it: importing takes seconds each time.

A test that is about the start of a process, its imports or its environment, starts one of its own instead.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

PRELOADED = ["trainer.session", "matplotlib.pyplot", "sklearn.datasets", "torch.utils.tensorboard", "archspec.cli"]

forked = multiprocessing.get_context("forkserver")
forked.set_forkserver_preload(PRELOADED)


class Command:
    """`archspec …` in a folder: of `subprocess.Popen` what the tests need."""

    def __init__(self, arguments: list[str], folder: Path, *, together: bool = False, **environment: str) -> None:
        self.arguments = arguments
        self._streams = tempfile.TemporaryDirectory()
        self._files = [Path(self._streams.name, name) for name in ("out", "err")]
        files = [str(file) for file in (self._files[0], self._files[0] if together else self._files[1])]
        self._process = forked.Process(target=_run, args=(arguments, str(folder), os.environ | environment, files))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    poll = returncode.fget

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            self.kill()
            raise subprocess.TimeoutExpired(self.arguments, timeout)
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, str]:
        self.wait(timeout)
        out, err = (file.read_text(encoding="utf-8") if file.exists() else "" for file in self._files)
        return out, err


def run_forked(
    arguments: list[str], folder: Path, *, together: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs `archspec …` in a folder to its end; `together`: what it writes to both outputs, in its order."""
    command = Command(arguments, folder, together=together, **environment)
    out, err = command.communicate(600)
    return subprocess.CompletedProcess(arguments, command.wait(0), out, err)


def _run(arguments: list[str], folder: str, environment: dict[str, str], files: list[str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, file in enumerate((os.devnull, *files)):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["archspec", *map(os.fspath, arguments)]
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    try:
        runpy.run_module("archspec", run_name="__main__", alter_sys=True)
    finally:
        # what a process does at its end, which multiprocessing leaves out
        atexit._run_exitfuncs()

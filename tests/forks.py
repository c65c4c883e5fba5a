"""Commands that need torch, in processes forked from one that has imported it: importing takes seconds each time.

A test that is about the start of a process, its imports or its environment, starts one of its own instead.
"""

from __future__ import annotations

import atexit
import fcntl
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PRELOADED = ["trainer.session", "matplotlib.pyplot", "sklearn.datasets", "torch.utils.tensorboard", "archspec.cli"]

forked = multiprocessing.get_context("forkserver")
forked.set_forkserver_preload(PRELOADED)


OF_LAUNCHERS = ("SLURM", "TORCHELASTIC", "RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_", "NODE_RANK")
"""What begins the names of variables by which torchrun and srun tell a process of its place: ours has none."""

WITHOUT_PICTURES = "TESTS_WITHOUT_PICTURES"
"""The variable that the fixture `without_pictures` sets."""


class Command:
    """`archspec …` in a folder: of `subprocess.Popen` what the tests need.

    `together`: both outputs go to the first, in their order; `script`: what runs instead of `archspec`; `session`: in a
    session of its own, so that a signal to its group reaches all that it starts, and all of these are waited for.
    """

    def __init__(
        self,
        arguments: list[str],
        folder: Path,
        *,
        together: bool = False,
        script: str = "",
        session: bool = False,
        **environment: str,
    ) -> None:
        self.arguments = arguments
        self._streams = tempfile.TemporaryDirectory()
        self._files = [Path(self._streams.name, name) for name in ("out", "err")]
        files = [str(file) for file in (self._files[0], self._files[0] if together else self._files[1])]
        given = {name: value for name, value in os.environ.items() if not name.startswith(OF_LAUNCHERS)} | environment
        self._process = forked.Process(target=_run, args=(arguments, str(folder), given, files, script, session))
        self._process.start()
        self._session = session
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
        until = time.monotonic() + timeout
        self.wait(timeout)
        for file in filter(Path.exists, self._files if self._session else ()):
            with file.open(encoding="utf-8") as written:
                while not _unlocked(written.fileno()):
                    if time.monotonic() > until:
                        raise subprocess.TimeoutExpired(self.arguments, timeout)
                    time.sleep(0.02)
        out, err = (file.read_text(encoding="utf-8") if file.exists() else "" for file in self._files)
        return out, err


def run_forked(
    arguments: list[str], folder: Path, *, together: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs `archspec …` in a folder to its end; `together`: what it writes to both outputs, in its order."""
    command = Command(arguments, folder, together=together, **environment)
    out, err = command.communicate(600)
    return subprocess.CompletedProcess(arguments, command.wait(0), out, err)


def _unlocked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _run(
    arguments: list[str], folder: str, environment: dict[str, str], files: list[str], script: str, session: bool
) -> None:
    if session:
        os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, file in enumerate((os.devnull, *files)):
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        if number:
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # released when the last process that inherited it has ended
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["archspec", *map(os.fspath, arguments)]
    sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    if WITHOUT_PICTURES in environment:
        import trainer.session

        trainer.session._draw = lambda *_: None
    try:
        if script:
            runpy.run_path(script, run_name="__main__")
        else:
            runpy.run_module("archspec", run_name="__main__", alter_sys=True)
    finally:
        # what a process does at its end, which multiprocessing leaves out
        atexit._run_exitfuncs()

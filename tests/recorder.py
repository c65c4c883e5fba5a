"""`archspec`, run by this script, with a record of what each process does: `python recorder.py train …`.

Each process of rank N appends to `records-N.jsonl` the images that it trains with and validates, and to `writes-N.txt`
the files that it opens to write, renames or removes. `SPOIL=RANK:STEP` spoils one loss. `SIGNAL=RANK:STEP:NAME` has a
process send itself a signal in a step, and `SIGNAL=RANK:STEP:NAME:all` all processes of its group, as a terminal does.
`DETERMINISTIC=1` allows only those kernels of a GPU that give the same bits each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def rank() -> int:
    given = os.environ
    return int(given.get("RANK") or given.get("SLURM_PROCID") or given.get("LOCAL_RANK") or 0)


HERE = Path.cwd()


def watch_files() -> None:
    """Notes what is written below this folder."""
    told = open(HERE / f"writes-{rank()}.txt", "a", buffering=1)  # noqa: SIM115, open to the end

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(path, (str, bytes, os.PathLike)) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"):
            path = arguments[0]
        else:
            return
        file = Path(os.fsdecode(path)).absolute()
        if file.is_relative_to(HERE / "runs"):
            told.write(f"{event} {file.relative_to(HERE)}\n")

    sys.addaudithook(hook)


def watch_images() -> None:
    """Notes each image of each step, and spoils a loss if that is asked for."""
    from trainer.steps.module import SpecModule

    told = open(HERE / f"records-{rank()}.jsonl", "a", buffering=1)  # noqa: SIM115, open to the end
    spoiled, steps = os.environ.get("SPOIL", "-1:0").split(":"), 0
    sender, when, name, *group = os.environ.get("SIGNAL", "-1:0:SIGTERM").split(":")

    def send() -> None:
        number = signal.Signals[name]
        if group:
            os.killpg(os.getpgid(0), number)
        else:
            os.kill(os.getpid(), number)

    def watched(method: str) -> None:
        inner = getattr(SpecModule, method)

        def step(self: Any, batch: Any, index: int) -> Any:
            nonlocal steps
            seen = [hashlib.md5(image.cpu().numpy().tobytes()).hexdigest() for image in batch[0]]
            told.write(json.dumps({"step": method, "epoch": self.current_epoch, "images": seen}) + "\n")
            result = inner(self, batch, index)
            if method == "training_step":
                steps += 1
                if [rank(), steps] == [int(sender), int(when)]:
                    send()
                if [rank(), steps] == [int(text) for text in spoiled]:
                    return result * float("nan")
            return result

        setattr(SpecModule, method, step)

    watched("training_step")
    watched("validation_step")


def allow_deterministic_kernels_alone() -> None:
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


if __name__ == "__main__":
    if os.environ.get("DETERMINISTIC"):
        allow_deterministic_kernels_alone()
    watch_files()
    watch_images()
    from archspec.cli import main

    main()

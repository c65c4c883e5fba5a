"""Is every answer of the plan given in a blink? The commands that need no torch, as whole processes, side by side.

Each command answers for ResNet-50. They take turns with `python -c pass`, what Python itself takes, and with
`python -c "import torch"`, what an answer would take at least that loads torch. The medians of the rounds are printed:
of the time that passed, which is the user's, and of processor time, which other processes on the machine hardly change.

    python benchmarks/commands.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from archspec.language.finder import find

AIM = 0.4
"""Seconds."""


def commands(folder: Path) -> dict[str, list[str]]:
    """What is timed, by how it is shown; files are written into a folder."""
    own = folder / "resnet.yaml"
    own.write_bytes(find("resnet50").read())
    archspec = [sys.executable, "-m", "archspec"]
    shown = {
        "check resnet50": ["check", "resnet50"],
        "summary resnet50": ["summary", "resnet50"],
        "compare resnet50 resnet101 vgg16": ["compare", "resnet50", "resnet101", "vgg16"],
        "diff resnet50 resnet101": ["diff", "resnet50", "resnet101"],
        "draw resnet50 -o net.svg": ["draw", "resnet50", "-o", str(folder / "net.svg")],
        "draw resnet50 -o net.html": ["draw", "resnet50", "-o", str(folder / "net.html")],
        "fit resnet50 --vary depths --params 40M": ["fit", "resnet50", "--vary", "depths", "--params", "40M"],
        "fmt --check resnet.yaml": ["fmt", "--check", str(own)],
        "export resnet50 --to python": [
            "export",
            "resnet50",
            "--to",
            "python",
            "-o",
            str(folder / "net.py"),
            "--force",
        ],
        "list": ["list"],
        "explain conv": ["explain", "conv"],
    }
    return {f"archspec {name}": [*archspec, *arguments] for name, arguments in shown.items()} | {
        "python -c pass": [sys.executable, "-c", "pass"],
        'python -c "import torch"': [sys.executable, "-c", "import torch"],
    }


def seconds(command: list[str], folder: Path) -> tuple[float, float]:
    """The time that passed, and the processor's."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder)
    passed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode > 1:  # 1: networks differ
        raise SystemExit(f"{' '.join(command)}\n{done.stderr.decode()}")
    return passed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as made:
        timed = commands(Path(made))
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in timed}
        for number in range(rounds + 1):
            for name, command in timed.items():
                taken = seconds(command, Path(made))
                if number:  # the first round fills caches
                    times[name].append(taken)
    print(f"{f'medians of {rounds} rounds':<52}{'seconds':>9}{'processor':>11}")
    for name, taken in times.items():
        passed, used = (statistics.median(column) for column in zip(*taken, strict=True))
        late = f"  more than {AIM}" if used > AIM and name.startswith("archspec") else ""
        print(f"{name:<52}{passed:>9.3f}{used:>11.3f}{late}")


if __name__ == "__main__":
    main()

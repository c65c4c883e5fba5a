"""Is an answer that needs no weights given in a blink? Whole processes, side by side in one run.

`archspec check resnet152` against `python -c "import torch"` and against building torchvision's ResNet-152, which is
what the same answer costs without a plan. The three take turns; the medians and the ratios of neighbouring runs are
printed. Below them: elaborating ResNet-152 within one process, each time from an empty cache; checking all bundled
specs with all their variants in one process; and the slowest of the networks, each checked in a process of its own.

    python benchmarks/front_end.py [--runs 7]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from archspec.foundation.errors import Report
from archspec.foundation.source import Mapping
from archspec.language import sections
from archspec.language.document import parse
from archspec.language.finder import bundled, variants
from archspec.plan.elaborate import elaborate
from archspec.spec import open_file

COMMANDS = {
    "archspec check resnet152": [sys.executable, "-m", "archspec", "check", "resnet152"],
    "import torch": [sys.executable, "-c", "import torch"],
    "torchvision's ResNet-152": [
        sys.executable,
        "-c",
        "import torchvision; print(sum(p.numel() for p in torchvision.models.resnet152().parameters()))",
    ],
}


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def elaboration(runs: int) -> list[float]:
    """Seconds from a resolved file to a plan: formulas parsed, blocks opened, shapes and counts computed."""
    tree = open_file("imagenet/resnet")[0].tree
    assert isinstance(tree, Mapping)
    document = parse(tree, Report())
    assert document is not None
    root = document.resolve("resnet152", [])
    times = []
    for _ in range(runs):
        report = Report()
        began = time.perf_counter()
        plan = elaborate(sections.compute_sections(root, report), report)
        times.append(time.perf_counter() - began)
        assert plan is not None
        assert plan.params == 60_192_808
    return times


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    for command in COMMANDS.values():  # files are read from the disk once, and uncounted
        seconds(command)
    times = [{name: seconds(command) for name, command in COMMANDS.items()} for _ in range(runs)]
    ours = next(iter(COMMANDS))
    print(f"{'whole process, median of ' + str(runs):32}{'seconds':>9}{'ours / it':>11}")
    for name in COMMANDS:
        ratio = statistics.median(run[ours] / run[name] for run in times)
        print(f"{name:32}{statistics.median(run[name] for run in times):9.3f}{ratio:11.3f}")
    elaborated = elaboration(runs * 5)
    print(f"{'elaborating ResNet-152':32}{statistics.median(elaborated) * 1e3:7.1f}ms")
    check = [sys.executable, "-m", "archspec", "check"]
    whole = statistics.median(seconds([*check, *bundled()]) for _ in range(runs))
    print(f"{f'archspec check, all {len(bundled())} files':32}{whole:9.3f}")
    alone = {name: seconds([*check, name]) for name in variants()}
    slowest = max(alone, key=alone.__getitem__)
    print(f"{f'slowest of {len(alone)}: {slowest}':32}{alone[slowest]:9.3f}")


if __name__ == "__main__":
    main()

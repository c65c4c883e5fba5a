"""Is an answer that needs no weights given in a blink? Whole processes, side by side in one run.

`archspec check resnet152` against `python -c "import torch"` and against building torchvision's ResNet-152, which is
what the same answer costs without a plan. The three take turns; the medians and the ratios of neighbouring runs are
printed. Below them, in one process: plans of ResNet-50 from other values of its variables, by processor time; how the
time of a check grows with the layers and with the variants; checking all bundled specs with all their variants; and the
slowest of the networks, each checked in a process of its own.

With `--before`, a checkout of another version, everything that can be is measured of both, in turns.

    python benchmarks/front_end.py [--runs 7] [--before FOLDER]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = str(Path(__file__).parent.parent)
CHECK = [sys.executable, "-m", "archspec", "check"]
BESIDE = {
    "import torch": [sys.executable, "-c", "import torch"],
    "torchvision's ResNet-152": [
        sys.executable,
        "-c",
        "import torchvision; print(sum(p.numel() for p in torchvision.models.resnet152().parameters()))",
    ],
}
WIDE = """\
archspec: 1
input: [3, 224, 224]
vars: {width: 64, num_classes: 1000, depths: [3, 4, 6, 3]}
defaults: {act: relu, norm: batch_norm}
network:
  stem:
    - conv_norm_act: {out: =width, kernel: 7, stride: 2}
    - max_pool: {kernel: 3, stride: 2, padding: 1}
  stages:
    for: {wide: "=[width, 2 * width, 4 * width, 8 * width]", depth: =depths, downsample: [1, 2, 2, 2]}
    body: {bottleneck: {width: =wide, stride: =downsample if first else 1}, repeat: =depth}
  head: [global_avg_pool, flatten, {linear: =num_classes}]
"""
"""ResNet-50, with a variable on which every layer depends."""


def seconds(command: list[str], code: str = HERE) -> float:
    """Of a whole process that runs the code of a checkout."""
    began = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": code}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment, cwd="/")
    return time.perf_counter() - began


# --- within one process ---------------------------------------------------------------------------------------------


def rates(runs: int) -> dict[str, float]:
    """Plans a second, of ResNet-50 with other values."""
    from archspec.spec import from_dict  # of whichever checkout this process runs

    values: dict[str, Callable[[int], Any]] = {
        "num_classes": lambda i: {"num_classes": 10 + i},
        "depths": lambda i: {"depths": [1 + i % 5, 1 + i % 7, 1 + i % 6, 1 + i % 3]},
        "width, each new": lambda i: {"width": 8 + i},
        "width, of 16": lambda i: {"width": 64 + 8 * (i % 16)},
    }
    found = {}
    for name, value in values.items():
        base, times = from_dict(_parsed(WIDE)), []
        for i in range(20 * runs):
            began = time.process_time()
            base.replace(value(i))
            times.append(time.process_time() - began)
        found[f"ResNet-50 with another {name}"] = 1 / statistics.median(times)
    return found


def growth(runs: int) -> dict[str, float]:
    """Microseconds for each layer, and for each variant."""
    from archspec.editing import check_text

    def least(text: str) -> float:
        times = []
        for _ in range(runs):
            began = time.process_time()
            checked = check_text(text.encode(), "net.yaml")
            times.append(time.process_time() - began)
            assert not checked.diagnostics
        return min(times) * 1e6

    body = "  - {for: {i: =range(%d)}, body: [{conv: {out: =8 + i %% 8, kernel: 1}, repeat: 10}]}\n"
    head = "archspec: 1\ninput: [8, 8, 8]\nnetwork:\n"
    found = {f"{count:,} layers": least(head + body % (count // 10)) / count for count in (100, 1_000, 10_000)}
    for count in (10, 100):
        variants = "".join(f"  v{i}: {{vars: {{num_classes: {10 + i}}}}}\n" for i in range(count))
        found[f"{count} variants of ResNet-50"] = least(f"{WIDE}variants:\n{variants}") / (count + 1)
    return found


def _parsed(text: str) -> dict[str, Any]:
    import yaml

    data: dict[str, Any] = yaml.safe_load(text)
    return data


def within(code: str, what: str, runs: int) -> dict[str, float]:
    """What `rates` or `growth` measure of a checkout, in a process of its own."""
    command = [sys.executable, __file__, "--measure", what, "--runs", str(runs)]
    environment = os.environ | {"PYTHONPATH": code}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd="/")
    lines = [line.rpartition("\t") for line in done.stdout.splitlines()]
    return {name: float(value) for name, _, value in lines}


# --- tables -----------------------------------------------------------------------------------------------------------


def whole_processes(codes: dict[str, str], runs: int) -> None:
    commands = {name: ([*CHECK, "resnet152"], code) for name, code in codes.items()}
    commands |= {name: (command, HERE) for name, command in BESIDE.items()}
    for command, code in commands.values():  # files are read from the disk once, and uncounted
        seconds(command, code)
    times = [{name: seconds(*command) for name, command in commands.items()} for _ in range(runs)]
    ours = next(iter(commands))
    print(f"{'whole process, median of ' + str(runs):40}{'seconds':>9}{'ours / it':>11}")
    for name in commands:
        ratio = statistics.median(run[ours] / run[name] for run in times)
        print(f"{name:40}{statistics.median(run[name] for run in times):9.3f}{ratio:11.3f}")


def side_by_side(codes: dict[str, str], what: str, unit: str, runs: int) -> None:
    measured = [within(code, what, runs) for code in codes.values()]
    print(f"\n{unit:40}" + "".join(f"{'now' if not i else 'before':>12}" for i in range(len(measured))))
    for name in measured[0]:
        print(f"{name:40}" + "".join(f"{one[name]:12,.0f}" for one in measured))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--before", metavar="FOLDER", help="A checkout of another version.")
    parser.add_argument("--measure", choices=["rates", "growth"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    runs = options.runs
    if options.measure:
        for name, value in (rates if options.measure == "rates" else growth)(runs).items():
            print(f"{name}\t{value}")
        return
    codes = {"archspec check resnet152": HERE}
    if options.before:
        codes["archspec check resnet152, before"] = os.path.abspath(options.before)
    whole_processes(codes, runs)
    side_by_side(codes, "rates", "plans a second of processor time", runs)
    side_by_side(codes, "growth", "µs of processor time for each", runs)
    from archspec.language.finder import bundled, variants

    whole = statistics.median(seconds([*CHECK, *bundled()]) for _ in range(runs))
    print(f"\n{f'archspec check, all {len(bundled())} files':40}{whole:9.3f}")
    alone = {name: seconds([*CHECK, name]) for name in variants()}
    slowest = max(alone, key=alone.__getitem__)
    print(f"{f'slowest of {len(alone)}: {slowest}':40}{alone[slowest]:9.3f}")


if __name__ == "__main__":
    main()

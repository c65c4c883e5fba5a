"""How should OpenMP's threads wait for work? Trainings on a quiet and on a loaded machine, side by side in one run.

    python benchmarks/waiting.py [--rounds 5] [--seconds 0.5] [--others 4] [SPEC…]

Between two operations, the threads of a training spin for a while, then sleep. Spinning saves waking them, and takes
the processor from whatever else could run: other processes, and the training's own thread that the others wait for.
libgomp, which torch's wheels bring, spins some 300,000 times (milliseconds), unless it is told otherwise.

Each setting of each network is a process of its own, since the library reads its settings when it is loaded. They take
turns of so many seconds, on the quiet machine, then beside `--others` processes that count. What is printed is each
setting's images per second, the median of the rounds, as a share of the greatest in its column; last, the least share
of each setting: how far it is from the best wherever it does worst.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BATCH = 64
SETTINGS: dict[str, dict[str, str]] = {
    "as the library comes": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
    **{f"GOMP_SPINCOUNT={count}": {"GOMP_SPINCOUNT": str(count)} for count in (100, 1000, 10_000)},
}
OURS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS", "KMP_BLOCKTIME")
WORKER = "--worker"


def work(name: str) -> None:
    """Train for as long as each line of stdin says, and answer with images per second."""
    import torch

    from archspec.spec import load
    from trainer.steps import memory
    from trainer.steps.compute import optimize_execution
    from trainer.steps.module import SpecModule
    from trainer.steps.optim import make_optimizer

    torch.manual_seed(0)
    spec = load(name)
    module = SpecModule(spec.resolved | {"train": spec.recipe.to_dict()})
    optimizer = make_optimizer(module.recipe, module.network)
    optimize_execution(module.network, module.recipe, torch.device("cpu"))
    images = torch.randint(256, (BATCH, *spec.plan.input), dtype=torch.uint8)
    labels = torch.randint(10, (BATCH,))

    def step() -> None:
        optimizer.zero_grad()
        module.training_step((images, labels), 0).backward()
        optimizer.step()

    with memory.keep_freed_memory():
        step()
        print("ready", flush=True)
        for line in sys.stdin:
            began, steps = time.perf_counter(), 0
            while time.perf_counter() - began < float(line) or steps < 2:
                step()
                steps += 1
            print(steps * BATCH / (time.perf_counter() - began), flush=True)


def start(name: str, setting: dict[str, str]) -> subprocess.Popen[str]:
    clean = {key: value for key, value in os.environ.items() if key not in OURS}
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, __file__, WORKER, name],
        env=clean | {"PYTHONPATH": path} | setting,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def others(count: int) -> Iterator[None]:
    """So many processes that do nothing but count, at the side."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def measured(name: str, given: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Images per second of each setting in each round, on the quiet machine and on the loaded one."""
    processes = {}
    try:
        for setting in SETTINGS:
            processes[setting] = start(name, SETTINGS[setting])
        for process in processes.values():
            read(process)
        found: dict[str, dict[str, list[float]]] = {}
        for load, count in (("quiet", 0), ("loaded", given.others)):
            rates: dict[str, list[float]] = {setting: [] for setting in SETTINGS}
            with others(count):
                for turn in range(given.rounds):
                    order = list(SETTINGS) if turn % 2 else list(SETTINGS)[::-1]
                    for setting in order:
                        stdin: Any = processes[setting].stdin
                        stdin.write(f"{given.seconds}\n")
                        stdin.flush()
                        rates[setting].append(float(read(processes[setting])))
            found[load] = rates
        return found
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("a process of the measurement ended: its error is above")
    return line.strip()


def show(kept: dict[str, dict[str, dict[str, list[float]]]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="images/s, as a share of the best of the column")
    table.add_column("setting")
    columns = [(name, load) for name, loads in kept.items() for load in loads]
    best = {}
    for name, load in columns:
        best[name, load] = max(statistics.median(rates) for rates in kept[name][load].values())
        table.add_column(f"{name}, {load}\n({best[name, load]:,.0f})", justify="right")
    table.add_column("least", justify="right")
    for setting in SETTINGS:
        shares = [statistics.median(kept[name][load][setting]) / best[name, load] for name, load in columns]
        table.add_row(setting, *(f"{share:.2f}" for share in shares), f"{min(shares):.2f}")
    Console(width=140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("specs", nargs="*", metavar="SPEC", default=["digits", "resnet", "googlenet"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="how long a turn is")
    parser.add_argument("--others", type=int, default=4, help="processes that load the machine")
    parser.add_argument("--json", type=Path, help="also write what was measured to a file")
    given = parser.parse_args()
    print(f"{os.cpu_count()} processors; load average before: {os.getloadavg()[0]:.1f}", flush=True)
    kept = {name: measured(name, given) for name in given.specs}
    show(kept)
    if given.json:
        given.json.write_text(json.dumps(kept, indent=1), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == [WORKER]:
        work(sys.argv[2])
    else:
        main()

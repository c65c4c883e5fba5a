"""Memory as the plan says it against what torch allocates: inferences and steps of training, on a CPU or a GPU.

For each bundled network, each batch and precision, the peak of an inference and that of a step of AdamW and
cross-entropy (forward, backward, optimizer), by torch's own account of memory, and what is said divided by it. Each
network is measured in a process of its own. A row is kept in a file as a line of JSON; rows that are there are not made
again. What is said to need more than `--most` GB is left out. `--device cuda` measures by `max_memory_allocated`.

    python -m benchmarks.memory rows.jsonl [NAME …] && python -m benchmarks.memory rows.jsonl --table
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from archspec.language.finder import bundled
from archspec.spec import load, open_file
from archspec.views.memory import inference_memory, training_memory

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from peaks import peak_of_inference, peak_of_training

BATCHES = (1, 2, 16)
PRECISIONS = ("32", "bf16-mixed")
KINDS = ("inference", "training")
THREADS = 2
"""As on any machine but the smallest: with one thread, oneDNN works on some convolutions with less memory."""


def networks() -> list[tuple[str, str | None]]:
    """The names of specs, each with its smallest variant; small networks first."""
    found = []
    for name in bundled():
        file, _ = open_file(name)
        specs = [spec for spec in file.check().specs if spec.variant or len(file.check().specs) == 1]
        smallest = min(specs, key=lambda spec: spec.plan.params)
        found.append((smallest.plan.params, name, smallest.variant))
    return [(name, variant) for _, name, variant in sorted(found, key=lambda one: one[0])]


def rows_of(name: str, variant: str | None, path: Path, most: float, batches: list[int], device: str) -> None:
    """Measure a network, and add its rows to a file."""
    torch.set_num_threads(THREADS)
    spec = load(name, variant)
    threads = THREADS if device == "cpu" else 0
    done = {(row["name"], row["batch"], row["precision"]) for row in read(path)}
    for precision in PRECISIONS:
        for batch in batches:
            step = training_memory(spec.plan, batch, "adamw", precision=precision, threads=threads)
            if (name, batch, precision) in done or step.peak > most * 1e9:
                continue
            row: dict[str, Any] = {"name": name, "variant": variant, "batch": batch, "precision": precision}
            mixed, measured = precision != "32", {}
            measured["inference"] = peak_of_inference(spec, batch, mixed=mixed, device=device)
            try:
                measured["training"] = peak_of_training(spec, batch, mixed=mixed, device=device)
            except ValueError:  # batch normalisation takes more than one value of a channel
                measured["training"] = None
            said = {"inference": inference_memory(spec.plan, batch, precision, threads=threads), "training": step.peak}
            row |= {"said": said, "measured": measured}
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(show(row), flush=True)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def show(row: dict[str, Any]) -> str:
    """A row of the table: what is said, divided by what was measured."""
    return " | ".join(
        [row["name"], str(row["batch"]), row["precision"], *(f"{ratio(row, kind):.3f}" for kind in KINDS)]
    )


def ratio(row: dict[str, Any], kind: str) -> float:
    """What is said divided by what was measured; not a number where nothing was."""
    said, measured = row["said"][kind], row["measured"][kind]
    return float(said / measured) if measured else math.nan


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """For each precision and batch: how many networks, how many within 5 %, and the least, middle and largest ratio."""
    yield "| precision | batch | networks | | within 5 % | least | median | largest |"
    yield "|---|---:|---:|---|---:|---:|---:|---:|"
    for precision in PRECISIONS:
        for batch in sorted({row["batch"] for row in rows}):
            chosen = [row for row in rows if (row["precision"], row["batch"]) == (precision, batch)]
            for kind in KINDS:
                found = sorted(one for one in (ratio(row, kind) for row in chosen) if not math.isnan(one))
                if found:
                    within = sum(abs(one - 1) <= 0.05 for one in found)
                    middle = statistics.median(found)
                    figures = f"{within} | {found[0]:.3f} | {middle:.3f} | {found[-1]:.3f}"
                    yield f"| {precision} | {batch} | {len(found)} | {kind} | {figures} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--batch", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--most", type=float, default=6.0, help="GB that a step may need")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.table:
        rows = read(asked.rows)
        print("\n".join(table(rows)))
        print()
        print(
            "\n".join(
                show(row) for row in rows if "failed" in row or any(abs(ratio(row, one) - 1) > 0.05 for one in KINDS)
            )
        )
        return
    for name, variant in networks():
        if not asked.names or name in asked.names:
            process = multiprocessing.get_context("spawn").Process(
                target=rows_of, args=(name, variant, asked.rows, asked.most, asked.batch, asked.device)
            )
            process.start()
            process.join()


if __name__ == "__main__":
    main()

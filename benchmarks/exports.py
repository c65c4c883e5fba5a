"""The tables of docs/export.md: bundled networks exported to each format, and what was proven of each file.

Of every bundled spec, the variant with the fewest parameters is exported, on an input of 64×64 or a little more where
the network takes it (the operations are the same, and the proof runs faster); `--all` takes every variant. Each row is
made in a process of its own and kept in FILE, a line of JSON; rows that are there already are not made again.

    python benchmarks/exports.py rows.jsonl && python benchmarks/exports.py rows.jsonl --table
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from archspec.exports._sizes import at_input
from archspec.foundation.errors import ArchspecError
from archspec.foundation.figures import show_bytes
from archspec.foundation.shapes import show
from archspec.language.finder import bundled
from archspec.spec import Spec, load, open_file

SIDES = (64, 96, 128)
"""Heights and widths to try, before the network's own."""


def networks(every: bool) -> list[tuple[str, str | None]]:
    """The names of specs with a variant each: the smallest, or all there are; small networks first."""
    found = []
    for name in bundled():
        file, _ = open_file(name)
        specs = [spec for spec in file.check().specs if spec.variant or len(file.check().specs) == 1]
        specs.sort(key=lambda spec: spec.plan.params)
        found += [(spec.plan.params, name, spec.variant) for spec in (specs if every else specs[:1])]
    return [(name, variant) for _, name, variant in sorted(found, key=lambda one: one[0])]


def small_input(spec: Spec) -> tuple[int, ...]:
    """The least of `SIDES` with which the network has the same layers and output, or else its own input."""
    own = spec.plan.input
    for side in SIDES:
        if side >= max(own[1:]):
            break
        try:
            if len(at_input(spec, (own[0], side, side)).layers) == len(spec.plan.layers):
                return (own[0], side, side)
        except ArchspecError:
            continue
    return own


def export_row(name: str, variant: str | None, format: str) -> dict[str, Any]:
    """A network exported: what `archspec export --format json` says of it, or its error, and the seconds it took."""
    spec = load(name, variant)
    shape = small_input(spec)
    options = ["--variant", variant] if variant else []
    if shape != spec.plan.input:
        options += ["--set", f"input={list(shape)}"]
    with tempfile.TemporaryDirectory() as folder:
        suffix = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}[format]
        command = [sys.executable, "-m", "archspec", "export", name, *options, "--to", format]
        command += ["-o", str(Path(folder, f"net{suffix}")), "--format", "json"]
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
    try:
        found = json.loads(done.stdout)
    except ValueError:
        found = {"results": [], "errors": [{"message": done.stderr.strip()}]}
    return {"spec": name, "variant": variant, "to": format, "input": list(shape), "seconds": round(seconds, 1), **found}


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as Markdown."""
    lines = [
        "| network | input | open | format | file | largest difference |",
        "|---|---|---|---|---:|---:|",
    ]
    for row in rows:
        name = row["variant"] or row["spec"]
        start = f"| `{name}` | {show(tuple(row['input']))} |"
        for result in row["results"]:
            difference = result["proof"]["difference"]
            shown = f"{difference:.0e}" if difference else "0"
            lines.append(f"{start} {result['dynamic']} | {row['to']} | {show_bytes(result['bytes'])} | {shown} |")
        for error in row["errors"]:
            lines.append(f"{start} | {row['to']} | none: {error['message'].splitlines()[0]} | |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else "")
    parser.add_argument("file", type=Path)
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown")
    parser.add_argument("--all", action="store_true", help="every variant")
    parser.add_argument("--formats", default="onnx,torch")
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.file.read_text().splitlines()] if given.file.exists() else []
    if given.table:
        print("\n".join(table(sorted(rows, key=lambda row: (row["to"], row["spec"], row["variant"] or "")))))
        return
    done = {(row["spec"], row["variant"], row["to"]) for row in rows}
    for name, variant in networks(given.all):
        for format in given.formats.split(","):
            if (name, variant, format) in done:
                continue
            row = export_row(name, variant, format)
            with open(given.file, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(name, variant, format, row["seconds"], row["errors"] or "proven", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

"""The tables of docs/export.md: bundled networks exported to each format, and what was proven of each file.

Of every bundled spec, the variant with the fewest parameters is exported, on an input of 64×64 or a little more where
the network takes it (the operations are the same, and the proof runs faster); `--all` takes every variant. Each row
is kept in a file as a line of JSON when it is made; rows that are there already are not made again.

    python benchmarks/proofs.py rows.jsonl && python benchmarks/proofs.py rows.jsonl --table
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from archspec import exports
from archspec.exports import Images, Model, Options
from archspec.exports._sizes import plan_for_input
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
    for side in SIDES if len(own) == 3 else ():
        if side >= max(own[1:]):
            break
        try:
            if len(plan_for_input(spec, ((own[0], side, side),)).layers) == len(spec.plan.layers):
                return (own[0], side, side)
        except ArchspecError:
            continue
    return own


def export_row(name: str, variant: str | None, format: str) -> dict[str, Any]:
    """A network exported with initial weights: what was proven, or why nothing was, and the seconds it took."""
    spec = load(name, variant)
    shape = small_input(spec)
    if shape != spec.plan.input:
        spec = load(name, variant, set=[f"input={list(shape)}"])
    spec = spec.without_aux()
    model = Model(spec, "initial weights", Images(), lambda: spec.build().eval())
    row: dict[str, Any] = {"spec": name, "variant": variant, "to": format, "input": list(shape)}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        kind = exports.load(format)
        file = Path(folder, f"net{kind.suffix}")
        try:
            written = kind.write(model, str(file), Options())
        except ArchspecError as error:
            row["error"] = str(error)
        else:
            assert written.proof is not None
            row |= {"bytes": file.stat().st_size, "proof": written.proof.to_dict(), **written.facts}
    return row | {"seconds": round(time.perf_counter() - start, 1)}


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as Markdown, a network each."""
    networks: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        networks.setdefault((row["spec"], row["variant"] or ""), {})[row["to"]] = row
    lines = [
        "| network | input | ONNX: open | size | differs by | `.pt2`: open | size | differs by |",
        "|---|---|---|---:|---:|---|---:|---:|",
    ]
    for (spec, variant), made in sorted(networks.items()):
        first = next(iter(made.values()))
        inputs = {f"{name} ": shape for name, shape in first.get("inputs", {}).items()} or {"": first["input"]}
        shown = ", ".join(f"{name}{show(tuple(shape))}" for name, shape in inputs.items())
        cells = [cell for format in ("onnx", "torch") for cell in _cells(made.get(format))]
        lines.append(f"| `{variant or spec}` | {shown} | {' | '.join(cells)} |")
    return lines


def _cells(row: dict[str, Any] | None) -> tuple[str, str, str]:
    """What is open, the file's size, and the largest difference; `-` where nothing was made."""
    if row is None or "error" in row:
        return ("not tried" if row is None else "no proof", "-", "-")
    difference = row["proof"]["difference"]
    return row["dynamic"], show_bytes(row["bytes"]), f"{difference:.0e}" if difference else "0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else "")
    parser.add_argument("file", type=Path)
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown")
    parser.add_argument("--only", default="", metavar="NAME,…", help="these specs alone")
    parser.add_argument("--all", action="store_true", help="every variant")
    parser.add_argument("--formats", default="onnx,torch")
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.file.read_text().splitlines()] if given.file.exists() else []
    if given.table:
        print("\n".join(table(sorted(rows, key=lambda row: (row["to"], row["spec"], row["variant"] or "")))))
        return
    done = {(row["spec"], row["variant"], row["to"]) for row in rows}
    only = given.only.split(",") if given.only else None
    for name, variant in networks(given.all):
        if only is not None and name not in only:
            continue
        for format in given.formats.split(","):
            if (name, variant, format) in done:
                continue
            row = export_row(name, variant, format)
            with open(given.file, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(name, variant, format, row["seconds"], row.get("error", "proven"), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

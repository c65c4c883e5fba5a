"""Proves exports to Python: every spec and variant, in a process that cannot import archspec.

    python benchmarks/python_exports.py [NAME…] [--least 0] [--most 100] [--rows rows.jsonl]

Each network gets random weights and statistics. Outputs, gradients and statistics, in evaluation and in training, must
be those of the module that archspec builds, bit for bit. Images are of 64×64 where the network takes them; one that
takes a single size is described again for 64×64 if it has more than `LARGE` parameters, so that it fits in 8 GB. Prints
a table as Markdown, small networks first. Rows are kept in a file if one is named; those in it are not made again.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

BATCH = 2
LARGE = 250e6
SMALL = (64, 64)


class Refused:
    """Lets nothing be imported that an export must do without."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in ("archspec", "trainer", "torchvision", "yaml"):
            raise ImportError(f"an export imports {name}")


def tensors(output: Any, before: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors of an output, each with a name."""
    main, others = output if isinstance(output, tuple) else (output, {})
    yield before, main
    for name, tensor in others.items():
        yield f"{before} {name}", tensor


def digests(model: nn.Module, inputs: list[Tensor]) -> dict[str, str]:
    """What a network computes, each tensor as a digest of its bytes."""
    found: dict[str, Tensor] = {}
    model.eval()
    torch.manual_seed(1)
    with torch.no_grad():
        found |= dict(tensors(model(*inputs), "evaluation"))
    model.train()
    inputs = [one.clone().requires_grad_() for one in inputs]
    torch.manual_seed(2)
    outputs = dict(tensors(model(*inputs), "training"))
    found |= outputs
    torch.stack([one.square().mean() for one in outputs.values()]).sum().backward()
    found |= {f"gradient {name}": one.grad for name, one in model.named_parameters() if one.grad is not None}
    found |= {f"after {name}": one for name, one in model.state_dict().items()}
    found |= {f"gradient of input {i}": one if one.grad is None else one.grad for i, one in enumerate(inputs)}
    return {
        name: hashlib.sha256(one.detach().contiguous().reshape(-1).numpy()).hexdigest() for name, one in found.items()
    }


def serve() -> None:
    """Run exports that are named on standard input, line by line; what differs goes to standard output."""
    sys.meta_path.insert(0, Refused())  # type: ignore[arg-type]
    torch.set_num_threads(1)
    for line in sys.stdin:
        folder = Path(line.strip())
        space: dict[str, Any] = {"__name__": "exported"}
        try:
            exec(compile((folder / "network.py").read_text(encoding="utf-8"), "network.py", "exec"), space)
            kinds = [one for one in space.values() if isinstance(one, type) and one.__module__ == "exported"]
            model = kinds[-1]()
            job = torch.load(folder / "job.pt", weights_only=True, mmap=True)
            model.load_state_dict(job["state"])
            found = digests(model, job["inputs"])
            wanted = json.loads((folder / "digests.json").read_text())
            wrong = [name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)]
            print(json.dumps({"compared": len(wanted), "wrong": sorted(wrong)[:5]}), flush=True)
        except Exception as error:  # the next network is still to be tried
            print(json.dumps({"compared": 0, "wrong": [f"{type(error).__name__}: {error}"]}), flush=True)


def with_history(model: nn.Module) -> None:
    """Give a network random weights and statistics."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, one in model.named_parameters():
            one.add_(torch.randn_like(one) * (0.02 if "bias" in name or one.ndim < 2 else 0.002))
        for name, one in model.named_buffers():
            if name.endswith("running_mean"):
                one.normal_(std=0.1)
            elif name.endswith("running_var"):
                one.uniform_(0.5, 1.5)


def prepared(spec: Any, folder: Path) -> int:
    """Write what the other process needs, and give the number of the export's lines."""
    from archspec.exports.python import write

    text = write(spec.plan)
    (folder / "network.py").write_text(text, encoding="utf-8")
    model = spec.build()
    with_history(model)
    shapes = list(spec.plan.inputs.values())
    is_large = all(len(shape) == 3 for shape in shapes) and max(spec.plan.input[1:]) > 96
    smaller = [[(shape[0], *SMALL) for shape in shapes]] if is_large else []
    for some in [*smaller, shapes]:  # a smaller image is enough where the network takes one
        torch.manual_seed(3)
        inputs = [torch.randn(BATCH, *shape) for shape in some]
        torch.save({"state": model.state_dict(), "inputs": inputs}, folder / "job.pt")
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # torch prints what a traced module refuses
                found = digests(model, inputs)
        except (RuntimeError, ValueError):  # what it is given next is the state in which it is now
            model.zero_grad()
            continue
        break
    (folder / "digests.json").write_text(json.dumps(found))
    return len(text.splitlines())


def small(spec: Any) -> Any:
    """The network of a spec, described for `SMALL` images if it is large and that is possible."""
    from archspec.foundation.errors import ArchspecError
    from archspec.spec import from_dict

    if spec.plan.params < LARGE or len(spec.plan.takes) > 1:
        return spec
    kept = {key: value for key, value in spec.resolved.items() if key not in ("expect", "train")}
    try:
        return from_dict(kept | {"input": [spec.plan.input[0], *SMALL]}, spec.file)
    except ArchspecError:
        return spec


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--least", type=float, default=0, help="the fewest parameters, in millions")
    parser.add_argument("--most", type=float, default=100, help="the most parameters, in millions")
    parser.add_argument("--rows", type=Path, help="a file of rows, each a line of JSON")
    arguments = parser.parse_args()
    kept = []
    if arguments.rows and arguments.rows.exists():
        kept = [json.loads(line)[:2] for line in arguments.rows.read_text(encoding="utf-8").splitlines()]
    torch.set_num_threads(1)
    command = [sys.executable, "-I", __file__, "--serve"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
    assert server.stdin
    assert server.stdout
    print(
        "| network | variant | parameters | lines | tensors compared | different |\n|---|---|---:|---:|---:|---|",
        flush=True,
    )
    failed = count = 0
    begin = time.time()
    for name, spec in networks(arguments.names, arguments.least * 1e6, arguments.most * 1e6):
        key = [name, spec.variant or "-"]
        if key in kept:
            continue
        with tempfile.TemporaryDirectory() as folder:
            lines = prepared(small(spec), Path(folder))
            server.stdin.write(f"{folder}\n")
            server.stdin.flush()
            answer = json.loads(server.stdout.readline())
        count += 1
        failed += bool(answer["wrong"])
        row = [*key, f"{spec.plan.params:,}", lines, answer["compared"], ", ".join(answer["wrong"]) or "none"]
        if arguments.rows:
            with open(arguments.rows, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
    server.stdin.close()
    server.wait()
    print(f"\n{count} networks, {failed} of them different; {time.time() - begin:.0f} s.")
    sys.exit(bool(failed))


def networks(names: list[str], least: float, most: float) -> list[tuple[str, Any]]:
    """The specs, by their files, of which one of the names is a part, if any are given; small networks first."""
    from archspec.spec import open_file

    found = []
    for file in sorted((Path(__file__).parent.parent / "specs").rglob("*.yaml")):
        label = f"{file.parent.name}/{file.stem}"
        for spec in open_file(file)[0].check().specs:
            chosen = not names or any(name in f"{label}@{spec.variant}" for name in names)
            if chosen and least <= spec.plan.params <= most:
                found.append((label, spec))
    return sorted(found, key=lambda one: int(one[1].plan.params))


if __name__ == "__main__":
    serve() if "--serve" in sys.argv else main()

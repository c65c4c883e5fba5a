"""Proves exports to Python: every spec and variant, in a process that cannot import archspec.

    python benchmarks/python_exports.py [NAME…] [--most 100M]

Each network gets random weights and statistics. Outputs, gradients and statistics, in evaluation and in training, must
be those of the module that archspec builds, bit for bit. Prints a table as Markdown.
"""

from __future__ import annotations

import argparse
import hashlib
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
        name: hashlib.sha256(one.detach().contiguous().numpy().tobytes()).hexdigest() for name, one in found.items()
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
            job = torch.load(folder / "job.pt", weights_only=True)
            model.load_state_dict(job["state"])
            found = digests(model, job["inputs"])
            wanted = job["digests"]
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


def prepared(spec: Any, folder: Path) -> None:
    """Write what the other process needs."""
    from archspec.exports.python import write

    (folder / "network.py").write_text(write(spec.plan), encoding="utf-8")
    model = spec.build()
    with_history(model)
    state = {name: one.clone() for name, one in model.state_dict().items()}
    shapes = list(spec.plan.inputs.values())
    is_large = all(len(shape) == 3 for shape in shapes) and max(spec.plan.input[1:]) > 96
    smaller = [[(shape[0], 64, 64) for shape in shapes]] if is_large else []
    for some in [*smaller, shapes]:  # a smaller image is enough where the network takes one
        torch.manual_seed(3)
        inputs = [torch.randn(BATCH, *shape) for shape in some]
        try:
            found = digests(model, inputs)
        except (RuntimeError, ValueError):
            model.load_state_dict(state)
            model.zero_grad()
            continue
        break
    torch.save({"state": state, "inputs": inputs, "digests": found}, folder / "job.pt")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--most", type=float, default=100, help="the most parameters, in millions")
    arguments = parser.parse_args()
    from archspec.spec import open_file

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
    for file in sorted((Path(__file__).parent.parent / "specs").rglob("*.yaml")):
        for spec in open_file(file)[0].check().specs:
            label = f"{file.parent.name}/{file.stem}@{spec.variant}"
            if arguments.names and not any(one in label for one in arguments.names):
                continue
            if spec.plan.params > arguments.most * 1e6:
                continue
            with tempfile.TemporaryDirectory() as folder:
                prepared(spec, Path(folder))
                server.stdin.write(f"{folder}\n")
                server.stdin.flush()
                answer = json.loads(server.stdout.readline())
                lines = len((Path(folder) / "network.py").read_text(encoding="utf-8").splitlines())
            count += 1
            failed += bool(answer["wrong"])
            wrong = ", ".join(answer["wrong"]) or "none"
            row = (file.stem, spec.variant or "-", f"{spec.plan.params:,}", lines, answer["compared"], wrong)
            print("| " + " | ".join(map(str, row)) + " |", flush=True)
    server.stdin.close()
    server.wait()
    print(f"\n{count} networks, {failed} of them different; {time.time() - begin:.0f} s.")
    sys.exit(bool(failed))


if __name__ == "__main__":
    serve() if "--serve" in sys.argv else main()

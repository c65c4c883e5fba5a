"""How fast does the language server answer, and does it stay so? Edits of bundled specs, broken ones among them.

Measured is the time from an edit to its diagnostics and hints, by the real protocol with a real process; the server
waits `DELAY` of `archspec/editor/server.py` for further keystrokes, which is taken off. Printed are median and 95th
percentile for each spec, and the server's memory at the beginning and at the end. A long session follows: the same for
each tenth of its edits of the last spec, which should not grow. With `--log`, each edit is a line of JSON in a file.

    python -m benchmarks.editor [--edits 200] [--long 2000] [--log FILE] [SPEC…]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import IO

from lsprotocol import types

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from editors import Editor, session  # noqa: E402
from fuzz import mutant_of_lines  # noqa: E402

from archspec.editor.server import DELAY  # noqa: E402


def typed(text: str, random: Random) -> str:
    """A text after one keystroke or so: a number that is another one, or a line that is broken."""
    numbers = list(re.finditer(r"(?<=[:\[ ])\d+", text))
    if numbers and random.random() < 0.6:
        one = random.choice(numbers)
        return text[: one.start()] + str(random.randint(1, 64)) + text[one.end() :]
    return mutant_of_lines(text, random).text.decode()


class Session:
    """Edits of one spec in one process."""

    def __init__(self, name: str, log: IO[str] | None) -> None:
        self.name, self.log, self.random = name, log, Random(0)
        self.text = (ROOT / "specs" / f"{name}.yaml").read_text(encoding="utf-8")
        self.done = 0

    def run(self, edits: int, parts: int) -> None:
        """Make edits, and print a line for each of some equal parts of them."""

        async def script(editor: Editor) -> None:
            await editor.open(self.text)
            for part in range(parts):
                label = self.name if parts == 1 else f"{self.name}, to {(part + 1) * edits // parts}"
                print(f"{label:26}", end="", flush=True)
                await self.measure(editor, edits // parts)

        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(session(Path(folder) / "net.yaml", script))

    async def measure(self, editor: Editor, edits: int) -> None:
        assert editor.client._server is not None
        status = Path(f"/proc/{editor.client._server.pid}/status")
        everything = types.Range(types.Position(0, 0), types.Position(10_000, 0))
        before, times, broken = memory(status), [], 0
        for number in range(edits):
            # every other one mends what was broken
            changed = typed(self.text, self.random) if number % 2 == 0 else self.text
            if changed == editor.text:
                changed += "\n"
            began = time.perf_counter()
            errors = len(await editor.change(changed))
            await editor.client.text_document_inlay_hint_async(types.InlayHintParams(editor.document, everything))
            times.append(1000 * (time.perf_counter() - began - DELAY))
            broken += bool(errors)
            self.done += 1
            if self.log is not None:
                entry = {"spec": self.name, "edit": self.done, "ms": round(times[-1], 1), "errors": errors}
                print(json.dumps(entry), file=self.log)
        median, late = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        print(f"{median:7.1f} {late:7.1f} {broken:5d} of {edits:4d}   {before} → {memory(status)} MB", flush=True)


def memory(status: Path) -> int:
    """Megabytes that a process holds."""
    return int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1]) // 1000  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "specs", nargs="*", default=["imagenet/resnet", "imagenet/efficientnet", "imagenet/swin", "googlenet"]
    )
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--long", type=int, default=2000, help="edits of the long session; 0 for none")
    parser.add_argument("--log", type=argparse.FileType("w", encoding="utf-8"))
    options = parser.parse_args()
    print(f"{'spec':26} median    95 % (ms)  with errors   memory")
    for name in options.specs:
        Session(name, options.log).run(options.edits, 1)
    if options.long:
        Session(options.specs[-1], options.log).run(options.long, 10)


if __name__ == "__main__":
    main()

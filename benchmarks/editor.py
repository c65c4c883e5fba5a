"""How fast does the language server answer? Edits of bundled specs, broken ones among them, as an editor sends them.

Measured is the time from an edit to its diagnostics and hints, by the real protocol with a real process; the server
waits `DELAY` of `archspec/editor/server.py` for further keystrokes, which is taken off. Printed are median and 95th
percentile for each spec, and the server's memory at the beginning and at the end.

    python -m benchmarks.editor [--edits 200] [SPEC…]
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from random import Random

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


async def measure(editor: Editor, text: str, edits: int) -> None:
    random, times, broken = Random(0), [], 0
    assert editor.client._server is not None
    status = Path(f"/proc/{editor.client._server.pid}/status")
    everything = types.Range(types.Position(0, 0), types.Position(10_000, 0))
    await editor.open(text)
    before = memory(status)
    while len(times) < edits:
        changed = typed(text, random) if len(times) % 2 == 0 else text  # every other one mends what was broken
        if changed == editor.text:
            changed += "\n"
        began = time.perf_counter()
        broken += bool(await editor.change(changed))
        await editor.client.text_document_inlay_hint_async(types.InlayHintParams(editor.document, everything))
        times.append(1000 * (time.perf_counter() - began - DELAY))
    median, late = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    print(f"{median:7.1f} {late:7.1f} {broken:5d} of {edits:4d}   {before} → {memory(status)} MB")


def memory(status: Path) -> int:
    """Megabytes that a process holds."""
    return int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1]) // 1000  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "specs", nargs="*", default=["imagenet/resnet", "googlenet", "imagenet/swin", "imagenet/efficientnet"]
    )
    parser.add_argument("--edits", type=int, default=200)
    options = parser.parse_args()
    print(f"{'spec':22} median    95 % (ms)  with errors   memory")
    for name in options.specs:
        text = (ROOT / "specs" / f"{name}.yaml").read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            print(f"{name:22}", end="", flush=True)
            asyncio.run(
                session(Path(folder) / "net.yaml", lambda editor, text=text: measure(editor, text, options.edits))
            )


if __name__ == "__main__":
    main()

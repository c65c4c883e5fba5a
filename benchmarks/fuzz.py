"""Does any input make archspec fail? Specs made wrong at random, as many as are asked for.

What must hold of each is in `tests/fuzz.py`; the first that fails ends the run with its text. Printed are the
outcomes, the share of errors that lie where the spec was changed, and the longest that one input took. Then as many
mutants of valid specs are compared with what they were made of (`tests/mutants.py`): those that compute
something else with the same figures are counted by kind.

    python -m benchmarks.fuzz [--count 50000] [--seed 0]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fuzz import fuzz
from mutants import JUDGED, try_mutants


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--away", action="store_true", help="also show errors that lie elsewhere")
    options = parser.parse_args()
    began = time.perf_counter()
    tally = fuzz(options.count, options.seed)
    print(", ".join(f"{count:,} {outcome}" for outcome, count in tally.outcomes.items()))
    print(f"{tally.built:,} built, {tally.run:,} of them run")
    print(f"{tally.rate:.1%} of {tally.located:,} first errors lie where the spec was changed, or name the place")
    print(f"at most {tally.slowest:.2f} s for one input, {time.perf_counter() - began:,.0f} s in all")
    outcome = try_mutants(options.count, options.seed)
    print("mutants:", ", ".join(f"{count:,} {what}" for what, count in outcome.counts.most_common()))
    for (how, what), count in outcome.silent.most_common():
        print(f"  {count:,} {what}, {how}: {JUDGED.get(what, 'NOT JUDGED')}")
    for case, said in tally.away if options.away else ():
        print(f"\n{case.kind}, line {case.lines}: {case.before.strip()}\n{said}")


if __name__ == "__main__":
    main()

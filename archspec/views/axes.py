"""What `archspec fit` varies: a number of a spec, or a list of numbers that keep their proportions."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from archspec.foundation.errors import UsageError, escape_line

MOST = 100_000
"""Values of one variable, at most."""
_RANGE = re.compile(r"(?P<name>[^=:]+)(=(?P<low>[^:]*?)\.\.(?P<high>[^:]*))?(:(?P<step>.*))?", re.DOTALL)
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,9})?")
HOW = "write `NAME`, `NAME:STEP`, `NAME=LOW..HIGH` or `NAME=LOW..HIGH:STEP`"


@dataclass(frozen=True)
class Variation:
    """A variable that is to be varied, and what was said of its values: least, largest and step."""

    name: str
    low: Decimal | None
    high: Decimal | None
    step: Decimal | None


def parse_variations(texts: Sequence[str]) -> list[Variation]:
    """`depth,width=16..256:8` as variations. Raises `UsageError`."""
    variations = []
    for text in ",".join(texts).split(","):
        match = _RANGE.fullmatch(text.strip())
        if match is None:
            raise UsageError(f"`{escape_line(text)}` does not say which variable varies, and how", help=HOW)
        numbers = [None if match[part] in (None, "") else _number(match[part]) for part in ("low", "high", "step")]
        if match["step"] == "":
            raise UsageError(f"`{escape_line(text)}` has no step after its colon", help=HOW)
        variations.append(Variation(match["name"].strip(), *numbers))
        if [variation.name for variation in variations].count(variations[-1].name) > 1:
            raise UsageError(f"`{escape_line(variations[-1].name)}` is varied twice")
    return variations


def _number(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise UsageError(f"`{escape_line(text)}` is no number", help=HOW)
    return Decimal(text)


class Axis:
    """The values of a variable that are tried: `low`, `low + step`, … up to `high`, exactly.

    A list is tried by its smallest number; the others keep their proportion to it, rounded where the list's are whole.
    """

    def __init__(self, variation: Variation, now: Any) -> None:
        self.name = variation.name
        self.now = now
        numbers = now if isinstance(now, list) else [now]
        if not numbers or any(isinstance(one, bool) or not isinstance(one, (int, float)) for one in numbers):
            shown = escape_line(json.dumps(now))
            raise UsageError(f"`{escape_line(self.name)}` is neither a number nor a list of numbers: it is {shown}")
        self.whole = all(isinstance(one, int) for one in numbers)
        self.least = Decimal(str(min(numbers)))
        if isinstance(now, list) and self.least <= 0:
            raise UsageError(f"`{escape_line(self.name)}` holds {self.least}: only numbers above 0 keep proportions")
        step = variation.step if variation.step is not None else Decimal(1) if self.whole else Decimal("0.01")
        if step <= 0:
            raise UsageError(f"the step of `{self.name}` has to be more than 0, not {step}")
        self.step = step
        self.low = step if variation.low is None else variation.low
        if isinstance(now, list) and self.low <= 0:
            message = f"`{self.name}` is a list, and goes by its smallest number: that has to be more than 0"
            raise UsageError(message, help=f"begin with 1 or more, not {self.low}")
        self.high = max(64 * self.least, self.low) if variation.high is None else variation.high
        if self.high < self.low:
            raise UsageError(f"the largest value of `{self.name}` ({self.high}) is less than its least ({self.low})")
        self.last = int((self.high - self.low) / self.step)
        if self.last >= MOST:
            message = f"`{self.name}` has {self.last + 1:,} values, and {MOST:,} are tried at most"
            larger = Decimal(1).scaleb(((self.high - self.low) / MOST).adjusted() + 1)
            ends = [f"{end:f}" if end is not None else "" for end in (variation.low, variation.high)]
            given = f"={'..'.join(ends)}" if any(ends) else ""
            raise UsageError(message, help=f"give a larger step: `{self.name}{given}:{larger:f}`")

    def value(self, index: int) -> Any:
        """A value, by its number."""
        value = self.low + index * self.step
        if not isinstance(self.now, list):
            return int(value) if value == int(value) else float(value)
        scaled = [Decimal(str(one)) * value / self.least for one in self.now]
        if not self.whole:
            return [float(one) for one in scaled]
        return [max(1, int(one.to_integral_value(ROUND_HALF_UP))) for one in scaled]

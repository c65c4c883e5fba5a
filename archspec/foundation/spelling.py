"""Words that are not known, and the known one that is likely meant."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import islice

from archspec.foundation.errors import MAX_WORD

MAX_KNOWN = 1_000  # words that are looked through


def did_you_mean(wrong: str, known: Iterable[str], *, quote: str = "`", cutoff: float = 0.65) -> str | None:
    """A hint that names the known word closest to a wrong one, or `None` where none is close."""
    if len(wrong) > MAX_WORD:
        return None
    close = _closest(wrong, tuple(islice(known, MAX_KNOWN)), cutoff)
    return f"did you mean {quote}{close}{quote}?" if close else None


@lru_cache(maxsize=64)
def _closest(wrong: str, known: tuple[str, ...], cutoff: float) -> str | None:
    import difflib  # only needed once something is wrong

    plain = {_plain(word): word for word in known if len(word) <= MAX_WORD}
    asked = _plain(wrong)
    close = difflib.get_close_matches(asked, plain, n=1, cutoff=cutoff)
    if not close and cutoff < 0.8:  # `min` for `minimum`, `out_channels` for `out`
        begun = (word for word in plain if min(len(word), len(asked)) > 2)
        close = [word for word in begun if word.startswith(asked) or asked.startswith(word)][:1]
    return plain[close[0]] if close else None


def _plain(word: str) -> str:
    """A word less what people write differently: `Conv2d` as `conv`, `MaxPool2d` as `maxpool`."""
    return word.lower().replace("_", "").removesuffix("2d")

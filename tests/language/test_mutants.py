"""No spec becomes another network without a word: see `mutants`."""

from __future__ import annotations

import pytest
from mutants import JUDGED, figures, function, read, try_mutants

BASE = "archspec: 1\ninput: [4, 8, 8]\nnetwork:\n"


@pytest.mark.slow
def test_what_is_silent_is_of_a_kind_that_was_judged() -> None:
    outcome = try_mutants(2000, 0)
    assert outcome.counts["refused"] > 1000
    assert outcome.counts["other figures"] > 50
    unknown = {kind: outcome.shown[kind] for kind in outcome.silent if kind[1] not in JUDGED}
    assert not unknown


def _function(nodes: str) -> object:
    spec = read(f"{BASE}{nodes}")
    assert spec is not None
    return function(spec.plan)


def test_what_is_compared_is_the_function_and_not_its_names() -> None:
    named = "  stem: [conv: {out: 4, kernel: 1}, relu]\n  sum: {add: {a: [], b: [tanh]}}\n"
    assert _function(named) == _function("  - conv: {out: 4, kernel: 1}\n  - relu\n  - add: [[tanh], []]\n")
    assert _function(named) != _function("  - conv: {out: 4, kernel: 1}\n  - relu\n  - maximum: [[tanh], []]\n")
    assert _function("  - subtract: [[tanh], []]\n") != _function("  - subtract: [[], [tanh]]\n")
    assert _function("  - relu\n  - tanh\n") != _function("  - tanh\n  - relu\n")


def test_a_shortcut_that_is_lost_would_be_seen() -> None:
    """With the same figures: what `addd` in place of `add` would be, if it named a part."""
    whole = read(f"{BASE}  - add: {{main: [conv: {{out: 4, kernel: 1}}], shortcut: []}}\n")
    lost = read(f"{BASE}  - conv: {{out: 4, kernel: 1}}\n")
    assert whole is not None
    assert lost is not None
    assert figures(whole.plan) == figures(lost.plan)
    assert function(whole.plan) != function(lost.plan)

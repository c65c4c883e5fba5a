"""Specs made wrong at random are refused in words, where they were made wrong, or work: see `fuzz`."""

from __future__ import annotations

import pytest
from fuzz import fuzz


@pytest.mark.slow
def test_no_input_makes_it_fail() -> None:
    tally = fuzz(2000, 0)
    assert tally.outcomes["refused"] > 1000
    assert tally.outcomes["accepted"] > 100
    assert tally.run > 5
    assert tally.rate >= 0.95

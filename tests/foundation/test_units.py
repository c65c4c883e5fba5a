"""Figures in units of their own size."""

from __future__ import annotations

import pytest

from archspec.foundation.figures import show_bytes, show_macs, show_macs_in_column


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 MACs"),
        (999, "999 MACs"),
        (1_000, "1.00 KMACs"),
        (16_384, "16.4 KMACs"),
        (99_949, "99.9 KMACs"),
        (99_951, "100 KMACs"),
        (999_499, "999 KMACs"),
        (999_501, "1.00 MMACs"),
        (1_108_224, "1.11 MMACs"),
        (999_600_000, "1.000 GMACs"),
        (4_089_184_256, "4.089 GMACs"),
        (17_564_160_000, "17.564 GMACs"),
        (2_500_000_000_000, "2.500 TMACs"),
        (1_000_000_000_000_000_000_000, "1000.000 EMACs"),
    ],
)
def test_figures_take_the_unit_of_their_size(count: int, shown: str) -> None:
    assert show_macs(count) == shown
    assert show_macs_in_column(count) == shown.removesuffix("MACs").rstrip()
    assert show_bytes(count) == shown.removesuffix("MACs") + "B"

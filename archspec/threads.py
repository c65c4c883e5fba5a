"""How the threads that torch computes with wait for work."""

from __future__ import annotations

import os

SPINS = "1000"
"""How often a thread looks for work before it sleeps: some 10 to 50 µs."""
OWN_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def spin_briefly() -> None:
    """Have idle threads sleep soon, unless the user has settings of their own. Called before torch is loaded.

    Between two operations, the threads of libgomp, OpenMP's library in torch's wheels for Linux, spin some 300,000
    times, which is milliseconds. Where other processes want the processors too, they then spin for a thread that is
    kept from running, and so keep it from running. To sleep at once costs more than a third of the speed of small
    networks on a quiet machine. `benchmarks/waiting.py` measures both. Other libraries ignore the setting.
    """
    if not any(name in os.environ for name in OWN_SETTINGS):
        os.environ["GOMP_SPINCOUNT"] = SPINS

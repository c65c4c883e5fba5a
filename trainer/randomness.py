"""What is drawn in training: a function of the seed and the step alone, so that a training can go on from any step."""

from __future__ import annotations

from hashlib import blake2b


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """The seed of what one process draws in one step: of 63 bits, unrelated to those of other steps and ranks."""
    return int.from_bytes(blake2b(f"{seed} {step} {rank}".encode(), digest_size=8).digest()) >> 1

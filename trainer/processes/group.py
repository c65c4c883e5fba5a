"""The processes of one training, as each of them sees them, and what they agree on.

Each runs the same command. The first one, of rank 0, makes every choice and writes every file. The others follow, and
say nothing but what is wrong with themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import distributed

from trainer.errors import OtherProcessFailed
from trainer.processes.devices import Devices

T = TypeVar("T")


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a training as one of them sees them; of one alone, by default."""

    devices: Devices = field(default_factory=Devices)
    rank: int = 0
    size: int = 1
    gloo: Any = None
    """Through which they agree, on the processor and without a limit of time."""

    def broadcast(self, make: Callable[[], T]) -> T:
        """What `make` gives on rank 0, on every rank. Where it fails there, all ranks end."""
        if self.size == 1:
            return make()
        answer: list[Any] = [None, 0]
        if self.rank:
            distributed.broadcast_object_list(answer, 0, self.gloo)
            if answer[1]:
                raise OtherProcessFailed(answer[1])
            made: T = answer[0]
            return made
        try:
            made = make()
        except BaseException as error:
            answer[1] = 130 if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_status", 70)
            raise
        else:
            answer[0] = made
        finally:
            distributed.broadcast_object_list(answer, 0, self.gloo)
        return made

    def rank_zero_first(self, make: Callable[[], T]) -> T:
        """What `make` gives on this rank; rank 0 calls it first, so that it fails, or fills caches, there."""
        made: list[T] = []
        self.broadcast(lambda: made.append(make()))
        return made[0] if made else make()

    def all_reduce_max(self, number: int) -> int:
        """The largest number of any rank."""
        return int(max(self.all_gather(number)))

    def all_gather(self, number: float) -> list[float]:
        """The number of each rank, in the order of ranks."""
        if self.size == 1:
            return [number]
        numbers = torch.zeros(self.size, dtype=torch.float64)
        numbers[self.rank] = number
        distributed.all_reduce(numbers, group=self.gloo)
        return numbers.tolist()


SINGLE_PROCESS = ProcessGroup()

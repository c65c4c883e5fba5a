"""The processes of one training, and how they communicate.

Each runs the same command. Rank 0 makes every decision, writes every file and broadcasts the decisions to the others,
which print only their own errors.
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
    """All processes of a training, and this process's rank among them; by default a single process."""

    devices: Devices = field(default_factory=Devices)
    rank: int = 0
    size: int = 1
    gloo: Any = None
    """torch's process group for their messages: on the CPU, without a timeout."""

    def broadcast(self, make: Callable[[], T]) -> T:
        """Call `make` on rank 0 and return its result on every rank. If it raises there, all ranks end."""
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
        """Call `make` on every rank and return its result; rank 0 is first to fail, or to fill caches."""
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

"""Batches: taken from memory at once, or streamed from files through workers."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from archspec.foundation.errors import UsageError
from archspec.foundation.shapes import Shape
from archspec.recipe import AppliedAugmentation, Resize
from trainer.input.augment_batch import Augmentation
from trainer.input.augment_image import transform
from trainer.input.datasets import InMemory
from trainer.input.files import Files, Unreadable, ignore_pillow_warnings, usable_cpus
from trainer.input.images import fit_to_input
from trainer.input.pairs import ImagePairs
from trainer.input.resizing import STRETCH
from trainer.processes.group import SINGLE_PROCESS, ProcessGroup

MOST_WORKERS = 8
SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
"""The signals that stop a training after a checkpoint."""
Batch = tuple[Tensor, ...]
"""Images, their targets, and the rows beside the images, where there are any."""


class Batches(Sampler[Any]):
    """Yields the positions of the images of each batch.

    With a seed, they are shuffled, in another order each epoch, and a last partial batch is dropped. With `labels`,
    int64 `(N,)`, an epoch has as many images as otherwise, but those of every class equally often: of a class that has
    more, some; of one that has fewer, each several times.

    The order depends on the seed and the epoch alone, not on other random numbers. With `seeded`, each batch
    is a pair of a seed for its augmentation, which depends on the same, and its positions.

    Of several processes, each takes an equal share of each shuffled batch: together they train with the batches of a
    single one. Unshuffled sets are divided evenly, every process with the same number of batches.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int | None,
        *,
        labels: Tensor | None = None,
        seeded: bool = False,
        rank: int = 0,
        size: int = 1,
    ) -> None:
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        kinds = [] if labels is None else sorted(set(labels.tolist()))
        self.members = [(labels == one).nonzero()[:, 0] for one in kinds]
        self.seeded = seeded
        self.rank = rank
        self.size = size
        self.epoch = 0
        self.begin: tuple[int, int] | None = None

    def start_at(self, epoch: int, batch: int) -> None:
        """Start the next iteration at this epoch and batch: those before it were trained with already."""
        self.begin = (epoch, batch) if batch < len(self) else None

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        if self.seed is not None:
            return self.count // self.batch_size
        return -(-self.count // (self.batch_size * self.size))

    def __iter__(self) -> Iterator[Any]:
        (epoch, first), self.begin = self.begin or (self.epoch, 0), None
        if self.seed is None:
            batches, seeds = self._divided(), [0] * len(self)
        else:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            batches = self._shared(self._order(generator).tolist())
            seeds = torch.randint(2**62, (len(self), self.size), generator=generator)[:, self.rank].tolist()
        for number in range(first, len(self)):
            yield (seeds[number], batches[number]) if self.seeded else batches[number]

    def _order(self, generator: torch.Generator) -> Tensor:
        """The positions of an epoch's images, in the order in which they are trained with."""
        order = torch.randperm(self.count, generator=generator)
        if not self.members:
            return order
        drawn, kinds = [], len(self.members)
        # the classes that are drawn once more than the others, where they cannot all be drawn equally often
        once_more = torch.randperm(kinds, generator=generator)[: self.count % kinds].tolist()
        for number, members in enumerate(self.members):
            wanted = self.count // kinds + (number in once_more)
            rounds = -(-wanted // len(members))
            again = [members[torch.randperm(len(members), generator=generator)] for _ in range(rounds)]
            drawn += [torch.cat(again)[:wanted]] if again else []
        return torch.cat(drawn)[order]

    def _shared(self, order: list[int]) -> list[list[int]]:
        """This process's share of each batch."""
        share = self.batch_size // self.size
        starts = (number * self.batch_size + self.rank * share for number in range(len(self)))
        return [order[start : start + share] for start in starts]

    def _divided(self) -> list[list[int]]:
        """Each `size`-th position, in batches that are equal but for one."""
        own, number = range(self.rank, self.count, self.size), len(self)
        return [list(own[i * len(own) // number : (i + 1) * len(own) // number]) for i in range(number)]


@dataclass(frozen=True)
class Stream:
    """Images in files as a network of input `shape` takes them: decoded batch by batch, resized or augmented."""

    files: Files
    shape: Shape
    augment: Sequence[AppliedAugmentation] | None = None
    """The recipe's augmentations, for training images."""
    classes: int = 0
    resize: Resize = STRETCH

    def __len__(self) -> int:
        return len(self.files)

    def augmented(self, augment: Sequence[AppliedAugmentation], classes: int) -> Stream:
        return replace(self, augment=augment, classes=classes)

    def __getitem__(self, key: tuple[int, list[int]]) -> Batch | UsageError:
        """The batch of a seed and positions: images uint8 `(N, C, H, W)` and labels, soft if images are mixed.

        All random numbers depend on the seed alone, not on the worker. An error is returned rather than raised, since a
        worker would put its traceback into the message.
        """
        seed, positions = key
        with torch.random.fork_rng(devices=[]), ignore_pillow_warnings():
            torch.default_generator.manual_seed(seed)
            goal = self.files.shape_for(self.shape) if isinstance(self.files, ImagePairs) else None
            change = transform(self.augment, self.shape, self.resize, goal) if self.augment is not None else None
            images, targets = [], []
            for position in positions:
                try:
                    if change is None:
                        image, target = self.files.fitted(position, self.shape, self.resize)
                    else:
                        image, target = self.files.decode(position)
                except Unreadable as error:
                    return UsageError(
                        f"{self.files.file(position)} can no longer be read: {error}",
                        help="leave the images alone while they are used",
                    )
                if change is not None:
                    image = fit_to_input(image[None], (self.shape[0], *image.shape[-2:]))[0]
                    image, target = change(image, target)
                images.append(image)
                targets.append(target)
            mixes = [one for one in self.augment or () if one.kind.mixes]
            beside = () if self.files.rows is None else (self.files.rows[positions],)
            return *Augmentation(mixes, self.shape, self.classes)(torch.stack(images), torch.stack(targets)), *beside


class Loader(DataLoader[Any]):
    """A loader that raises the errors which workers give back."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        batches = super().__iter__()
        while True:
            try:
                with explain_dead_workers():
                    batch = next(batches)
            except StopIteration:
                return
            except (ConnectionError, EOFError):  # a worker went while its batch was taken over
                raise _dead_worker() from None
            if isinstance(batch, UsageError):
                raise batch
            yield batch

    def check_worker_number_rationality(self) -> None:
        """Say nothing of more workers than CPUs: a person has asked for them."""


@contextmanager
def explain_dead_workers() -> Iterator[None]:
    """Make `UsageError` of what torch raises, wherever the process is, when a worker of a loader has died."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise _dead_worker() from None


def _dead_worker() -> UsageError:
    return UsageError(
        "a process that reads images was killed, most likely because memory ran out",
        help="have fewer of them, --workers 1 for example, or --workers 0 for none; or make memory free",
    )


def _ignore_signals(_: int) -> None:
    """Ignore signals in a worker: its main process handles them, and ends the workers after saving."""
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)


def loader(
    split: InMemory | Stream,
    batch_size: int,
    *,
    shuffle_by: int | None = None,
    balanced: bool = False,
    group: ProcessGroup = SINGLE_PROCESS,
    workers: int | None = None,
) -> DataLoader[Any]:
    """Whole batches, from memory at once or through workers; for training, shuffled by a seed.

    `balanced`: images of every class are drawn equally often.

    `workers` says how many there are for a stream; `None`: as many as CPUs, up to `MOST_WORKERS`. Of several processes,
    each has its own (`Batches`).
    """
    streamed = isinstance(split, Stream)
    labels = (split.files.labels if isinstance(split, Stream) else split.labels.cpu()) if balanced else None
    batches = Batches(
        len(split), batch_size, shuffle_by, labels=labels, seeded=streamed, rank=group.rank, size=group.size
    )
    if workers is None:
        workers = min(max(1, usable_cpus() // group.devices.devices), MOST_WORKERS)
    workers = min(workers, len(batches)) if streamed else 0
    return Loader(
        split,  # type: ignore[arg-type]
        sampler=batches,
        batch_size=None,
        # with a generator of its own, the loader leaves the global one alone
        generator=torch.Generator(),
        num_workers=workers,
        worker_init_fn=_ignore_signals,
        persistent_workers=workers > 0,
        pin_memory=streamed and torch.cuda.is_available(),
    )

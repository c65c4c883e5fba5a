"""Faults of the parts of a data set, compared with each other: images that several share, classes that one lacks."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from archspec.foundation.errors import join_words
from trainer.input.datasets import InMemory
from trainer.input.files import Files

NAMED = 5
"""How many classes a note names."""
_SAMPLE = 4096  # bytes out of the middle of a file, which tell most images apart
_File = tuple[str, Path, int]
"""The part that a file belongs to, the file, and its class."""


def missing_classes(parts: Mapping[str, Tensor], names: Sequence[str]) -> list[str]:
    """Notes of the parts that lack classes, by each part's labels `(N,)` or `(N, classes)`; of empty parts none."""
    notes = []
    for part, labels in parts.items():
        there = labels.sum(0) if labels.ndim == 2 else torch.bincount(labels, minlength=len(names))
        lacking = [name for name, count in zip(names, there.tolist(), strict=True) if not count]
        if lacking and len(labels):
            which = join_words(lacking) if len(lacking) <= NAMED else f"{len(lacking)} of the {len(names)} classes"
            notes.append(f"the {part} set has no images of {which}")
    return notes


def shared_images(parts: Mapping[str, Files], names: Sequence[str] = ()) -> list[str]:
    """Notes of the files of a part that have the same content as files of a part before it.

    With the `names` of classes, by which the files are labelled, also of those with the same content in two classes.
    """
    files = [
        (part, files.file(i), int(files.labels[i]) if names else 0)
        for part, files in parts.items()
        for i in range(len(files))
    ]
    # each step reads more, of fewer files
    groups: list[list[_File]] = [files]
    for what in (_size, _sample, _content):
        differing = (group for one in groups for group in _grouped(one, what))
        groups = [group for group in differing if len({(part, label) for part, _, label in group}) > 1]
    order = list(parts)
    found: dict[tuple[str, str], list[tuple[Path, Path]]] = {(b, a): [] for b in order for a in order}
    twice = []
    for group in groups:
        first, original, label = group[0]
        for part, file, own in group[1:]:
            if part != first:
                found[part, first].append((file, original))
            if own != label:
                twice.append(f"{file}, of `{names[own]}`, is {original}, of `{names[label]}`")
    return [*_notes("image", found), *_contradictions(twice)]


def _contradictions(twice: Sequence[str]) -> list[str]:
    """A note of the images that are in several classes, with the first one."""
    if not twice:
        return []
    more = ", and so on" if len(twice) > 1 else ""
    have = "images have the content of images" if len(twice) > 1 else "image has the content of one"
    return [f"{len(twice):,} {have} in another class: {twice[0]}{more}"]


def shared_rows(parts: Mapping[str, InMemory]) -> list[str]:
    """Notes of the rows of a part that have the same features and targets as one of a part before it."""
    seen: dict[bytes, tuple[str, str]] = {}
    found: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for part, samples in parts.items():
        inputs, targets = samples.images.flatten(1).numpy(), samples.labels.numpy()
        for row, name in enumerate(samples.files):
            content = hashlib.blake2b(inputs[row].tobytes() + targets[row].tobytes(), digest_size=16).digest()
            first, original = seen.setdefault(content, (part, name))
            if part != first:
                found[part, first].append((f"row {name}", f"row {original}"))
    return _notes("row", found)


def _notes(what: str, found: Mapping[tuple[str, str], Sequence[tuple[object, object]]]) -> list[str]:
    """Of each two parts that share something, a note with the first pair."""
    return [
        f"{len(pairs):,} {what}{'s' * (len(pairs) > 1)} of the {part} set {'are' if len(pairs) > 1 else 'is'} in the "
        f"{first} set too: {pairs[0][0]} is {pairs[0][1]}" + (", and so on" if len(pairs) > 1 else "")
        for (part, first), pairs in found.items()
        if pairs
    ]


def _grouped(files: Iterable[_File], what: Callable[[Path], Hashable]) -> list[list[_File]]:
    groups: dict[Hashable, list[_File]] = defaultdict(list)
    for part, file, label in files:
        try:
            groups[what(file)].append((part, file, label))
        except OSError:  # what cannot be read is said elsewhere
            continue
    return list(groups.values())


def _size(file: Path) -> int:
    state = os.stat(file)
    if not stat.S_ISREG(state.st_mode):
        raise OSError  # a named pipe would never end
    return state.st_size


def _sample(file: Path) -> bytes:
    with open(file, "rb") as content:
        content.seek(max(0, os.fstat(content.fileno()).st_size - _SAMPLE) // 2)
        return content.read(_SAMPLE)


def _content(file: Path) -> bytes:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").digest()

"""A folder of images: one subfolder a class, or such folders for each of `train`, `val` and `test`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from archspec.foundation.errors import UsageError, join_words
from archspec.recipe.outputs import HeadTargets
from trainer.data import _image_heads, _masks, _tables, _targets
from trainer.data._listing import PARTS, entries, held_out, is_image, subfolders, walk, with_test
from trainer.input.cache import files_fingerprint
from trainer.input.datasets import DataSet, Form
from trainer.input.files import SUFFIXES, Files

LAYOUT = "give each class a subfolder with its images, or make such subfolders in train, val and test"

Paths = dict[str, list[str]]
"""The images of each class, by paths from the data set's folder."""


def load(folder: Path, *, download: bool = False, heads: Mapping[str, HeadTargets] | None = None) -> DataSet:
    """The images below `folder`, with their classes' names or masks; nothing is decoded yet. Raises `UsageError`.

    Without folders for the parts, a fifth of each class is kept for the test: always the same images, whatever the
    seed, and hardly others where some are added. Without one for the test, what `val` holds is the test set.
    Hidden files and folders are left out, as are files that have no image's suffix, and `__MACOSX`; links are followed.
    With `heads`, each output learns columns of its `targets.csv`.
    """
    with _readable(folder.absolute()) as root:
        return _image_heads.load(root, heads) if heads else _load(root)


def load_test(folder: Path, names: tuple[str, ...], targets: str = "classes", form: Form | None = None) -> Files:
    """The images below `folder` to test a network of these classes on: those of its part `test`, or all it has.

    With a `form`, each output has targets of its own. Raises `UsageError`, also where there are other classes, or
    another kind of `targets`.
    """
    with _readable(folder.absolute()) as root:
        if form is not None:
            return _image_heads.load_test(root, form)
        kind = _tables.kind_of(root)
        if (kind or "classes") != targets:
            raise UsageError(
                f"{root} has {kind or 'classes'}, but the run was trained with {targets}", help="choose other images"
            )
        if kind is not None:
            return _tables.load_test(root, names)
        parts = _parts(root, subfolders(root, Path()), needed=())
        if parts and not parts.keys() & {"test", "val"}:
            raise UsageError(f"{root} has a folder `{parts['train']}`, and none to test on", help=LAYOUT)
        below = Path(parts.get("test") or parts.get("val") or "")
        found, _ = _images(root, below)
        _check(root / below, found, names, is_train=False)
        return _files(root, found, names)


def has_pairs(folder: Path) -> bool:
    """Whether a folder holds images and masks of them, or target images."""
    folder = folder.expanduser()
    try:
        return _masks.is_masked(folder) or _targets.has_targets(folder)
    except OSError:  # said when it is read
        return False


@contextmanager
def _readable(root: Path) -> Iterator[Path]:
    """Raises `UsageError` where `root` is no folder, or what is in it cannot be read."""
    try:
        if not root.is_dir():
            what = "is a file, no folder of images" if root.exists() else "is not there"
            raise UsageError(f"{root} {what}", help=LAYOUT)
        yield root
    except OSError as error:
        raise UsageError(
            f"cannot read {error.filename}: {error.strerror}", help="see to it that it can be read"
        ) from error


def _load(root: Path) -> DataSet:
    if _masks.is_masked(root) and _targets.has_targets(root):
        raise UsageError(f"{root} has images with `masks` and with `targets`: which is meant?", help="keep one of them")
    if _masks.is_masked(root):
        return _masks.load(root)
    if _targets.has_targets(root):
        return _targets.load(root)
    if _tables.kind_of(root):
        return _tables.load(root)
    parts = _parts(root, subfolders(root, Path()))
    if parts:
        images = {part: _images(root, Path(name)) for part, name in parts.items()}
    else:
        images = {"train": _images(root, Path())}
    names = tuple(images["train"][0])
    for part, (found, _) in images.items():
        _check(root / parts.get(part, "") if len(images) > 1 else root, found, names, is_train=part == "train")
    others = sum(count for _, count in images.values())
    files = with_test({part: found for part, (found, _) in images.items()}, lambda found: _split(root, found))
    made = {part: _files(root, found, names) for part, found in files.items()}
    note = f"{others:,} file{'s' * (others > 1)} below {root} {'are' if others > 1 else 'is'} no image by the suffix"
    return DataSet(
        str(root),
        names,
        made["train"],
        made["test"],
        made.get("val"),
        files_fingerprint=_files_fingerprint(made),
        notes=(f"{note}, and left out",) if others else (),
    )


def _parts(root: Path, top: list[str], needed: tuple[str, ...] = ("train",)) -> dict[str, str]:
    """The folder of each part; empty where the folders are classes. Raises `UsageError` where that is not clear."""
    named = [name for name in top if name.lower() in PARTS]
    inner = {name: set(subfolders(root, Path(name))) for name in named}
    if not any(inner.values()):
        return {}  # classes of these names
    parts: dict[str, str] = {}
    for name in named:
        other = parts.setdefault(PARTS[name.lower()], name)
        if other != name:
            raise UsageError(f"{root} has the folders `{other}` and `{name}`, which mean the same", help="keep one")
    if "train" not in parts and len(named) < len(top):
        return {}
    for part in needed:
        if part not in parts:
            raise UsageError(f"{root} has {join_words(named)}, but no folder `{part}`", help=LAYOUT)
    others = [name for name in top if name not in named]
    classes = inner[parts["train"]] if "train" in parts else set()
    if others and len(named) == 1 and not any(classes & set(subfolders(root, Path(name))) for name in others):
        return {}  # a class `train` among others, whose images lie in folders within
    if others:
        raise UsageError(
            f"{root} has {join_words(others)} beside {join_words(named)}: these are parts, and no classes",
            help=f"move {'them' if len(others) > 1 else 'it'} away: train, val and test are what is used",
        )
    return parts


def _images(root: Path, below: Path) -> tuple[Paths, int]:
    """The images of each class below a folder, in order, and how many other files there are."""
    others, found = 0, {}
    for entry in entries(root, below):
        if entry.is_dir():
            found[entry.name], more = walk(root, below / entry.name)
            others += more
        elif is_image(entry.name):
            raise UsageError(
                f"{root / below / entry.name} lies in no class's folder", help="move it into one, or remove it"
            )
        else:
            others += 1
    return found, others


def _check(place: Path, found: Paths, names: tuple[str, ...], *, is_train: bool) -> None:
    empty = [name for name, images in found.items() if not images]
    if is_train and len(found) < 2:
        held = f"one subfolder, `{names[0]}`" if found else "no subfolders"
        raise UsageError(f"{place} has {held}, but a class each is needed, and two at least", help=LAYOUT)
    if is_train and empty:
        raise UsageError(
            f"no image is in the folder{'s' * (len(empty) > 1)} {join_words(empty)} of {place}",
            help=f"put in images ({' '.join(sorted(SUFFIXES))}), or remove {'them' if len(empty) > 1 else 'it'}",
        )
    unknown = [name for name in found if name not in names]
    if unknown:
        raise UsageError(
            f"{place} has the class{'es' * (len(unknown) > 1)} {join_words(unknown)}, which the training set has not",
            help="give both the same subfolders",
        )
    if len(empty) == len(found):
        raise UsageError(f"{place} holds no images", help=LAYOUT)


def _split(root: Path, found: Paths) -> tuple[Paths, Paths]:
    """Training and test images. Which an image belongs to depends on its path, and hardly on what else there is."""
    train, test = {}, {}
    for name, images in found.items():
        if len(images) < 2:
            raise UsageError(
                f"the class `{name}` in {root} has one image: none could be tested",
                help="add some, or make folders train and test",
            )
        kept = held_out(images)
        train[name] = [path for path in images if path not in kept]
        test[name] = [path for path in images if path in kept]
    return train, test


def _files(root: Path, found: Paths, names: tuple[str, ...]) -> Files:
    paths = [path for name in names for path in found.get(name, ())]
    labels = [number for number, name in enumerate(names) for _ in found.get(name, ())]
    return Files(root, tuple(paths), torch.tensor(labels, dtype=torch.int64))


def _files_fingerprint(parts: Mapping[str, Files]) -> str | None:
    """What tells the files from others; none where one cannot be asked, such as a broken link."""
    try:
        return files_fingerprint(files.root / path for files in parts.values() for path in files.paths)
    except OSError:
        return None

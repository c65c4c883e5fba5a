"""Folders of images to each of which belongs another file of the same name: a mask, or a target image."""

from __future__ import annotations

import os
from pathlib import Path

from archspec.foundation.errors import UsageError, join_words
from trainer.data._listing import PARTS, held_out, subfolders, with_test
from trainer.input import files

Pairs = list[tuple[str, str]]
"""Images and what belongs to them, by paths from the data set's folder."""


def help_for(others: str) -> str:
    """How a folder of images and `others` is laid out."""
    return (
        f"put images and {others} of the same names in `images` and `{others}`, or such folders in train, val and test"
    )


def layout(root: Path, others: str) -> dict[str, tuple[str, str]]:
    """The folders of images and of `others` of each part, from the data set's folder; nothing where there are none."""
    kinds = ("images", others)
    inner = _parts(root, [name for name in _folders(root) if all((root / name / kind).is_dir() for kind in kinds)])
    if inner:
        _refuse_others(root, inner, others)
        return {part: (f"{name}/images", f"{name}/{others}") for name, part in inner.items()}
    if not all((root / kind).is_dir() for kind in kinds):
        return {}
    outer = _parts(root / "images", _folders(root / "images"))
    if outer:
        _refuse_others(root / "images", outer, others)
    for name in outer:
        if not (root / others / name).is_dir():
            raise UsageError(
                f"{root / 'images'} has the folder `{name}`, and {root / others} has not", help=help_for(others)
            )
    return {part: (f"images/{name}", f"{others}/{name}") for name, part in outer.items()} or {
        "train": ("images", others)
    }


def _folders(root: Path) -> list[str]:
    return subfolders(root, Path()) if root.is_dir() else []


def _parts(root: Path, names: list[str]) -> dict[str, str]:
    """Those of the folders that are parts, each with the part that it stands for. Raises `UsageError`."""
    found: dict[str, str] = {}
    for name in names:
        if (part := PARTS.get(name.lower())) is None:
            continue
        if part in found.values():
            raise UsageError(f"{root} has two folders for the part `{part}`", help="keep one")
        found[name] = part
    return found


def _refuse_others(root: Path, parts: dict[str, str], others: str) -> None:
    """Raises `UsageError` where folders lie beside those of the parts, which would be left out."""
    beside = [name for name in _folders(root) if name not in parts and name not in ("images", others)]
    if beside:
        raise UsageError(
            f"{root} has `{beside[0]}` beside {join_words(parts)}: these are parts",
            help="move it away: train, val and test are what is used",
        )


def pair_up(root: Path, images: str, others: str, what: str, suffixes: set[str]) -> Pairs:
    """The images below a folder, each with `what` of the same name belongs to it below another. Raises `UsageError`."""
    found, meant = stems(root, images, files.SUFFIXES), stems(root, others, suffixes)
    for one, other, missing in (
        ("image", what, [found[stem] for stem in found if stem not in meant]),
        (what, "image", [meant[stem] for stem in meant if stem not in found]),
    ):
        if missing:
            where = root / (others if one == "image" else images)
            more = f", nor have {len(missing) - 1:,} others" if len(missing) > 1 else ""
            cure = f"add the {other}, or remove the {one}"
            stem, others_there = Path(missing[0]).stem, [meant, found][one != "image"]
            if near := next((path for path in others_there.values() if Path(path).stem.startswith(stem)), None):
                cure = f"give both the same name: {Path(near).name} may belong to it"
            raise UsageError(f"the {one} {root / missing[0]} has no {other} of that name in {where}{more}", help=cure)
    return [(found[stem], meant[stem]) for stem in sorted(found)]


def stems(root: Path, folder: str, suffixes: set[str]) -> dict[str, str]:
    """The files of some suffixes below a folder, by their paths within it without the suffix. Raises `UsageError`."""
    found: dict[str, str] = {}
    for place, folders, names in os.walk(root / folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if name.startswith(".") or suffix.lower() not in suffixes:
                continue
            path = Path(place, name)
            key = path.with_name(stem).relative_to(root / folder).as_posix()
            if key in found:
                raise UsageError(f"{root / found[key]} and {path} have one name", help="rename or remove one of them")
            found[key] = path.relative_to(root).as_posix()
    return found


def add_test_part(root: Path, parts: dict[str, Pairs], others: str) -> dict[str, Pairs]:
    """The parts with one for the test: `val` where there is none, or else a fifth of the training images.

    Raises `UsageError` where a part lacks images, or there is none to train with.
    """
    for part, pairs in parts.items():
        if not pairs:
            raise UsageError(
                f"{root} holds no images to {'train with' if part == 'train' else part}", help=help_for(others)
            )
    if "train" not in parts:
        raise UsageError(f"{root} has no part `train`", help=help_for(others))
    return with_test(parts, lambda pairs: _split(root, pairs))


def _split(root: Path, pairs: Pairs) -> tuple[Pairs, Pairs]:
    """Training and test images. Which an image belongs to depends on its path, and hardly on what else there is."""
    if len(pairs) < 2:
        raise UsageError(f"{root} holds one image: none could be tested", help="add some")
    kept = held_out([image for image, _ in pairs])
    return [pair for pair in pairs if pair[0] not in kept], [pair for pair in pairs if pair[0] in kept]

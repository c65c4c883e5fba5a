"""The Oxford-IIIT Pet Dataset, as torchvision downloads and lists it: cats and dogs, their breeds and trimaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from archspec.foundation.errors import UsageError
from trainer.data._published import fetch, refuse

FOLDER = "oxford-iiit-pet"
CURE = f"unpack images.tar.gz and annotations.tar.gz in {FOLDER}"


def load_pets(name: str, folder: Path, *, download: bool) -> tuple[Path, dict[str, Any]]:
    """The set's own folder, and torchvision's lists of its parts, `trainval` and `test`.

    Raises `UsageError` where it is not there, or files are missing.
    """
    from torchvision.datasets import OxfordIIITPet

    if download:
        fetch(name, folder, CURE, lambda: OxfordIIITPet(folder, download=True))
    root = folder / FOLDER
    if not root.is_dir():
        refuse(name, f"is not there; it was looked for in {root.absolute()}", folder, CURE, anew=False)
    parts: dict[str, Any] = {}
    for part in ("trainval", "test"):
        file = root / "annotations" / f"{part}.txt"
        try:
            parts[part] = OxfordIIITPet(folder, split=part)
        except OSError as error:
            raise _damaged(name, f"{file.absolute()}: {error.strerror}", root) from None
        except (RuntimeError, ValueError) as error:
            raise _damaged(name, f"{file.absolute()}: {error}", root) from None
        listed = [*parts[part]._images, *parts[part]._segs]
        missing = [path for path in listed if not path.is_file()]
        if missing or not listed:
            fault = f"lists {missing[0].name}, which is not there" if missing else "lists nothing"
            raise _damaged(name, f"{file.absolute()} {fault}", root)
    return root, parts


def _damaged(name: str, fault: str, root: Path) -> UsageError:
    """torchvision downloads nothing where there are folders of the set, whatever they hold."""
    return UsageError(
        f"the data set `{name}` is damaged: {fault}",
        help=f"remove {root.absolute()}, and have it fetched anew by --download",
    )


def relative(root: Path, files: list[Path]) -> tuple[str, ...]:
    """Paths below the set's folder."""
    return tuple(file.relative_to(root).as_posix() for file in files)

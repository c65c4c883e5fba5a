"""The page as files that any web server may give: with archspec itself, for Python in the browser."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from archspec.foundation.errors import UsageError
from archspec.language import finder
from archspec.page import files

PYODIDE_VERSION = "314.0.7"
PYODIDE = f"https://cdn.jsdelivr.net/npm/pyodide@{PYODIDE_VERSION}/"
"""Where the page finds Pyodide, unless told otherwise: the files of its npm package."""

LIBRARIES = ("yaml", "jsonschema", "jsonschema_specifications", "referencing", "attr", "attrs", "typing_extensions")
"""What archspec imports without torch, all of it Python."""
LEFT_OUT = ("commands", "weights", "assembly", "static", "codemirror", "vscode", "tests", "benchmarks", "__pycache__")
"""Folders that no answer needs."""


def write(folder: str, pyodide: str = PYODIDE) -> list[str]:
    """Write the page. Files of its names are replaced; others that are there stay.

    Args:
        folder: Where to; it is made where there is none.
        pyodide: Where the page finds Pyodide: an address that ends in `/`, or a path below the page's.

    Returns:
        The paths of the files.

    Raises:
        UsageError: They cannot be written.
    """
    contents = {name: files.read(name, "worker", pyodide) for name in files.NAMES} | {"archspec.zip": package()}
    made = []
    try:
        os.makedirs(folder, exist_ok=True)
        for name, content in contents.items():
            made.append(os.path.join(folder, name))
            Path(made[-1]).write_bytes(content)
    except OSError as error:
        raise UsageError(f"cannot write the page to {folder}: {error.strerror or error}") from None
    return made


def package() -> bytes:
    """archspec, its bundled specs, and the libraries that these answers need, as a zip file, the same each time."""
    sources = {path: name for module in ("archspec", *LIBRARIES) for name, path in _files(module)}
    specs = Path(finder.folder())
    sources |= {path: f"archspec/specs/{path.relative_to(specs).as_posix()}" for path in specs.rglob("*.yaml")}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, name in sorted(sources.items(), key=lambda item: item[1]):
            entry = zipfile.ZipInfo(name)  # of no time
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def _files(module: str) -> Iterator[tuple[str, Path]]:
    """The files of a package or module, each with its name in the archive."""
    found = find_spec(module)
    if found is None or found.origin is None:
        raise UsageError(f"the page needs the Python package `{module}`, which is not installed")
    origin = Path(found.origin)
    if found.submodule_search_locations is None:
        yield origin.name, origin
        return
    for path in origin.parent.rglob("*"):
        inner = path.relative_to(origin.parent)
        compiled = path.suffix in (".so", ".pyd", ".pyc", ".pyi")
        if path.is_file() and not compiled and not set(inner.parts[:-1]) & set(LEFT_OUT):
            yield f"{module}/{inner.as_posix()}", path

"""Figures as people read them, each in a unit of its own size."""

from __future__ import annotations

_PREFIXES = ("", "K", "M", "G", "T", "P", "E")


def show_macs(count: int) -> str:
    """Multiply-accumulates: `640 MACs`, `16.4 KMACs`, `1.11 MMACs`, `4.089 GMACs`."""
    return f"{_scaled(count)}MACs"


def show_macs_in_column(count: int) -> str:
    """Multiply-accumulates below a heading that names them: `640`, `16.4 K`, `1.11 M`, `4.089 G`."""
    return _scaled(count).rstrip()


def show_bytes(count: int) -> str:
    """Bytes, a thousand to the next unit: `640 B`, `16.4 KB`, `1.11 MB`, `4.089 GB`."""
    return f"{_scaled(count)}B"


def _scaled(count: int) -> str:
    """A number with its prefix: three figures, and three after the point from thousands of millions on."""
    size = 0
    while size + 1 < len(_PREFIXES) and round(count / 1000**size, _places(count, size)) >= 1000:
        size += 1
    return f"{count / 1000**size:.{_places(count, size)}f} {_PREFIXES[size]}"


def _places(count: int, size: int) -> int:
    if size == 0:
        return 0
    if size >= 3:
        return 3
    value = count / 1000**size
    return 2 if round(value, 2) < 10 else 1 if round(value, 1) < 100 else 0

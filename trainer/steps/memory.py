"""Memory of a training on a CPU: what a step frees, the next one gets, in large pages where the system has them."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # the parameters of mallopt(3), and their defaults
_DEFAULT_TRIM, _DEFAULT_MMAPS = 128 * 1024, 65536
_HUGEPAGE = 14  # MADV_HUGEPAGE of madvise(2)
_PAGE = 2**21


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Keep freed memory with the process inside the `with` block. Results stay the same, bit for bit.

    By default the C library returns what is large, activations above all, to the system, which hands it out anew as
    zeroed pages of 4 KiB, a fault for each: some 100,000 in a step. Does nothing but on Linux with glibc.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)  # nothing is mapped on its own, and so unmapped when it is freed
    libc.mallopt(_TRIM_THRESHOLD, -1)
    _ask_for_large_pages(libc)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, _DEFAULT_MMAPS)
        libc.mallopt(_TRIM_THRESHOLD, _DEFAULT_TRIM)
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    libc.malloc_trim.argtypes = [ctypes.c_size_t]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return libc


def _ask_for_large_pages(libc: ctypes.CDLL) -> None:
    """Ask for pages of 2 MiB in what the heap is going to grow into: addresses, of which no memory is used yet."""
    promises = Path("/proc/sys/vm/overcommit_memory")
    if promises.exists() and promises.read_text().strip() == "2":
        return  # this system counts addresses as memory
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    start = libc.malloc(size)
    if start:
        first = -(-start // _PAGE) * _PAGE
        libc.madvise(first, (start + size - first) // _PAGE * _PAGE, _HUGEPAGE)
        libc.free(start)

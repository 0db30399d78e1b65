"""Releasing memory of weight files that an engine has mapped and read once."""

from __future__ import annotations

import ctypes
import re
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

_MADV_DONTNEED = 4
_PERIOD_SECONDS = 0.05
# "7f12-7f34 r--p 00000000 08:01 1234    /path", see proc(5).
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r--[ps] \S+ \S+ \S+\s+(/.*)")


@contextmanager
def released(folders: Collection[Path]) -> Iterator[None]:
    """Repeatedly drop the pages of files in ``folders`` that are mapped for reading, until the block ends.

    An engine that maps its weights and packs them into its own memory would keep both resident. Dropped pages are read
    again from the page cache when they are used, so only peak memory changes, never a value. Does nothing on systems
    other than Linux.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    done = threading.Event()

    def drop_until_done() -> None:
        while not done.wait(_PERIOD_SECONDS):
            drop(folders)

    thread = threading.Thread(target=drop_until_done, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        drop(folders)


def drop(folders: Collection[Path]) -> int:
    """Drop the pages of all read-only mappings of files in ``folders``, and return the bytes that they cover."""
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    covered = 0
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        match = _MAPPING.fullmatch(line)
        if match is None or not any(Path(match[3]).is_relative_to(folder) for folder in folders):
            continue
        start, end = int(match[1], 16), int(match[2], 16)
        if madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED) == 0:
            covered += end - start
    return covered

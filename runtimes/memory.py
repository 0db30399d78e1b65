"""Giving back memory that an engine read once: pages of mapped weight files."""

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
    """Drop the pages of files below ``folders`` that are mapped for reading, again and again within, and at the end.

    An engine that maps its weights and packs them into memory of its own keeps both resident. The mapped pages are the
    file's: they come back from the page cache when touched, so only the peak changes, never a value. Does nothing
    where /proc is not.
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
    """Drop the pages of all read-only mappings of files below ``folders``; returns how many bytes they cover."""
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    covered = 0
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        found = _MAPPING.fullmatch(line)
        if found is None or not any(Path(found[3]).is_relative_to(folder) for folder in folders):
            continue
        start, end = int(found[1], 16), int(found[2], 16)
        if madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED) == 0:
            covered += end - start
    return covered

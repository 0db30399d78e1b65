"""Peak memory of this process, and eviction of files from the page cache."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterable
from pathlib import Path

_TRIES, _PAUSE_SECONDS = 5, 0.05


def peak_rss_bytes() -> int:
    """Largest resident set of this process so far.

    Read from /proc on Linux, because ``getrusage`` there can report the parent's peak from before the exec.
    """
    if sys.platform.startswith("linux"):
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def evict(files: Iterable[Path]) -> bool:
    """Drop the files from the page cache. Returns True if none of them is cached any more."""
    cold = [_evict(file) for file in files]
    return all(cold)


def _evict(path: Path) -> bool:
    if not hasattr(os, "posix_fadvise") or not hasattr(os, "RWF_NOWAIT"):
        return False
    with path.open("rb") as file:
        os.fsync(file.fileno())  # dirty pages cannot be dropped
        for _ in range(_TRIES):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if not _cached(file.fileno(), path.stat().st_size):
                return True
            # Pages that a process has just released may still be in a per-core list of the kernel.
            time.sleep(_PAUSE_SECONDS)
        return False


def _cached(descriptor: int, size: int) -> bool:
    """Whether the first or the last byte can be read without waiting for the disk."""
    for offset in {0, max(size - 1, 0)}:
        try:
            if os.preadv(descriptor, [bytearray(1)], offset, os.RWF_NOWAIT):
                return True
        except BlockingIOError:
            continue
        except OSError:
            return True  # this file system cannot report it, so the file counts as cached
    return False

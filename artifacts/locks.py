"""A lock on an output folder, which the system releases when the process that holds it ends."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ArtifactError, OutputBusyError

_BUSY = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Hold the lock of ``output``, the file ``.NAME.lock`` beside it, without waiting for it.

    The lock is an ``flock``: it belongs to the open file, so it holds across containers that share the folder, and the
    kernel releases it however the process ends. The file is removed on exit. Raises OutputBusyError if another process
    holds the lock, ArtifactError where files cannot be locked, OSError where none can be created.
    """
    path = output.with_name(f".{output.name}.lock")
    descriptor = _lock(path, output)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(path: Path, output: Path) -> int:
    import fcntl  # not on Windows, where artifacts can be read all the same

    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _BUSY:
                raise OutputBusyError(output) from None
            raise ArtifactError(
                f"{output.parent}: this file system cannot lock files ({error.strerror}); choose another output folder"
            ) from None
        if _is_open_at(path, descriptor):
            return descriptor
        # The previous holder removed the file between our open and our lock.
        os.close(descriptor)


def _is_open_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False

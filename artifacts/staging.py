"""Writing a folder atomically: it is written beside the output, and moved there once it is complete.

Only one process at a time writes to an output. A second one gets OutputBusyError at once. What a killed process left
behind is removed by the next process that writes to the same output.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from ..errors import QasrError
from .errors import ArtifactError, ArtifactExistsError, ManifestError
from .folder import Artifact, check_names, read
from .hashing import sha256_of_file
from .locks import locked
from .manifest import MANIFEST_NAME, FileEntry, Manifest, contradictions

_TOKEN_BYTES = 8
# Longer than the steps in which file systems of Linux count time.
_CLOCK_TICK_NS = 50_000_000


class Staging:
    """An artifact's folder while it is written. It stands beside the output and has no manifest yet."""

    def __init__(self, folder: Path, output: Path) -> None:
        self.folder = folder
        self._output = output
        self._hashes: dict[tuple[str, int, int], str] = {}

    def draft(self, manifest: Manifest) -> Artifact:
        """The artifact as it would be published now: ``manifest`` with the size and hash of every file.

        Writes nothing. A file is hashed again only if its size or modification time has changed. Raises ManifestError
        for a manifest that contradicts itself, ArtifactError for files that no artifact may contain.
        """
        problems = contradictions(manifest)
        if problems:
            raise ManifestError(f"{self._output}: the manifest contradicts itself ({'; '.join(problems)})")
        paths = sorted(path for path in self.folder.iterdir() if path.name != MANIFEST_NAME)
        for path in paths:
            if path.is_symlink() or not path.is_file():
                raise ArtifactError(f"{path}: is no regular file, and an artifact contains nothing else")
        complete = msgspec.structs.replace(manifest, files={path.name: self._entry(path) for path in paths}).sealed()
        check_names(complete, self.folder)
        return Artifact(self.folder, complete, verified=True)

    def publish(self, manifest: Manifest) -> Artifact:
        """Write the manifest with the size and hash of every file, and move the folder to the output.

        All of it appears at once, or nothing. Raises as ``draft`` does.
        """
        (self.folder / MANIFEST_NAME).write_bytes(self.draft(manifest).manifest.encode())
        put_in_place(self.folder, self._output)
        return read(self._output, verify=False)

    def _entry(self, path: Path) -> FileEntry:
        started, status = time.time_ns(), path.stat()
        key = path.name, status.st_size, status.st_mtime_ns
        if key in self._hashes:
            return FileEntry(status.st_size, self._hashes[key])
        digest = sha256_of_file(path)
        # A file that was just written may be written again without a change of its modification time.
        if started - status.st_mtime_ns > _CLOCK_TICK_NS:
            self._hashes[key] = digest
        return FileEntry(status.st_size, digest)


@contextmanager
def create(output: Path, *, force: bool = False) -> Iterator[Staging]:
    """A staging folder for an artifact at ``output``. Whatever ends the block, no incomplete artifact stays behind.

    ``force`` replaces an artifact at ``output``, and never anything else. Raises ArtifactExistsError for an output that
    may not be replaced, OutputBusyError if another process writes to it, ArtifactError if writing fails.
    """
    output = output.resolve()
    with staging_folder(output) as folder:
        _check_output(output, force=force)
        try:
            yield Staging(folder, output)
        except OSError as error:
            # Some errors of ours are OSErrors too, such as a missing checkpoint: they are not failed writes.
            if isinstance(error, QasrError):
                raise
            reason = error.strerror or error
            raise ArtifactError(f"{output}: writing failed ({reason}); nothing was left there") from error


@contextmanager
def staging_folder(output: Path) -> Iterator[Path]:
    """A new, empty folder beside ``output``, to be filled and then moved there with ``put_in_place``.

    Holds the lock of ``output``, and first removes folders that killed processes left behind. On exit the folder is
    removed unless it was moved. Raises OutputBusyError if another process holds the lock, and ArtifactError.
    """
    output = output.resolve()
    folder = output.with_name(f".{output.name}.partial-{secrets.token_hex(_TOKEN_BYTES)}")
    with ExitStack() as stack:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(output))
            _clean_up(output)
            folder.mkdir()
        except OSError as error:
            raise ArtifactError(
                f"{output}: cannot write there ({error.strerror}); choose another output folder"
            ) from None
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def put_in_place(folder: Path, output: Path) -> None:
    """Move a complete folder to ``output``. What was there before is deleted last. Call within ``staging_folder``."""
    for path in (*folder.iterdir(), folder):
        _fsync(path)
    previous = output.with_name(f".{output.name}.previous-{secrets.token_hex(_TOKEN_BYTES)}")
    replaces = output.exists()
    if replaces:
        output.rename(previous)
    try:
        folder.rename(output)
    except OSError:
        if replaces:
            previous.rename(output)
        raise
    _fsync(output.parent)
    if replaces:
        shutil.rmtree(previous)


def _check_output(output: Path, *, force: bool) -> None:
    if not output.exists():
        return
    if not output.is_dir():
        raise ArtifactExistsError(f"{output}: is a file; choose a folder that does not exist yet")
    if not any(output.iterdir()):
        return
    if not (output / MANIFEST_NAME).is_file():
        raise ArtifactExistsError(
            f"{output}: holds files that are no artifact, and is never replaced; choose another folder"
        )
    if not force:
        raise ArtifactExistsError(f"{output}: exists already; add --force to replace it, or choose another folder")


def _clean_up(output: Path) -> None:
    """Remove what killed processes left beside ``output``, whose lock this process holds.

    A process that was killed between the two renames of ``put_in_place`` left no output: the previous one comes back.
    """
    leftover = re.compile(re.escape(f".{output.name}.") + rf"(partial|previous)-[0-9a-f]{{{2 * _TOKEN_BYTES}}}")
    for path in output.parent.iterdir():
        match = leftover.fullmatch(path.name)
        if match is None:
            continue
        if match[1] == "previous" and not output.exists():
            path.rename(output)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

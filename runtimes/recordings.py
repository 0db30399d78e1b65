"""What can be transcribed: files, file objects and samples."""

from __future__ import annotations

import io
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..audio import SAMPLE_RATE, AudioError, Floats, duration, spool, stream
from .errors import RecordingTypeError

Source = str | os.PathLike[str] | BinaryIO | Floats
"""A recording: the path of an audio file, a binary file object, or mono float32 samples at 16 kHz, of shape (n,)."""

_EXPECTED = f"a path, a binary file object, or a one-dimensional float32 numpy array of samples at {SAMPLE_RATE} Hz"


class Recording:
    """A recording that can be read as often as necessary."""

    name: str
    """Path or name of the file, for messages and transcripts."""
    seconds: float
    """Duration as measured when the recording was last read to its end."""

    def __init__(self, source: Source, index: int) -> None:
        """``index`` names a recording that has no name of its own. Raises RecordingTypeError."""
        self.seconds = 0.0
        self._source = source
        self._copies = ExitStack()
        if isinstance(source, str | os.PathLike):
            self.name = str(Path(source))
        elif isinstance(source, np.ndarray) and source.ndim == 1 and source.dtype == np.float32:
            self.name = f"samples {index}"
        elif _is_binary_file(source):
            name = getattr(source, "name", None)
            self.name = name if isinstance(name, str) else f"audio {index}"
        else:
            raise RecordingTypeError(_description(source), _EXPECTED)

    def stated_seconds(self) -> float:
        """Duration that the header of the file states, which may be wrong. Raises AudioError."""
        if isinstance(self._source, np.ndarray):
            return self._source.size / SAMPLE_RATE
        with self._naming_errors():
            return duration(self._path())

    def blocks(self) -> Iterator[Floats]:
        """The samples, mono float32 at 16 kHz. Raises AudioError."""
        samples = 0
        with self._naming_errors():
            for block in self._blocks():
                samples += block.size
                yield block
        self.seconds = samples / SAMPLE_RATE

    def close(self) -> None:
        """Delete the temporary copy of a file object, if there is one."""
        self._copies.close()

    def _blocks(self) -> Iterator[Floats]:
        if not isinstance(self._source, np.ndarray):
            yield from stream(self._path())
        elif np.isfinite(self._source).all():
            yield self._source
        else:
            raise AudioError("holds NaN or infinite samples")

    def _path(self) -> Path:
        """The file. A file object is copied to a temporary file first, since long audio is read twice."""
        if isinstance(self._source, str | os.PathLike):
            return Path(self._source)
        if isinstance(self._source, np.ndarray):
            raise TypeError("samples have no file")
        self._source = self._copies.enter_context(spool(self._source))
        return self._source

    @contextmanager
    def _naming_errors(self) -> Generator[None]:
        """Errors have the name of the recording, not of its temporary copy."""
        try:
            yield
        except AudioError as error:
            raise error.named(self.name) from None


def _is_binary_file(source: Any) -> bool:
    return callable(getattr(source, "read", None)) and not isinstance(source, io.TextIOBase)


def _description(source: Any) -> str:
    """A short description of a value for an error message."""
    if isinstance(source, np.ndarray):
        return f"a {source.ndim}-dimensional {source.dtype} array"
    if type(source).__module__.partition(".")[0] == "torch":
        return "a torch tensor (its .numpy() works if it is float32)"
    kind = type(source).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"

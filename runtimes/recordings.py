"""What can be transcribed: files, their content, and samples."""

from __future__ import annotations

import io
import os
from array import array
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import (
    SAMPLE_RATE,
    Audio,
    AudioError,
    Floats,
    SpeechDetector,
    from_file,
    from_samples,
    is_plausible_rate,
    spool,
)
from .errors import OptionError, RecordingTypeError

Source = Any
"""A recording, one of

- the path of an audio file (str or PathLike), its content (bytes), or a binary file object with it;
- samples: an array, tensor or list of numbers, with ``sample_rate``;
- samples with their rate: ``(samples, rate)``, ``(rate, samples)``, or a mapping with ``array`` and ``sampling_rate``.
"""

_EXPECTED = (
    "a path, the bytes of an audio file, a binary file object, samples with sample_rate=, or (samples, sample_rate)"
)
_RATE_KEYS = ("sampling_rate", "sample_rate")


class Recording:
    """A recording that can be read as often as necessary."""

    name: str
    """Path or name of the file, for messages and transcripts."""
    seconds: float
    """Duration as measured when the recording was last read to its end."""

    def __init__(self, source: Source, index: int, sample_rate: float | None = None) -> None:
        """``index`` names a recording that has no name of its own; ``sample_rate`` is that of bare samples.

        Raises RecordingTypeError for what is no recording, OptionError for a rate that is missing, no rate, or given
        beside a file, which states its own.
        """
        self.seconds = 0.0
        self._source = source
        self._copies = ExitStack()
        self._audio: Audio | None = None
        self._speech = SpeechDetector()
        if isinstance(source, str | os.PathLike):
            self.name = os.fspath(source) if isinstance(os.fspath(source), str) else os.fsdecode(source)
        elif isinstance(source, bytes | bytearray | memoryview) or _is_binary_file(source):
            name = getattr(source, "name", None)
            self.name = name if isinstance(name, str) else f"audio {index}"
        else:
            self.name = f"samples {index}"
            self._audio = _samples(source, sample_rate, self.name)
            return
        if sample_rate is not None:
            raise OptionError(f"{self.name}: sample_rate is for samples; an audio file states its own")

    @property
    def notes(self) -> list[str]:
        """What was assumed or chosen when the recording was read."""
        return [] if self._audio is None else self._audio.notes

    @property
    def channel(self) -> str | None:
        """Channel that was read; see ``Audio.channel``."""
        return None if self._audio is None else self._audio.channel

    def stated_seconds(self) -> float:
        """Duration that the header of the file states, which may be wrong. Raises AudioError."""
        with self._naming_errors():
            return self._opened().seconds()

    def blocks(self) -> Iterator[Floats]:
        """The samples, mono float32 at 16 kHz. Raises AudioError."""
        samples = 0
        self._speech = SpeechDetector()
        with self._naming_errors():
            for block in self._opened().blocks():
                samples += block.size
                self._speech.add(block)
                yield block
        self.seconds = samples / SAMPLE_RATE

    def speech(self, frames: int, frame_rate_hz: float) -> NDArray[np.bool_]:
        """Whether there may be speech in each of ``frames`` frames of the recording as last read."""
        return self._speech.speech_at(np.arange(frames) / frame_rate_hz)

    def close(self) -> None:
        """Delete the temporary copy of a file object, if there is one."""
        self._copies.close()

    def _opened(self) -> Audio:
        """The audio. A file object is copied to a temporary file first, since long audio is read twice."""
        if self._audio is None:
            source = self._source
            if _is_binary_file(source):
                source = self._copies.enter_context(spool(source))
            elif not isinstance(source, str | os.PathLike):
                source = bytes(source)
            self._audio = from_file(source if isinstance(source, bytes) else Path(os.fsdecode(source)))
        return self._audio

    @contextmanager
    def _naming_errors(self) -> Generator[None]:
        """Errors have the name of the recording, not of its temporary copy."""
        try:
            yield
        except AudioError as error:
            raise error.named(self.name) from None


def is_recording(source: Any) -> bool:
    """Whether ``source`` is one recording rather than several."""
    if isinstance(source, str | bytes | bytearray | memoryview | os.PathLike | Mapping) or hasattr(source, "__array__"):
        return True
    if _is_binary_file(source) or _pair(source) is not None:
        return True
    return isinstance(source, list | tuple) and len(source) > 0 and all(isinstance(one, Real) for one in source[:2])


def needs_rate(source: Any) -> bool:
    """Whether ``source`` is bare samples."""
    is_file = isinstance(source, str | os.PathLike | bytes | bytearray | memoryview) or _is_binary_file(source)
    return not is_file and _pair(source) is None


def _samples(source: Any, sample_rate: float | None, name: str) -> Audio:
    """Samples with their rate, as ``Audio``. Raises RecordingTypeError or OptionError."""
    values = source
    pair = _pair(source)
    if pair is not None:
        if sample_rate is not None:
            raise OptionError(f"{name}: sample_rate is given twice; the samples come with their rate {pair[1]!r}")
        values, sample_rate = pair
    if not (isinstance(values, list | tuple | array) or hasattr(values, "__array__")):
        raise RecordingTypeError(_description(source), _EXPECTED)
    if sample_rate is None:
        raise OptionError(
            f"{name}: samples need their rate: transcribe(samples, sample_rate=16000), or (samples, 16000) in a list"
        )
    if not isinstance(sample_rate, Real) or isinstance(sample_rate, bool) or not is_plausible_rate(float(sample_rate)):
        raise OptionError(f"{name}: sample_rate must be a number from 4000 to 768000, in Hz, not {sample_rate!r}")
    try:
        return from_samples(values, round(float(sample_rate)))
    except AudioError as error:
        raise RecordingTypeError(f"{_description(values)}, which {error.problem}", _EXPECTED) from None


def _pair(source: Any) -> tuple[Any, Any] | None:
    """Samples and their rate, where they come together."""
    if isinstance(source, Mapping):
        rate = next((source[key] for key in _RATE_KEYS if key in source), None)
        return (source["array"], rate) if "array" in source and rate is not None else None
    if isinstance(source, tuple) and len(source) == 2:
        first, second = source
        if _is_rate(second) and not _is_rate(first):
            return first, second
        if _is_rate(first) and not _is_rate(second):
            return second, first
    return None


def _is_rate(value: Any) -> bool:
    return isinstance(value, Integral | Real) and not isinstance(value, bool)


def _is_binary_file(source: Any) -> bool:
    return callable(getattr(source, "read", None)) and not isinstance(source, io.TextIOBase)


def _description(source: Any) -> str:
    """A short description of a value for an error message."""
    if isinstance(source, np.ndarray):
        return f"a {source.ndim}-dimensional {source.dtype} array"
    kind = type(source).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"

"""Decoding by libsndfile: wav, aiff, au, flac, ogg (vorbis, opus), mp3 and rarer formats."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, Literal, cast

import soundfile

from .decoder import check_header
from .errors import AudioError
from .frontends import Floats
from .layout import Layout, Spliced, read_layout
from .truncation import UNKNOWN_FRAMES, has_more, is_cut, states_length

_COMPRESSED_FORMATS = frozenset({"FLAC", "OGG", "MP3", "MPEG"})
_COMPRESSED_SUBTYPES = ("ALAC", "MPEG")
# Sizes in a RIFF header that mean nothing: 0 until the recording ends, the largest number in a pipe.
_OPEN_FILE_SIZES = 0x7FFF0000
_PADDING_BYTES = 8


class UnknownFormatError(AudioError):
    """A file that libsndfile does not know."""


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is only read forward. soundfile's seeks fail for a flac of unknown length."""

    def seekable(self) -> bool:
        return False


class SndfileDecoder:
    """A file opened by libsndfile. Raises AudioError, UnknownFormatError among others."""

    def __init__(self, data: BinaryIO) -> None:
        self._data = data
        self._layout = layout = read_layout(data)
        self.notes: list[str] = []
        if layout is not None:
            check_header(layout.sound.rate, layout.sound.channels)
        self._file = _open(data, layout)
        self.rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        self.frames: int | None = None if self._file.frames == UNKNOWN_FRAMES else self._file.frames
        self._is_compressed = self._file.format in _COMPRESSED_FORMATS or self._file.subtype.startswith(
            _COMPRESSED_SUBTYPES
        )

    def blocks(self, frames: int) -> Iterator[Floats]:
        """Samples (n, channels). Raises AudioError for compressed audio that is damaged, or ends too early or too late.

        Whatever a header states of samples that are stored one by one, those in the file are read.
        """
        total = 0
        while True:
            try:
                block: Floats = self._file.read(frames, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                raise AudioError(f"is damaged ({_reason(error)}); fetch or convert it again") from None
            if len(block) == 0:
                break
            total += len(block)
            yield block
        self._check_end(total)

    @property
    def guesses_length(self) -> bool:
        """Whether this is an mp3 that states no length; libsndfile then guesses it from the rate of its first frame."""
        position = self._data.tell()
        try:
            return self._file.format in {"MP3", "MPEG"} and not states_length(self._data)
        finally:
            self._data.seek(position)

    def close(self) -> None:
        """Close libsndfile's handle."""
        self._file.close()

    def _check_end(self, total: int) -> None:
        seconds = total / self.rate
        if self._is_compressed and total:
            if self._layout.cut if self._layout else is_cut(self._data, self._file, total):
                raise AudioError(f"is cut off after {seconds:.1f} s; fetch it again")
            if has_more(self._data, self._file):
                raise AudioError(
                    f"continues after the {seconds:.1f} s that its header states (joined files, or an mp3 that does "
                    "not state its length); convert it to wav"
                )
        elif self._layout is not None:
            self._note_sizes(self._layout, seconds)
        elif self.frames is not None and (total < self.frames or "(should be" in self._file.extra_info):
            # libsndfile corrects sizes that cannot be true, and notes it.
            self.notes.append(f"its header states another size than the file has; all {seconds:.1f} s in it were read")

    def _note_sizes(self, layout: Layout, seconds: float) -> None:
        frame_bytes = layout.sound.frame_bytes
        if frame_bytes and layout.stated is not None:
            if layout.stated // frame_bytes != layout.actual // frame_bytes:
                self._note_length(layout.stated / frame_bytes / self.rate, seconds)
                return
        elif layout.cut:
            self.notes.append(
                f"its header states {layout.stated:,} bytes of sound, and it has {layout.actual:,}: all were read"
            )
            return
        size = self._data.seek(0, os.SEEK_END)
        stated = layout.file_bytes
        if stated is not None and 8 < stated < _OPEN_FILE_SIZES and abs(stated - size) > _PADDING_BYTES:
            self.notes.append(f"its header states a file of {stated:,} bytes, and it has {size:,}; no sound is missing")

    def _note_length(self, stated: float, actual: float) -> None:
        self.notes.append(f"its header states {stated:.1f} s, and it has {actual:.1f} s: all were read")


def _open(data: BinaryIO, layout: Layout | None) -> soundfile.SoundFile:
    """The file as libsndfile reads it; where the header is wrong, the samples alone, or with a corrected header."""
    if layout is not None and not layout.is_as_stated:
        corrected = _corrected(data, layout)
        if corrected is not None:
            return corrected
    try:
        return _Sequential(data)
    except (soundfile.SoundFileError, TypeError) as error:
        corrected = None if layout is None else _samples(data, layout)
        if corrected is None:
            raise UnknownFormatError(_reason(error)) from None
        return corrected


def _corrected(data: BinaryIO, layout: Layout) -> soundfile.SoundFile | None:
    if layout.sound.subtype is not None:
        return _samples(data, layout)
    # Blocks of a codec such as ADPCM need their header: only its sizes are replaced.
    if not layout.sizes or len(layout.parts) > 1 or layout.actual >= _OPEN_FILE_SIZES:
        return None
    (riff, sound), (start, stop) = layout.sizes, layout.parts[0]
    order: Literal["big", "little"] = "big" if layout.sound.big_endian else "little"
    pieces = (
        (0, riff),
        (stop - riff - 4).to_bytes(4, order),
        (riff + 4, sound),
        (stop - start).to_bytes(4, order),
        (start, stop),
    )
    return _Sequential(cast(BinaryIO, Spliced(data, pieces)))


def _samples(data: BinaryIO, layout: Layout) -> soundfile.SoundFile | None:
    """The samples without their header, if they are stored one by one."""
    sound = layout.sound
    if sound.subtype is None:
        return None
    return _Sequential(
        cast(BinaryIO, Spliced(data, layout.parts)),
        samplerate=round(sound.rate),
        channels=sound.channels,
        format="RAW",
        subtype=sound.subtype,
        endian="BIG" if sound.big_endian else "LITTLE",
    )


def _reason(error: Exception) -> str:
    text = str(getattr(error, "error_string", None) or error).strip().rstrip(".")
    return text.splitlines()[0].lower() if text else type(error).__name__

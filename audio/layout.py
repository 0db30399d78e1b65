"""Where the samples of wav, aiff and au files are, whatever their headers state.

Headers are wrong in many ways: recorders that are killed leave sizes of zero, programs that write to a pipe leave the
largest number, others state the first of several pieces. The bytes that are in the file say what is there.
"""

from __future__ import annotations

import io
import os
import string
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from .errors import AudioError

# Programs that write to a pipe do not know the length, and state the largest number that fits, or a little less.
_UNKNOWN_SIZE = 0x7FFF0000
# Bytes behind the samples that are a tag or padding rather than sound.
_TAIL_BYTES = 1024
_ID_CHARACTERS = frozenset((string.ascii_letters + string.digits + " _-").encode())
_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_AU_SUBTYPES = {1: "ULAW", 2: "PCM_S8", 3: "PCM_16", 4: "PCM_24", 5: "PCM_32", 6: "FLOAT", 7: "DOUBLE", 27: "ALAW"}
_SAMPLE_BYTES = {
    "ULAW": 1, "ALAW": 1, "PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8,
}  # fmt: skip


class Sound(NamedTuple):
    """How samples are stored."""

    rate: float
    channels: int
    subtype: str | None
    """libsndfile's name; None if samples are not stored one by one."""
    big_endian: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of each channel; 0 if samples are not stored one by one."""
        return self.channels * _SAMPLE_BYTES[self.subtype] if self.subtype else 0


@dataclass(frozen=True)
class Layout:
    """Where a file's samples are."""

    sound: Sound
    parts: tuple[tuple[int, int], ...]
    """First byte of each stretch of samples, and the byte after its last."""
    stated: int | None
    """Bytes of samples that the header states; None if it leaves them open."""
    cut: bool = False
    """The header states more than the file holds."""
    sizes: tuple[int, ...] = ()
    """Where a wav states its own size and that of the samples, in 4 bytes each."""
    file_bytes: int | None = None
    """Size that the file states of itself."""

    @property
    def actual(self) -> int:
        """Bytes of samples in the file."""
        return sum(stop - start for start, stop in self.parts)

    @property
    def is_as_stated(self) -> bool:
        """Whether a decoder that believes the header reads all samples."""
        return len(self.parts) == 1 and not self.cut and self.stated in (self.actual, None)


def read_layout(data: BinaryIO) -> Layout | None:
    """The layout of a wav, aiff or au; None for other files, and without a header that says how samples are stored.

    Raises AudioError for joined wavs of different formats. ``data`` is at its start afterwards.
    """
    size = data.seek(0, os.SEEK_END)
    try:
        magic, kind = _at(data, 0, 4), _at(data, 8, 4)
        if magic in (b"RIFF", b"RIFX", b"RF64", b"BW64") and kind == b"WAVE":
            return _wav(data, size, 0)
        if magic == b"FORM" and kind in (b"AIFF", b"AIFC"):
            return _aiff(data, size)
        return _au(data, size) if magic == b".snd" else None
    except struct.error:
        return None
    finally:
        data.seek(0)


class Spliced(io.RawIOBase):
    """A read-only file of pieces: bytes, and stretches (first byte, byte after the last) of another file."""

    def __init__(self, data: BinaryIO, pieces: tuple[bytes | tuple[int, int], ...]) -> None:
        self._data = data
        self._pieces = pieces
        self._sizes = [len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in pieces]
        self._position = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, and return the position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: sum(self._sizes)}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer as far as there are bytes: libsndfile takes less for the end of the file."""
        content = b""
        start = 0
        for piece, size in zip(self._pieces, self._sizes, strict=True):
            offset = self._position + len(content) - start
            count = min(len(buffer) - len(content), size - offset)
            if offset >= 0 and count > 0:
                if isinstance(piece, bytes):
                    content += piece[offset : offset + count]
                else:
                    content += _at(self._data, piece[0] + offset, count)
            start += size
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


class _Chunk(NamedTuple):
    name: bytes
    start: int
    """First byte of its content."""
    size: int
    """As stated."""


def _wav(data: BinaryIO, size: int, base: int) -> Layout | None:
    """The layout of the wav that begins at byte ``base``, with those joined to it."""
    order = ">" if _at(data, base, 4) == b"RIFX" else "<"
    sound: Sound | None = None
    long_size: int | None = None
    for chunk in _chunks(data, size, base + 12, order):
        if chunk.name == b"ds64":
            long_size = struct.unpack("<Q", _at(data, chunk.start + 8, 8))[0]
        elif chunk.name == b"fmt ":
            sound = _wav_sound(_at(data, chunk.start, 40), order)
        elif chunk.name == b"data":
            if sound is None:
                return None
            stated = long_size if chunk.size == 0xFFFFFFFF and long_size else chunk.size
            found = _extent(data, size, chunk.start, stated, order, sound)
            file_bytes = 8 + struct.unpack(f"{order}I", _at(data, base + 4, 4))[0]
            return Layout(sound, *found, sizes=(base + 4, chunk.start - 4), file_bytes=file_bytes)
    return None


def _extent(
    data: BinaryIO, size: int, start: int, stated: int, order: str, sound: Sound
) -> tuple[tuple[tuple[int, int], ...], int | None, bool]:
    """Parts, stated bytes and whether it is cut, of samples that begin at ``start``."""
    end = start + stated
    if end > size or (stated == 0 and size - start > _TAIL_BYTES and not _is_chain(data, size, start, order)):
        if stated >= _UNKNOWN_SIZE:
            return ((start, size),), None, False
        return ((start, size),), stated, end > size
    for after in (end + stated % 2, end):
        if _at(data, after, 4) in (b"RIFF", b"RIFX") and _at(data, after + 8, 4) == b"WAVE":
            joined = _wav(data, size, after)
            if joined is None or joined.sound != sound:
                raise AudioError("holds joined wavs of different formats; convert each of them alone")
            return ((start, end), *joined.parts), stated, False
        if _is_chain(data, size, after, order):
            more = [chunk for chunk in _chunks(data, size, after, order) if chunk.name == b"data" and chunk.size]
            parts = ((start, end), *((chunk.start, min(chunk.start + chunk.size, size)) for chunk in more))
            return tuple(part for part in parts if part[0] < part[1]), stated, False
    if size - end <= _TAIL_BYTES:
        return ((start, end),), stated, False
    return ((start, size),), stated, False


def _wav_sound(content: bytes, order: str) -> Sound:
    tag, channels, rate, _, align, bits = struct.unpack(f"{order}HHIIHH", content[:16])
    if tag == _EXTENSIBLE and len(content) >= 26:
        tag = struct.unpack(f"{order}H", content[24:26])[0]
    # Samples of 12 or 20 bits fill their containers, whose size the alignment says, if it says anything sensible.
    width = align // channels if channels and align % channels == 0 and 8 * align >= channels * bits else -(-bits // 8)
    subtypes = {
        _PCM: {1: "PCM_U8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"},
        _FLOAT: {4: "FLOAT", 8: "DOUBLE"},
        _ALAW: {1: "ALAW"},
        _ULAW: {1: "ULAW"},
    }
    return Sound(rate, channels, subtypes.get(tag, {}).get(width), order == ">")


def _aiff(data: BinaryIO, size: int) -> Layout | None:
    sound: Sound | None = None
    for chunk in _chunks(data, size, 12, ">"):
        if chunk.name == b"COMM":
            sound = _aiff_sound(_at(data, chunk.start, min(chunk.size, 22)))
        elif chunk.name == b"SSND":
            if sound is None:
                return None
            # Offset and block size come before the samples.
            offset = struct.unpack(">I", _at(data, chunk.start, 4))[0]
            start = chunk.start + 8 + (offset if offset < size else 0)
            return Layout(sound, *_extent(data, size, start, max(0, chunk.size - 8 - offset), ">", sound))
    return None


def _aiff_sound(content: bytes) -> Sound:
    channels, _, bits, exponent, mantissa = struct.unpack(">HIHHQ", content[:18])
    kind = content[18:22] or b"NONE"
    rate = mantissa * 2.0 ** ((exponent & 0x7FFF) - 16_383 - 63) if exponent & 0x7FFF < 16_383 + 64 else 0.0
    pcm = {1: "PCM_S8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}.get(-(-bits // 8))
    subtypes = {
        b"NONE": pcm, b"twos": pcm, b"sowt": pcm, b"fl32": "FLOAT", b"FL32": "FLOAT", b"fl64": "DOUBLE",
        b"FL64": "DOUBLE", b"ulaw": "ULAW", b"ULAW": "ULAW", b"alaw": "ALAW", b"ALAW": "ALAW",
    }  # fmt: skip
    return Sound(rate, channels, subtypes.get(kind), kind != b"sowt")


def _au(data: BinaryIO, size: int) -> Layout:
    start, stated, encoding, rate, channels = struct.unpack(">5I", _at(data, 4, 20))
    sound = Sound(rate, channels, _AU_SUBTYPES.get(encoding), big_endian=True)
    unknown = stated >= _UNKNOWN_SIZE
    cut = not unknown and start + stated > size
    tail = size - start - stated
    stop = start + stated if 0 <= tail <= _TAIL_BYTES and stated else size
    return Layout(sound, ((min(start, size), stop),), None if unknown else stated, cut)


def _chunks(data: BinaryIO, size: int, position: int, order: str) -> Iterator[_Chunk]:
    """Chunks from byte ``position``, up to the one that goes beyond the end of the file, if any."""
    while position + 8 <= size:
        name, stated = struct.unpack(f"{order}4sI", _at(data, position, 8))
        yield _Chunk(name, position + 8, stated)
        following = position + 8 + stated
        # Some programs leave out the byte that makes sizes even.
        padded = following + stated % 2
        position = padded if not _is_name(_at(data, following, 4)) or _is_name(_at(data, padded, 4)) else following


def _is_chain(data: BinaryIO, size: int, position: int, order: str) -> bool:
    """Whether chunks follow from ``position`` to the end of the file."""
    for chunk in _chunks(data, size, position, order):
        if not _is_name(chunk.name) or chunk.start + chunk.size > size + 1:
            return False
        position = chunk.start + chunk.size
    return position >= size - 8


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and _ID_CHARACTERS.issuperset(name)


def _at(data: BinaryIO, position: int, count: int) -> bytes:
    data.seek(position)
    return data.read(count)

"""Detects files that end early, or continue after their stated end: libsndfile reports neither."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO

import soundfile

UNKNOWN_FRAMES = (1 << 63) - 1
"""libsndfile's value for a length that the header does not state, as in a flac written to a pipe."""

# Programs that write to a pipe do not know the length, and state the largest number that fits.
_UNKNOWN_LENGTH = 0x7FFF0000
_MP3_FRAME_SAMPLES = 1152
# An Ogg page is at most 65,307 bytes long.
_OGG_TAIL_BYTES = 1 << 17
_OGG_END_OF_STREAM = 4
# Bytes that may stay unread in an intact file: padding of the last frames, and tags.
_REST_BYTES = 4096
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")


def is_cut(path: Path, file: soundfile.SoundFile, frames: int) -> bool:
    """Whether ``file`` states more samples per channel than the ``frames`` that could be read.

    Without a length in its first frame, an mp3 that was cut off cannot be distinguished from a short one.
    """
    if file.format == "OGG":
        return not _ends_ogg(path)
    if file.format in {"MP3", "MPEG"}:
        return _states_length(path) and frames < file.frames - 2 * _MP3_FRAME_SAMPLES
    if frames < file.frames < UNKNOWN_FRAMES:
        return True
    # libsndfile corrects the length of a cut wav, aiff or au, and notes the length that the header stated.
    notes = re.findall(r"(\d+) \(should be (\d+)\)", file.extra_info)
    return any(int(actual) < int(stated) < _UNKNOWN_LENGTH for stated, actual in notes)


def has_more(data: BinaryIO, file: soundfile.SoundFile) -> bool:
    """Whether compressed audio follows the position in ``data`` where libsndfile stopped.

    libsndfile stops at the end of the first of several joined files. In an mp3 of variable rate that states no length,
    it stops where a file with the rate of its first frame would end.
    """
    rest = data.read(_OGG_TAIL_BYTES)
    if file.format == "OGG":
        return b"OggS" in rest
    if file.format not in {"MP3", "MPEG"} or rest.startswith(_TAGS):
        return False
    return len(rest.strip(b"\0")) > _REST_BYTES


def _ends_ogg(path: Path) -> bool:
    """Whether the last page carries the end-of-stream flag (RFC 3533, section 6)."""
    with path.open("rb") as data:
        data.seek(0, os.SEEK_END)
        data.seek(max(0, data.tell() - _OGG_TAIL_BYTES))
        tail = data.read()
    page = tail.rfind(b"OggS")
    return page >= 0 and len(tail) > page + 5 and bool(tail[page + 5] & _OGG_END_OF_STREAM)


def _states_length(path: Path) -> bool:
    """Whether the mp3's first frame is a Xing or Info header, which states the number of frames."""
    with path.open("rb") as data:
        tag = data.read(10)
        # Skip an ID3 tag: it has any size (pictures), and its text may contain the same letters.
        seven_bits = tag[6:10] if tag.startswith(b"ID3") else b""
        data.seek(10 + sum(byte << 7 * (3 - index) for index, byte in enumerate(seven_bits)) if seven_bits else 0)
        frame = data.read(64)
    return b"Xing" in frame or b"Info" in frame

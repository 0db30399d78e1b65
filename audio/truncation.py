"""Files that end before their end, or go on after it: libsndfile reads what it can and says nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO

import soundfile

UNKNOWN_FRAMES = (1 << 63) - 1
"""libsndfile's word for a length that the header leaves open, as that of a flac from a pipe."""

# Writers to a pipe cannot know the length, and put the largest number that they can.
_UNKNOWN_LENGTH = 0x7FFF0000
_MP3_FRAME_SAMPLES = 1152
# An Ogg page is at most 65,307 bytes long.
_OGG_TAIL_BYTES = 1 << 17
_OGG_END_OF_STREAM = 4
# What may be left unread of an intact file: the last frames' padding, and tags.
_REST_BYTES = 4096
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")


def is_cut(path: Path, file: soundfile.SoundFile, frames: int) -> bool:
    """Whether ``file``, of which ``frames`` samples could be read, states more than it holds.

    An mp3 without a length in its first frame states nothing, and a cut one cannot be told from a short one.
    """
    if file.format == "OGG":
        return not _ends_ogg(path)
    if file.format in {"MP3", "MPEG"}:
        return _states_length(path) and frames < file.frames - 2 * _MP3_FRAME_SAMPLES
    if frames < file.frames < UNKNOWN_FRAMES:
        return True
    # libsndfile corrects the length of a cut wav, aiff or au and leaves a note of what the header said.
    notes = re.findall(r"(\d+) \(should be (\d+)\)", file.extra_info)
    return any(int(found) < int(stated) < _UNKNOWN_LENGTH for stated, found in notes)


def goes_on(data: BinaryIO, file: soundfile.SoundFile) -> bool:
    """Whether compressed audio follows behind the place in ``data`` where libsndfile stopped.

    It stops where the first of several joined files ends, and where an mp3 of variable rate that states no length
    would end at the rate of its first frame.
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
    """Whether the mp3's first frame is a Xing or Info header, which gives the number of frames."""
    with path.open("rb") as data:
        tag = data.read(10)
        # Tags come first, of any size (pictures), and their text may hold the same letters.
        seven_bits = tag[6:10] if tag.startswith(b"ID3") else b""
        data.seek(10 + sum(byte << 7 * (3 - place) for place, byte in enumerate(seven_bits)) if seven_bits else 0)
        frame = data.read(64)
    return b"Xing" in frame or b"Info" in frame

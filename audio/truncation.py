"""Detects compressed audio that ends early, or continues after its stated end: libsndfile reports neither."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

import soundfile

UNKNOWN_FRAMES = (1 << 63) - 1
"""libsndfile's value for a length that the header does not state, as in a flac written to a pipe."""

_MP3_FRAME_SAMPLES = 1152
# An Ogg page is at most 65,307 bytes long.
_OGG_TAIL_BYTES = 1 << 17
_OGG_END_OF_STREAM = 4
# Bytes that may stay unread in an intact file: padding of the last frames, and tags.
_REST_BYTES = 4096
_STATES_FRAMES_AND_BYTES = 3
_ASF_HEAD_BYTES = 1 << 16
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN")


def is_cut(data: BinaryIO, file: soundfile.SoundFile, frames: int) -> bool:
    """Whether ``file`` of compressed audio states more samples per channel than the ``frames`` that could be read.

    Without a length in its first frame, an mp3 that was cut off cannot be distinguished from a short one. The position
    in ``data`` stays.
    """
    position = data.tell()
    try:
        if file.format == "OGG":
            return not ends_ogg(data)
        if file.format in {"MP3", "MPEG"}:
            return states_length(data) and frames < file.frames - 2 * _MP3_FRAME_SAMPLES
    finally:
        data.seek(position)
    return bool(frames < file.frames < UNKNOWN_FRAMES)


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


def ends_ogg(data: BinaryIO) -> bool:
    """Whether the last page carries the end-of-stream flag (RFC 3533, section 6)."""
    data.seek(max(0, data.seek(0, os.SEEK_END) - _OGG_TAIL_BYTES))
    tail = data.read()
    page = tail.rfind(b"OggS")
    return page >= 0 and len(tail) > page + 5 and bool(tail[page + 5] & _OGG_END_OF_STREAM)


def is_cut_asf(data: BinaryIO) -> bool:
    """Whether a wma is shorter than its File Properties Object states (ASF specification, section 3.2)."""
    data.seek(0)
    head = data.read(_ASF_HEAD_BYTES)
    start = head.find(_ASF_FILE_PROPERTIES)
    if start < 0 or len(head) < start + 92:
        return False
    (stated,) = struct.unpack("<Q", head[start + 40 : start + 48])
    is_broadcast = head[start + 88] & 1
    return not is_broadcast and data.seek(0, os.SEEK_END) < 0.95 * stated


def states_length(data: BinaryIO) -> bool:
    """Whether the mp3's first frame is a Xing or Info header, which states the number of frames.

    If it states a number of bytes, after which there is more sound, it states the length of the first of joined files.
    """
    data.seek(0)
    tag = data.read(10)
    # Skip an ID3 tag: it has any size (pictures), and its text may contain the same letters.
    seven_bits = tag[6:10] if tag.startswith(b"ID3") else b""
    start = 10 + sum(byte << 7 * (3 - index) for index, byte in enumerate(seven_bits)) if seven_bits else 0
    data.seek(start)
    frame = data.read(64)
    header = max(frame.find(b"Xing"), frame.find(b"Info"))
    if header < 0:
        return False
    flags, _, size = struct.unpack(">3I", frame[header + 4 : header + 16].ljust(12, b"\0"))
    if flags & _STATES_FRAMES_AND_BYTES != _STATES_FRAMES_AND_BYTES or not size:
        return True
    data.seek(start + size)
    rest = data.read(_OGG_TAIL_BYTES)
    return rest.startswith(_TAGS) or len(rest.strip(b"\0")) <= _REST_BYTES

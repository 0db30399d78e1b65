"""Headers that are wrong: the samples in the file are all read, and a note says what the header stated."""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest
import soundfile

from qasr.audio import AudioError, from_file, read

RATE = 16_000


def put(data: bytes, position: int, value: int, layout: str = "<I") -> bytes:
    packed = struct.pack(layout, value)
    return data[:position] + packed + data[position + len(packed) :]


def after_data(data: bytes) -> int:
    """Position of the size of a wav's samples."""
    return data.index(b"data") + 4


WAV_FAULTS = {
    "killed": (lambda data: put(put(data, 4, 0), after_data(data), 0), r"states 0\.0 s, and it has 2\.0 s"),
    "data size 0": (lambda data: put(data, after_data(data), 0), r"states 0\.0 s, and it has 2\.0 s"),
    "first piece": (lambda data: put(data, after_data(data), 16_000), r"states 0\.5 s, and it has 2\.0 s"),
    "too large": (lambda data: put(data, after_data(data), 640_000), r"states 20\.0 s, and it has 2\.0 s"),
    "pipe": (lambda data: put(put(data, 4, 0xFFFFFFFF), after_data(data), 0xFFFFFFFF), None),
    "almost the largest": (lambda data: put(data, after_data(data), 0x7FFFF000), None),
    "riff size 0": (lambda data: put(data, 4, 0), None),
    "riff size small": (lambda data: put(data, 4, 100), r"states a file of 108 bytes"),
    "riff size large": (lambda data: put(data, 4, 10**8), r"states a file of 100,000,008 bytes"),
    "byte rate": (lambda data: put(data, 28, 7), None),
    "alignment": (lambda data: put(data, 32, 0, "<H"), None),
    "alignment of one": (lambda data: put(data, 32, 1, "<H"), None),
    "no bits": (lambda data: put(data, 34, 0, "<H"), None),
    "half a sample": (lambda data: data + b"\0", None),
    "list behind": (lambda data: data + b"LIST" + struct.pack("<I", 4) + b"INFO", "no sound is missing"),
    "cut list behind": (lambda data: data + b"LIST" + struct.pack("<I", 400) + b"INFO", "no sound is missing"),
    "tag behind": (lambda data: data + b"TAG".ljust(128, b" "), "no sound is missing"),
    "junk before": (lambda data: data[:12] + b"JUNK" + struct.pack("<I", 28) + bytes(28) + data[12:], "no sound"),
}


@pytest.mark.parametrize(("fault", "note"), WAV_FAULTS.values(), ids=list(WAV_FAULTS))
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_wav(write_audio, speechlike, fault, note, subtype):
    path = write_audio("a.wav", speechlike(2.0), subtype=subtype)
    expected = read(path)
    path.write_bytes(fault(path.read_bytes()))
    audio = from_file(path)
    np.testing.assert_array_equal(np.concatenate(list(audio.blocks())), expected)
    assert len(audio.notes) == (note is not None)
    if note is not None and subtype == "PCM_16":
        assert re.search(note, audio.notes[0])


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au", "a.w64", "a.caf"])
def test_uncompressed_audio_that_was_cut_is_read_to_its_end(write_audio, speechlike, name):
    path = write_audio(name, speechlike(2.0))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    audio = from_file(path)
    size = sum(block.size for block in audio.blocks())
    assert size == pytest.approx(RATE, abs=2_100)
    if name == "a.w64":
        assert audio.notes == ["its header states another size than the file has; all 1.0 s in it were read"]
    elif name != "a.caf":
        (note,) = audio.notes
        assert re.fullmatch(r"its header states 2\.0 s, and it has \d\.\d s: all were read", note)


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610", "ULAW", "ALAW"])
@pytest.mark.parametrize("killed", [False, True])
def test_codecs_in_wav(write_audio, speechlike, subtype, killed):
    path = write_audio("a.wav", speechlike(2.0), subtype=subtype)
    data = path.read_bytes()
    if killed:
        path.write_bytes(put(put(data, 4, 0), after_data(data), 0))
    assert read(path).size / RATE == pytest.approx(2.0, abs=0.2)


def test_joined_wavs(write_audio, speechlike):
    path = write_audio("a.wav", speechlike(1.0))
    samples = read(path)
    one, other = path.read_bytes(), write_audio("b.wav", speechlike(1.0, 8_000), 8_000).read_bytes()
    path.write_bytes(one * 3)
    audio = from_file(path)
    np.testing.assert_array_equal(np.concatenate(list(audio.blocks())), np.tile(samples, 3))
    assert audio.notes == ["its header states 1.0 s, and it has 3.0 s: all were read"]
    path.write_bytes(one + other)
    with pytest.raises(AudioError, match=r"a\.wav: holds joined wavs of different formats"):
        read(path)


def test_several_data_chunks(write_audio, speechlike):
    path = write_audio("a.wav", speechlike(2.0))
    expected, data = read(path), path.read_bytes()
    start = after_data(data) + 4
    half = (len(data) - start) // 2
    size = struct.pack("<I", half)
    path.write_bytes(
        data[: start - 4] + size + data[start : start + half] + b"LIST" + struct.pack("<I", 4) + b"INFO"
        + b"data" + size + data[start + half :]
    )  # fmt: skip
    np.testing.assert_array_equal(read(path), expected)


@pytest.mark.parametrize("big", [False, True])
def test_long_sizes_of_rf64(write_audio, speechlike, big):
    path = write_audio("a.rf64" if big else "a.wav", speechlike(2.0), format="RF64" if big else "WAV")
    audio = from_file(path)
    assert sum(block.size for block in audio.blocks()) == 2 * RATE
    assert audio.notes == []


@pytest.mark.parametrize("size", [0, 4_000, 0xFFFFFFFF])
@pytest.mark.parametrize(("name", "mark", "offset"), [("a.aiff", b"SSND", 4), ("a.au", b".snd", 8)])
def test_sizes_of_aiff_and_au(write_audio, speechlike, name, mark, offset, size):
    path = write_audio(name, speechlike(2.0))
    expected, data = read(path), path.read_bytes()
    path.write_bytes(put(data, data.index(mark) + offset, size, ">I"))
    np.testing.assert_array_equal(read(path), expected)


def test_no_channels(write_audio, speechlike):
    path = write_audio("a.wav", speechlike(1.0))
    path.write_bytes(put(path.read_bytes(), 22, 0, "<H"))
    with pytest.raises(AudioError, match=r"a\.wav: states that it has no channels"):
        read(path)


def test_an_intact_wav_is_decoded_as_it_always_was(write_audio, speechlike):
    path = write_audio("a.wav", speechlike(2.0), subtype="PCM_16")
    np.testing.assert_array_equal(read(path), soundfile.read(path, dtype="float32")[0])

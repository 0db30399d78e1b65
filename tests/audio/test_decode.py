"""Any common file becomes mono float32 at 16 kHz; anything else becomes one clear line."""

from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from qasr.audio import AudioError, AudioNotFoundError, duration, read, spool, stream

RATE = 16_000


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    size = min(a.size, b.size)
    return float(np.corrcoef(a[:size], b[:size])[0, 1])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {"subtype": "PCM_16"}),
        ("b.wav", {"subtype": "PCM_24"}),
        ("c.wav", {"subtype": "FLOAT"}),
        ("d.wav", {"subtype": "PCM_U8"}),
        ("e.flac", {}),
        ("f.ogg", {"format": "OGG", "subtype": "VORBIS"}),
        ("g.mp3", {}),
    ],
)
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
def test_formats_rates_and_channels(write_audio, speechlike, name, options, rate, channels):
    mono = speechlike(1.5, rate)
    path = write_audio(name, np.stack([mono] * channels, axis=1), rate, **options)
    result = read(path)
    assert result.dtype == np.float32
    assert result.ndim == 1
    # mp3 pads its blocks
    assert abs(result.size - 1.5 * RATE) < (3_000 if name.endswith("mp3") else 5)
    if not name.endswith("mp3"):
        assert correlation(result, speechlike(1.5)) > 0.97
        assert duration(path) == pytest.approx(1.5, abs=0.01)


def test_channels_are_averaged(write_audio):
    left, right = np.full(RATE, 0.5, np.float32), np.full(RATE, -0.25, np.float32)
    path = write_audio("stereo.wav", np.stack([left, right], 1), subtype="FLOAT")
    np.testing.assert_allclose(read(path), 0.125, atol=1e-6)


def test_samples_at_the_models_rate_pass_untouched(write_audio, speechlike):
    samples = speechlike(0.7)
    path = write_audio("a.wav", samples, subtype="FLOAT")
    np.testing.assert_array_equal(read(path), samples)


@pytest.mark.parametrize("rate", [16_000, 22_050, 48_000])
@pytest.mark.parametrize("block_seconds", [0.05, 0.33, 5.0])
def test_blocks_join_to_the_whole(write_audio, speechlike, rate, block_seconds):
    path = write_audio("a.wav", speechlike(2.0, rate), rate, subtype="FLOAT")
    joined = np.concatenate(list(stream(path, block_seconds)))
    np.testing.assert_allclose(joined, read(path), atol=1e-6)


def test_spool_gives_a_file_and_removes_it(write_audio, speechlike):
    data = write_audio("a.flac", speechlike(0.5)).read_bytes()
    with spool(io.BytesIO(data)) as path:
        assert read(path).size == 8_000
    assert not path.exists()


def test_missing(tmp_path):
    with pytest.raises(AudioNotFoundError, match=r"no\.wav: no such file"):
        read(tmp_path / "no.wav")


def test_folder(tmp_path):
    with pytest.raises(AudioError, match="is a folder, not an audio file"):
        read(tmp_path)


def test_empty(tmp_path):
    (tmp_path / "a.wav").touch()
    with pytest.raises(AudioError, match=r"a\.wav: is empty \(0 bytes\)"):
        read(tmp_path / "a.wav")


@pytest.mark.parametrize("content", [b"hello, this is text " * 100, bytes(range(256)) * 50])
def test_not_audio(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioError, match=r"a\.wav: is not audio that can be read .*; convert it to wav, flac"):
        read(tmp_path / "a.wav")


def test_zero_length(write_audio):
    path = write_audio("a.wav", np.zeros(0, np.float32))
    with pytest.raises(AudioError, match=r"a\.wav: holds no sound \(zero samples\)"):
        read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(write_audio, speechlike, value):
    samples = speechlike(1.0)
    samples[5_000] = value
    path = write_audio("a.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav: holds NaN or infinite samples; record or convert it again"):
        read(path)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3"])
def test_truncated(write_audio, speechlike, name):
    path = write_audio(name, speechlike(3.0))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=rf"{name}: (is damaged|is cut off)"):
        read(path)


def test_permission(write_audio, speechlike, monkeypatch):
    path = write_audio("a.wav", speechlike(0.5))
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read everything

        def refuse(*_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(AudioError, match=r"a\.wav: may not be read \(permission denied\)"):
        read(path)


def test_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(AudioError, match=r"a\.wav: is a pipe or a device, not a file; save its audio to a file first"):
        read(tmp_path / "a.wav")


def test_too_few_samples_for_one_at_the_models_rate(write_audio):
    assert read(write_audio("a.wav", np.zeros(1, np.float32), 48_000)).size == 0


def test_joined_ogg_is_refused_because_only_the_first_would_be_read(write_audio, speechlike):
    path = write_audio("a.ogg", speechlike(6.0))
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(AudioError, match=r"a\.ogg: continues after the 6\.0 s that its header states"):
        read(path)


def test_joined_mp3_is_refused_without_pyav_and_read_with_it(write_audio, speechlike, monkeypatch):
    path = write_audio("a.mp3", speechlike(6.0))
    path.write_bytes(2 * path.read_bytes())
    assert read(path).size / RATE == pytest.approx(12.0, abs=0.2)
    monkeypatch.setattr("qasr.audio.decode.installed", lambda _: False)
    with pytest.raises(AudioError, match=r"a\.mp3: continues after the 6\.0 s that its header states"):
        read(path)


def test_mp3_tags_are_no_audio_and_no_length(write_audio, speechlike):
    path = write_audio("a.mp3", speechlike(3.0))
    samples = read(path)
    front = b"ID3\x04\x00\x00\x00\x00\x02\x00" + b"Information".ljust(256, b"\0")
    path.write_bytes(front + path.read_bytes() + b"TAG".ljust(128, b"\0"))
    np.testing.assert_array_equal(read(path), samples)
    cut = path.read_bytes()
    path.write_bytes(cut[: len(cut) // 2])
    with pytest.raises(AudioError, match=r"a\.mp3: is cut off after 1\.\d s"):
        read(path)


def test_mp3_without_its_length_frame(write_audio, speechlike):
    """Its length is an estimate from the rate of the first frame, and its tags look like the missing length frame."""
    options = {"bitrate_mode": "CONSTANT", "compression_level": 0.5}
    path = write_audio("a.mp3", speechlike(3.0), **options)
    data = path.read_bytes()
    stated = data.find(b"Info")
    assert stated > 0
    # The next frame starts at the second sync word.
    second = data.find(data[:2], stated)
    front = b"ID3\x04\x00\x00\x00\x00\x02\x00" + b"Information".ljust(256, b"\0")
    path.write_bytes(front + data[second:])
    assert abs(read(path).size - 3 * RATE) < 3_000


def unstate(data: bytes) -> bytes:
    """A flac whose header leaves the sample count open, as an encoder that writes to a pipe does."""
    # 36 bits at the end of STREAMINFO's first 18 bytes, which follow the marker and the block header.
    return data[:21] + bytes([data[21] & 0xF0, 0, 0, 0, 0]) + data[26:]


def test_flac_of_unknown_length(write_audio, speechlike):
    path = write_audio("a.flac", speechlike(2.0, 44_100), 44_100)
    samples = read(path)
    path.write_bytes(unstate(path.read_bytes()))
    np.testing.assert_array_equal(read(path), samples)
    assert duration(path) == pytest.approx(2.0, abs=1e-4)


@pytest.mark.parametrize("stated", [0xFFFFFFFF, 0x7FFFF000])
def test_wav_of_unknown_length(write_audio, speechlike, stated):
    path = write_audio("a.wav", speechlike(2.0))
    samples = read(path)
    data = bytearray(path.read_bytes())
    position = data.index(b"data") + 4
    data[position : position + 4] = stated.to_bytes(4, "little")
    path.write_bytes(data)
    np.testing.assert_array_equal(read(path), samples)


@pytest.mark.parametrize("rate", [0, 1, 3_999, 768_001, 2_000_000_000])
def test_impossible_rates_are_refused_at_once(write_audio, speechlike, rate):
    """A rate of 1 Hz makes hours of a small file, one of 2 GHz a block of 80 GB."""
    path = write_audio("a.wav", speechlike(1.0))
    data = bytearray(path.read_bytes())
    data[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(data)
    for call in (read, duration):
        with pytest.raises(AudioError, match=r"a\.wav: states a sample rate of .* Hz, and recordings have 4,000 to"):
            call(path)


def test_a_header_cannot_ask_for_memory(write_audio, speechlike):
    data = bytearray(write_audio("a.wav", np.tile(speechlike(1.0)[:, None], 8)).read_bytes())
    data[22:24] = (1_000).to_bytes(2, "little")
    data[24:28] = (700_000).to_bytes(4, "little")
    path = write_audio("b.wav", speechlike(1.0))
    path.write_bytes(data)
    tracemalloc.start()
    read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


def test_header_only_files_of_every_kind_do_not_crash(write_audio, speechlike):
    for name in ("a.wav", "b.flac", "c.ogg", "d.mp3"):
        path = write_audio(name, speechlike(1.0))
        for size in (1, 4, 12, 44, 100, 300):
            (path.parent / "cut").write_bytes(path.read_bytes()[:size])
            if name == "a.wav" and size > 44:
                assert read(path.parent / "cut").size == (size - 44) // 2
                continue
            with pytest.raises(AudioError):
                read(path.parent / "cut")
    assert soundfile.available_formats()["FLAC"]

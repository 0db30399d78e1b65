"""Any common file becomes mono float32 at 16 kHz; anything else becomes one clear line."""

from __future__ import annotations

import io
import os

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
    found = read(path)
    assert found.dtype == np.float32
    assert found.ndim == 1
    # mp3 pads its blocks
    assert abs(found.size - 1.5 * RATE) < (3_000 if name.endswith("mp3") else 5)
    if not name.endswith("mp3"):
        assert correlation(found, speechlike(1.5)) > 0.97
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
def test_no_numbers(write_audio, speechlike, value):
    samples = speechlike(1.0)
    samples[5_000] = value
    path = write_audio("a.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav: holds samples that are no numbers"):
        read(path)


@pytest.mark.parametrize("name", ["a.flac", "a.wav", "a.ogg", "a.mp3", "a.aiff"])
def test_truncated(write_audio, speechlike, name):
    path = write_audio(name, speechlike(3.0))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=rf"{name}: (is damaged|is cut off)"):
        read(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission(write_audio, speechlike):
    path = write_audio("a.wav", speechlike(0.5))
    path.chmod(0)
    with pytest.raises(AudioError, match="may not be read"):
        read(path)


def test_header_only_files_of_every_kind_do_not_crash(write_audio, speechlike):
    for name in ("a.wav", "b.flac", "c.ogg", "d.mp3"):
        path = write_audio(name, speechlike(1.0))
        for size in (1, 4, 12, 44, 100, 300):
            (path.parent / "cut").write_bytes(path.read_bytes()[:size])
            with pytest.raises(AudioError):
                read(path.parent / "cut")
    assert soundfile.available_formats()["FLAC"]

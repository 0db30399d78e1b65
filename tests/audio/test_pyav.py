"""What phones and browsers record, against the same audio as wav. The files are written by PyAV itself."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest

from qasr.audio import AudioError, duration, from_file, read

av = pytest.importorskip("av", reason="PyAV is not installed")

RATE = 16_000
# Suffix, container, codec, rate, and the least correlation with the wav.
FORMATS = [
    ("m4a", "ipod", "aac", 44_100, 0.98),
    ("m4a", "ipod", "alac", 16_000, 0.999),
    ("aac", "adts", "aac", 48_000, 0.98),
    ("mp4", "mp4", "aac", 48_000, 0.98),
    ("3gp", "3gp", "aac", 16_000, 0.98),
    ("webm", "webm", "libopus", 48_000, 0.98),
    ("wma", "asf", "wmav2", 44_100, 0.98),
    ("caf", "caf", "alac", 44_100, 0.97),
    ("ac3", "ac3", "ac3", 48_000, 0.98),
]


def encode(samples: np.ndarray, container: str, codec: str, rate: int, channels: int = 1) -> bytes:
    """``samples`` (n,) at ``rate`` as a file."""
    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no encoder {codec}")
    output = io.BytesIO()
    layout = "mono" if channels == 1 else "stereo"
    with av.open(output, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 128_000
        integers = np.repeat((samples * 32_767).astype(np.int16), channels)[None]
        frame = av.AudioFrame.from_ndarray(integers, format="s16", layout=layout)
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return output.getvalue()


def aligned(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation at the best of the delays that codecs have."""
    size = min(a.size, b.size) - 4_000
    delays = range(0, 4_000, 2)
    middle = b[2_000 : 2_000 + size]
    return max(float(np.corrcoef(a[delay : delay + size], middle)[0, 1]) for delay in delays)


@pytest.mark.parametrize(("suffix", "container", "codec", "rate", "least"), FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_formats(tmp_path, speechlike, suffix, container, codec, rate, least, channels):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(encode(speechlike(2.0, rate), container, codec, rate, channels))
    samples = read(path)
    assert samples.dtype == np.float32
    assert samples.size / RATE == pytest.approx(2.0, abs=0.12)
    assert duration(path) == pytest.approx(2.0, abs=0.15)
    assert aligned(samples, speechlike(2.0)) > least
    np.testing.assert_array_equal(np.concatenate(list(from_file(path.read_bytes()).blocks())), samples)


def mp3(write_audio, speechlike) -> bytes:
    return write_audio("a.mp3", speechlike(3.0)).read_bytes()


@pytest.mark.parametrize(
    "damage", [lambda data: data[700:], lambda data: bytes(70_000) + data, lambda data: data[1_001:]]
)
def test_mp3_that_starts_anywhere(tmp_path, write_audio, speechlike, damage):
    path = tmp_path / "b.mp3"
    path.write_bytes(damage(mp3(write_audio, speechlike)))
    samples = read(path)
    assert samples.size / RATE == pytest.approx(3.0, abs=0.25)
    assert float(np.abs(samples).max()) > 0.05


@pytest.mark.parametrize(("container", "codec"), [("matroska", "aac"), ("asf", "wmav2")])
def test_what_was_cut_in_a_compressed_stream_is_refused(tmp_path, speechlike, container, codec):
    data = encode(speechlike(6.0, 44_100), container, codec, 44_100)
    (tmp_path / "a.bin").write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"a\.bin: is cut off after \d\.\d s; fetch it again"):
        read(tmp_path / "a.bin")


def test_an_m4a_that_was_cut_is_refused(tmp_path, speechlike):
    """Its index is at its end."""
    data = encode(speechlike(3.0, 44_100), "ipod", "aac", 44_100)
    (tmp_path / "a.m4a").write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"a\.m4a: is not audio that can be read"):
        read(tmp_path / "a.m4a")


def test_without_the_extra_one_line_says_what_to_type(tmp_path, speechlike, monkeypatch):
    monkeypatch.setattr("qasr.audio.decode.installed", lambda _: False)
    (tmp_path / "a.m4a").write_bytes(encode(speechlike(1.0, 44_100), "ipod", "aac", 44_100))
    with pytest.raises(AudioError, match=r"a\.m4a: is not audio that can be read without PyAV .*") as caught:
        read(tmp_path / "a.m4a")
    assert str(caught.value).endswith("type: pip install 'qasr[audio]'")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"ffconcat version 1.0\nfile a.wav\n", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n" * 9])
def test_lists_of_other_files_are_no_audio(tmp_path, content):
    (tmp_path / "a.m4a").write_bytes(content)
    with pytest.raises(AudioError, match=r"a\.m4a: is not audio that can be read"):
        read(tmp_path / "a.m4a")


def test_memory_does_not_grow_with_the_file(tmp_path, speechlike):
    path = tmp_path / "a.m4a"
    path.write_bytes(encode(np.tile(speechlike(2.0), 60), "ipod", "aac", RATE))
    tracemalloc.start()
    size = sum(block.size for block in from_file(path).blocks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size / RATE == pytest.approx(120, abs=1)
    # All samples together take 7.7 MB.
    assert peak < 5 << 20

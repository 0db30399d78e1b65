"""Windows of long audio have the frames of the complete file, in bounded memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from qasr.audio import AudioError, LogMel, extract, windows

FRONT_END = LogMel(padding_value=1.0)


def blocks_of(samples: np.ndarray, size: int = 7_777):
    return lambda: (samples[start : start + size] for start in range(0, samples.size, size))


@pytest.mark.parametrize("seconds", [0.035, 1.0, 9.99])
def test_short_audio_is_one_window_equal_to_extract(speechlike, seconds):
    samples = speechlike(seconds)
    (window,) = windows(blocks_of(samples), FRONT_END, 10.0, 2.0)
    assert (window.start, window.first, window.last) == (0, True, True)
    np.testing.assert_allclose(window.raw, extract(samples, FRONT_END), atol=1e-4)


@pytest.mark.parametrize("keeps_partial", [False, True])
@pytest.mark.parametrize("seconds", [10.025, 10.1, 17.9, 18.0, 18.015, 18.1, 60.0, 61.3, 61.315])
def test_windows_hold_the_frames_of_the_whole(speechlike, seconds, keeps_partial):
    front_end = LogMel(padding_value=1.0, keeps_partial=keeps_partial)
    samples = speechlike(seconds)
    whole = extract(samples, front_end)
    frames = front_end.frames(len(whole))
    result = list(windows(blocks_of(samples), front_end, 10.0, 2.0))
    assert [window.first for window in result] == [True] + [False] * (len(result) - 1)
    assert [window.last for window in result] == [False] * (len(result) - 1) + [True]
    covered = 0
    for window in result:
        assert front_end.frames(len(window.raw)) == 500
        assert window.start + 100 <= covered or window.first
        np.testing.assert_allclose(window.raw, whole[2 * window.start :][: len(window.raw)], atol=1e-4)
        covered = window.start + 500
    assert covered == frames


def test_too_short():
    with pytest.raises(AudioError, match="lasts 31 ms, and the model needs 35 ms at least"):
        list(windows(blocks_of(np.zeros(500, np.float32)), FRONT_END))


def test_a_recording_that_shrinks_between_the_two_readings_is_an_error(speechlike):
    """The last window would silently be missing."""
    lengths = iter((60.0, 40.0))
    with pytest.raises(AudioError, match="became shorter while it was read"):
        list(windows(lambda: iter([speechlike(next(lengths))]), FRONT_END, 10.0, 2.0))


@pytest.mark.parametrize(("window", "overlap"), [(10.0, 0.0), (10.0, 10.0), (5.0, 6.0), (0.01, 0.005)])
def test_impossible_overlap(window, overlap):
    with pytest.raises(ValueError, match="must be between 0 and the window"):
        list(windows(blocks_of(np.zeros(16_000, np.float32)), FRONT_END, window, overlap))


def test_memory_is_bounded_by_the_window(tmp_path):
    """A ten-minute file adds far less than its 37 MB of samples to the memory that a ten-second one takes."""
    rng = np.random.default_rng(0)
    for name, seconds in (("short", 10), ("long", 600)):
        with soundfile.SoundFile(tmp_path / f"{name}.wav", "w", 16_000, 1) as file:
            for _ in range(seconds):
                file.write(0.1 * rng.standard_normal(16_000))
    code = (
        "import resource, sys; from functools import partial; from qasr.audio import *\n"
        "count = sum(1 for _ in windows(partial(stream, sys.argv[1]), LogMel()))\n"
        "print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    result = {}
    for name in ("short", "long"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{name}.wav")], capture_output=True, text=True, check=True
        )
        result[name] = tuple(map(int, done.stdout.split()))
    assert result["short"][0] == 1
    assert result["long"][0] == 25
    grown = (result["long"][1] - result["short"][1]) / 1024
    assert grown < 20, f"grew by {grown:.1f} MiB"

"""White noise: as loud as requested, and the same for the same seed and recording."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from qasr.bench.measure.noise import add_noise, noisy_recordings


def test_level():
    tone = (0.3 * np.sin(np.arange(64_000) / 7)).astype(np.float32)
    noise = add_noise(tone, 10.0, np.random.default_rng(0)) - tone
    assert 10 * np.log10(np.mean(tone**2) / np.mean(noise**2)) == pytest.approx(10.0, abs=0.1)
    assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.02
    assert not add_noise(np.zeros(100, np.float32), 10.0, np.random.default_rng(0)).any()


def samples(files):
    return [soundfile.read(file, dtype="float32")[0].tolist() for file in files]


def test_recordings_are_the_same_again(tone_data, tmp_path):
    first = samples(noisy_recordings(tone_data, 10.0, 0, tmp_path / "a"))
    assert samples(noisy_recordings(tone_data, 10.0, 0, tmp_path / "b")) == first
    other = samples(noisy_recordings(tone_data, 10.0, 1, tmp_path / "c"))
    assert all(one != two for one, two in zip(first, other, strict=True))
    # A subset has the noise of the whole set: it depends on the recording's name.
    (alone,) = samples(noisy_recordings(tone_data.limited(1), 10.0, 0, tmp_path / "d"))
    assert alone in first
    durations = [len(one) / 16_000 for one in first]
    assert durations == pytest.approx([recording.seconds for recording in tone_data.recordings])

"""The energy rule: sounds that stay the same are no speech; whatever rises above its background may be."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from qasr import reference
from qasr.audio import SpeechDetector

RATE = 16_000
ROWS = [json.loads(line) for line in reference.EVALUATION.read_text(encoding="utf-8").splitlines()]


def detect(samples: np.ndarray, block: int = RATE) -> np.ndarray:
    detector = SpeechDetector()
    for start in range(0, samples.size, block):
        detector.add(samples[start : start + block].astype(np.float32))
    return detector.speech()


def steady(kind: str, seconds: float) -> np.ndarray:
    size = round(seconds * RATE)
    random, times = np.random.default_rng(0), np.arange(size) / RATE
    white = random.standard_normal(size)
    spectrum = np.fft.rfft(white)
    return {
        "zero": 0 * white,
        "constant": 0 * white + 0.3,
        "last bit": np.round(0.7 * white) / 32_768,
        "white": 0.05 * white,
        "pink": np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(spectrum.size))), size),
        "hum": sum(0.1 * np.sin(2 * np.pi * 50 * k * times) / k for k in (1, 2, 3, 5)) + 1e-3 * white,
        "tone": 0.2 * np.sin(2 * np.pi * 440 * times),
    }[kind]


KINDS = ["zero", "constant", "last bit", "white", "pink", "hum", "tone"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seconds", [1.5, 5, 130])
def test_steady_sounds_are_no_speech(kind, seconds):
    assert not detect(steady(kind, seconds)).any()


@pytest.mark.parametrize("decibels", [0, -40, -60])
@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_speech_is_kept_at_any_level(decibels, noise):
    for row in ROWS[::8]:
        samples = soundfile.read(reference.EVALUATION.parent / row["audio"])[0]
        samples = samples + noise * np.random.default_rng(0).standard_normal(samples.size)
        assert detect(samples * 10 ** (decibels / 20)).mean() > 0.9


def test_short_recordings_are_kept():
    """A part of a sustained sound has no background."""
    samples = soundfile.read(reference.EVALUATION.parent / ROWS[0]["audio"])[0]
    for start in range(RATE, samples.size - RATE, RATE // 2):
        assert detect(samples[start : start + RATE // 3]).all()
    assert detect(samples[:300]).size == 0
    assert SpeechDetector().speech_at(np.arange(3) / 50).all()


def test_quiet_speech_between_loud_speech_is_kept():
    loud = np.concatenate([soundfile.read(reference.EVALUATION.parent / row["audio"])[0] for row in ROWS[:12]])
    quiet = soundfile.read(reference.EVALUATION.parent / ROWS[20]["audio"])[0] / 300
    samples = np.concatenate([loud, np.zeros(RATE), quiet, np.zeros(RATE), loud])
    samples += 3e-6 * np.random.default_rng(0).standard_normal(samples.size)
    start = loud.size / RATE + 1.3
    stop = start + quiet.size / RATE - 0.6
    speech = detect(samples)
    assert speech[round(50 * start) : round(50 * stop)].all()


@pytest.mark.parametrize("kind", ["zero", "last bit"])
def test_a_stretch_of_silence(kind):
    voice = soundfile.read(reference.EVALUATION.parent / ROWS[0]["audio"])[0]
    speech = detect(np.concatenate([voice, steady(kind, 10), voice]))
    seconds = voice.size / RATE
    assert not speech[round(50 * (seconds + 1)) : round(50 * (seconds + 9))].any()
    assert speech[: round(50 * (seconds - 0.5))].all()
    assert speech[-round(50 * (seconds - 0.5)) :].all()


def test_blocks_change_nothing():
    samples = soundfile.read(reference.EVALUATION.parent / ROWS[3]["audio"])[0]
    whole = detect(samples, samples.size)
    for block in (100, 511, 7_777):
        np.testing.assert_array_equal(detect(samples, block), whole)


def test_times():
    detector = SpeechDetector()
    voice = soundfile.read(reference.EVALUATION.parent / ROWS[0]["audio"], dtype="float32")[0]
    detector.add(np.concatenate([np.zeros(5 * RATE, np.float32), voice]))
    assert detector.speech_at(np.array([1.0, 4.0, 6.0, 8.0, 99.0])).tolist() == [False, False, True, True, True]

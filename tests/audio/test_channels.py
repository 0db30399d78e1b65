"""Which channel is transcribed is decided from the signal."""

from __future__ import annotations

import numpy as np
import pytest

from qasr.audio import from_file, from_samples

RATE = 16_000


@pytest.fixture
def voice(speechlike):
    """Speech with pauses, without noise of its own."""
    samples = speechlike(6.0)
    samples[RATE * 2 : RATE * 3] = 0.0
    return samples


def noise(size: int, level: float, seed: int = 1) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(size)).astype(np.float32)


CASES = {
    "equal": (lambda x: [x, x], "mix"),
    "other level": (lambda x: [x, 0.1 * x], "mix"),
    "one silent": (lambda x: [x, 0 * x], "mix"),
    "own noise each": (lambda x: [x + noise(x.size, 0.005), x + noise(x.size, 0.005, 2)], "mix"),
    "quiet noise beside": (lambda x: [x + noise(x.size, 0.001), noise(x.size, 0.001, 2)], "mix"),
    "two speakers in turn": (lambda x: [np.append(x, 0 * x), np.append(0 * x, x)], "mix"),
    "inverted": (lambda x: [x, -x], "1"),
    "inverted, with noise": (lambda x: [x + noise(x.size, 0.002), noise(x.size, 0.001, 2) - x], None),
    "inverted, unequal": (lambda x: [0.9 * x, -x], None),
    "inverted, constant part": (lambda x: [x + 0.4, 0.4 - x], None),
    "inverted for a third": (lambda x: [np.tile(x, 3), np.concatenate([x, -x, x])], None),
    "loud noise beside": (lambda x: [noise(x.size, 0.3), x + noise(x.size, 0.001, 2)], "2"),
    "six, speech in the third": (
        lambda x: [
            *(noise(x.size, 0.1, seed) for seed in (1, 2)),
            x,
            *(noise(x.size, 0.1, seed) for seed in (3, 4, 5)),
        ],
        "3",
    ),
    "silence": (lambda x: [0 * x, 0 * x], "mix"),
}


@pytest.mark.parametrize(("make", "channel"), CASES.values(), ids=list(CASES))
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_choice(voice, make, channel, rate):
    channels = np.stack(make(voice))
    if rate != RATE:
        channels = np.repeat(channels, rate // RATE, axis=1)
    audio = from_samples(channels, rate)
    samples = np.concatenate(list(audio.blocks()))
    assert audio.channel == channel or (channel is None and audio.channel in ("1", "2"))
    assert len(audio.notes) == (audio.channel != "mix")
    if rate == RATE:
        expected = channels.mean(axis=0) if audio.channel == "mix" else channels[int(audio.channel) - 1]
        np.testing.assert_allclose(samples, expected, atol=1e-6)


def test_one_channel_is_no_choice(voice):
    audio = from_samples(voice, RATE)
    np.testing.assert_array_equal(np.concatenate(list(audio.blocks())), voice)
    assert (audio.channel, audio.notes) == (None, [])


def test_a_long_recording_is_decided_as_a_whole(write_audio, voice, monkeypatch):
    """Its beginning is the same in both channels; it is longer than what is kept in memory."""
    monkeypatch.setattr("qasr.audio.decode._HELD_VALUES", 50_000)
    left = np.concatenate([0.02 * voice, voice, voice])
    right = np.concatenate([0.02 * voice, -voice, -voice])
    path = write_audio("a.flac", np.stack([left, right], axis=1))
    audio = from_file(path)
    for _ in range(2):
        samples = np.concatenate(list(audio.blocks(1.0)))
        np.testing.assert_allclose(samples, left if audio.channel == "1" else right, atol=1e-4)
        assert audio.channel in ("1", "2")
        assert len(audio.notes) == 1

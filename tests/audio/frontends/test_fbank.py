"""Features equal those of transformers' extractor, edge cases included."""

from __future__ import annotations

import numpy as np
import pytest

from qasr.audio import AudioError, FrontEndError, LogMel, batch, extract
from qasr.audio.frontends.fbank import fbank

RATE = 16_000


def upstream(waveforms, padding_value: float):
    from transformers import SeamlessM4TFeatureExtractor

    extractor = SeamlessM4TFeatureExtractor(
        feature_size=80, num_mel_bins=80, sampling_rate=RATE, stride=2, padding_value=padding_value
    )
    outputs = extractor(waveforms, sampling_rate=RATE, return_tensors="np", padding=True)
    return outputs["input_features"], outputs["attention_mask"].sum(-1)


def signals() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    times = np.arange(3 * RATE) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 180 * times) * np.exp(-3 * (times % 1))
    return {
        "noise": 0.1 * rng.standard_normal(3 * RATE),
        "loud": rng.uniform(-1, 1, RATE),
        "quiet": 1e-5 * rng.standard_normal(RATE),
        "tone without noise": tone,
        "tone with noise": tone + 1e-4 * rng.standard_normal(tone.size),
        "silence": np.zeros(RATE),
        "silence, then sound": np.concatenate([np.zeros(RATE), 0.1 * rng.standard_normal(RATE)]),
        "constant": np.full(RATE, 0.25),
    }


@pytest.mark.parametrize("name", list(signals()))
def test_equal_to_upstream(name):
    waveform = signals()[name].astype(np.float32)
    expected, lengths = upstream([waveform], 1.0)
    inputs, _ = batch([extract(waveform, LogMel(padding_value=1.0))], LogMel(padding_value=1.0))
    assert inputs.dtype == np.float32
    assert inputs.shape[1] == lengths[0]
    np.testing.assert_allclose(inputs[0], expected[0, : lengths[0]], atol=1e-3)


@pytest.mark.parametrize("samples", [560, 561, 719, 720, 721, 880, 1_040, 4_000, 16_001, 16_159, 16_160])
def test_odd_and_even_frame_counts(samples):
    waveform = (0.1 * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32)
    expected, full = upstream([waveform], 1.0)
    raw = 1 + (samples - 400) // 160
    # With an odd count the extractor pads a last stack and masks it. Only models that read it get it.
    for keeps_partial in (False, True):
        front_end = LogMel(padding_value=1.0, keeps_partial=keeps_partial)
        inputs, lengths = batch([extract(waveform, front_end)], front_end)
        assert lengths.tolist() == [raw]
        assert front_end.full_frames(lengths).tolist() == full.tolist() == [raw // 2]
        assert inputs.shape[1] == front_end.frames(raw) == (expected.shape[1] if keeps_partial else full[0])
        np.testing.assert_allclose(inputs[0], expected[0, : inputs.shape[1]], atol=1e-3)


@pytest.mark.parametrize("seconds", [0.5, 1.37, 10.02])
def test_silence_keeps_the_extractors_rounding(seconds):
    """Its deviation is 0.0003, so that the last digit of its mean shows."""
    waveform = np.zeros(round(seconds * RATE), np.float32)
    expected, lengths = upstream([waveform], 1.0)
    inputs, _ = batch([extract(waveform, LogMel())], LogMel())
    np.testing.assert_array_equal(inputs[0], expected[0, : lengths[0]])


def test_long_audio_is_summed_without_drift():
    """Ten minutes, a third silent: a plain float32 sum is off by 3e-4 here, and by more with every minute."""
    rng = np.random.default_rng(3)
    second = (0.1 * rng.standard_normal(RATE)).astype(np.float32)
    waveform = np.concatenate([np.tile(second, 200), np.zeros(200 * RATE, np.float32), np.tile(second, 200)])
    settings = LogMel()
    energies = fbank(waveform, 80).astype(np.float64)
    exact = (energies - energies.mean(axis=0)) / np.sqrt(energies.var(axis=0, ddof=1) + 1e-7)
    np.testing.assert_allclose(extract(waveform, settings), exact, atol=1e-5)


@pytest.mark.parametrize("padding_value", [0.0, 1.0])
@pytest.mark.parametrize("keeps_partial", [False, True])
def test_batches(padding_value, keeps_partial):
    rng = np.random.default_rng(2)
    waveforms = [(0.1 * rng.standard_normal(samples)).astype(np.float32) for samples in (16_000, 9_000, 12_345)]
    expected, expected_full = upstream(waveforms, padding_value)
    settings = LogMel(padding_value=padding_value, keeps_partial=keeps_partial)
    inputs, lengths = batch([extract(waveform, settings) for waveform in waveforms], settings)
    assert lengths.tolist() == [1 + (samples - 400) // 160 for samples in (16_000, 9_000, 12_345)]
    assert settings.full_frames(lengths).tolist() == expected_full.tolist()
    # Half-filled frames and padding included.
    np.testing.assert_allclose(inputs, expected[:, : inputs.shape[1]], atol=1e-3)
    assert (inputs[1, settings.frames(lengths)[1] :] == padding_value).all()


@pytest.mark.parametrize("samples", [0, 1, 399, 400, 559])
def test_too_short_is_named(samples):
    with pytest.raises(AudioError, match=r"lasts \d+ ms, and the model needs 35 ms at least"):
        extract(np.zeros(samples, np.float32), LogMel())


def test_silence_is_finite():
    assert np.isfinite(fbank(np.zeros(RATE, np.float32), 80)).all()


def test_settings_from_json():
    kind = "SeamlessM4TFeatureExtractor"
    settings = LogMel.from_json({"feature_extractor_type": kind, "num_mel_bins": 80, "padding_value": 1})
    assert settings == LogMel(num_mel_bins=80, stride=2, padding_value=1.0)
    assert settings.feature_size == 160


def test_settings_that_cannot_be_followed_are_all_named():
    stored = {"feature_extractor_type": "WhisperFeatureExtractor", "sampling_rate": 8_000}
    stored |= {"stride": 3, "padding_value": "x", "num_mel_bins": 0, "padding_side": "left"}
    with pytest.raises(FrontEndError) as caught:
        LogMel.from_json(stored)
    others = ("num_mel_bins is 0", "padding_side is 'left'")
    for part in (
        "'WhisperFeatureExtractor'",
        "sampling_rate is 8000",
        "stride is 3, not 2",
        "padding_value is 'x'",
        *others,
    ):
        assert part in str(caught.value)

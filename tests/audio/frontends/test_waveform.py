"""Waveform inputs equal those of transformers' extractor, and windows of long audio equal the whole."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from qasr.audio import AudioError, FrontEnd, FrontEndError, LogMel, Waveform, batch, extract, windows

RATE = 16_000
EXTRACTOR = "Wav2Vec2FeatureExtractor"


def upstream(waveforms: list[np.ndarray], *, normalized: bool, padding_value: float) -> tuple[np.ndarray, np.ndarray]:
    from transformers import Wav2Vec2FeatureExtractor

    extractor = Wav2Vec2FeatureExtractor(
        sampling_rate=RATE, do_normalize=normalized, padding_value=padding_value, return_attention_mask=True
    )
    outputs = extractor(waveforms, sampling_rate=RATE, return_tensors="np", padding=True)
    return outputs["input_values"], outputs["attention_mask"].sum(-1)


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("padding_value", [0.0, 1.0])
def test_batches_equal_upstream(speechlike, normalized, padding_value):
    waveforms = [speechlike(1.0), speechlike(0.7, seed=1) + 0.1, np.zeros(9_000, np.float32)]
    front_end = Waveform(normalized=normalized, padding_value=padding_value)
    inputs, lengths = batch([extract(waveform, front_end) for waveform in waveforms], front_end)
    expected, expected_lengths = upstream(waveforms, normalized=normalized, padding_value=padding_value)
    assert inputs.dtype == np.float32
    assert inputs.shape == front_end.shape(3, RATE)
    assert lengths.tolist() == expected_lengths.tolist() == [16_000, 11_200, 9_000]
    np.testing.assert_allclose(inputs, expected, atol=1e-6)


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("seconds", [9.9, 10.1, 26.0, 31.3])
def test_windows_equal_the_whole(speechlike, normalized, seconds):
    samples = speechlike(seconds) + np.float32(0.05)
    front_end = Waveform(normalized=normalized)
    whole = extract(samples, front_end)
    covered = 0
    for window in windows(lambda: iter(np.array_split(samples, 13)), front_end, 10.0, 2.0):
        assert window.start <= covered
        np.testing.assert_allclose(
            window.raw, whole[window.start : window.start + len(window.raw)], atol=1e-5 if normalized else 0.0
        )
        covered = window.start + len(window.raw)
    assert covered == samples.size


def test_too_short():
    with pytest.raises(AudioError, match="lasts 25 ms, and the model needs 30 ms at least") as caught:
        extract(np.zeros(400, np.float32), Waveform(min_samples=480))
    assert (caught.value.source, caught.value.problem) == (None, str(caught.value))


def test_nothing_to_compute_on_another_device(speechlike):
    with pytest.raises(FrontEndError, match="takes samples, so there are no features to compute"):
        list(windows(lambda: iter([speechlike(1.0)]), Waveform(), transform=lambda samples, _: samples))


def test_settings_from_json():
    stored = {"feature_extractor_type": EXTRACTOR, "do_normalize": False, "padding_value": 1, "feature_size": 1}
    expected = Waveform(normalized=False, padding_value=1.0, min_samples=800)
    assert Waveform.from_json(stored, min_samples=800) == expected
    with pytest.raises(FrontEndError) as caught:
        Waveform.from_json(
            {"sampling_rate": 8_000, "do_normalize": 1, "padding_value": "x"} | {"feature_extractor_type": "A"}
        )
    for part in ("feature_extractor_type is 'A'", "sampling_rate is 8000", "do_normalize is 1", "padding_value is 'x'"):
        assert part in str(caught.value)


@pytest.mark.parametrize("front_end", [LogMel(padding_value=1.0), Waveform(normalized=False, min_samples=800)])
def test_front_ends_are_stored_by_kind(front_end):
    encoded = msgspec.json.encode(front_end)
    assert msgspec.json.decode(encoded, type=FrontEnd) == front_end


@pytest.mark.parametrize(
    "stored", [b'{"kind":"log-mel","stride":0}', b'{"kind":"waveform","min_samples":0}', b'{"kind":"mfcc"}']
)
def test_damaged_front_ends_are_refused(stored):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(stored, type=FrontEnd)

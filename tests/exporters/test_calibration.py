"""Calibration sets, and what is said of bad ones."""

from __future__ import annotations

import numpy as np
import pytest

from qasr import reference
from qasr.audio import AudioError, LogMel
from qasr.data import read_audio_set
from qasr.exporters import calibration
from qasr.exporters.calibration import calibration_set, inputs_of, warnings


def test_long_clips_are_cut(tmp_path, write_audio, speechlike):
    write_audio("a.wav", speechlike(3.0))
    actual = calibration_set(read_audio_set(tmp_path, 1), LogMel(), 1.0, lambda items, description, total: items)
    assert (actual.seconds, actual.clips) == (1.0, 1)
    ((inputs, lengths),) = actual.inputs()
    assert (tuple(inputs.shape), lengths.tolist()) == ((1, 49, 160), [98])


def test_clips_that_are_too_short_are_named(tmp_path, write_audio, speechlike):
    write_audio("a.wav", speechlike(1.0))
    short = write_audio("b.wav", speechlike(0.012))
    clips = inputs_of(read_audio_set(tmp_path), LogMel())
    inputs, lengths = next(clips)
    assert (tuple(inputs.shape), lengths.tolist()) == ((1, 49, 160), [98])
    with pytest.raises(AudioError, match=rf"^{short}: lasts 12 ms, and the model needs 35 ms at least$"):
        next(clips)


def test_sound_calibration_sets_bring_no_warning():
    assert warnings(read_audio_set(reference.CALIBRATION, 64), 20.0) == []
    assert warnings(read_audio_set(reference.EVALUATION, 64), 20.0) == []


def test_too_little_audio(tmp_path, write_audio, speechlike):
    for number in range(3):
        write_audio(f"{number}.wav", speechlike(1.0 + number))
    assert warnings(read_audio_set(tmp_path, 9), 20.0) == [
        f"calibration on {tmp_path.name}: 3 clips (6 s); ranges from so little audio cut off values that it does not "
        "hold, so other voices and rooms may be transcribed worse; give at least 32 clips and 30 s"
    ]
    (only,) = warnings(read_audio_set(tmp_path, 1), 20.0)
    assert ": 1 clip (1 s); " in only
    # Many clips are too little too, if they are short; and of long ones only the beginning counts.
    for number in range(10):
        write_audio(f"many/{number}.wav", speechlike(2.0 + number))
    many = read_audio_set(tmp_path / "many", 10)
    assert warnings(many, 20.0) == []
    assert ": 10 clips (28 s); " in warnings(many, 2.9)[0]


def test_one_length_only(tmp_path, write_audio, speechlike):
    for number in range(8):
        write_audio(f"{number}.wav", speechlike(4.0, seed=number))
    assert warnings(read_audio_set(tmp_path, 8), 20.0) == [
        f"calibration on {tmp_path.name}: all 8 clips last 4.0 s; shorter and longer recordings may go beyond their "
        "ranges and be transcribed worse; mix lengths"
    ]
    write_audio("9.wav", speechlike(5.0))
    assert warnings(read_audio_set(tmp_path, 9), 20.0) == []


def test_silence(tmp_path, write_audio, speechlike):
    hiss = 1e-4 * np.random.default_rng(0).standard_normal(16_000 * 5)
    for number in range(8):
        write_audio(f"{number}.wav", speechlike(4.0 + number))
    write_audio("a-zeros.wav", np.zeros(16_000 * 4))
    write_audio("b-hiss.flac", hiss)
    write_audio("late.wav", np.concatenate([np.zeros(32_000), speechlike(2.0)]))
    assert warnings(read_audio_set(tmp_path, 99), 20.0) == [
        f"calibration on {tmp_path.name}: 2 of 11 clips are silent, a-zeros.wav first (no sample above -60 dBFS); "
        "features are normalized, so the ranges fit their noise as if it were a voice, and speech is rounded worse; "
        "leave them out"
    ]
    for number in range(8):
        write_audio(f"silence/{number}.wav", np.zeros(16_000 * (4 + number)))
    (only,) = warnings(read_audio_set(tmp_path / "silence", 8), 20.0)
    assert only.endswith(
        "nothing but silence (no sample above -60 dBFS); speech goes beyond such ranges and is cut off, "
        "which triples the error of the logits on the bundled model; give recordings with voices"
    )


def test_warnings_decode_only_up_to_the_first_sound(tmp_path, write_audio, speechlike, monkeypatch):
    write_audio("long.wav", speechlike(30.0))
    decoded = []
    original = calibration.stream

    def counted(*arguments, **options):
        for block in original(*arguments, **options):
            decoded.append(block.size)
            yield block

    monkeypatch.setattr(calibration, "stream", counted)
    warnings(read_audio_set(tmp_path, 1), 20.0)
    assert sum(decoded) == 16_000

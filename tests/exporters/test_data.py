"""Calibration and verification sets, and what is said of bad ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qasr import reference
from qasr.audio import FeatureSettings
from qasr.exporters import DataError, data
from qasr.exporters.data import calibration_set, read_audio_set, warnings


def test_json_lines_and_folders(tmp_path, write_audio, speechlike):
    for name in ("a.wav", "b.flac", "sub/c.ogg"):
        write_audio(name, speechlike(0.5))
    (tmp_path / "set.jsonl").write_text('{"audio": "a.wav", "phonemes": "x"}\n\n{"audio": "sub/c.ogg"}\n')
    listed = read_audio_set(tmp_path / "set.jsonl", 10)
    assert [file.name for file in listed.files] == ["a.wav", "c.ogg"]
    assert [file.name for file in read_audio_set(tmp_path, 10).files] == ["a.wav", "b.flac", "c.ogg"]


def test_limit_spreads_evenly(tmp_path, write_audio, speechlike):
    for number in range(10):
        write_audio(f"{number}.wav", speechlike(0.1))
    assert [file.stem for file in read_audio_set(tmp_path, 5).files] == ["0", "2", "4", "6", "8"]


def test_hash_is_that_of_the_content(tmp_path, write_audio, speechlike):
    write_audio("one/a.wav", speechlike(0.5))
    write_audio("two/b.wav", speechlike(0.5))
    write_audio("three/a.wav", speechlike(0.5, seed=1))
    one, two, three = (read_audio_set(tmp_path / name, 9).sha256() for name in ("one", "two", "three"))
    assert one == two != three


def test_long_clips_are_cut(tmp_path, write_audio, speechlike):
    write_audio("a.wav", speechlike(3.0))
    found = calibration_set(
        read_audio_set(tmp_path, 1), FeatureSettings(), 1.0, lambda items, description, total: items
    )
    assert (found.seconds, found.clips) == (1.0, 1)
    (features,) = found.features()
    assert tuple(features.shape) == (1, 49, 160)


def test_bundled_sets():
    calibration, evaluation = (read_audio_set(place, 1000) for place in (reference.CALIBRATION, reference.EVALUATION))
    assert len(calibration.files) == 64
    assert len(evaluation.files) >= 150


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "set.jsonl: is empty; it needs one JSON object a line with an 'audio' column"),
        ("\n \n", "set.jsonl: is empty"),
        ('{"audio": "a.wav"\n', r"set.jsonl, line 1: not JSON"),
        ('{"path": "a.wav", "text": "x"}\n', r"set.jsonl, line 1: no 'audio' column with a path \(it has path, text\)"),
        ('{"audio": 3}\n', r"line 1: no 'audio' column with a path"),
        ("[1]\n", r"line 1: no 'audio' column with a path \(it has no columns\)"),
        (
            '{"audio": "gone.wav"}\n{"audio": "too.wav"}\n',
            r"set.jsonl: lists .*gone.wav and 1 more, which does not exist",
        ),
    ],
)
def test_bad_manifests(tmp_path, content, message):
    (tmp_path / "set.jsonl").write_text(content)
    with pytest.raises(DataError, match=message):
        read_audio_set(tmp_path / "set.jsonl", 10)


def test_missing_and_empty_places(tmp_path):
    with pytest.raises(DataError, match=r"gone.jsonl: no such file or folder"):
        read_audio_set(tmp_path / "gone.jsonl", 10)
    with pytest.raises(DataError, match="holds no audio files"):
        read_audio_set(tmp_path, 10)


def test_binary_manifest(tmp_path):
    (tmp_path / "set.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as JSON lines"):
        read_audio_set(tmp_path / "set.jsonl", 10)


def test_sound_calibration_sets_bring_no_warning():
    assert warnings(read_audio_set(reference.CALIBRATION, 64), 20.0) == []
    assert warnings(read_audio_set(reference.EVALUATION, 64), 20.0) == []


def test_too_little_audio(tmp_path, write_audio, speechlike):
    for number in range(3):
        write_audio(f"{number}.wav", speechlike(1.0 + number))
    assert warnings(read_audio_set(tmp_path, 9), 20.0) == [
        f"calibration on {tmp_path.name}: 3 clips (6 s); ranges from so little audio cut off what they have not seen, "
        "so other voices and rooms may be transcribed worse; give at least 32 clips and 30 s"
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
    original = data.stream

    def counted(*arguments, **options):
        for block in original(*arguments, **options):
            decoded.append(block.size)
            yield block

    monkeypatch.setattr(data, "stream", counted)
    warnings(read_audio_set(tmp_path, 1), 20.0)
    assert sum(decoded) == 16_000


def test_rows_are_json():
    assert all(json.loads(line) for line in reference.CALIBRATION.read_text(encoding="utf-8").splitlines())

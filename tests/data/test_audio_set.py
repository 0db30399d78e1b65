"""Audio that users name: JSON lines and folders."""

from __future__ import annotations

import json

import pytest

from qasr import reference
from qasr.data import DataError, read_audio_set


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


def test_bundled_sets():
    calibration, evaluation = (read_audio_set(place, 1000) for place in (reference.CALIBRATION, reference.EVALUATION))
    assert len(calibration.files) == 64
    assert len(evaluation.files) >= 150


def test_rows_are_json():
    assert all(json.loads(line) for line in reference.CALIBRATION.read_text(encoding="utf-8").splitlines())

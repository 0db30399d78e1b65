"""Labels from verse numbers."""

from __future__ import annotations

import sys

import pytest
import soundfile

from qasr.data import DataError
from qasr.data.verses import from_verses
from qasr.errors import MissingExtraError
from qasr.recitation.errors import VersesError
from qasr.recitation.verses import parse_verses


def test_verses():
    assert parse_verses("1:1-3, 112") == [(1, 1), (1, 2), (1, 3), (112, 1), (112, 2), (112, 3), (112, 4)]
    assert parse_verses("2:255,2:255") == [(2, 255)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one", "'one' names no verses"),
        ("115", "no sura 115; suras are 1 to 114"),
        ("1:8", "1:8: sura 1 has the verses 1 to 7"),
        ("1:5-2", "1:5-2: sura 1 has the verses 1 to 7"),
        ("1:0", "1:0: sura 1 has the verses 1 to 7"),
        ("0", "no sura 0;"),
        ("1:1,", "'' names no verses"),
        ("1:8, 1:2, two, 115", "1:8: sura 1 has the verses 1 to 7; 'two' names no verses; .*; no sura 115;"),
    ],
)
def test_no_such_verses(text, message):
    with pytest.raises(VersesError, match=message):
        parse_verses(text)


def test_labels_from_verses(tmp_path, make_tones):
    for name in ("001001.wav", "1_2.wav", "x/112:1.wav", "notes.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, make_tones("abc"), 16_000)
    data = from_verses("1:1-2,112:1", tmp_path)
    first = data.recordings[0]
    assert first.audio.name == "001001.wav"
    assert first.labels["phonemes"].startswith("بِسمِللَااهِ")
    assert len(first.labels) == 11
    assert first.labels["ghonna"].startswith("[لا غنة]")
    with pytest.raises(DataError, match=r"no recording of 1:3-7"):
        from_verses("1", tmp_path)
    soundfile.write(tmp_path / "1_1.wav", make_tones("abc"), 16_000)
    with pytest.raises(DataError, match=r"more than one recording of 1:1"):
        from_verses("1:1", tmp_path)


@pytest.mark.parametrize("name", ["001002.mp3.wav", "1_2.wav", "1:2.flac", "001_002.wav", "001-2.FLAC", "1.2.wav"])
def test_names_of_recordings(tmp_path, make_tones, name):
    soundfile.write(tmp_path / name, make_tones("abc"), 16_000)
    if name == "001002.mp3.wav":
        with pytest.raises(DataError, match="no recording of 1:2 "):
            from_verses("1:2", tmp_path)
        return
    (recording,) = from_verses("1:2", tmp_path).recordings
    assert recording.audio == tmp_path / name
    assert recording.name == f"001:002 {name}"
    assert recording.seconds == pytest.approx(1.0)


def test_all_missing_recordings_are_named_at_once(tmp_path, make_tones):
    soundfile.write(tmp_path / "112001.wav", make_tones("abc"), 16_000)
    with pytest.raises(DataError, match=r"no recording of 1:1-7, 112:3-4, 2:255 \(looked for"):
        from_verses("1,112:1,112:3-4,2:255", tmp_path)
    with pytest.raises(DataError, match="no recording of 1:1 "):
        from_verses("1:1", tmp_path / "nowhere")


def test_without_quran_transcript(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "quran_transcript", None)
    with pytest.raises(
        MissingExtraError, match=r"quran-transcript is not installed; type: pip install 'qasr\[verses\]'"
    ):
        from_verses("1:1", tmp_path)

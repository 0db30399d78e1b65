"""Every output format, to the letter."""

from __future__ import annotations

import json

import pytest

from qasr.runtimes import LevelResult, Segment, Token, Transcript
from qasr.runtimes.ctc.formats import FORMATS, SUFFIXES, json_array, srt, text, vtt

TOKENS = [Token(1, "قَ", 0.5, 0.52, 0.9), Token(2, "<ل>", 1.25, 1.5, 0.8), Token(1, "قَ", 3661.0, 3662.5, 0.7)]
LOUD = [Token(1, "[yes]", 0.4, 0.44, 1.0), Token(1, "[yes]", 3661.2, 3661.4, 1.0)]
PLAIN = Transcript(
    audio="a.wav",
    text="قَ<ل>قَ",
    seconds=3663.0,
    levels={"phonemes": LevelResult("قَ<ل>قَ", 0.8, TOKENS)},
    groups=[],
    segments=[Segment("قَ<ل>", 0.5, 1.5, 0.85), Segment("قَ", 3661.0, 3662.5, 0.7)],
)
BOTH = Transcript(
    audio="b.wav",
    text=PLAIN.text,
    seconds=PLAIN.seconds,
    levels=PLAIN.levels | {"loud": LevelResult("[yes][yes]", 1.0, LOUD)},
    groups=[],
    segments=PLAIN.segments,
)


def test_text():
    assert text([PLAIN, PLAIN]) == "قَ<ل>قَ\nقَ<ل>قَ\n"
    assert text([BOTH]) == "phonemes: قَ<ل>قَ\nloud: [yes][yes]\n"


def test_srt():
    assert srt([PLAIN]) == ("1\n00:00:00,500 --> 00:00:01,500\nقَ<ل>\n\n2\n01:01:01,000 --> 01:01:02,500\nقَ\n")


def test_vtt():
    assert vtt([PLAIN]) == ("WEBVTT\n\n00:00:00.500 --> 00:00:01.500\nقَ&lt;ل&gt;\n\n01:01:01.000 --> 01:01:02.500\nقَ\n")


def test_cues_show_every_level_asked_for():
    assert srt([BOTH]).splitlines()[2:4] == ["phonemes: قَ<ل>", "loud: [yes]"]
    assert srt([BOTH]).splitlines()[7:9] == ["phonemes: قَ", "loud: [yes]"]


def test_a_cue_stays_a_second_where_the_next_one_allows():
    tokens = [Token(1, "a", 0.0, 0.02, 1.0), Token(1, "b", 0.6, 0.62, 1.0)]
    segments = [Segment("a", 0.0, 0.02, 1.0), Segment("b", 0.6, 0.62, 1.0)]
    result = srt([Transcript("x", "ab", 2.0, {"l": LevelResult("ab", 1.0, tokens)}, [], segments)])
    assert "00:00:00,000 --> 00:00:00,600" in result
    assert "00:00:00,600 --> 00:00:01,600" in result


def test_silence_makes_valid_subtitles():
    silent = Transcript("x", "", 2.0, {"l": LevelResult("", 0.0, [])}, [], [])
    assert (srt([silent]), vtt([silent])) == ("", "WEBVTT\n")


def test_json_and_jsonl_hold_the_same():
    one = json.loads(FORMATS["json"]([BOTH]))
    assert set(one) == {"audio", "text", "seconds", "levels", "groups", "segments", "channel", "notes"}
    assert one["levels"]["loud"]["tokens"][0] == {
        "id": 1, "text": "[yes]", "start": 0.4, "end": 0.44, "confidence": 1.0,
    }  # fmt: skip
    assert [json.loads(line) for line in FORMATS["jsonl"]([BOTH, BOTH]).splitlines()] == [one, one]
    assert json.loads(FORMATS["json"]([BOTH, BOTH])) == [one, one]
    assert (json.loads(json_array([BOTH])), json.loads(json_array([]))) == ([one], [])


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_describe_one_recording(form):
    with pytest.raises(ValueError, match="one recording"):
        FORMATS[form]([PLAIN, PLAIN])


def test_every_format_has_a_suffix():
    assert set(FORMATS) == set(SUFFIXES)

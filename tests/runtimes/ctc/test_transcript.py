"""From decoded frames to text, groups and segments."""

from __future__ import annotations

import numpy as np
import pytest

from qasr.artifacts import LevelVocabulary
from qasr.runtimes import UnknownLevelError
from qasr.runtimes.ctc.decoding import Frames
from qasr.runtimes.ctc.transcript import select, transcribe_frames


def transcript_of(paths, vocabularies, rate=50.0):
    """A transcript of best paths (level to ids per frame), every frame at probability 0.5."""
    best = np.array(list(paths.values()), dtype=np.int32)
    frames = Frames(best, np.full(best.shape, 0.5, np.float32), np.zeros(best.shape[1], np.float32))
    return transcribe_frames(frames, vocabularies, audio="x.wav", seconds=best.shape[1] / rate, frame_rate_hz=rate)


def path(frames, **tokens):
    """A path of blanks, except token 3 in frame 10 for ``t10=3``."""
    best = [0] * frames
    for name, token in tokens.items():
        best[int(name[1:])] = token
    return best


WORDS = {"text": LevelVocabulary(["[PAD]", "[UNK]", "|", "h", "i"], 0, [0, 1], "|")}
LETTERS = {"letters": LevelVocabulary(["[PAD]", "a", "b"], 0, [0])}
RECITATION = {
    "phonemes": LevelVocabulary(["[PAD]", "ق", "ا", "َ"], 0, [0]),
    "ghonna": LevelVocabulary(["[PAD]", "[مغن]", "[لا غنة]"], 0, [0]),
}


def test_specials_are_dropped_and_the_delimiter_is_a_space():
    result = transcript_of({"text": [2, 3, 4, 1, 2, 0, 2, 3, 4, 4, 2]}, WORDS)
    # Two delimiters with a blank between them are two spaces, as in transformers.
    assert result.text == "hi  hi"
    assert [one.text for one in result.segments] == ["hi hi"]
    assert [token.text for token in result.levels["text"].tokens] == [" ", "h", "i", " ", " ", "h", "i", " "]


def test_times_and_confidences_are_those_of_the_frames():
    result = transcript_of({"letters": path(100, t10=1, t11=1, t60=2)}, LETTERS)
    first, second = result.levels["letters"].tokens
    assert (first.id, first.text, first.start, first.end, first.confidence) == (1, "a", 0.2, 0.24, 0.5)
    assert (second.start, second.end) == (1.2, 1.22)
    assert result.levels["letters"].confidence == 0.5
    assert result.seconds == 2.0


def test_silence_gives_an_empty_transcript():
    result = transcript_of({"letters": [0] * 20}, LETTERS)
    assert (result.text, result.segments, result.groups) == ("", [], [])
    assert result.levels["letters"].confidence == 0.0


def test_segments_end_at_pauses():
    result = transcript_of({"letters": path(100, t10=1, t20=2, t60=1)}, LETTERS)
    assert [(one.text, one.start, one.end) for one in result.segments] == [("ab", 0.2, 0.42), ("a", 1.2, 1.22)]


def test_segments_end_after_ten_seconds_without_a_pause():
    best = [0, 1, 0, 2] * 300
    result = transcript_of({"letters": best}, LETTERS)
    assert len(result.segments) == 3
    assert all(one.end - one.start <= 10.0 for one in result.segments)
    assert "".join(one.text for one in result.segments) == result.text


def test_a_pause_within_a_word_does_not_cut_it():
    slow = transcript_of({"text": path(150, t5=3, t60=4, t65=2, t70=3, t75=4, t90=2, t120=3)}, WORDS)
    assert slow.text == "hi hi h"
    assert [one.text for one in slow.segments] == ["hi hi", "h"]


def test_a_long_phoneme_group_stays_in_one_segment():
    result = transcript_of({"phonemes": path(100, t5=1, t7=3, t10=2, t40=2, t70=1), "ghonna": [0] * 100}, RECITATION)
    assert [one.text for one in result.segments] == ["قَاا", "ق"]
    assert "".join(one.text for one in result.segments) == result.text


def test_sifat_belong_to_groups():
    result = transcript_of(
        {"phonemes": path(50, t5=1, t7=3, t20=2, t22=2, t40=1), "ghonna": path(50, t5=1, t21=2, t41=1)}, RECITATION
    )
    assert [group.text for group in result.groups] == ["قَ", "اا", "ق"]
    assert [group.sifat["ghonna"].text for group in result.groups] == ["[مغن]", "[لا غنة]", "[مغن]"]
    assert (result.groups[0].start, result.groups[0].end) == (0.1, 0.16)


def test_a_missing_sifa_is_none():
    result = transcript_of(
        {"phonemes": path(50, t5=1, t7=3, t20=2, t22=2, t40=1), "ghonna": path(50, t5=1, t41=2)}, RECITATION
    )
    assert [group.sifat["ghonna"] and group.sifat["ghonna"].text for group in result.groups] == [
        "[مغن]",
        None,
        "[لا غنة]",
    ]


def test_select_keeps_the_requested_levels():
    result = transcript_of({"phonemes": path(50, t5=1), "ghonna": path(50, t5=1)}, RECITATION)
    assert list(select(result, ["phonemes"]).levels) == ["phonemes"]
    assert select(result, ["phonemes"]).groups == []
    narrowed = select(result, ["ghonna"])
    assert (list(narrowed.levels), narrowed.text) == (["ghonna"], "ق")
    assert list(narrowed.groups[0].sifat) == ["ghonna"]
    with pytest.raises(UnknownLevelError, match=r"no level 'gonna'; did you mean ghonna\?") as caught:
        select(result, ["phonemes", "gonna"])
    assert (caught.value.level, caught.value.available) == ("gonna", ("phonemes", "ghonna"))
    with pytest.raises(UnknownLevelError, match="no level 'x'; available are phonemes, ghonna"):
        select(result, ["x"])

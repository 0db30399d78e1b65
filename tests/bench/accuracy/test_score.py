"""Error rates, deltas, agreement and alignments compared with values computed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qasr.artifacts import LevelVocabulary
from qasr.bench.accuracy.score import compare_accuracy, compare_logits, garbage, measure_accuracy, references
from qasr.bench.results import Accuracy, LevelErrors
from qasr.data import DataError, LabelledSet, Recording

LEVELS = {
    "phonemes": LevelVocabulary(["[PAD]", "a", "aa", "b", "c"], 0, [0]),
    "width": LevelVocabulary(["[PAD]", "[very wide]", "[narrow]"], 0, [0]),
}
WORDS = {"text": LevelVocabulary(["[PAD]", "|", "a", "b", "c"], 0, [0], word_delimiter="|")}


def data(*labels):
    recordings = [Recording(f"{number}.wav", Path(f"{number}.wav"), 1.0, label) for number, label in enumerate(labels)]
    return LabelledSet("set", "0", tuple(recordings))


def transcript(phonemes, width=()):
    return {"phonemes": list(phonemes), "width": list(width)}


def test_labels_become_the_longest_tokens():
    labelled = data({"phonemes": "aaab", "width": "[very wide][narrow]"})
    assert references(labelled, "phonemes", LEVELS) == [["aa", "a", "b"]]
    assert references(labelled, "width", LEVELS) == [["[very wide]", "[narrow]"]]


def test_a_symbol_that_is_not_in_the_vocabulary():
    with pytest.raises(DataError, match=r"1.wav: the label of phonemes has 'x', which the checkpoint's vocabulary"):
        measure_accuracy([transcript("a"), transcript("a")], data({"phonemes": "a"}, {"phonemes": "axb"}), LEVELS)


def test_error_rates():
    """Phonemes: a substitution, then a deletion, in seven; width: an insertion in three tokens, one with a space."""
    labelled = data({"phonemes": "abc", "width": "[very wide][narrow]"}, {"phonemes": "aabcb", "width": "[narrow]"})
    transcripts = [
        transcript("acc", ["[very wide]", "[narrow]"]),
        transcript(["aa", "b", "c"], ["[narrow]", "[very wide]"]),
    ]
    actual = measure_accuracy(transcripts, labelled, LEVELS)
    assert actual.levels["phonemes"] == LevelErrors(edits=[1, 1], lengths=[3, 4])
    assert actual.levels["width"] == LevelErrors(edits=[0, 1], lengths=[2, 1])
    assert actual.first.rate == 2 / 7
    assert actual.mean == pytest.approx((2 / 7 + 1 / 3) / 2)
    assert actual.words is None


def test_levels_without_labels_are_left_out():
    actual = measure_accuracy([transcript("a")], data({"phonemes": "a"}), LEVELS)
    assert list(actual.levels) == ["phonemes"]
    with pytest.raises(DataError, match=r"levels \(phonemes, width\); the labels are of other"):
        measure_accuracy([transcript("a")], data({"other": "a"}), LEVELS)


def test_labels_of_some_recordings_only():
    labelled = data({"phonemes": "a"}, {"phonemes": "a", "width": "[narrow]"}, {"phonemes": "a"})
    with pytest.raises(DataError, match=r"set: no label of width for 0.wav, 2.wav; label all recordings or none"):
        measure_accuracy([transcript("a")] * 3, labelled, LEVELS)


def test_spaces_are_ignored_without_words():
    """Spaces within a token belong to it."""
    labelled = data({"phonemes": " a bc\n", "width": "[very wide] [narrow]"})
    assert references(labelled, "phonemes", LEVELS) == [["a", "b", "c"]]
    assert references(labelled, "width", LEVELS) == [["[very wide]", "[narrow]"]]


def test_texts_label_the_first_level():
    actual = measure_accuracy([transcript("ab")], data({"text": "ac"}), LEVELS)
    assert actual.levels == {"phonemes": LevelErrors(edits=[1], lengths=[2])}


def test_words_and_characters():
    """ "ab c" for "ab cb": one word of two, one character of five."""
    transcripts = {"text": ["a", "b", " ", "c"]}
    actual = measure_accuracy([transcripts], data({"text": "ab  cb"}), WORDS)
    assert actual.first == LevelErrors(edits=[1], lengths=[5])
    assert actual.words == LevelErrors(edits=[1], lengths=[2])
    assert actual.characters == LevelErrors(edits=[1], lengths=[5])


def test_deltas_disagreement_and_the_worst():
    labelled = data({"phonemes": "abc"}, {"phonemes": "abc"}, {"phonemes": "cab"}, {"phonemes": "b"})
    base = [transcript("abc"), transcript("abb"), transcript("cab"), transcript("b")]
    own = [transcript("abc"), transcript("bbb"), transcript("c"), transcript("b")]
    before = measure_accuracy(base, labelled, LEVELS)
    actual = compare_accuracy(measure_accuracy(own, labelled, LEVELS), own, before, base, labelled, LEVELS, seed=0)
    assert actual.first_delta.value == pytest.approx(4 / 10 - 1 / 10)
    assert actual.first_delta.low >= 0
    # bbb for abb, c for cab: three edits in the ten tokens of the baseline.
    assert actual.disagreement == 3 / 10
    assert [(case.recording, case.edits, case.baseline_edits) for case in actual.worst] == [
        ("2.wav", 2, 0),
        ("1.wav", 2, 1),
    ]
    assert actual.worst[0].reference == ["c", "a", "b"]
    assert actual.worst[0].baseline == ["c", "a", "b"]
    assert actual.worst[0].candidate == ["c", "", ""]


def test_logits():
    """Three of four frames agree; the difference is 3 in one place, the baseline's sum of squares 4 + 4 + 4 + 36."""
    expected = [{"x": np.array([[2.0, 0], [0, 2]])}, {"x": np.array([[2.0, 0], [6, 0]])}]
    actual = [{"x": np.array([[2.0, 0], [3, 2]])}, {"x": np.array([[2.0, 0], [6, 0]])}]
    agreement, error = compare_logits(actual, expected)
    assert agreement == 3 / 4
    assert error == pytest.approx((9 / 48) ** 0.5)


def accuracy(rate):
    return Accuracy(levels={"phonemes": LevelErrors(edits=[round(100 * rate)], lengths=[100])})


def test_garbage():
    transcripts = [transcript("abc")]
    assert garbage(accuracy(0.1), transcripts, None, None) is None
    assert garbage(accuracy(0.9), transcripts, None, None) is None  # the baseline may have random weights
    assert garbage(accuracy(0.1), [transcript("")], None, None) == "every transcript is empty"
    assert garbage(accuracy(0.4), transcripts, accuracy(0.1), 0.4) is None
    assert garbage(accuracy(0.6), transcripts, accuracy(0.1), 0.6) == (
        "garbage: its phonemes error rate is 60 %, the baseline's 10.0 %"
    )
    assert garbage(accuracy(0.98), transcripts, accuracy(0.97), 0.5) is None
    assert (
        garbage(accuracy(0.98), transcripts, accuracy(0.97), 0.95)
        == "garbage: 95 % of its phonemes differ from the baseline's"
    )


def test_words_of_another_space():
    """The text between words is the vocabulary's."""
    vocabularies = {"text": LevelVocabulary(["[PAD]", "|", "a", "b", "c"], 0, [0], word_delimiter="|", space="-")}
    labelled = data({"text": "ab c"}, {"text": "a"})
    accuracy = measure_accuracy([{"text": list("ab-c")}, {"text": list("-b")}], labelled, vocabularies)
    assert accuracy.words == LevelErrors(edits=[0, 1], lengths=[2, 1])
    assert accuracy.characters == LevelErrors(edits=[0, 1], lengths=[4, 1])

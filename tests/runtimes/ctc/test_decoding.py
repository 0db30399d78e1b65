"""Greedy CTC decoding compared with a slow, obvious implementation and with results derived by hand."""

from __future__ import annotations

import numpy as np
import pytest

from qasr.artifacts import LevelVocabulary
from qasr.runtimes import InferenceError
from qasr.runtimes.ctc.decoding import collapse, reduce_logits
from qasr.runtimes.ctc.transcript import transcribe_frames


def slow_collapse(best, confidence, blank):
    tokens = []
    frame = 0
    while frame < len(best):
        stop = frame
        while stop < len(best) and best[stop] == best[frame]:
            stop += 1
        if best[frame] != blank:
            tokens.append((int(best[frame]), frame, stop, sum(map(float, confidence[frame:stop])) / (stop - frame)))
        frame = stop
    return tokens


@pytest.mark.parametrize("seed", range(40))
def test_collapse_equals_the_obvious_implementation(seed):
    random = np.random.default_rng(seed)
    frames = int(random.integers(0, 60))
    blank = int(random.integers(0, 4))
    best = random.integers(0, 4, frames).astype(np.int32)
    confidence = random.random(frames).astype(np.float32)
    runs = collapse(best, confidence, blank)
    expected = slow_collapse(best, confidence, blank)
    assert list(zip(runs.ids.tolist(), runs.starts.tolist(), runs.stops.tolist(), strict=True)) == [
        one[:3] for one in expected
    ]
    np.testing.assert_allclose(runs.confidence, [one[3] for one in expected], rtol=1e-5)


def test_repeats_merge_unless_a_blank_separates_them():
    runs = collapse(np.array([1, 1, 0, 1, 2, 2, 0], dtype=np.int32), np.array([0.5, 1, 1, 1, 1, 1, 1], np.float32), 0)
    assert runs.ids.tolist() == [1, 1, 2]
    assert runs.starts.tolist() == [0, 3, 4]
    assert runs.stops.tolist() == [2, 4, 6]
    assert runs.confidence.tolist() == [0.75, 1.0, 1.0]


def test_a_token_in_the_first_and_in_the_last_frame_counts():
    runs = collapse(np.array([2, 0, 3], dtype=np.int32), np.full(3, 0.5, np.float32), 0)
    assert (runs.ids.tolist(), runs.confidence.tolist()) == ([2, 3], [0.5, 0.5])


def test_no_frames_no_tokens():
    assert collapse(np.empty(0, np.int32), np.empty(0, np.float32), 0).ids.size == 0


VOCABULARIES = {
    "one": LevelVocabulary(["[PAD]", "a", "b"], 0, [0]),
    "two": LevelVocabulary(["x", "[PAD]"], 1, [1]),
}


def random_logits(seed, batch=3, frames=17, scale=4.0):
    random = np.random.default_rng(seed)
    return {
        level: (scale * random.standard_normal((batch, frames, len(vocabulary.tokens)))).astype(np.float32)
        for level, vocabulary in VOCABULARIES.items()
    }


@pytest.mark.parametrize("scale", [0.01, 4.0, 300.0])
def test_reduction_keeps_best_probability_and_joint_blank(scale):
    logits = random_logits(1, scale=scale)
    frames = reduce_logits(logits, 1, 11, VOCABULARIES)
    assert len(frames) == 11
    joint = np.zeros(11)
    for row, (level, vocabulary) in enumerate(VOCABULARIES.items()):
        values = logits[level][1, :11].astype(np.float64)
        logs = values - np.logaddexp.reduce(values, axis=-1, keepdims=True)
        assert frames.best[row].tolist() == values.argmax(-1).tolist()
        np.testing.assert_allclose(frames.confidence[row], np.exp(logs.max(-1)), rtol=1e-4)
        joint += logs[:, vocabulary.blank]
    np.testing.assert_allclose(frames.blank, joint, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_an_error(value):
    logits = random_logits(2)
    logits["two"][0, 3, 0] = value
    with pytest.raises(InferenceError, match="logits for two that are not finite"):
        reduce_logits(logits, 0, 17, VOCABULARIES)
    # Frames after the end of the clip are not checked.
    reduce_logits(logits, 0, 3, VOCABULARIES)


def test_too_few_frames_are_an_error():
    with pytest.raises(InferenceError, match="does not belong to this manifest"):
        reduce_logits(random_logits(3), 0, 18, VOCABULARIES)


def test_large_vocabularies():
    """Ids above 32,767, as in vocabularies of words, do not fit 16 bits."""
    vocabulary = LevelVocabulary([f"<{index}>" for index in range(40_000)], 0, [0])
    ids = [39_999, 0, 32_768, 32_768, 0, 32_768, 1]
    logits = np.full((1, len(ids), 40_000), -20.0, np.float32)
    logits[0, range(len(ids)), ids] = 20.0
    frames = reduce_logits({"words": logits}, 0, len(ids), {"words": vocabulary})
    assert frames.best.tolist() == [ids]
    transcript = transcribe_frames(frames, {"words": vocabulary}, audio="x", seconds=1.0, frame_rate_hz=50.0)
    assert transcript.text == "<39999><32768><32768><1>"
    assert [token.id for token in transcript.levels["words"].tokens] == [39_999, 32_768, 32_768, 1]

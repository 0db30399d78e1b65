"""Phoneme groups equal to quran-transcript's, and their sifat tokens."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from qasr.recitation import groups


def cut(text):
    return [text[begin:end] for begin, end in groups.spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("قَاالَ", ["قَ", "اا", "لَ"]),
        ("مِںںںقَبڇلُ", ["مِ", "ںںں", "قَ", "بڇ", "لُ"]),
        ("ءِننننَ", ["ءِ", "ننننَ"]),
        ("", []),
        ("َا", ["ا"]),
    ],
)
def test_groups(text, expected):
    assert cut(text) == expected


def test_groups_equal_those_of_quran_transcript():
    alphabet = pytest.importorskip(
        "quran_transcript.alphabet", reason="needs quran-transcript, of the extra 'reference'"
    )
    sifa = pytest.importorskip("quran_transcript.phonetics.sifa")
    core, residuals = alphabet.phonetic_groups.core, alphabet.phonetic_groups.residuals
    assert (set(groups.CORE), set(groups.RESIDUALS)) == (set(core), set(residuals))
    random = np.random.default_rng(0)
    letters = list(core + residuals)
    for _ in range(200):
        text = "".join(random.choice(letters, random.integers(0, 40)))
        assert cut(text) == sifa.chunck_phonemes(text)


def test_as_many_tokens_as_groups_belong_together_one_by_one():
    # Times alone would match them otherwise.
    centers, starts = np.array([0.1, 0.2, 5.0]), np.array([1.0, 2.0, 3.0])
    assert groups.align(centers, starts, starts + 0.1).tolist() == [0, 1, 2]


def test_a_group_without_a_token_does_not_shift_the_others():
    starts = np.arange(5) * 0.2
    centers = np.delete(starts + 0.05, 2)
    assert groups.align(centers, starts, starts + 0.1).tolist() == [0, 1, -1, 2, 3]


def test_a_surplus_token_is_left_out():
    starts = np.arange(3) * 0.4
    centers = np.array([0.05, 0.25, 0.45, 0.85])
    assert groups.align(centers, starts, starts + 0.1).tolist() == [0, 2, 3]


def test_two_tokens_near_one_group_spread_over_its_empty_neighbour():
    starts = np.array([0.0, 0.2, 0.4, 2.0])
    centers = np.array([0.05, 0.40, 0.46])
    assert groups.align(centers, starts, starts + 0.1).tolist() == [0, 1, 2, -1]


@pytest.mark.parametrize(("tokens", "count"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_align(tokens, count):
    chosen = groups.align_by_time(np.arange(tokens) * 1.0, np.arange(count) * 1.0, np.arange(count) + 0.1)
    assert len(chosen) == count
    assert tokens or (chosen == -1).all()


def weight(centers, starts, stops, pairs):
    gains = [1 - max(starts[g] - centers[t], centers[t] - stops[g], 0) / groups._REACH for g, t in pairs]
    return sum(gains) if all(gain > 0 for gain in gains) else -1.0


@pytest.mark.parametrize("seed", range(30))
def test_alignment_by_time_is_the_best_of_all(seed):
    random = np.random.default_rng(seed)
    count, tokens = random.integers(1, 6, 2)
    starts = np.sort(random.random(count))
    stops = starts + 0.05
    centers = np.sort(random.random(tokens))
    chosen = groups.align_by_time(centers, starts, stops)
    pairs = [(group, int(token)) for group, token in enumerate(chosen) if token >= 0]
    assert [token for _, token in pairs] == sorted({token for _, token in pairs})
    best = max(
        weight(centers, starts, stops, list(zip(some, others, strict=True)))
        for size in range(min(count, tokens) + 1)
        for some in combinations(range(count), size)
        for others in combinations(range(tokens), size)
    )
    assert weight(centers, starts, stops, pairs) == pytest.approx(best)

"""Alignment of tokens with phoneme groups. All expectations are what quran-muaalem 0.2.2 gives."""

from __future__ import annotations

import pytest

from qasr.recitation.muaalem.alignment import align, recited, tokens_of_groups


@pytest.mark.parametrize(
    ("wanted", "offered", "expected"),
    [
        ("abcde", "abcdef", [0, 1, 2, 3, 4]),
        ("abcde", "abcd", [0, 1, 2, 3, None]),
        ("abcde", "acde", [0, None, 1, 2, 3]),
        ("aab", "ab", [None, 0, 1]),
        ("aaa", "a", [None, None, 0]),
        ("ab", "xaxbx", [1, 3]),
        ("abc", "xyz", [0, 1, 2]),
        ("ab", "", [None, None]),
        ("", "ab", []),
    ],
)
def test_align(wanted, offered, expected):
    assert align(wanted, offered) == expected


def test_recited_groups_are_known_by_their_first_letter():
    reference = ["قَ", "اا", "لُ", "ۥۥ"]
    assert recited(["قَ", "اااا", "لَ", "ۥ"], reference) == [0, 1, 2, 3]
    assert recited(["قَ", "لُ", "ۥۥ"], reference) == [0, 2, 3]
    assert recited(["قَ", "اا", "لُ", "ۥۥ", "م"], reference) == [0, 1, 2, 3]
    assert recited([], reference) == []


def test_as_many_tokens_as_groups_belong_together():
    assert tokens_of_groups([1, 2], ["قَ", "لُ"], ["قَ", "اا", "لُ"], [1, 1, 2]) == [0, 1]


def test_tokens_go_by_the_reference_where_counts_differ():
    groups, reference = ["قَ", "اا", "لُ"], ["قَ", "اا", "لُ"]
    assert tokens_of_groups([1, 2], groups, reference, [1, 1, 2]) == [None, 0, 1]
    assert tokens_of_groups([1, 1, 1, 2], groups, reference, [1, 1, 2]) == [1, 2, 3]
    assert tokens_of_groups([], groups, reference, [1, 1, 2]) == [None, None, None]
    # A group was left out, and the level has all tokens of the reference: that of the group goes.
    assert tokens_of_groups([1, 1, 2], ["قَ", "لُ"], reference, [1, 1, 2]) == [0, 2]


def test_more_groups_than_the_reference_has_are_not_aligned():
    assert tokens_of_groups([1, 2], ["قَ", "اا", "لُ"], ["قَ", "اا"], [1, 1]) == [0, 1]

"""Edit distances and alignments computed by hand."""

from __future__ import annotations

from qasr.bench.accuracy.alignment import align_three, edits


def test_edits():
    assert edits([["a", "b"], [], ["x y", "z"]], [["a", "c", "b"], ["q"], ["x y"]]) == [1, 1, 1]
    assert edits([["a"], []], [[], []]) == [1, 0]
    assert edits([], []) == []


def test_alignment_of_three():
    reference, baseline, candidate = align_three(["a", "b", "c"], ["a", "x", "b"], ["b", "c", "d"])
    assert reference == ["a", "", "b", "c", ""]
    assert baseline == ["a", "x", "b", "", ""]
    assert candidate == ["", "", "b", "c", "d"]
    assert align_three([], [], []) == ([], [], [])

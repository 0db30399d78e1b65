"""Windows joined without a seam."""

from __future__ import annotations

import numpy as np
import pytest

from qasr.runtimes.ctc.decoding import Frames, collapse
from qasr.runtimes.ctc.stitching import Stitcher, cut_frame


def frames_of(best, blank=0):
    """One level's frames, each with probability 1."""
    best = np.asarray(best, dtype=np.int32)[None]
    quiet = np.where(best[0] == blank, -0.01, -5.0).astype(np.float32)
    return Frames(best, np.ones(best.shape, np.float32), quiet)


def part(best, start, length):
    return frames_of(best[start : start + length])


def random_path(seed, frames):
    random = np.random.default_rng(seed)
    best: list[int] = []
    while len(best) < frames:
        best += [0] * int(random.integers(1, 8)) + [int(random.integers(1, 5))] * int(random.integers(1, 5))
    return best[:frames]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("window", "overlap"), [(60, 20), (40, 20), (100, 30)])
def test_a_local_model_gives_what_the_whole_gives(seed, window, overlap):
    best = random_path(seed, 333)
    stitcher, start = Stitcher(), 0
    assert stitcher.final() is None
    while True:
        stitcher.add(part(best, start, window), start)
        final = stitcher.final()
        assert final is None or final.best[0].tolist() == best[: len(final)]
        if start + window >= len(best):
            break
        # As audio.windows does it: the last window is a full one.
        start = min(start + window - overlap, len(best) - window)
    assert stitcher.join().best[0].tolist() == best


def test_a_token_on_the_seam_is_neither_doubled_nor_lost():
    left = [0, 0, 0, 0, 7, 0, 0, 0, 0, 0]
    right = [0, 0, 0, 0, 0, 7, 0, 0, 0, 0]  # the second window has the same token one frame later
    stitcher = Stitcher()
    stitcher.add(frames_of(left), 0)
    stitcher.add(frames_of(right), 0)
    joined = stitcher.join()
    assert len(joined) == 10
    assert collapse(joined.best[0], joined.confidence[0], 0).ids.tolist() == [7]


def test_the_cut_lies_where_both_are_surest_of_silence():
    quiet = np.full(40, -3.0, np.float32)
    left, right = frames_of([0] * 40), frames_of([0] * 40)
    left.blank[:], right.blank[:] = quiet, quiet
    left.blank[25] = right.blank[25] = -0.1
    left.blank[2] = right.blank[2] = 0.0  # surer, but too near to the window's edge
    assert cut_frame(left, right) == 25


def test_of_equals_the_middle():
    assert cut_frame(frames_of([0] * 40), frames_of([0] * 40)) == 20


def test_windows_that_do_not_overlap_are_refused():
    stitcher = Stitcher()
    stitcher.add(frames_of([0] * 10), 0)
    with pytest.raises(ValueError, match="does not overlap"):
        stitcher.add(frames_of([0] * 10), 10)

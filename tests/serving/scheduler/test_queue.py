"""Order and groups of waiting windows."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from qasr.serving.scheduler.queue import Grouping, WaitingWindow, WindowQueue


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def fill(loop):
    def make(lengths, *, alone=(), deadlines=None, max_frames=1_000, max_windows=None, max_padding=0.15):
        queue = WindowQueue(Grouping(max_frames=max_frames, max_windows=max_windows, max_padding=max_padding))
        for index, length in enumerate(lengths):
            deadline = float(index if deadlines is None else deadlines[index])
            inputs = np.zeros((length, 2), np.float32)
            queue.add(WaitingWindow(inputs, deadline, 0.0, loop.create_future(), alone=index in alone))
        return queue

    return make


def lengths(group):
    return [window.frames for window in group]


def all_groups(queue):
    groups = []
    while group := queue.take():
        groups.append(lengths(group))
    return groups


def test_the_earliest_deadline_goes_first(fill):
    queue = fill([100, 200, 300], deadlines=[3, 1, 2], max_windows=1)
    assert all_groups(queue) == [[200], [300], [100]]
    assert len(queue) == 0


def test_windows_of_like_length_go_together(fill):
    queue = fill([100, 300, 98, 310, 95])
    assert all_groups(queue) == [[100, 98, 95], [300, 310]]


@pytest.mark.parametrize(
    ("max_padding", "expected"), [(0.0, [100, 100]), (0.1, [100, 100, 90]), (1.0, [100, 100, 90, 10])]
)
def test_padding_is_capped(fill, max_padding, expected):
    assert lengths(fill([100, 10, 100, 90], max_padding=max_padding).take()) == expected


def test_a_group_is_capped_with_its_padding(fill):
    queue = fill([100] * 5, max_frames=399)
    assert queue.is_full_group()
    assert all_groups(queue) == [[100] * 3, [100] * 2]
    # 4 windows of 110 are above 399, though 3 of 90 and one of 110 are not.
    assert lengths(fill([90, 90, 90, 110], max_frames=399).take()) == [90, 90, 90]


def test_a_window_above_the_cap_goes_alone(fill):
    assert lengths(fill([500, 500], max_frames=400).take()) == [500]


def test_windows_that_failed_in_a_group_go_alone(fill):
    queue = fill([100, 100, 100], alone={0})
    assert queue.is_full_group()
    assert all_groups(queue) == [[100], [100, 100]]


def test_a_group_is_not_full_while_another_window_would_fit(fill):
    assert not fill([]).is_full_group()
    assert not fill([100, 100]).is_full_group()
    assert fill([100, 100], max_windows=2).is_full_group()


def test_removal(fill):
    queue = fill([100, 200])
    first = queue.take()[0]
    assert not queue.remove(first)
    assert queue.frames == 200
    (left,) = queue.clear()
    assert (left.frames, queue.frames, queue.take()) == (200, 0, [])

"""What is admitted and refused, and when to come back."""

from __future__ import annotations

import pytest

from qasr.serving.errors import OverloadedError, TooLargeError
from qasr.serving.scheduler.admission import Admission
from qasr.serving.scheduler.options import SchedulerOptions
from qasr.serving.scheduler.throughput import Throughput


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def admission(rate=10.0, clock=None, **options):
    return Admission(SchedulerOptions(**options), Throughput(rate), window_seconds=30.0, clock=clock or Clock())


def admitted(one, *seconds):
    tickets = [one.reserve() for _ in seconds]
    for ticket, duration in zip(tickets, seconds, strict=True):
        one.admit(ticket, duration)
    return tickets


def test_the_wait_is_the_audio_before_a_request_over_the_measured_rate():
    one = admission(rate=10.0)
    admitted(one, 20.0, 5.0)
    assert (one.seconds, one.requests, one.predicted_wait()) == (25.0, 2, 2.5)


def test_a_long_recording_lets_others_pass():
    one = admission(rate=10.0, streams=1)
    (long,) = admitted(one, 3_600.0)
    assert one.predicted_wait() == 6.0  # two windows of 30 s
    assert one.predicted_wait(long) == 0.0


def test_requests_that_would_wait_too_long_are_refused():
    one = admission(rate=10.0, deadline_seconds=4.0)
    admitted(one, 20.0, 12.0)
    ticket = one.reserve()  # 1.25 times 3.2 s
    one.admit(ticket, 8.0)
    with pytest.raises(OverloadedError, match="the wait would be 5 s, and the deadline is 4 s") as refused:
        one.reserve()
    assert (refused.value.reason, refused.value.retry_seconds) == ("wait", 1)
    with pytest.raises(OverloadedError):
        one.reserve(deadline_seconds=60.0)  # a client cannot extend the deadline
    one.release(ticket)
    with pytest.raises(OverloadedError, match="the deadline is 1 s"):
        one.reserve(deadline_seconds=1.0)


def test_time_before_the_body_was_read_counts():
    clock = Clock()
    one = admission(rate=10.0, clock=clock, deadline_seconds=4.0)
    ticket = one.reserve()
    admitted(one, 16.0)
    clock.now += 3.0
    with pytest.raises(OverloadedError, match="the wait would be 2 s, and the deadline is 1 s"):
        one.admit(ticket, 1.0)


def test_requests_are_bounded():
    one = admission(rate=2.0, max_requests=2)
    admitted(one, 8.0, 4.0)
    with pytest.raises(OverloadedError, match="2 requests are waiting") as refused:
        one.reserve()
    assert (refused.value.reason, refused.value.retry_seconds) == ("requests", 3)


def test_audio_is_bounded():
    one = admission(rate=10.0, max_queue_seconds=100.0, max_recording_seconds=80.0)
    admitted(one, 70.0)
    ticket = one.reserve()
    with pytest.raises(OverloadedError, match="70 s of audio are waiting") as refused:
        one.admit(ticket, 60.0)
    assert (refused.value.reason, refused.value.retry_seconds) == ("audio", 3)
    with pytest.raises(TooLargeError, match="lasts 81 s; this server takes 80 s") as refused:
        one.admit(ticket, 81.0)
    assert refused.value.retry_seconds is None


def test_work_that_is_done_or_ended_does_not_wait():
    one = admission(rate=10.0)
    first, second = admitted(one, 20.0, 5.0)
    one.progress(first, 15.0)
    assert one.seconds == 10.0
    one.progress(first, 15.0)
    one.release(second)
    one.release(second)
    assert (one.seconds, one.requests) == (0.0, 1)


def test_uploads_count_with_the_duration_of_recent_recordings():
    one = admission(rate=10.0)
    for _ in range(100):
        (ticket,) = admitted(one, 20.0)
        one.release(ticket)
    one.reserve()
    one.reserve()
    assert one.predicted_wait() == pytest.approx(4.0, abs=0.01)


def test_late_says_when_to_come_back():
    one = admission(rate=10.0)
    admitted(one, 25.0)
    assert (one.late().reason, one.late().retry_seconds) == ("deadline", 3)


def test_throughput_follows_the_work():
    throughput = Throughput(10.0)
    assert throughput.rate == 10.0
    for second in range(0, 600, 2):  # 5 s of audio in 1 s of work; idle time does not count
        throughput.begin(second)
        throughput.end(second + 1, 5.0)
    assert throughput.rate == pytest.approx(5.0, abs=0.01)
    throughput.begin(1_000)
    throughput.begin(1_000)  # two streams at a time
    throughput.end(1_001, 5.0)
    throughput.end(1_001, 5.0)
    assert 5.0 < throughput.rate < 10.0


def test_failures_leave_an_estimate_above_zero():
    throughput = Throughput(10.0)
    throughput.begin(0.0)
    throughput.end(10_000.0, 0.0)
    assert throughput.rate > 0

"""What is admitted: bounded in requests, in seconds of audio, and by the wait that is predicted for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import OverloadedError, TooLargeError
from .options import SchedulerOptions
from .throughput import Throughput

# A refusal now is better than one at the deadline, so predictions count a little more.
_CAUTION = 1.25
_NEWEST = 0.1


@dataclass(eq=False)
class Ticket:
    """An admitted request."""

    deadline: float
    """Time of the clock at which its first window must have started."""
    seconds: float = 0.0
    """Its audio that is not transcribed yet. 0 until its duration is known."""
    known: bool = False
    """Whether its duration is known."""


class Admission:
    """Admitted requests of one model, and the prediction of how long another one would wait."""

    def __init__(
        self, options: SchedulerOptions, throughput: Throughput, window_seconds: float, clock: Callable[[], float]
    ) -> None:
        """``window_seconds`` is the length of a window; ``clock`` counts seconds."""
        self._options = options
        self._throughput = throughput
        self._clock = clock
        # Between two windows a long recording lets others pass, so no more of it than this is before them.
        self._most_ahead = (options.streams + 1) * window_seconds
        self._tickets: set[Ticket] = set()
        # Duration of recent recordings, for those that are being uploaded.
        self._typical = 0.0

    @property
    def requests(self) -> int:
        """Admitted requests."""
        return len(self._tickets)

    @property
    def seconds(self) -> float:
        """Admitted audio that is not transcribed yet."""
        return sum(ticket.seconds for ticket in self._tickets)

    def predicted_wait(self, ticket: Ticket | None = None) -> float:
        """Seconds until an engine would start on a request that is admitted now, or on ``ticket``."""
        others = (one for one in self._tickets if one is not ticket)
        ahead = sum(min(one.seconds if one.known else self._typical, self._most_ahead) for one in others)
        return ahead / self._throughput.rate

    def reserve(self, deadline_seconds: float | None = None) -> Ticket:
        """Admit a request whose audio is not known yet; it may set a shorter deadline. Raises OverloadedError."""
        limit = self._options.deadline_seconds
        allowed = limit if deadline_seconds is None else min(limit, deadline_seconds)
        if len(self._tickets) >= self._options.max_requests:
            each = self.seconds / len(self._tickets) / self._throughput.rate
            raise OverloadedError(f"{len(self._tickets)} requests are waiting", "requests", max(1, math.ceil(each)))
        ticket = Ticket(self._clock() + allowed)
        self._refuse_late(ticket, allowed)
        self._tickets.add(ticket)
        return ticket

    def admit(self, ticket: Ticket, seconds: float) -> None:
        """Admit the audio of a request, ``seconds`` long. Raises TooLargeError or OverloadedError."""
        options = self._options
        longest = min(options.max_recording_seconds, options.max_queue_seconds)
        if seconds > longest:
            raise TooLargeError(f"the audio lasts {seconds:.0f} s; this server takes {longest:.0f} s", "too long")
        excess = self.seconds + seconds - options.max_queue_seconds
        if excess > 0:
            retry = max(1, math.ceil(excess / self._throughput.rate))
            raise OverloadedError(f"{self.seconds:.0f} s of audio are waiting", "audio", retry)
        self._refuse_late(ticket, ticket.deadline - self._clock())
        ticket.seconds, ticket.known = seconds, True
        self._typical += _NEWEST * (seconds - self._typical)

    def progress(self, ticket: Ticket, seconds: float) -> None:
        """Count ``seconds`` of a request as transcribed."""
        ticket.seconds = max(0.0, ticket.seconds - seconds)

    def release(self, ticket: Ticket) -> None:
        """End a request."""
        self._tickets.discard(ticket)

    def late(self) -> OverloadedError:
        """The error of a request whose deadline has passed in the queue."""
        retry = max(1, math.ceil(self.predicted_wait()))
        return OverloadedError("the deadline passed before an engine was free", "deadline", retry)

    def _refuse_late(self, ticket: Ticket, allowed: float) -> None:
        wait = _CAUTION * self.predicted_wait(ticket)
        if wait > allowed:
            retry = max(1, math.ceil(wait - allowed))
            raise OverloadedError(
                f"the wait would be {wait:.0f} s, and the deadline is {max(0.0, allowed):.0f} s", "wait", retry
            )

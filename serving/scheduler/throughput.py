"""How much audio an engine transcribes per second, as measured lately."""

from __future__ import annotations

_HALF_LIFE_SECONDS = 30.0


class Throughput:
    """Seconds of audio per second in which the engine was busy; recent work counts more."""

    def __init__(self, rate: float) -> None:
        """``rate`` is a first estimate, which counts as one second of work."""
        self._audio = rate
        self._busy = 1.0
        self._running = 0
        self._since = 0.0

    @property
    def rate(self) -> float:
        """Seconds of audio per second, above 0."""
        return self._audio / self._busy

    def begin(self, now: float) -> None:
        """A group starts."""
        self._elapse(now)
        self._running += 1

    def end(self, now: float, seconds: float) -> None:
        """A group of ``seconds`` of audio ends; 0 for one that failed."""
        self._elapse(now)
        self._running -= 1
        self._audio += seconds

    def _elapse(self, now: float) -> None:
        if self._running:
            elapsed = now - self._since
            kept = 0.5 ** (elapsed / _HALF_LIFE_SECONDS)
            # Work that only failed must not drive the estimate to zero.
            self._audio = max(self._audio * kept, 1e-6)
            self._busy = self._busy * kept + elapsed
        self._since = now

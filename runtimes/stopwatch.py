"""Time of each part of a transcription."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Seconds spent in each part of the work so far, summed over threads."""

    features: float = 0.0
    """From samples or a file to padded batches of inputs."""
    inference: float = 0.0
    """In the engine."""
    decoding: float = 0.0
    """From logits to transcripts."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @contextmanager
    def running(self, part: str) -> Iterator[None]:
        """Add the duration of the block to ``part``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            with self._lock:
                setattr(self, part, getattr(self, part) + seconds)

    def read(self) -> tuple[float, float, float]:
        """Features, inference, decoding."""
        return self.features, self.inference, self.decoding

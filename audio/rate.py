"""Sample rates: that of every model, and those that recordings have."""

from __future__ import annotations

SAMPLE_RATE = 16_000
"""Samples per second that every model takes; audio of other rates is resampled."""

MIN_RATE, MAX_RATE = 4_000, 768_000
"""Rates that microphones and converters have. Others come from damaged headers, or are mistakes."""


def is_plausible_rate(rate: float) -> bool:
    """Whether recordings have ``rate`` samples per second."""
    return MIN_RATE <= rate <= MAX_RATE

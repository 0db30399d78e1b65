"""The sample rate of every model."""

from __future__ import annotations

SAMPLE_RATE = 16_000
"""Samples per second that every model takes; files of other rates are resampled."""

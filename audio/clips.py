"""Whole clips as features."""

from __future__ import annotations

from pathlib import Path

from .decode import read
from .errors import AudioError
from .frontends.fbank import Floats, extract
from .settings import SAMPLE_RATE, FeatureSettings


def clip_features(source: Path | str, settings: FeatureSettings, max_seconds: float | None = None) -> Floats:
    """The model's input (frames, feature_size) for a file; of a longer one only for the first ``max_seconds``.

    Raises AudioError, which names the file, where it cannot be read or is too short.
    """
    samples = read(source)
    try:
        return extract(samples[: None if max_seconds is None else round(max_seconds * SAMPLE_RATE)], settings)
    except AudioError as error:  # of samples, which have no name
        raise AudioError(f"{source}: {error}") from None

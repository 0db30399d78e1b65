"""The samples themselves, normalized if the model needs it: transformers' ``Wav2Vec2FeatureExtractor``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np

from ..errors import AudioError, FrontEndError
from ..integers import Integers
from ..rate import SAMPLE_RATE
from .base import Floats, Transform

_EXTRACTOR = "Wav2Vec2FeatureExtractor"
_VARIANCE_FLOOR = 1e-7


class Waveform(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="waveform"):
    """Inputs ``samples`` (B, T) float32 at 16 kHz and ``lengths`` (B,) int64 in samples."""

    input_names: ClassVar[tuple[str, str]] = ("samples", "lengths")

    normalized: bool = True
    """Zero mean and unit variance over the whole recording."""
    padding_value: float = 0.0
    min_samples: Annotated[int, msgspec.Meta(ge=1)] = 400
    """Samples of the model's shortest input."""

    @property
    def frames_per_second(self) -> float:
        """Samples per second; each sample is an input frame."""
        return float(SAMPLE_RATE)

    @property
    def raw_per_frame(self) -> int:
        """One."""
        return 1

    def frames(self, raw: Integers) -> Integers:
        """The number of samples."""
        return raw

    def full_frames(self, raw: Integers) -> Integers:
        """The number of samples."""
        return raw

    def shape(self, batch: int, frames: int) -> tuple[int, ...]:
        """(batch, samples)."""
        return batch, frames

    def check_length(self, samples: int) -> None:
        """Raise AudioError if ``samples`` samples are fewer than the model's shortest input."""
        if samples < self.min_samples:
            raise AudioError(
                f"lasts {1000 * samples / SAMPLE_RATE:.0f} ms, "
                f"and the model needs {1000 * self.min_samples / SAMPLE_RATE:.0f} ms at least"
            )

    def raw(self, blocks: Iterator[Floats], transform: Transform | None = None) -> Iterator[Floats]:
        """The samples. Raises FrontEndError for a ``transform``, since there is nothing to compute."""
        if transform is not None:
            raise FrontEndError("this model takes samples, so there are no features to compute; leave --features out")
        return blocks

    def statistics(self) -> _Statistics:
        """Mean and deviation of all samples."""
        return _Statistics(normalized=self.normalized)

    def normalize(self, raw: Floats) -> Floats:
        """Zero mean and unit variance in float32, as the extractor computes them; unchanged unless ``normalized``."""
        if not self.normalized:
            return raw
        normalized: Floats = ((raw - raw.mean()) / np.sqrt(raw.var() + _VARIANCE_FLOOR)).astype(np.float32)
        return normalized

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], min_samples: int = 400) -> Waveform:
        """Read the content of ``preprocessor_config.json``. FrontEndError names every setting that is not supported.

        ``min_samples`` comes from the model: samples for one output frame.
        """
        problems = []
        if stored.get("feature_extractor_type", _EXTRACTOR) != _EXTRACTOR:
            problems.append(f"feature_extractor_type is {stored['feature_extractor_type']!r}, not {_EXTRACTOR!r}")
        if stored.get("sampling_rate", SAMPLE_RATE) != SAMPLE_RATE:
            problems.append(f"sampling_rate is {stored['sampling_rate']!r}, not {SAMPLE_RATE}")
        normalized, padding = stored.get("do_normalize", True), stored.get("padding_value", 0.0)
        if not isinstance(normalized, bool):
            problems.append(f"do_normalize is {normalized!r}, not true or false")
        if not isinstance(padding, int | float) or isinstance(padding, bool) or not isfinite(padding):
            problems.append(f"padding_value is {padding!r}, not a finite number")
        if problems:
            raise FrontEndError(f"preprocessor_config.json: {'; '.join(problems)}")
        return cls(normalized=normalized, padding_value=float(padding), min_samples=min_samples)


class _Statistics:
    """Mean and variance over blocks of samples, in float64 (Chan et al. 1983, pairwise updates)."""

    def __init__(self, *, normalized: bool) -> None:
        self.frames = 0
        self._normalized = normalized
        self._mean = self._squares = 0.0

    def add(self, raw: Floats) -> None:
        """Add a block of samples (n,)."""
        count = raw.size
        if count == 0:
            return
        mean = float(raw.mean(dtype=np.float64))
        shift, total = mean - self._mean, self.frames + count
        self._squares += float(np.square(raw - mean, dtype=np.float64).sum()) + shift**2 * (self.frames * count / total)
        self._mean += shift * count / total
        self.frames = total

    def normalize(self, raw: Floats) -> Floats:
        """Normalize a block by the mean and deviation of everything added so far."""
        if not self._normalized:
            return raw
        deviation = np.sqrt(self._squares / max(self.frames, 1) + _VARIANCE_FLOOR)
        normalized: Floats = ((raw - self._mean) / deviation).astype(np.float32)
        return normalized

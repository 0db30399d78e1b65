"""Feature settings: what a checkpoint's ``preprocessor_config.json`` says, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from .errors import FeatureSettingsError

SAMPLE_RATE = 16_000
"""Samples per second that every model here takes."""

_EXTRACTOR = "SeamlessM4TFeatureExtractor"
# Window of 25 ms and hop of 10 ms are fixed in that extractor, whatever the file says.
FRAME_SAMPLES = 400
HOP_SAMPLES = 160


@dataclass(frozen=True)
class FeatureSettings:
    """How audio becomes the model's input."""

    num_mel_bins: int = 80
    stride: int = 2
    """Analysis frames side by side in one frame of the model."""
    padding_value: float = 0.0

    @property
    def feature_size(self) -> int:
        """Values in one frame of the model."""
        return self.num_mel_bins * self.stride

    @property
    def frame_samples(self) -> int:
        """Samples from one frame of the model to the next."""
        return HOP_SAMPLES * self.stride

    @property
    def fewest_samples(self) -> int:
        """Samples that make one whole frame of the model."""
        return FRAME_SAMPLES + (self.stride - 1) * HOP_SAMPLES

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> FeatureSettings:
        """Settings from ``preprocessor_config.json``'s content; FeatureSettingsError names what cannot be followed."""
        problems = []
        if stored.get("feature_extractor_type", _EXTRACTOR) != _EXTRACTOR:
            problems.append(f"feature_extractor_type is {stored['feature_extractor_type']!r}, not {_EXTRACTOR!r}")
        if stored.get("sampling_rate", SAMPLE_RATE) != SAMPLE_RATE:
            problems.append(f"sampling_rate is {stored['sampling_rate']!r}, not {SAMPLE_RATE}")
        if stored.get("padding_side", "right") != "right":
            problems.append(f"padding_side is {stored['padding_side']!r}, not 'right'")
        bins, stride = stored.get("num_mel_bins", 80), stored.get("stride", 2)
        if not isinstance(bins, int) or isinstance(bins, bool) or bins < 1:
            problems.append(f"num_mel_bins is {bins!r}, not a positive whole number")
        # The extractor masks a stack by its second frame: with 1 it masks everything, with 3 it lets padding pass.
        if stride != 2:
            problems.append(f"stride is {stride!r}, not 2")
        padding = stored.get("padding_value", 0.0)
        if not isinstance(padding, int | float) or isinstance(padding, bool) or not isfinite(padding):
            problems.append(f"padding_value is {padding!r}, not a finite number")
        if problems:
            raise FeatureSettingsError(f"preprocessor_config.json: {'; '.join(problems)}")
        return cls(num_mel_bins=bins, stride=int(stride), padding_value=float(padding))

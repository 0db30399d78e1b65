"""Log-mel energies, normalized per bin and stacked: transformers' ``SeamlessM4TFeatureExtractor``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Annotated, Any, ClassVar

import msgspec

from ..errors import AudioError, FrontEndError
from ..integers import Integers
from ..rate import SAMPLE_RATE
from .base import Floats, Transform
from .fbank import FRAME_SAMPLES, HOP_SAMPLES, RunningStatistics, fbank, fbank_blocks, normalize

_EXTRACTOR = "SeamlessM4TFeatureExtractor"


class LogMel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="log-mel"):
    """Inputs ``features`` (B, T, mel bins × stride) float32 and ``lengths`` (B,) int64 in frames of 10 ms."""

    input_names: ClassVar[tuple[str, str]] = ("features", "lengths")

    num_mel_bins: Annotated[int, msgspec.Meta(ge=1)] = 80
    stride: Annotated[int, msgspec.Meta(ge=1)] = 2
    """Frames of 10 ms side by side in one input frame."""
    padding_value: float = 0.0
    keeps_partial: bool = False
    """Whether an incomplete last input frame is padded and given to the model, which reads it; else it is left out."""

    @property
    def feature_size(self) -> int:
        """Values in one input frame."""
        return self.num_mel_bins * self.stride

    @property
    def frames_per_second(self) -> float:
        """Input frames per second of audio."""
        return SAMPLE_RATE / (HOP_SAMPLES * self.stride)

    @property
    def raw_per_frame(self) -> int:
        """Frames of 10 ms in one input frame."""
        return self.stride

    def frames(self, raw: Integers) -> Integers:
        """Stacked frames of recordings with ``raw`` frames of 10 ms."""
        return (raw + (self.stride - 1)) // self.stride if self.keeps_partial else self.full_frames(raw)

    def full_frames(self, raw: Integers) -> Integers:
        """Stacked frames without padding."""
        return raw // self.stride

    def shape(self, batch: int, frames: int) -> tuple[int, ...]:
        """(batch, frames, feature size)."""
        return batch, frames, self.feature_size

    def check_length(self, samples: int) -> None:
        """Raise AudioError if ``samples`` samples make no input frame, or too few raw frames for a variance."""
        needed = FRAME_SAMPLES + max(self.stride - 1, 1) * HOP_SAMPLES
        if samples < needed:
            raise AudioError(
                f"lasts {1000 * samples / SAMPLE_RATE:.0f} ms, "
                f"and the model needs {1000 * needed / SAMPLE_RATE:.0f} ms at least"
            )

    def raw(self, blocks: Iterator[Floats], transform: Transform | None = None) -> Iterator[Floats]:
        """Log-mel energies (frames, mel bins), 100 per second. ``transform`` takes samples and ``num_mel_bins``."""
        return fbank_blocks(blocks, self.num_mel_bins, transform or fbank)

    def statistics(self) -> RunningStatistics:
        """Mean and deviation of each mel bin."""
        return RunningStatistics(self.num_mel_bins)

    def normalize(self, raw: Floats) -> Floats:
        """Zero mean and unit variance for each mel bin."""
        return normalize(raw)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], *, keeps_partial: bool = False) -> LogMel:
        """Read the content of ``preprocessor_config.json``. FrontEndError names every setting that is not supported.

        ``keeps_partial`` comes from the model.
        """
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
            raise FrontEndError(f"preprocessor_config.json: {'; '.join(problems)}")
        return cls(bins, int(stride), float(padding), keeps_partial)

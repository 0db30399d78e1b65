"""Audio as features: what techniques calibrate with and artifacts are verified on, and what is wrong with it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ..audio import LogMel, clip_inputs, duration, stream
from ..data import AudioSet
from ..quantizers import CalibrationSet
from ..quantizers.technique import Track

_FEW_CLIPS, _FEW_SECONDS, _ENOUGH_CLIPS = 8, 30.0, 32
_SILENT_PEAK_DBFS = -60.0
# Lengths that differ by less count as one.
_SAME_SECONDS = 0.05


def features_of(audio: AudioSet, settings: LogMel, max_seconds: float | None = None) -> Iterator[Tensor]:
    """Each file's features (1, T, F) float32; of longer files only the first ``max_seconds``.

    Raises AudioError, which names the file.
    """
    for file in audio.files:
        yield torch.from_numpy(clip_inputs(file, settings, max_seconds))[None]


def calibration_set(audio: AudioSet, settings: LogMel, max_seconds: float, track: Track) -> CalibrationSet:
    """An audio set as techniques take it; of longer clips only the first ``max_seconds`` count."""
    seconds = sum(min(max_seconds, duration(file)) for file in audio.files)

    prepared = f"{settings} {max_seconds:g} s"

    def features() -> Iterator[Tensor]:
        yield from track(features_of(audio, settings, max_seconds), "Calibrating", len(audio.files))

    return CalibrationSet(audio.name, audio.sha256(), round(seconds, 3), len(audio.files), features, prepared)


def warnings(audio: AudioSet, max_seconds: float) -> list[str]:
    """What is wrong with a calibration set, and what that will cost; nothing for a sound one.

    Lengths come from the files' headers; a file is decoded only up to its first sound.
    """
    seconds = [min(max_seconds, duration(file)) for file in audio.files]
    silent = [file for file in audio.files if _is_silent(file, max_seconds)]
    count, total = len(seconds), sum(seconds)
    found = []
    if count < _FEW_CLIPS or total < _FEW_SECONDS:
        found.append(
            f"{_clips(count)} ({total:.0f} s); ranges from so little audio cut off what they have not seen, so other "
            f"voices and rooms may be transcribed worse; give at least {_ENOUGH_CLIPS} clips and {_FEW_SECONDS:.0f} s"
        )
    if len(silent) == count:
        found.append(
            f"nothing but silence (no sample above {_SILENT_PEAK_DBFS:.0f} dBFS); speech goes beyond such ranges and "
            "is cut off, which triples the error of the logits on the bundled model; give recordings with voices"
        )
    elif silent:
        found.append(
            f"{len(silent)} of {_clips(count)} are silent, {silent[0].name} first (no sample above "
            f"{_SILENT_PEAK_DBFS:.0f} dBFS); features are normalized, so the ranges fit their noise as if it were a "
            "voice, and speech is rounded worse; leave them out"
        )
    if count > 1 and max(seconds) - min(seconds) < _SAME_SECONDS:
        found.append(
            f"all {count} clips last {seconds[0]:.1f} s; shorter and longer recordings may go beyond their ranges and "
            "be transcribed worse; mix lengths"
        )
    return [f"calibration on {audio.name}: {message}" for message in found]


def _is_silent(file: Path, max_seconds: float) -> bool:
    level = 10.0 ** (_SILENT_PEAK_DBFS / 20.0)
    blocks = itertools.islice(stream(file, block_seconds=1.0), math.ceil(max_seconds))
    return all(float(abs(block).max()) <= level for block in blocks)


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count} clips"

"""Audio as model inputs: what methods calibrate with and artifacts are verified on, and what is wrong with it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import torch

from .. import reference
from ..audio import batch, clip_inputs, duration, stream
from ..audio.frontends import FrontEnd
from ..data import AudioSet, DataError, read_audio_set
from ..models import Checkpoint
from ..quantizers.calibration import CalibrationSet, Inputs, Track
from .plan import Plan, methods_without_calibration
from .progress import Progress

_FEW_CLIPS, _FEW_SECONDS, _ENOUGH_CLIPS = 8, 30.0, 32
_SILENT_PEAK_DBFS = -60.0
# Lengths that differ by less count as one.
_SAME_SECONDS = 0.05


def calibrate(plan: Plan, checkpoint: Checkpoint, progress: Progress) -> CalibrationSet | None:
    """The audio that the plan's method calibrates with; None where it needs none. Raises DataError or AudioError."""
    if not plan.needs_calibration:
        return None
    source = calibration_source(plan, checkpoint)
    audio = read_audio_set(source, plan.calibration_clips)
    for message in warnings(audio, plan.calibration_seconds):
        progress.warn(message)
    return calibration_set(audio, checkpoint.front_end, plan.calibration_seconds, progress.track)


def calibration_source(plan: Plan, checkpoint: Checkpoint) -> Path:
    """What the request names, or the bundled set for a model that comes with qasr. Raises DataError for others."""
    source = plan.request.calibration.source
    if source is not None:
        return source
    # Somebody's own model calibrated on our synthetic voices would be wrong without a word.
    if not checkpoint.is_bundled:
        others = methods_without_calibration(plan.target)
        instead = f", or use --method {others[0]}" if others else ""
        if plan.method in others:
            # The method itself takes none: the budget does.
            instead = ", or leave --bits-budget out"
        raise DataError(
            f"{checkpoint.name}: {plan.method} quantization needs audio like that which the model will transcribe; "
            f"add --calibration recitations.jsonl (or a folder of audio){instead}"
        )
    return reference.CALIBRATION


def inputs_of(audio: AudioSet, front_end: FrontEnd, max_seconds: float | None = None) -> Iterator[Inputs]:
    """Each file's inputs (1, T, …) float32 and lengths (1,); of longer files only the first ``max_seconds``.

    Raises AudioError, which names the file.
    """
    for file in audio.files:
        inputs, lengths = batch([clip_inputs(file, front_end, max_seconds)], front_end)
        yield torch.from_numpy(inputs), torch.from_numpy(lengths)


def calibration_set(audio: AudioSet, front_end: FrontEnd, max_seconds: float, track: Track) -> CalibrationSet:
    """An audio set as methods take it; of longer clips only the first ``max_seconds`` count."""
    seconds = sum(min(max_seconds, duration(file)) for file in audio.files)

    def inputs() -> Iterator[Inputs]:
        yield from track(inputs_of(audio, front_end, max_seconds), "Calibrating", len(audio.files))

    return CalibrationSet(
        name=audio.name,
        sha256=audio.sha256(),
        seconds=round(seconds, 3),
        clips=len(audio.files),
        inputs=inputs,
        prepared=f"{front_end} {max_seconds:g} s",
    )


def warnings(audio: AudioSet, max_seconds: float) -> list[str]:
    """What is wrong with a calibration set, and what that will cost; empty for a sound one.

    Lengths come from the files' headers; a file is decoded only up to its first sound.
    """
    seconds = [min(max_seconds, duration(file)) for file in audio.files]
    silent = [file for file in audio.files if _is_silent(file, max_seconds)]
    count, total = len(seconds), sum(seconds)
    messages = []
    if count < _FEW_CLIPS or total < _FEW_SECONDS:
        messages.append(
            f"{_clips(count)} ({total:.0f} s); ranges from so little audio cut off values that it does not hold, so "
            "other voices and rooms may be transcribed worse; "
            f"give at least {_ENOUGH_CLIPS} clips and {_FEW_SECONDS:.0f} s"
        )
    if len(silent) == count:
        messages.append(
            f"nothing but silence (no sample above {_SILENT_PEAK_DBFS:.0f} dBFS); speech goes beyond such ranges and "
            "is cut off, which triples the error of the logits on the bundled model; give recordings with voices"
        )
    elif silent:
        messages.append(
            f"{len(silent)} of {_clips(count)} are silent, {silent[0].name} first (no sample above "
            f"{_SILENT_PEAK_DBFS:.0f} dBFS); features are normalized, so the ranges fit their noise as if it were a "
            "voice, and speech is rounded worse; leave them out"
        )
    if count > 1 and max(seconds) - min(seconds) < _SAME_SECONDS:
        messages.append(
            f"all {count} clips last {seconds[0]:.1f} s; shorter and longer recordings may go beyond their ranges and "
            "be transcribed worse; mix lengths"
        )
    return [f"calibration on {audio.name}: {message}" for message in messages]


def _is_silent(file: Path, max_seconds: float) -> bool:
    level = 10.0 ** (_SILENT_PEAK_DBFS / 20.0)
    blocks = itertools.islice(stream(file, block_seconds=1.0), math.ceil(max_seconds))
    return all(float(abs(block).max()) <= level for block in blocks)


def _clips(count: int) -> str:
    return "1 clip" if count == 1 else f"{count} clips"

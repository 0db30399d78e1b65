"""Audio sets named by the user: JSON lines with an ``audio`` column, or a folder of audio files."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..artifacts import sha256_of_file
from ..audio import AUDIO_SUFFIXES, SAMPLE_RATE, FeatureSettings, duration, extract, read, stream
from ..quantizers import CalibrationSet
from ..quantizers.technique import Track
from .errors import DataError

_FEW_CLIPS, _FEW_SECONDS, _ENOUGH_CLIPS = 8, 30.0, 32
_SILENT_PEAK_DBFS = -60.0
# Lengths that differ by less count as one.
_SAME_SECONDS = 0.05


@dataclass(frozen=True)
class AudioSet:
    """Audio files in order, and where they were listed."""

    name: str
    files: tuple[Path, ...]

    def sha256(self) -> str:
        """Hash over the files' contents, in order."""
        hashed = hashlib.sha256()
        for file in self.files:
            hashed.update(bytes.fromhex(sha256_of_file(file)))
        return hashed.hexdigest()

    def features(self, settings: FeatureSettings, max_seconds: float | None = None) -> Iterator[Tensor]:
        """Each file's features (1, T, F) float32; of longer files only the first ``max_seconds``."""
        for file in self.files:
            waveform = read(file)
            if max_seconds is not None:
                waveform = waveform[: round(max_seconds * SAMPLE_RATE)]
            yield torch.from_numpy(extract(waveform, settings))[None]


def read_audio_set(source: Path, limit: int) -> AudioSet:
    """At most ``limit`` files of a manifest or folder, evenly spread. Raises DataError."""
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
        if not files:
            raise DataError(f"{source}: holds no audio files ({', '.join(sorted(AUDIO_SUFFIXES))})")
    else:
        files = [source.parent / row for row in _audio_column(source)]
    absent = [str(file) for file in files if not file.is_file()]
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise DataError(f"{source}: lists {absent[0]}{more}, which does not exist")
    count = min(limit, len(files))
    return AudioSet(source.name, tuple(files[index * len(files) // count] for index in range(count)))


def calibration_set(audio: AudioSet, settings: FeatureSettings, max_seconds: float, track: Track) -> CalibrationSet:
    """An audio set as techniques take it; of longer clips only the first ``max_seconds`` count."""
    seconds = sum(min(max_seconds, duration(file)) for file in audio.files)

    def features() -> Iterator[Tensor]:
        yield from track(audio.features(settings, max_seconds), "Calibrating", len(audio.files))

    return CalibrationSet(audio.name, audio.sha256(), round(seconds, 3), len(audio.files), features)


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


def _audio_column(source: Path) -> Iterator[str]:
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"{source}: no such file or folder") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{source}: cannot be read as JSON lines ({error})") from None
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise DataError(f"{source}: is empty; it needs one JSON object a line with an 'audio' column")
    for number, line in rows:
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{source}, line {number}: not JSON ({error.msg})") from None
        audio = row.get("audio") if isinstance(row, dict) else None
        if not isinstance(audio, str):
            has = f"it has {', '.join(row)}" if isinstance(row, dict) and row else "it has no columns"
            raise DataError(f"{source}, line {number}: no 'audio' column with a path ({has})")
        yield audio

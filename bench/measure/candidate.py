"""An artifact during a benchmark: what has been measured of it so far, or why it failed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ...artifacts import Artifact, ArtifactError, read
from ...errors import MissingExtraError
from ...runtimes import ENGINES
from ..accuracy.score import Tokens
from ..errors import BenchError
from ..results import Accuracy, Figure, Key, ProcessRun, Row, Speed
from .messages import Measured


@dataclass
class Candidate:
    """One artifact. ``failure`` is the reason why it is not measured any further."""

    number: int
    name: str
    folder: Path
    artifact: Artifact | None
    """None if the folder holds no undamaged artifact; ``failure`` is then the reason."""
    failure: str | None = None
    accuracy: Accuracy | None = None
    transcripts: Sequence[Tokens] = ()
    """Transcripts of the evaluation set."""
    tajweed: dict[str, Figure] = field(default_factory=dict)
    noisy: Accuracy | None = None
    noisy_transcripts: Sequence[Tokens] = ()
    """Transcripts of the evaluation set with noise."""
    processes: list[ProcessRun] = field(default_factory=list)
    measured: dict[Key, dict[int, Measured]] = field(default_factory=dict)
    """Raw samples by round."""

    def row(self) -> Row:
        """The row of the report. A failed candidate has no figures, not even those measured before the failure."""
        if self.artifact is None:
            return Row(name=self.name, folder=str(self.folder), failure=self.failure)
        manifest = self.artifact.manifest
        row = Row(
            name=self.name,
            folder=str(self.folder),
            digest=manifest.digest,
            target=manifest.target,
            method=manifest.method,
            engine=manifest.engine,
            source=manifest.source.name,
            parameters=manifest.source.parameters,
            size_bytes=sum(entry.bytes for entry in manifest.files.values()),
            weight_bytes=manifest.precision.weight_bytes,
            failure=self.failure,
        )
        if self.failure is not None:
            return row
        speeds = [_speed(key, rounds) for key, rounds in self.measured.items()]
        return msgspec.structs.replace(
            row,
            processes=self.processes,
            speeds=speeds,
            accuracy=self.accuracy,
            tajweed=self.tajweed,
            noisy=self.noisy,
        )


def read_candidates(folders: Sequence[Path], baseline: Path | None) -> tuple[Candidate, list[Candidate]]:
    """The baseline, and all artifacts with the baseline first.

    The baseline is the one requested, else the first usable artifact in fp32, else the first usable one. Whatever is
    damaged, needs a library that is not installed, or has other levels than the baseline becomes a failed candidate.
    Raises BenchError if the requested baseline is not usable, or no artifact is.
    """
    folders = list(dict.fromkeys([*folders, *([] if baseline is None else [baseline])]))
    if not folders:
        raise BenchError("no artifacts given")
    candidates = [
        _read(number, name, folder) for number, (name, folder) in enumerate(zip(_names(folders), folders, strict=True))
    ]
    if baseline is None:
        first = _default_baseline(candidates)
    else:
        first = candidates[folders.index(baseline)]
        if first.failure is not None:
            raise BenchError(f"the baseline {first.name} cannot be measured: {first.failure}")
    assert first.artifact is not None
    levels = first.artifact.manifest.levels
    for candidate in candidates:
        artifact = candidate.artifact
        if artifact is not None and candidate.failure is None and artifact.manifest.levels != levels:
            candidate.failure = f"its levels and vocabularies differ from those of the baseline {first.name}"
    return first, [first, *(candidate for candidate in candidates if candidate is not first)]


def _read(number: int, name: str, folder: Path) -> Candidate:
    """Check one artifact before anything is measured: manifest, files with their hashes, library of its engine."""
    try:
        artifact = read(folder)
    except ArtifactError as error:
        return Candidate(number, name, folder, None, failure=str(error))
    return Candidate(number, name, folder, artifact, failure=_engine_failure(artifact.manifest.engine))


def _engine_failure(name: str) -> str | None:
    """Why this installation cannot load the engine, or None."""
    if name not in ENGINES:
        return f"needs the engine {name!r}; this qasr has {', '.join(ENGINES)}"
    entry = ENGINES[name]
    return None if entry.is_installed else str(MissingExtraError(entry.library, entry.extra))


def _default_baseline(candidates: Sequence[Candidate]) -> Candidate:
    usable = [candidate for candidate in candidates if candidate.failure is None]
    if not usable:
        reasons = "; ".join(f"{candidate.name}: {candidate.failure}" for candidate in candidates)
        raise BenchError(f"none of the artifacts can be measured: {reasons}")
    return next((candidate for candidate in usable if _is_float(candidate)), usable[0])


def _is_float(candidate: Candidate) -> bool:
    return candidate.artifact is not None and candidate.artifact.manifest.precision.requested == "fp32"


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' names, or the whole paths if two names are equal."""
    names = [Path(os.path.abspath(folder)).name for folder in folders]  # noqa: PTH100 (a link keeps its name)
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _speed(key: Key, rounds: dict[int, Measured]) -> Speed:
    return Speed(
        scenario=key.scenario,
        clip_seconds=key.clip_seconds,
        threads=key.threads,
        batch=key.batch,
        queries=[query for measured in rounds.values() for query in measured.queries],
        wall_seconds={number: measured.wall_seconds for number, measured in rounds.items()},
        trials=[trial for measured in rounds.values() for trial in measured.trials],
        peak_rss_bytes=max(measured.peak_rss_bytes for measured in rounds.values()),
    )

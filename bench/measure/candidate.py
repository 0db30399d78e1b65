"""An artifact on its way through a benchmark."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ...artifacts import Artifact, ArtifactError, read
from ..accuracy.score import Tokens
from ..errors import BenchError
from ..results import Accuracy, Row, Speed, Visit
from .messages import Measured
from .options import Key


@dataclass
class Contender:
    """What is known so far; ``failure`` is why nothing more will be."""

    number: int
    name: str
    artifact: Artifact
    failure: str | None = None
    accuracy: Accuracy | None = None
    transcripts: Sequence[Tokens] = ()
    """Of the evaluation set."""
    visits: list[Visit] = field(default_factory=list)
    measured: dict[Key, dict[int, Measured]] = field(default_factory=dict)
    """Round to raw samples."""

    def row(self) -> Row:
        """Its part of the report. A failure leaves no figures: half a measurement is none."""
        manifest = self.artifact.manifest
        row = Row(
            name=self.name,
            folder=str(self.artifact.folder),
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
        return msgspec.structs.replace(row, visits=self.visits, speeds=speeds, accuracy=self.accuracy)


def line_up(artifacts: Sequence[Path], baseline: Path | None) -> list[Contender]:
    """The artifacts, the baseline first: the one named, else the first in fp32, else the first.

    All that are no artifacts, or have other levels than the baseline, are named in one BenchError.
    """
    folders = list(dict.fromkeys([*artifacts, *([] if baseline is None else [baseline])]))
    if not folders:
        raise BenchError("no artifacts given")
    found: list[Artifact] = []
    wrong: list[str] = []
    for folder in folders:
        try:
            found.append(read(folder, verify=False))
        except ArtifactError as error:
            wrong.append(str(error))
    if wrong:
        raise BenchError("; ".join(wrong))
    names = _names(folders)
    contenders = [Contender(number, names[number], artifact) for number, artifact in enumerate(found)]
    if baseline is not None:
        first = contenders[folders.index(baseline)]
    else:
        floats = [contender for contender in contenders if contender.artifact.manifest.precision.requested == "fp32"]
        first = (floats or contenders)[0]
    levels = first.artifact.manifest.levels
    others = [contender.name for contender in contenders if contender.artifact.manifest.levels != levels]
    if others:
        raise BenchError(f"{', '.join(others)}: not the levels and vocabularies of the baseline {first.name}")
    return [first, *(contender for contender in contenders if contender is not first)]


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' names; where two are the same, the whole paths."""
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

"""qdat_bench: recordings of learners who recite verse 5:109, with labels of all levels and annotated tajweed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ..audio import AudioError, duration
from ..recitation import tajweed
from ..recitation.labels import SIFAT_TEXT
from ..recitation.levels import PHONEMES, SIFAT
from .errors import DataError
from .paths import audio_files, is_file, read_text

ANNOTATIONS = "qdat_bench_annotations.json"
_MAX_NAMED = 3


@dataclass(frozen=True)
class Annotation:
    """What one recording was annotated with."""

    id: str
    original_id: str
    """Name of the recording in the data set that it comes from."""
    tokens: dict[str, list[str]]
    """Labels: tokens by level."""
    measures: dict[str, int]
    """See ``recitation.tajweed``."""


@dataclass(frozen=True)
class Prediction:
    """What a model transcribed: tokens by level."""

    id: str
    tokens: dict[str, list[str]]


class _Row(msgspec.Struct, frozen=True):
    """A line of a file of predictions. The benchmark's own files also have ids by level, which say the same."""

    id: str
    level_to_scripts: dict[str, str | list[str]]
    """Phonemes as text, each sifat level as a list of tokens."""


def is_qdat_bench(folder: Path) -> bool:
    """Whether the folder has the benchmark's annotations. Raises DataError."""
    return is_file(folder / ANNOTATIONS)


def read_annotations(folder: Path) -> list[Annotation]:
    """All annotations in ``folder``, in their order. Raises DataError."""
    file = folder / ANNOTATIONS
    if not is_file(file):
        raise DataError(f"{folder}: no {ANNOTATIONS} in it")
    try:
        content = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not JSON ({error})") from None
    if not isinstance(content, dict) or not content:
        raise DataError(f"{file}: not an object of annotations by id")
    return [_annotation(f"{file}: {name}", name, row) for name, row in content.items()]


def audio_of(folder: Path, annotations: Sequence[Annotation]) -> dict[str, tuple[Path, float]]:
    """File and duration in seconds by id: a file anywhere in ``folder`` whose name is the id or the original id.

    Raises DataError if recordings are missing, or a recording has no annotation.
    """
    by_name: dict[str, Path] = {}
    for path in audio_files(folder):
        if path.stem in by_name:
            raise DataError(f"{path}: a second recording called {path.stem}, besides {by_name[path.stem]}")
        by_name[path.stem] = path
    if not by_name:
        raise DataError(
            f"{folder}: annotations without audio; add the recordings as ID.wav, or score published predictions: "
            f"qbench score predictions.jsonl --data {folder}"
        )
    paths = {one.id: by_name.pop(one.id, None) or by_name.pop(one.original_id, None) for one in annotations}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        raise DataError(f"{folder}: no audio of {len(missing)} of {len(paths)} annotated clips: {_named(missing)}")
    if by_name:
        raise DataError(f"{folder}: no annotation of {len(by_name)} recordings: {_named(list(by_name))}")
    try:
        return {name: (path, duration(path)) for name, path in paths.items() if path is not None}
    except AudioError as error:
        raise DataError(f"{folder}: {error}") from None


def read_predictions(file: Path, annotations: Sequence[Annotation]) -> list[Prediction]:
    """Predictions in the order of ``annotations``. Raises DataError unless there is exactly one for each."""
    known = {one.id for one in annotations}
    rows: dict[str, Prediction] = {}
    for number, line in enumerate(read_text(file, " as JSON lines").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line, type=_Row)
        except msgspec.DecodeError as error:
            raise DataError(f"{file}, line {number}: not a prediction ({error})") from None
        if row.id not in known:
            raise DataError(f"{file}, line {number}: no annotation of {row.id!r}")
        if row.id in rows:
            raise DataError(f"{file}, line {number}: a second prediction of {row.id!r}")
        rows[row.id] = Prediction(row.id, {level: list(tokens) for level, tokens in row.level_to_scripts.items()})
        lacking = [level for level in (PHONEMES, *SIFAT) if level not in rows[row.id].tokens]
        if lacking:
            raise DataError(f"{file}, line {number}: no transcript of {_named(lacking)}")
    missing = [one.id for one in annotations if one.id not in rows]
    if missing:
        raise DataError(f"{file}: no prediction of {len(missing)} of {len(annotations)} clips: {_named(missing)}")
    return [rows[one.id] for one in annotations]


def _annotation(description: str, name: str, row: Any) -> Annotation:
    if not isinstance(row, dict):
        raise DataError(f"{description}: not an object")
    measures = {measure: row.get(measure) for measure in tajweed.NAMES}
    wrong = [measure for measure, value in measures.items() if type(value) is not int or not 0 <= value <= 8]
    if wrong:
        raise DataError(f"{description}: {wrong[0]} is {row.get(wrong[0])!r}, not a number from 0 to 8")
    phonemes, sifat = row.get("phonetic_transcript"), row.get("sifat")
    if not isinstance(phonemes, str) or not isinstance(sifat, list) or not all(isinstance(one, dict) for one in sifat):
        raise DataError(f"{description}: no phonetic_transcript, or no list of sifat")
    tokens = {PHONEMES: list("".join(phonemes.split()))}
    for level in SIFAT:
        values = [one.get(level) for one in sifat]
        unknown = [value for value in values if value not in SIFAT_TEXT]
        if unknown:
            raise DataError(f"{description}: {level} is {unknown[0]!r}; known are {', '.join(SIFAT_TEXT)}")
        tokens[level] = [SIFAT_TEXT[str(value)] for value in values]
    return Annotation(name, str(row.get("original_id", "")), tokens, {one: int(row[one]) for one in measures})


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more

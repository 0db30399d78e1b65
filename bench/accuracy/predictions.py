"""Files of predictions, as qdat_bench publishes them: written for artifacts, and scored as artifacts are."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ...data.qdat_bench import Annotation, Prediction
from ...recitation.levels import PHONEMES
from ..errors import BenchError
from ..results import Figure, LevelErrors
from .alignment import edits
from .score import Tokens, Vocabularies
from .statistics import bootstrap_delta
from .tajweed import measure_tajweed

_NO_NAME = re.compile(r"[^\w.+-]+")


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one file of predictions; differences are from the first file's."""

    name: str
    speech: dict[str, Figure]
    """Error rates: ``per_`` and the level, and ``average_per``, the mean over the levels."""
    tajweed: dict[str, Figure]


def score(
    annotations: Sequence[Annotation], files: Sequence[tuple[str, Sequence[Prediction]]], *, seed: int = 0
) -> list[Score]:
    """The scores of named files of predictions, each in the order of ``annotations``."""
    expected = [one.measures for one in annotations]
    scores: list[Score] = []
    base_errors: dict[str, LevelErrors] | None = None
    base_texts: list[str] | None = None
    for name, predictions in files:
        errors = {
            level: LevelErrors(
                edits=edits([one.tokens[level] for one in predictions], [one.tokens[level] for one in annotations]),
                lengths=[len(one.tokens[level]) for one in annotations],
            )
            for level in annotations[0].tokens
        }
        texts = ["".join(one.tokens[PHONEMES]) for one in predictions]
        tajweed = measure_tajweed(texts, expected, base_texts, seed)
        scores.append(Score(name=name, speech=_speech(errors, base_errors, seed), tajweed=tajweed))
        if base_errors is None:
            base_errors, base_texts = errors, texts
    return scores


def write(scores: Sequence[Score], path: Path) -> None:
    """All figures as JSON. Raises BenchError if the file cannot be written."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(scores), indent=1) + b"\n")
    except OSError as error:
        raise BenchError(f"{path}: the scores cannot be written ({error.strerror})") from None


def write_predictions(
    folder: Path, name: str, recordings: Sequence[str], transcripts: Sequence[Tokens], vocabularies: Vocabularies
) -> Path:
    """Write transcripts as qdat_bench publishes them: ids by level, the first level as text, the others as tokens.

    Raises BenchError if the folder cannot be written.
    """
    path = folder / f"{_NO_NAME.sub('-', name).strip('-')}.jsonl"
    first = next(iter(vocabularies))
    lines = []
    for recording, tokens in zip(recordings, transcripts, strict=True):
        ids = {level: [vocabularies[level].tokens.index(token) for token in own] for level, own in tokens.items()}
        texts = {level: "".join(own) if level == first else own for level, own in tokens.items()}
        row = {"id": recording, "levels_labels": ids, "level_to_scripts": texts}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise BenchError(f"{path}: the predictions cannot be written ({error.strerror})") from None
    return path


def _speech(errors: dict[str, LevelErrors], base: dict[str, LevelErrors] | None, seed: int) -> dict[str, Figure]:
    figures = {}
    for level, own in errors.items():
        delta = None if base is None else bootstrap_delta([own], [base[level]], seed)
        figures[f"per_{level}"] = Figure(value=own.rate, delta=delta)
    mean = sum(own.rate for own in errors.values()) / len(errors)
    delta = None if base is None else bootstrap_delta(list(errors.values()), list(base.values()), seed)
    return figures | {"average_per": Figure(value=mean, delta=delta)}

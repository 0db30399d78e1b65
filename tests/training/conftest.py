"""A few labelled clips to train on, and trainings of the bundled model, each done once in a session."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from qasr import reference

CLIPS = 12


def subset(folder: Path, *, labels: bool = True, count: int = CLIPS) -> Path:
    """JSON lines in ``folder`` that name the shortest bundled calibration clips."""
    rows = [json.loads(line) for line in reference.CALIBRATION.read_text(encoding="utf-8").splitlines()]
    rows = sorted(rows, key=lambda row: row["seconds"])[:count]
    kept = ("audio", "phonemes", "levels") if labels else ("audio",)
    chosen = [{key: row[key] for key in kept} for row in rows]
    for row in chosen:
        row["audio"] = str(reference.CALIBRATION.parent / row["audio"])
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="utf-8")
    return path


@pytest.fixture
def make_data(tmp_path: Path) -> Callable[..., Path]:
    return lambda **options: subset(tmp_path, **options)

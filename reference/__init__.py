"""The small trained model and the audio that come with qasr: where they lie. How they were made: ``make``."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent

CHECKPOINT = _HERE / "checkpoint"
"""Checkpoint folder as Hugging Face would save it."""

EVALUATION = _HERE / "evaluation" / "manifest.jsonl"
"""Labelled utterances of verses never trained on, in one voice that was trained on and one that was not."""

CALIBRATION = _HERE / "calibration" / "manifest.jsonl"
"""Utterances for calibration, from verses in neither of the other sets."""

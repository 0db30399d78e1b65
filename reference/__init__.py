"""Paths of the small trained model and of the audio that come with qasr; made by ``tools/reference``."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent

CHECKPOINT = _HERE / "checkpoint"
"""Checkpoint folder, as Hugging Face saves it."""

EVALUATION = _HERE / "evaluation" / "manifest.jsonl"
"""Labelled utterances of verses that are not in the training set, in one seen and one unseen voice."""

CALIBRATION = _HERE / "calibration" / "manifest.jsonl"
"""Utterances for calibration, from verses in neither the training nor the evaluation set."""

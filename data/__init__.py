"""Audio and labels of users, for measuring, calibration and training. Needs no torch."""

from __future__ import annotations

from .audio_set import AudioSet, read_audio_set
from .errors import DataError
from .labelled import LabelledSet, Recording, labelled_set, load_data
from .labels import TEXT, level_labels

__all__ = [
    "TEXT",
    "AudioSet",
    "DataError",
    "LabelledSet",
    "Recording",
    "labelled_set",
    "level_labels",
    "load_data",
    "read_audio_set",
]

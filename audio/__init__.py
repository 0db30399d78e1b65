"""Audio files in, the model's features out; no torch needed."""

from __future__ import annotations

from .clips import clip_features
from .decode import AUDIO_SUFFIXES, duration, read, spool, stream
from .errors import AudioError, AudioNotFoundError, FeatureSettingsError, FrontEndError
from .frontends import FrontEnd, LogMel, Waveform
from .frontends.fbank import Fbank, batch, check_length, extract, fbank
from .settings import SAMPLE_RATE, FeatureSettings
from .windows import OVERLAP_SECONDS, WINDOW_SECONDS, Window, windows

__all__ = [
    "AUDIO_SUFFIXES",
    "OVERLAP_SECONDS",
    "SAMPLE_RATE",
    "WINDOW_SECONDS",
    "AudioError",
    "AudioNotFoundError",
    "Fbank",
    "FeatureSettings",
    "FeatureSettingsError",
    "FrontEnd",
    "FrontEndError",
    "LogMel",
    "Waveform",
    "Window",
    "batch",
    "check_length",
    "clip_features",
    "duration",
    "extract",
    "fbank",
    "read",
    "spool",
    "stream",
    "windows",
]

"""Audio files in, a model's input out; needs no torch."""

from __future__ import annotations

from .decode import AUDIO_SUFFIXES, duration, read, spool, stream
from .errors import AudioError, AudioNotFoundError, FrontEndError
from .frontends import Floats, FrontEnd, LogMel, Transform, Waveform
from .inputs import batch, clip_inputs, extract
from .rate import SAMPLE_RATE
from .windows import OVERLAP_SECONDS, WINDOW_SECONDS, Window, windows

__all__ = [
    "AUDIO_SUFFIXES",
    "OVERLAP_SECONDS",
    "SAMPLE_RATE",
    "WINDOW_SECONDS",
    "AudioError",
    "AudioNotFoundError",
    "Floats",
    "FrontEnd",
    "FrontEndError",
    "LogMel",
    "Transform",
    "Waveform",
    "Window",
    "batch",
    "clip_inputs",
    "duration",
    "extract",
    "read",
    "spool",
    "stream",
    "windows",
]

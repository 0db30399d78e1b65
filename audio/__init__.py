"""Audio files in, a model's input out; needs no torch."""

from __future__ import annotations

from .decode import Audio, duration, from_file, from_samples, read, spool, stream
from .errors import AudioError, AudioNotFoundError, FrontEndError
from .frontends import Floats, FrontEnd, LogMel, Transform, Waveform
from .inputs import batch, clip_inputs, extract
from .rate import SAMPLE_RATE, is_plausible_rate
from .speech import SpeechDetector
from .suffixes import AUDIO_SUFFIXES, is_audio_name
from .windows import OVERLAP_SECONDS, WINDOW_SECONDS, Window, windows

__all__ = [
    "AUDIO_SUFFIXES",
    "OVERLAP_SECONDS",
    "SAMPLE_RATE",
    "WINDOW_SECONDS",
    "Audio",
    "AudioError",
    "AudioNotFoundError",
    "Floats",
    "FrontEnd",
    "FrontEndError",
    "LogMel",
    "SpeechDetector",
    "Transform",
    "Waveform",
    "Window",
    "batch",
    "clip_inputs",
    "duration",
    "extract",
    "from_file",
    "from_samples",
    "is_audio_name",
    "is_plausible_rate",
    "read",
    "spool",
    "stream",
    "windows",
]

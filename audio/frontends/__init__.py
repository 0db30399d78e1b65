"""What turns samples into a model's input, one front end a module; manifests carry one as a tagged union."""

from __future__ import annotations

from .base import Floats, FrontEndMethods, Statistics, Transform
from .log_mel import LogMel
from .waveform import Waveform

FrontEnd = LogMel | Waveform
"""Every front end. A new one is a module here and a member of this union."""

__all__ = ["Floats", "FrontEnd", "FrontEndMethods", "LogMel", "Statistics", "Transform", "Waveform"]

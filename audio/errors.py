"""What can be wrong with an audio file; each message names the file and what to do."""

from __future__ import annotations

from ..errors import QasrError


class AudioError(QasrError, ValueError):
    """Audio that cannot be read, or that holds nothing to transcribe."""


class AudioNotFoundError(AudioError, FileNotFoundError):
    """No audio file at the place named."""


class FeatureSettingsError(QasrError, ValueError):
    """Feature settings of a checkpoint that qasr cannot follow."""


class FrontEndError(QasrError, ValueError):
    """A front end, or settings of one, that qasr does not support."""

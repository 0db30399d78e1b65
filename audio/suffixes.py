"""Names by which a search of a folder finds audio. What a file is, its content says."""

from __future__ import annotations

from pathlib import PurePath

AUDIO_SUFFIXES = frozenset(
    {
        ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".m4b", ".mka",
        ".mkv", ".mov", ".mp3", ".mp4", ".oga", ".ogg", ".opus", ".rf64", ".snd", ".w64", ".wav", ".weba",
        ".webm", ".wma",
    }
)  # fmt: skip
"""Suffixes of audio files, and of videos, whose sound is read."""


def is_audio_name(path: PurePath) -> bool:
    """Whether a file of this name is taken for audio. Hidden files are not: systems leave ``._x.wav`` beside x.wav."""
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")
